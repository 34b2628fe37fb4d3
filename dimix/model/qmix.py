"""QMIX's model: one agent network for all agents, and the mixer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dimix.model.agent import AgentNetwork
from dimix.model.mixer import Mixer
from dimix.model.packing import Packing
from dimix.registry import MODEL_REGISTRY


@MODEL_REGISTRY.register("qmix")
class QMix(nn.Module):
    """Agents' Q-values and their mix.

    Args:
        agent_num: agents (A).
        obs_shape: floats of one agent's input (O).
        global_obs_shape: floats of the global state (S), as a number or a list of one.
        action_shape: number of actions (N).
        hidden_size_list: units of the agent network's layers; the last one is also its memory.
        mixer: True for QMIX's mixing network; False for the plain sum of VDN (Sunehag et al. 2017).
        lstm_type: memory of the agent network: ``"gru"``, ``"lstm"``, ``"mlp"`` (see `AgentNetwork`).
        dueling: dueling head.
        mixer_embed_dim: units of the mixing layer.
        hypernet_embed_dim: units of the hypernetworks' hidden layer.
        hypernet_layers: layers of the hypernetworks that give the mixer's weights, 1 or 2.
        fused: compiled GRU recurrence on the CPU; False computes everything with torch's own layers.
        layer_norm: normalise what the agents' head reads.
        orthogonal_init: orthogonal start of the agents' linear layers (see `AgentNetwork`).

    Raises:
        ValueError: a size that is no positive integer, or a shape that is not flat.
    """

    config = dict(
        # (str) Registered name of the model.
        type="qmix",
        # (int | None) Agents; known from the environment, checked if given, >= 1.
        agent_num=None,
        # (int | None) Floats of one agent's input with one-hots; known from the environment, checked if given, >= 1.
        obs_shape=None,
        # (int | list | None) Floats of the global state; known from the environment, checked if given, >= 1.
        global_obs_shape=None,
        # (int | None) Number of actions; known from the environment, checked if given, >= 1.
        action_shape=None,
        # (list of int) Units of the agent network's layers; the last one is also the size of its memory.
        hidden_size_list=[64],
        # (bool) True mixes with QMIX's network; False sums (VDN).
        mixer=True,
        # (str) Memory of the agents, one of "gru", "lstm", "normal", "pytorch", "mlp"; normal and pytorch are LSTMs.
        lstm_type="gru",
        # (bool) Dueling head: state value plus advantages.
        dueling=False,
        # (int) Units of the mixing layer, >= 1.
        mixer_embed_dim=32,
        # (int) Units of the hidden layer of the mixer's hypernetworks, >= 1.
        hypernet_embed_dim=64,
        # (int) Layers of the hypernetworks that give the mixer's weights, in [1, 2].
        hypernet_layers=2,
        # (bool) Compiled GRU recurrence on the CPU; False computes with torch's own layers (slower, same numbers).
        fused=True,
        # (bool) Layer normalisation of what the agents' head reads.
        layer_norm=False,
        # (bool) Agents' linear layers start orthogonal, the head small (PyMARL2's use_orthogonal).
        orthogonal_init=False,
    )

    def __init__(
        self,
        agent_num: int,
        obs_shape: int,
        global_obs_shape: int | Sequence[int],
        action_shape: int,
        hidden_size_list: Sequence[int] = (64,),
        mixer: bool = True,
        lstm_type: str = "gru",
        dueling: bool = False,
        mixer_embed_dim: int = 32,
        hypernet_embed_dim: int = 64,
        hypernet_layers: int = 2,
        fused: bool = True,
        layer_norm: bool = False,
        orthogonal_init: bool = False,
    ) -> None:
        super().__init__()
        state_dim = _flat_size(global_obs_shape)
        sizes = dict(agent_num=agent_num, obs_shape=obs_shape, global_obs_shape=state_dim, action_shape=action_shape)
        for name, size in sizes.items():
            if not isinstance(size, int) or size < 1:
                raise ValueError(f"{name} is {size!r}. It must be a positive integer.")
        if not hidden_size_list:
            raise ValueError("hidden_size_list is empty. It must name at least one layer, for example [64].")
        self.agent_num = agent_num
        self.obs_shape = obs_shape
        self.global_obs_shape = state_dim
        self.action_shape = action_shape
        self.agent = AgentNetwork(
            obs_shape, action_shape, hidden_size_list, lstm_type, dueling, fused, layer_norm, orthogonal_init
        )
        self.mixer: nn.Module | None = (
            Mixer(agent_num, state_dim, mixer_embed_dim, hypernet_embed_dim, hypernet_layers) if mixer else None
        )

    @property
    def state_size(self) -> int:
        """Floats of hidden state per agent (H); 0 for agents without memory, twice the layer's size for an LSTM."""
        return self.agent.state_size

    def init_hidden(self, *lead: int) -> Tensor:
        """Hidden state at the start of an episode: zeros of shape (lead..., A, H)."""
        like = self.agent.head.weight
        return torch.zeros(*lead, self.agent_num, self.state_size, device=like.device, dtype=like.dtype)

    def forward_step(self, agent_state: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """One step, for acting.

        Args:
            agent_state: (E, A, O) float.
            hidden: (E, A, H) float, not changed.

        Returns:
            Q-values (E, A, N) and the new hidden state (E, A, H).
        """
        lead = agent_state.shape[:2]
        q, state = self.agent.step(agent_state.flatten(0, 1), hidden.flatten(0, 1))
        return q.view(*lead, -1), state.view(*lead, -1)

    def unroll(
        self, agent_state: Tensor, hidden: Tensor | None = None, valid: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Whole sequences.

        Args:
            agent_state: (B, T, A, O) float.
            hidden: (B, A, H) float, state before step 0; None for zeros.
            valid: (B, T, A) bool, a prefix along T; steps behind the last True are not computed. None computes all.

        Returns:
            Q-values (B, T, A, N), 0 where nothing was computed, and the hidden state (B, A, H) after each sequence.
        """
        if valid is None:
            valid = torch.ones(agent_state.shape[:3], dtype=torch.bool, device=agent_state.device)
        packing = Packing.of(valid)
        return self.unroll_packed(packing.pack(agent_state), packing, hidden)

    def unroll_packed(self, rows: Tensor, packing: Packing, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`unroll` for rows that are packed already, so that two networks can share them.

        Args:
            rows: (R, O) float, ``packing.pack(agent_state)``.
            packing: how they lie.
            hidden: (B, A, H) float, state before step 0; None for zeros.

        Returns:
            Q-values (B, T, A, N), 0 where nothing was computed, and the hidden state (B, A, H) after each sequence.
        """
        batch, _, agents = packing.shape
        if hidden is None:
            hidden = self.init_hidden(batch)
        q, state = self.agent.unroll(rows, packing, hidden.flatten(0, 1))
        return packing.unpack(q), state.view(batch, agents, -1)

    def mix(self, q: Tensor, global_state: Tensor) -> Tensor:
        """The team's value.

        Args:
            q: (..., A) float, the agents' values of the actions they take.
            global_state: (..., S) float.

        Returns:
            (...) float, q_tot.
        """
        return q.sum(-1) if self.mixer is None else self.mixer(q, global_state)


def _flat_size(shape: int | Sequence[int]) -> int:
    if isinstance(shape, Sequence):
        if len(shape) != 1:
            raise ValueError(f"global_obs_shape is {list(shape)}. Only flat states are mixed: a number or [number].")
        return shape[0]
    return shape
