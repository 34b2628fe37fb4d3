"""Games of an evaluation as files, with what the network thought; showing them is the environment's part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dimix.config.compile import import_known
from dimix.envs.vec_env import VecEnv
from dimix.errors import ConfigError, OutputError
from dimix.policy.base import Policy
from dimix.registry import ENV_REGISTRY


class GameFiles:
    """Writes the first games of evaluations into a folder.

    An environment that can be recorded has ``record(games, on_game, q)``: from its next reset on it calls ``on_game``
    with each finished game, which has ``global_state`` (T, S), ``action`` (T, A), ``alive`` (T, A) and ``q`` (T, A, N)
    of its steps, a ``name`` for its file, and ``content(values, info)``, the file's bytes. ``record(0)`` ends it.

    Args:
        folder: where the files go; made if it is not there.
        policy: who plays.
        info: texts that the files keep.

    Attributes:
        folder: where the files go.
        written: paths of the files, in the order of their games.

    Raises:
        OutputError: the folder cannot be made or written.
    """

    def __init__(self, folder: str | Path, policy: Policy, info: Mapping[str, str]) -> None:
        self.folder = Path(folder)
        self.written: list[Path] = []
        self._policy = policy
        self._info = dict(info)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / ".probe"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as e:
            raise OutputError(f"folder of recorded games {folder}: {e.strerror}. It must be writable.") from e

    @contextmanager
    def recording(self, env: VecEnv, games: int, label: str, info: Mapping[str, str]) -> Iterator[None]:
        """Record an environment's next games and write them in the end, which does not change how they go.

        Args:
            env: every one of its games is begun within.
            games: how many: those that the evaluator counts first.
            label: between the map's name and the game's number in the files' names.
            info: further texts that the files keep.

        Raises:
            ConfigError: this kind of environment cannot be recorded.
            OutputError: a file cannot be written.
        """
        record = getattr(env, "record", None)
        if record is None:
            raise ConfigError(f"{env.info.name} ({type(env).__name__}) has no replays. Leave the recording out.")
        found: list[Any] = []
        record(games, found.append, lambda: self._policy.eval_q)
        try:
            yield
        finally:
            record(0)
        found.sort(key=lambda game: game.number)
        plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in env.info.name)
        for game, values in zip(found, team_values(self._policy, found), strict=True):
            self._write(f"{plain}_{label}_{game.name}", game.content(values, {**self._info, **info}))

    def _write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        part = path.with_name(name + ".part")
        try:
            part.write_bytes(content)
            part.replace(path)
        except OSError as e:
            raise OutputError(f"{path}: cannot be written ({e.strerror}).") from e
        self.written.append(path)


def team_values(policy: Policy, games: Sequence[Any]) -> list[dict[str, np.ndarray]]:
    """What the mixer that evaluations play with made of the agents' values, for all games in one pass.

    Args:
        policy: its network has ``mix``, as `dimix.model.QMix`.
        games: each with ``q`` (T, A, N), ``action``, ``alive`` (T, A) and ``global_state`` (T, S), see `GameFiles`.

    Returns:
        Per game ``q_tot`` (T,), the team's value of the actions, and ``weight`` (T, A), the derivative of q_tot by each
        agent's q, 0 for the dead. Empty when the network has no value of the team (or one that reads more than these),
        or the games no q.
    """
    model: Any = policy.eval_model
    more = getattr(model, "mixer_reads", None)
    if not games or not hasattr(model, "mix") or more or any(game.q is None for game in games):
        return [{} for _ in games]
    chosen_q = [np.take_along_axis(game.q, game.action[..., None], -1)[..., 0] for game in games]
    chosen = torch.from_numpy(np.concatenate(chosen_q)).to(policy.device).requires_grad_()
    global_state = torch.from_numpy(np.concatenate([game.global_state for game in games])).to(policy.device)
    q_tot = model.mix(chosen, global_state)
    if q_tot.shape == chosen.shape:  # not mixed
        return [{} for _ in games]
    (weight,) = torch.autograd.grad(q_tot.sum(), chosen)
    lengths = [len(game.action) for game in games]
    found = zip(games, q_tot.detach().cpu().split(lengths), weight.cpu().split(lengths), strict=True)
    return [{"q_tot": q.numpy(), "weight": np.where(game.alive, w, np.float32(0.0))} for game, q, w in found]


def replay_pipeline(files: Sequence[str | Path], out: str | Path | None = None) -> None:
    """Show recorded games.

    Args:
        files: replays, as `GameFiles` writes them, or whatever else the environments can show.
        out: file to write; its ending says what is made of the games. None plays them in the terminal.

    Raises:
        ConfigError: no environment shows replays.
        EnvError: a file that cannot be shown.
        OutputError: the result cannot be written.
    """
    import_known()
    for name in ENV_REGISTRY.names():
        show = getattr(ENV_REGISTRY.get(name), "show_replays", None)
        if show is not None:
            show([Path(f) for f in files], None if out is None else Path(out), print)
            return
    raise ConfigError("-m replay: no environment that shows replays is installed.")
