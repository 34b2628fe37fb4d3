"""Games of an evaluation as files, with what the network thought; showing them is the environment's part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dimix.config.compile import import_known
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
            make_writable_folder(self.folder)
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
    """What the mixer that evaluations play with made of the agents' values, for all games in one pass.

    Args:
        policy: its network has ``mix``, as `dimix.model.QMix`.
        games: as they were recorded.

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
    shown, target = [Path(f) for f in files], None if out is None else Path(out)
    if not any(ENV_REGISTRY.get(name).show_replays(shown, target, say) for name in ENV_REGISTRY.names()):
        raise ConfigError("-m replay: no environment that shows replays is installed.")
