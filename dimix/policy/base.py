"""The base of all policies: what collector, learner and evaluator call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from easydict import EasyDict
from torch import Tensor, nn

from dimix.config.classes import default_model_of
from dimix.config.compile import full_schema, model_options
from dimix.config.schema import defaults
from dimix.errors import ConfigError
from dimix.machine.device import resolve_device
from dimix.machine.ranks import ALONE, Ranks
from dimix.registry import MODEL_REGISTRY, POLICY_REGISTRY
from dimix.replay.batch import EpisodeBatch


@dataclass(frozen=True)
class LearnMode:
    """Learning: ``forward(batch)`` makes one update and returns its metrics.

    ``see_episodes(count)`` is called before each round of updates with the number of training episodes so far.
    """

    forward: Callable[[EpisodeBatch], dict[str, Any]]
    state_dict: Callable[[], dict[str, Any]]
    load_state_dict: Callable[[dict[str, Any]], None]
    monitor_vars: Callable[[], list[str]]
    see_episodes: Callable[[int], None] = lambda count: None


@dataclass(frozen=True)
class ActMode:
    """Acting: ``forward(obs, hidden_state, epsilon)`` gives one action per agent and the new hidden state.

    Args of forward:
        obs: ``agent_state`` (E, A, O) float32 and ``action_mask`` (E, A, N) bool, numpy arrays.
        hidden_state: (E, A, H) float tensor, not modified; ``init_hidden(E)`` at the start of an episode.
        epsilon: chance of a random action per agent, in [0, 1]: one number, or one per environment (E,).

    Returns of forward:
        action (E, A) int64 numpy array, and the new hidden state.

    ``begin(env_ids)`` is called before the first step of episodes in these environments, (K,) int64, to reset whatever
    acting itself keeps from the last ones.
    """

    forward: Callable[..., tuple[np.ndarray, Tensor]]
    init_hidden: Callable[[int], Tensor]
    state_dict: Callable[[], dict[str, Any]]
    load_state_dict: Callable[[dict[str, Any]], None]
    begin: Callable[[np.ndarray], None] = lambda env_ids: None


class Policy(ABC):
    """Base of all policies: builds the model and the modes.

    Register a subclass with ``@POLICY_REGISTRY.register("name")`` and implement the abstract methods.

    Args:
        cfg: the policy branch of a compiled config, with the model's sizes; not modified.
        model: network to use; None builds the one named in the config.
        device: torch device or name; None takes it from the config's ``device`` and ``cuda``.
        seed: of the policy's own random streams; None draws one from torch's global generator.
        ranks: the processes that train it together.

    Attributes:
        learn_mode: see `LearnMode`.
        collect_mode: see `ActMode`.
        eval_mode: see `ActMode`; greedy unless an epsilon is given.
        model: the network.
        device: its device.
        episode_count: training episodes played before this round of updates.
        eval_q: (E, A, N) float32 array, Q-values of the last step of ``eval_mode``; None before the first.
        sums_gradients: whether its updates are those of all ranks' batches together, which ``run.workers`` needs.
    """

    eval_q: np.ndarray | None = None
    sums_gradients: ClassVar[bool] = False
    config: ClassVar[dict[str, Any]] = {}
    config_ignored: ClassVar[dict[str, str]] = {}

    def __init__(
        self,
        cfg: Any,
        model: nn.Module | None = None,
        device: torch.device | str | None = None,
        seed: int | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self._cfg = cfg
        self._ranks = ranks
        self.episode_count = 0
        self.device = torch.device(device) if device else resolve_device(self._cfg.device, self._cfg.cuda)
        self._model = (self._build_model() if model is None else model).to(self.device)
        problems: list[str] = []
        self.check_config(cfg, type(self._model), lambda key, text: problems.append(f"policy.{key}: {text}"))
        if problems:
            raise ConfigError("\n".join(problems))
        self._seed = int(torch.randint(2**62, ()).item()) if seed is None else seed
        self._init_learn()
        self._init_collect()
        self._init_eval()
        self.learn_mode = LearnMode(
            self._forward_learn,
            self._state_dict_learn,
            self._load_state_dict_learn,
            self._monitor_vars_learn,
            self._see_episodes,
        )
        self.collect_mode = ActMode(
            self._forward_collect,
            self.init_hidden,
            self._state_dict_collect,
            self._load_state_dict_collect,
            self._begin_collect,
        )
        self.eval_mode = ActMode(
            self._forward_eval, self.init_hidden, self._state_dict_eval, self._load_state_dict_eval
        )

    @classmethod
    def default_config(cls) -> EasyDict:
        """A new copy of the defaults of the ``policy`` branch of a main config, with those of the model.

        Sizes that come from the environment (``model.agent_num``, ``obs_shape``, ``global_obs_shape``,
        ``action_shape``) are None.
        """
        model_type = default_model_of(cls)
        config = EasyDict(defaults(full_schema(None, cls, MODEL_REGISTRY.get(model_type)))["policy"])
        # A subclass inherits its base's defaults, but has its own name.
        config.type = POLICY_REGISTRY.name_of(cls) or config.type
        config.model.type = model_type
        return config

    @property
    def model(self) -> nn.Module:
        """The network that acts and learns."""
        return self._model

    @property
    def eval_model(self) -> nn.Module:
        """The network used in evaluation."""
        return self._model

    @classmethod  # noqa: B027, optional
    def check_config(cls, cfg: Mapping[str, Any], model_class: type, report: Callable[[str, str], None]) -> None:
        """Report settings that this policy cannot learn with, before anything is built; a subclass adds its own.

        Args:
            cfg: the policy branch of a config.
            model_class: class of its model.
            report: called with (key, message) for each problem; the key is relative to the branch.
        """

    @abstractmethod
    def default_model(self) -> tuple[str, list[str]]:
        """Registered name of the model if ``model.type`` is not given, and the modules that register it."""

    def _see_episodes(self, count: int) -> None:
        self.episode_count = count

    def _build_model(self) -> nn.Module:
        options = model_options(self._cfg.model, type(self))
        name = options.pop("type", None) or self.default_model()[0]
        try:
            return MODEL_REGISTRY.get(name)(**options)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"policy.model (type '{name}'): {error}") from error

    def _stream(self, number: int) -> np.random.Generator:
        """One of the policy's random streams; different numbers give independent streams."""
        return np.random.default_rng([self._seed, number])

    @abstractmethod
    def init_hidden(self, num_envs: int) -> Tensor:
        """Hidden state at the start of `num_envs` episodes: (E, A, H)."""

    @abstractmethod
    def _init_learn(self) -> None: ...

    @abstractmethod
    def _forward_learn(self, batch: EpisodeBatch) -> dict[str, Any]: ...

    @abstractmethod
    def _state_dict_learn(self) -> dict[str, Any]: ...

    @abstractmethod
    def _load_state_dict_learn(self, state: dict[str, Any]) -> None: ...

    @abstractmethod
    def _monitor_vars_learn(self) -> list[str]: ...

    @abstractmethod
    def _init_collect(self) -> None: ...

    @abstractmethod
    def _forward_collect(
        self, obs: Mapping[str, np.ndarray], hidden_state: Tensor, epsilon: float | np.ndarray
    ) -> tuple[np.ndarray, Tensor]: ...

    def _begin_collect(self, env_ids: np.ndarray) -> None:  # noqa: B027, optional
        """Reset what acting itself keeps from the last episodes of these environments (K,)."""

    @abstractmethod
    def _state_dict_collect(self) -> dict[str, Any]: ...

    @abstractmethod
    def _load_state_dict_collect(self, state: dict[str, Any]) -> None: ...

    @abstractmethod
    def _init_eval(self) -> None: ...

    @abstractmethod
    def _forward_eval(
        self, obs: Mapping[str, np.ndarray], hidden_state: Tensor, epsilon: float | np.ndarray = 0.0
    ) -> tuple[np.ndarray, Tensor]: ...

    @abstractmethod
    def _state_dict_eval(self) -> dict[str, Any]: ...

    @abstractmethod
    def _load_state_dict_eval(self, state: dict[str, Any]) -> None: ...
