"""From pieces of packed episodes to one batch of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from dimix.envs.agent_input import AgentInput
from dimix.envs.vec_env import EnvInfo
from dimix.machine.scratch import Workspace
from dimix.replay.batch import SCHEMA, EpisodeBatch, make_batch
from dimix.replay.open_episodes import StoredEpisode
from dimix.replay.row_codec import unpack_rows


class Piece(NamedTuple):
    """Steps of an episode that become one row of a batch."""

    episode: StoredEpisode
    start: int  # first step, burn-in included
    end: int  # the step after the last one
    burnin: int = 0  # leading steps that only warm up the recurrent state
    hidden: np.ndarray | None = None  # (A, H) recurrent state before the first step; None: zeros
    ends: bool = True  # whether the episode is over after its last stored step


class BatchBuilder:
    """Unpacks pieces into an `EpisodeBatch`, in memory that the next one overwrites.

    Args:
        info: sizes of the environment.
        agent_input: writes last action and agent id into the observations.
        hidden_size: floats of an agent's recurrent state (H).
        pinned: whether the memory is page-locked, for CUDA devices.
    """

    def __init__(self, info: EnvInfo, agent_input: AgentInput, hidden_size: int, pinned: bool = False) -> None:
        self._info, self._agent_input, self._hidden_size = info, agent_input, hidden_size
        self._workspace = Workspace(pinned)

    def __call__(self, pieces: Sequence[Piece]) -> EpisodeBatch:
        """The batch of these pieces (B), cut to the longest."""
        arrays = self._arrays(len(pieces), max(piece.end - piece.start for piece in pieces))
        for row, piece in enumerate(pieces):
            self._fill(arrays, row, piece)
        return make_batch({name: torch.from_numpy(array) for name, array in arrays.items()})

    def _arrays(self, batch_size: int, steps: int) -> dict[str, np.ndarray]:
        info = self._info
        sizes = dict(B=batch_size, T=steps, T1=steps + 1, A=info.agent_num, N=info.action_shape)
        sizes |= dict(O=self._agent_input.size, S=info.state_size, H=self._hidden_size)
        arrays = {
            name: self._workspace.view(name, tuple(sizes[letter] for letter in letters), _NUMPY_TYPE[dtype])
            for name, (letters, dtype) in SCHEMA.items()
        }
        for name in ("action", "reward", "terminated", "truncated", "filled", "hidden_state", "burnin"):
            arrays[name][...] = 0
        arrays["weight"][:] = 1
        return arrays

    def _fill(self, arrays: dict[str, np.ndarray], row: int, piece: Piece) -> None:
        episode, start, end = piece.episode, piece.start, piece.end
        steps = end - start
        unpack_rows(
            episode.words,
            int(episode.row_start[start]),
            start,
            steps + 1,
            episode.action,
            (self._agent_input.obs_shape, self._agent_input.last_action_column, self._agent_input.agent_id_column),
            arrays["obs.agent_state"][row].view(np.uint32),
            arrays["obs.global_state"][row].view(np.uint32),
            arrays["obs.action_mask"][row].reshape(arrays["obs.action_mask"].shape[1], -1),
            arrays["alive"][row],
        )
        arrays["action"][row, :steps] = episode.action[start:end]
        arrays["reward"][row, :steps] = episode.reward[start:end]
        arrays["filled"][row, :steps] = True
        arrays["burnin"][row] = piece.burnin
        if piece.ends and end == episode.length:
            arrays["terminated" if episode.terminated else "truncated"][row, steps - 1] = True
        if piece.hidden is not None:
            arrays["hidden_state"][row] = piece.hidden


_NUMPY_TYPE: dict[torch.dtype, type] = {
    torch.float32: np.float32,
    torch.bool: np.bool_,
    torch.int64: np.int64,
}
