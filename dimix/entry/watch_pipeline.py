"""Watch a trained team: play a game of each kind of start and show them."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from dimix.entry.eval_pipeline import as_trained, eval_pipeline
from dimix.entry.recording import replay_pipeline
from dimix.team.files import find_checkpoint, read_any


def watch_pipeline(
    path: str | Path,
    target: str | Path | None = None,
    *,
    text: bool = False,
    seed: int | None = None,
    device: str | None = None,
    out: Callable[[str], None] = print,
) -> Path | None:
    """Play one greedy game from the map's own start, one from moved starts where there are any, and show them.

    Args:
        path: checkpoint, run folder or ``zoo:NAME``.
        target: file to write, as for `replay_pipeline`; None writes ``watch.html`` and opens it if there is a screen.
        text: play in the terminal instead.
        seed: of the games; None uses the training's.
        device: see `eval_pipeline`.
        out: called with each line of output.

    Returns:
        The file written; None for text.

    Raises:
        CheckpointError: there is no such checkpoint.
        ConfigError: games of this environment cannot be recorded.
        OutputError: the file cannot be written.
    """
    checkpoint = find_checkpoint(path)
    compiled = as_trained(read_any(checkpoint), checkpoint, out, ())
    if notice := compiled.env_class.compile_notice():
        out(notice)
    with TemporaryDirectory() as folder:
        played = eval_pipeline(
            load_path=checkpoint,
            n_episode=1,
            seed=seed,
            device=device,
            replay_path=folder,
            replay_games=1,
            out=lambda line: None,
        )
        for start, game in (("the map's own start", played.nominal), ("a moved start", played.jitter)):
            if game is not None:
                out(f"from {start}: {'won' if game.games_won else 'not won'} in {game.ep_length:.0f} steps")
        page = None if text else Path(target or "watch.html")
        replay_pipeline(played.recorded, page)
    if page is not None and target is None and _has_screen():
        webbrowser.open(page.resolve().as_uri())
    return page


def _has_screen() -> bool:
    return sys.platform in ("darwin", "win32") or any(os.environ.get(key) for key in ("DISPLAY", "WAYLAND_DISPLAY"))
