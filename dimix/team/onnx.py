"""Writes a team's network as ONNX: one step, its memory and the available actions going in and out."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dimix.errors import OutputError
from dimix.model import QMix

INSTALL = "pip install 'dimix[onnx]'"


class Step(nn.Module):
    """One step of a team in E games: input, network, best available action.

    Args:
        network: the agents.
        header: of the team (`dimix.team.Team`).
    """

    ids: Tensor
    actions: Tensor

    def __init__(self, network: QMix, header: Mapping[str, Any]) -> None:
        super().__init__()
        self.network = network
        self._last_action, self._agent_id = header["last_action"], header["agent_id"]
        self.register_buffer("ids", torch.eye(header["agent_num"]), persistent=False)
        self.register_buffer("actions", torch.arange(header["action_shape"]), persistent=False)

    def forward(
        self, obs: Tensor, last_action: Tensor, action_mask: Tensor, hidden: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Actions (E, A) int64, Q-values (E, A, N) and, of agents with a memory, the new one (E, A, H).

        Args:
            obs: (E, A, O) float, the agents' own observations.
            last_action: (E, A) int64, -1 in the first step.
            action_mask: (E, A, N) bool.
            hidden: (E, A, H) float, zeros in the first step; None for agents without memory.
        """
        parts = [obs]
        if self._last_action:
            parts.append(last_action.unsqueeze(-1).eq(self.actions).to(obs.dtype))
        if self._agent_id:
            parts.append(self.ids.expand(obs.shape[0], -1, -1))
        state = obs.new_zeros(*obs.shape[:2], 0) if hidden is None else hidden
        q, state = self.network(torch.cat(parts, -1), state)
        action = torch.where(action_mask, q, -torch.inf).argmax(-1)
        return (action, q) if hidden is None else (action, q, state)


def write_onnx(network: QMix, header: Mapping[str, Any], path: Path) -> None:
    """Write a team as one ``.onnx`` file for any number of games.

    Inputs and outputs are those of `Step.forward`, named ``obs``, ``last_action``, ``action_mask``, ``hidden`` and
    ``action``, ``q``, ``new_hidden``. The file's metadata holds the team's header.

    Raises:
        OutputError: a package is missing, or the file cannot be written.
    """
    try:
        onnx, _ = importlib.import_module("onnx"), importlib.import_module("onnxscript")
    except ImportError as e:
        raise OutputError(f"-o {path}: needs {e.name}: {INSTALL}") from e
    games, agents, memory = 2, header["agent_num"], bool(header["state_size"])
    example = (
        torch.zeros(games, agents, header["obs_shape"]),
        torch.zeros(games, agents, dtype=torch.int64),
        torch.ones(games, agents, header["action_shape"], dtype=torch.bool),
        *([network.init_hidden(games)] if memory else []),
    )
    any_number = {0: torch.export.Dim("games")}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Step(network, header).eval(),
            example,
            dynamo=True,
            verbose=False,
            input_names=["obs", "last_action", "action_mask", *(["hidden"] if memory else [])],
            output_names=["action", "q", *(["new_hidden"] if memory else [])],
            dynamic_shapes=(any_number,) * len(example),
        )
    model = program.model_proto  # type: ignore[union-attr]
    onnx.helper.set_model_props(model, {name: str(value) for name, value in header.items()})
    try:
        path.write_bytes(model.SerializeToString())
    except OSError as e:
        raise OutputError(f"{path}: cannot be written ({e.strerror}).") from e
