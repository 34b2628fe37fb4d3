"""Write evaluation games to files, with the network's values; the environment can show them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dimix.config.classes import import_known
from dimix.envs.recordable import Recordable, RecordedGame
from dimix.envs.vec_env import VecEnv
from dimix.errors import ConfigError, OutputError
from dimix.machine.files import make_writable_folder
from dimix.machine.signals import say
from dimix.policy.base import Policy
from dimix.registry import ENV_REGISTRY


class GameFiles:
    """Writes the first games of evaluations into a folder.

    Args:
        folder: where to write the files; created if missing.
        policy: the policy that plays.
        info: texts to store in the files.

    Attributes:
        folder: where the files are written.
        written: paths of the files, in the order of their games.

    Raises:
        OutputError: the folder cannot be created or written.
    """

    def __init__(self, folder: str | Path, policy: Policy, info: Mapping[str, str]) -> None:
        self.folder = Path(folder)
        self.written: list[Path] = []
        self._policy = policy
        self._info = dict(info)
        try:
            make_writable_folder(self.folder)
        except OSError as e:
            raise OutputError(f"folder of recorded games {folder}: {e.strerror}. It must be writable.") from e

    @contextmanager
    def recording(self, env: VecEnv, games: int, label: str, info: Mapping[str, str]) -> Iterator[None]:
        """Record an environment's next games and write them on exit. Recording does not change their course.

        Args:
            env: all its games must begin in the block.
            games: number of games: those that the evaluator counts first.
            label: part of the file names, between the map's name and the game's number.
            info: more texts to store in the files.

        Raises:
            ConfigError: this kind of environment cannot be recorded.
            OutputError: a file cannot be written.
        """
        if not isinstance(env, Recordable):
            raise ConfigError(f"{env.info.name} ({type(env).__name__}) has no replays. Leave the recording out.")
        found: list[RecordedGame] = []
        env.record(games, found.append, lambda: self._policy.eval_q)
        try:
            yield
        finally:
            env.record(0)
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


def team_values(policy: Policy, games: Sequence[RecordedGame]) -> list[dict[str, np.ndarray]]:
    """Team values of recorded games, computed in one pass by the mixer that evaluations play with.

    Args:
        policy: its network has ``mix``, as in `dimix.model.QMix`.
        games: the recorded games.

    Returns:
        Per game ``q_tot`` (T,), the team's value of the actions, and ``weight`` (T, A), the derivative of q_tot with
        respect to each agent's q, 0 for the dead. Empty if the network has no team value (or one that needs more
        inputs), or if the games have no q.
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
        files: replays written by `GameFiles`, or other files that an environment can show.
        out: file to write, in the format given by its extension. None plays the games in the terminal.

    Raises:
        ConfigError: no environment shows replays.
        EnvError: a file cannot be shown.
        OutputError: the result cannot be written.
    """
    import_known()
    shown, target = [Path(f) for f in files], None if out is None else Path(out)
    if not any(ENV_REGISTRY.get(name).show_replays(shown, target, say) for name in ENV_REGISTRY.names()):
        raise ConfigError("-m replay: no environment that shows replays is installed.")
