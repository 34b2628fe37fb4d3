"""Shows recorded battles: a page for the browser, pictures, films, and text in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from dimix.errors import EnvError, OutputError
from dizoo.smac.battle.errors import BattleError
from dizoo.smac.replay.scene import Scene, open_scenes


def show(files: Sequence[Path], out: Path | None, write: Callable[[str], None] = print) -> None:
    """Show recorded games, or recorded traces of the reference.

    Args:
        files: replays (``.replay``) or traces (``.npz``).
        out: file to write: .html, .png, .gif or .mp4; None plays the games as text.
        write: called with text.

    Raises:
        EnvError: a file is damaged or of another kind, or an unknown extension.
        OutputError: `out` cannot be written, or a package for it is missing.
    """
    endings = (".html", ".png", ".gif", ".mp4")
    if out is not None and out.suffix.lower() not in endings:
        raise EnvError(f"-o {out}: ending '{out.suffix}'. Right is one of {', '.join(endings)}.")
    try:
        scenes = open_scenes(files)
    except BattleError as error:
        raise EnvError(str(error)) from error
    if out is None:
        from dizoo.smac.replay.terminal import play

        for scene in scenes:
            play(scene, write)
        return
    try:
        _make(scenes, out)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}).") from error
    write(f"{out}: {out.stat().st_size / 1000:.0f} kB, {len(scenes)} game{'s' if len(scenes) > 1 else ''}")


def _make(scenes: list[Scene], out: Path) -> None:
    if out.suffix.lower() == ".html":
        from dizoo.smac.replay.page import page

        out.write_text(page(scenes), "utf-8")
        return
    from dizoo.smac.replay.picture import contact_sheet, film

    if out.suffix.lower() == ".png":
        contact_sheet(scenes, out)
    else:
        film(scenes, out)
