"""Games of an evaluation as files, with what the network thought; showing them is the environment's part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dimix.config import import_known
from dimix.envs.agent_input import AgentInput
from dimix.envs.vec_env import VecEnv
from dimix.errors import ConfigError, OutputError
from dimix.policy.base_policy import Policy
from dimix.registry import ENV_REGISTRY


class GameFiles:
    """Writes the first games of an evaluation into a folder.

    An environment that can be recorded has ``record(games, on_game)``: it calls ``on_game`` with each finished game,
    which has ``obs`` (T, A, O_base), ``global_state`` (T, S), ``action`` (T, A) and ``alive`` (T, A) of its steps, a
    ``name`` for its file, and ``content(values, info)``, the file's bytes.

    Args:
        folder: where the files go; made if it is not there.
        policy: who plays.
        agent_input: builds the agents' input.
        info: texts that the files keep.

    Attributes:
        written: paths of the files.

    Raises:
        OutputError: the folder cannot be made or written.
    """

    def __init__(self, folder: str | Path, policy: Policy, agent_input: AgentInput, info: Mapping[str, str]) -> None:
        self.written: list[Path] = []
        self._folder = Path(folder)
        self._policy = policy
        self._agent_input = agent_input
        self._info = dict(info)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            probe = self._folder / ".probe"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as e:
            raise OutputError(f"--replay-path {folder}: {e.strerror}. Give a folder that can be written.") from e

    def follow(self, env: VecEnv, games: int, start: str) -> None:
        """Record an environment's next games.

        Args:
            env: before its first reset.
            games: how many.
            start: what the games start from, for file names and info.

        Raises:
            ConfigError: this kind of environment cannot be recorded.
        """
        record = getattr(env, "record", None)
        if record is None:
            raise ConfigError(
                f"--replay-path: {env.info.name} ({type(env).__name__}) has no replays. Leave the option out."
            )
        record(games, lambda game: self._write(game, env.info.name, start))

    def _write(self, game: Any, name: str, start: str) -> None:
        plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
        path = self._folder / f"{plain}_{start}_{game.name}"
        values = game_values(self._policy, self._agent_input, game.obs, game.global_state, game.action, game.alive)
        content = game.content(values, {**self._info, "start": start})
        part = path.with_name(path.name + ".part")
        try:
            part.write_bytes(content)
            part.replace(path)
        except OSError as e:
            raise OutputError(f"{path}: cannot be written ({e.strerror}).") from e
        self.written.append(path)


def game_values(
    policy: Policy,
    agent_input: AgentInput,
    obs: np.ndarray,
    global_state: np.ndarray,
    action: np.ndarray,
    alive: np.ndarray,
) -> dict[str, np.ndarray]:
    """What the network that plays evaluations thought of a game.

    Args:
        policy: its network has ``unroll`` and ``mix``, as `dimix.model.QMix`.
        agent_input: builds the agents' input.
        obs: (T, A, O_base) float32, what the agents saw before each step.
        global_state: (T, S) float32.
        action: (T, A) int64, what they did.
        alive: (T, A) bool.

    Returns:
        ``q`` (T, A, N), 0 for the dead; ``q_tot`` (T,), the team's value of the actions; ``weight`` (T, A), the
        derivative of q_tot by each agent's q. Empty when the network has no such parts.
    """
    model: Any = policy.eval_model
    if not (hasattr(model, "unroll") and hasattr(model, "mix")):
        return {}
    last_action = np.vstack([np.full_like(action[:1], -1), action[:-1]])
    agent_state = torch.from_numpy(agent_input.build(np.ascontiguousarray(obs), last_action)).to(policy.device)
    valid = torch.from_numpy(alive).to(policy.device)
    chosen_action = torch.from_numpy(action).to(policy.device).unsqueeze(-1)
    with torch.no_grad():
        q = model.unroll(agent_state.unsqueeze(0), None, valid.unsqueeze(0))[0].squeeze(0)
    chosen = q.gather(-1, chosen_action).squeeze(-1).requires_grad_()
    q_tot = model.mix(chosen, torch.from_numpy(global_state).to(policy.device))
    (weight,) = torch.autograd.grad(q_tot.sum(), chosen)
    found = {"q": q, "q_tot": q_tot.detach(), "weight": torch.where(valid, weight, 0.0)}
    return {name: value.cpu().numpy() for name, value in found.items()}


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
