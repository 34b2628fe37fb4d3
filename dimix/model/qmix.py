"""QMIX's model: the agents' network and a mixer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from dimix.machine.plain import plain
from dimix.model.agent import AgentNetwork
from dimix.model.mixers import arguments
from dimix.model.packing import Packing
from dimix.model.sharing import group_numbers
from dimix.model.spec import AgentSpec
from dimix.model.state_encoder import ImageMixer, StateEncoder, image_shape, image_sizes
from dimix.registry import MIXER_REGISTRY, MODEL_REGISTRY, mixer_name

Report = Callable[[str, str], None]


class Values(NamedTuple):
    """A network's outputs for all rows of a batch; 0 where nothing was computed."""

    q: Tensor  # (B, T, A, N) Q-values
    features: Tensor  # (B, T, A, F) inputs of the agents' heads; F is 0 if the team's value does not need them


@MODEL_REGISTRY.register("qmix")
class QMix(nn.Module):
    """Agents' Q-values and their mix.

    Args:
        agent_num: agents (A).
        obs_shape: floats of one agent's input (O).
        global_obs_shape: floats of the global state (S), or [channels, height, width] of an image, which is passed in
            flattened.
        action_shape: number of actions (N).
        options: the other keys of `config` below, with their defaults, and the mixer's own.

    Attributes:
        global_obs_shape: floats of the global state (S), also of an image.
        groups: group of each agent; None if all agents share one set of weights.

    Raises:
        TypeError: an unknown option.
        ValueError: a size that is not a positive integer, groups that do not fit the agents, equivariant agents without
            entities or with groups, or an image that does not fit its encoder.
    """

    config = dict(
        # (str) Registered name of the model.
        type="qmix",
        # (int | None) Agents; known from the environment, checked if given, >= 1.
        agent_num=None,
        # (int | None) Floats of one agent's input with one-hots; known from the environment, checked if given, >= 1.
        obs_shape=None,
        # (int | list | None) Global state: floats, or [channels, height, width]; known from the environment, checked.
        global_obs_shape=None,
        # (int | None) Number of actions; known from the environment, checked if given, >= 1.
        action_shape=None,
        # (list of int) Units of the agent network's layers; the last one is also the size of its memory.
        hidden_size_list=[64],
        # (str | bool) Mixer by name: "qmix", "sum" (VDN), "none" (IQL), "qplex", "qatten", "set", "central", or your
        # own; True is "qmix", False the policy's own or "sum".
        mixer="qmix",
        # (str) Memory of the agents, one of "gru", "lstm", "normal", "pytorch", "mlp"; normal and pytorch are LSTMs.
        lstm_type="gru",
        # (bool) Dueling head: state value plus advantages.
        dueling=False,
        # (int) Units of the mixing layer, >= 1.
        mixer_embed_dim=32,
        # (int) Units of the hidden layer of the mixer's hypernetworks, >= 1.
        hypernet_embed_dim=64,
        # (int) Layers of the hypernetworks that compute the mixer's weights, in [1, 2].
        hypernet_layers=2,
        # (bool) Compiled GRU recurrence on the CPU; False computes with torch's own layers (slower, same numbers).
        fused=True,
        # (bool) Layer normalisation before the agents' head.
        layer_norm=False,
        # (bool) Layer normalisation after each linear layer before the agents' memory.
        encoder_norm=False,
        # (bool) Agents' linear layers start orthogonal, the head small (PyMARL2's use_orthogonal).
        orthogonal_init=False,
        # (int) Stacked recurrent layers in the agents' memory, >= 1.
        rnn_layers=1,
        # (str) Agents that share their network's weights, one of "all", "type", "groups", "none".
        parameter_sharing="all",
        # (list | dict | None) For "groups": lists of agent numbers, or such lists by name; every agent in exactly one.
        agent_groups=None,
        # (list of str | None) Unit type of each agent; known from the environment, checked if given.
        agent_types=None,
        # (bool) Agents read the other units as sets: what they learn about one holds for all that look the same.
        equivariant=False,
        # (list | None) For equivariant: where each unit is in a row; known from the environment, checked if given.
        entities=None,
        # (int) For equivariant: floats of a unit's code, >= 1.
        entity_embed_dim=64,
        # (str) For equivariant: the sum of the units' codes, or HPN's hypernetworks, one of "sum", "hypernet".
        entity_net="sum",
        # (int) For the entity_net "hypernet": heads of each weight, merged into one, >= 1.
        entity_heads=1,
        # (bool) For equivariant: no weight's shape depends on how many units there are, so that they load from one map
        # into another; needs env.obs_agent_id=False.
        any_size=False,
        # (list | None) For the mixers "qatten" and "set": where each unit is in the global state; known from the
        # environment, checked if given.
        state_entities=None,
        # Convolutions that the mixing network puts first if the global state is an image.
        state_encoder=dict(
            # (list of int) Output channels of each convolution.
            channels=[32, 64, 64],
            # (list of int) Side of each convolution's kernel, in cells of its input.
            kernel_size=[8, 4, 3],
            # (list of int) Stride of each convolution, in cells.
            stride=[4, 2, 1],
            # (int) Floats of the flat state after the convolutions, >= 1.
            embed_dim=128,
        ),
    )

    def __init__(
        self,
        agent_num: int,
        obs_shape: int,
        global_obs_shape: int | Sequence[int],
        action_shape: int,
        **options: Any,
    ) -> None:
        super().__init__()
        sizes = dict(agent_num=agent_num, obs_shape=obs_shape, action_shape=action_shape)
        for name, size in sizes.items():
            if not isinstance(size, int) or size < 1:
                raise ValueError(f"{name} is {size!r}. It must be a positive integer.")
        own = {**QMix.config, **options, **sizes}
        if not own["hidden_size_list"]:
            raise ValueError("hidden_size_list is empty. It must name at least one layer, for example [64].")
        self.agent_num, self.obs_shape, self.action_shape = agent_num, obs_shape, action_shape
        self._image = image_shape(global_obs_shape)
        self.global_obs_shape = int(np.prod(global_obs_shape))
        numbers = group_numbers(own["parameter_sharing"], agent_num, own["agent_groups"], own["agent_types"])
        self.groups = numbers if any(numbers) else None
        if own["equivariant"] and not own["entities"]:
            raise ValueError("equivariant is True, but there are no entities.")
        own |= dict(groups=self.groups, entities=own["entities"] if own["equivariant"] else None)
        self.agent = AgentNetwork(AgentSpec(**{name: own[name] for name in arguments(AgentSpec)}))
        self._encoder_options = dict(own["state_encoder"] or {})
        sizes |= dict(feature_dim=own["hidden_size_list"][-1], embed_dim=own["mixer_embed_dim"])
        sizes |= {name: own[name] for name in ("hypernet_embed_dim", "hypernet_layers", "state_entities")}
        mixer_options = {name: value for name, value in options.items() if name not in QMix.config}
        self.mixer = self._make_mixer(MIXER_REGISTRY.get(mixer_name(own["mixer"])), sizes, mixer_options)

    @classmethod
    def check_config(cls, cfg: Mapping[str, Any], report: Report) -> None:
        """Report settings that this model cannot be built from.

        Args:
            cfg: the model branch of a config, with the sizes.
            report: called with (key, message) for each problem.
        """
        if not cfg["hidden_size_list"] or min(cfg["hidden_size_list"]) < 1:
            report("hidden_size_list", f"{cfg['hidden_size_list']}. Right is at least one positive number, say [64].")
        if cfg["lstm_type"] == "mlp" and cfg["rnn_layers"] > 1:
            report("rnn_layers", f"{cfg['rnn_layers']}, but agents of lstm_type 'mlp' have no memory. Use 1, or a GRU.")
        try:
            group_numbers(cfg["parameter_sharing"], cfg["agent_num"], cfg["agent_groups"], cfg["agent_types"])
        except ValueError as e:
            key = next(name for name in ("agent_groups", "parameter_sharing") if str(e).startswith(name))
            report(key, str(e).removeprefix(key).lstrip(": ").removeprefix("is "))
        if cfg["equivariant"] and not cfg["entities"]:
            report("equivariant", "True, but this environment does not tell which unit is where in its observations.")
        if cfg["equivariant"] and cfg["parameter_sharing"] != "all":
            sharing = f"parameter_sharing is '{cfg['parameter_sharing']}'"
            report("equivariant", f"True, but {sharing}. Equivariant agents share all weights: use 'all'.")
        if cfg["entity_net"] != "sum" and not cfg["equivariant"]:
            report("entity_net", f"'{cfg['entity_net']}', but equivariant is False. Use equivariant=True.")
        if cfg["entity_heads"] > 1 and cfg["entity_net"] == "sum":
            report("entity_heads", f"{cfg['entity_heads']}, but entity_net is 'sum', which has none. Use 1.")
        if cfg["any_size"] and not cfg["equivariant"]:
            report("any_size", "True, but equivariant is False. Use equivariant=True.")
        if "state_entities" in cls._mixer_arguments(cfg) and not cfg["state_entities"]:
            why = "but this environment does not tell which columns of its global state are whose"
            report("mixer", f"'{cfg['mixer']}', {why}. Use another mixer, for example 'qmix'.")
        cls._check_encoder(cfg, report)

    @classmethod
    def _check_encoder(cls, cfg: Mapping[str, Any], report: Report) -> None:
        image, encoder = image_shape(cfg["global_obs_shape"]), cfg["state_encoder"]
        usual = cls._encoder_defaults()
        if image is None:
            changed = {key: value for key, value in encoder.items() if value != usual[key]}
            if changed:
                size = cfg["global_obs_shape"]
                report("state_encoder", f"{changed}, but the global state is flat ({size} floats). Leave it out.")
        elif cls._reads_state(cfg):
            try:
                image_sizes(image, *(encoder[key] for key in ("channels", "kernel_size", "stride")))
            except ValueError as e:
                report("state_encoder", str(e).removeprefix("state_encoder: "))

    @classmethod
    def _encoder_defaults(cls) -> dict[str, Any]:
        """Of this class: a subclass states only what it changes."""
        stated = [vars(base).get("config", {}).get("state_encoder", {}) for base in reversed(cls.__mro__)]
        return {key: plain(value) for options in stated for key, value in options.items()}

    @classmethod
    def _reads_state(cls, cfg: Mapping[str, Any]) -> bool:
        """Whether a model with this config reads the global state."""
        return "state_dim" in cls._mixer_arguments(cfg)

    @classmethod
    def _mixer_arguments(cls, cfg: Mapping[str, Any]) -> frozenset[str]:
        return arguments(MIXER_REGISTRY.get(mixer_name(cfg["mixer"])))

    def _make_encoder(self) -> StateEncoder | None:
        """A new encoder of the global state; None if it is flat."""
        return None if self._image is None else StateEncoder(self._image, **self._encoder_options)

    def _make_mixer(self, cls: type, sizes: Mapping[str, Any], options: Mapping[str, Any]) -> nn.Module:
        """A mixer with the sizes that it names; if it reads a state that is an image, with its own encoder in front."""
        encoder = self._make_encoder() if "state_dim" in arguments(cls) else None
        state_dim = self.global_obs_shape if encoder is None else encoder.out.out_features
        named = {name: size for name, size in {**sizes, "state_dim": state_dim}.items() if name in arguments(cls)}
        mixer = cls(**named, **options)
        return mixer if encoder is None else ImageMixer(encoder, mixer)

    @property
    def mixer_reads(self) -> frozenset[str]:
        """Inputs of the mixer besides values and state: any of ``action``, ``best``, ``features``."""
        mixer = self.mixer.mixer if isinstance(self.mixer, ImageMixer) else self.mixer
        return arguments(type(mixer).forward) & {"action", "best", "features"}

    @property
    def reads_features(self) -> bool:
        """Whether the team's value needs the inputs of the agents' heads."""
        return "features" in self.mixer_reads

    @property
    def state_size(self) -> int:
        """Floats of hidden state per agent (H); 0 for agents without memory, twice the layer's size for an LSTM."""
        return self.agent.state_size

    def init_hidden(self, *lead: int) -> Tensor:
        """Hidden state at the start of an episode: zeros of shape (lead..., A, H)."""
        like = self.agent.head.weight
        return torch.zeros(*lead, self.agent_num, self.state_size, device=like.device, dtype=like.dtype)

    def forward(self, agent_state: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """`forward_step` under the name that torch's own tools (trace, export, ONNX, compile) call."""
        return self.forward_step(agent_state, hidden)

    def forward_step(self, agent_state: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """One step, for acting.

        Args:
            agent_state: (E, A, O) float.
            hidden: (E, A, H) float, not changed.

        Returns:
            Q-values (E, A, N) and the new hidden state (E, A, H).
        """
        if self.groups is not None:
            q, state = self.agent.step(agent_state.transpose(0, 1), hidden.transpose(0, 1))
            return q.transpose(0, 1).contiguous(), state.transpose(0, 1).contiguous()
        lead = agent_state.shape[:2]
        q, state = self.agent.step(agent_state.flatten(0, 1), hidden.flatten(0, 1))
        return q.view(*lead, -1), state.view(*lead, -1)

    def packing(self, valid: Tensor, first_step: Tensor | None = None) -> Packing:
        """The layout of sequences for this network; arguments as for `Packing.of`."""
        return Packing.of(valid, first_step, by_agent=self.groups is not None)

    def unroll(
        self, agent_state: Tensor, hidden: Tensor | None = None, valid: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Whole sequences.

        Args:
            agent_state: (B, T, A, O) float.
            hidden: (B, A, H) float, state before step 0; None for zeros.
            valid: (B, T, A) bool, a prefix along T; steps after the last True are not computed. None computes all.

        Returns:
            Q-values (B, T, A, N), 0 where nothing was computed, and the hidden state (B, A, H) after each sequence.
        """
        if valid is None:
            valid = torch.ones(agent_state.shape[:3], dtype=torch.bool, device=agent_state.device)
        packing = self.packing(valid)
        values, state = self.unroll_packed(packing.pack(agent_state), packing, hidden)
        return values.q, state

    def unroll_packed(self, rows: Tensor, packing: Packing, hidden: Tensor | None = None) -> tuple[Values, Tensor]:
        """`unroll` for packed rows, so that two networks can share them.

        Args:
            rows: (R, O) float, ``packing.pack(agent_state)``.
            packing: their layout, from `packing` of this network or of one with the same groups.
            hidden: (B, A, H) float, state before step 0; None for zeros.

        Returns:
            The network's outputs, and the hidden state (B, A, H) after each sequence.
        """
        batch, _, agents = packing.shape
        if hidden is None:
            hidden = self.init_hidden(batch)
        features, state = self.agent.unroll_features(rows, packing, hidden.flatten(0, 1))
        q = packing.unpack(self.agent.q_of(features, rows))
        values = Values(q, packing.unpack(features) if self.reads_features else q[..., :0])
        return values, state.view(batch, agents, -1)

    def mix(self, q: Tensor, global_state: Tensor, **more: Tensor) -> Tensor:
        """The team's value.

        Args:
            q: (..., A) float, the agents' values of their actions.
            global_state: (..., S) float.
            more: the inputs named by `mixer_reads` (see `dimix.model.mixers`).

        Returns:
            (...) float, q_tot; (..., A) with the mixer ``"none"``.
        """
        return self.mixer(q, global_state, **more)
