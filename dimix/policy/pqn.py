"""PQN: Simplifying Deep Temporal Difference Learning (Gallici et al. 2025), with a mixer: PQN-VDN, PQN-QMIX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from dimix.config.checks import lookup
from dimix.config.compile import policy_schema
from dimix.config.schema import defaults
from dimix.model import QMix
from dimix.policy.qmix import QMIXPolicy
from dimix.registry import POLICY_REGISTRY

_NO_TARGET = "PQN has no target network"
_NO_REPLAY = "PQN keeps no episodes to sample from"
#: Keys that mean nothing here, and why.
_WITHOUT = {
    **{f"learn.target_update_{name}": _NO_TARGET for name in ("theta", "freq", "interval")},
    "learn.double_q": _NO_TARGET,
    "collect.n_episode": "PQN collects collect.unroll_len steps of every game",
    "collect.start_state": "windows go on from the state they had",
    "random_collect_size": _NO_REPLAY,
    "priority": _NO_REPLAY,
    "other.replay_buffer.replay_buffer_size": _NO_REPLAY,
}


@POLICY_REGISTRY.register("pqn")
class PQNPolicy(QMIXPolicy):
    """Q-learning on policy: no replay buffer and no target network; layer normalisation keeps the targets stable.

    Every round plays ``collect.unroll_len`` steps in each of many games and makes ``learn.update_per_collect`` updates
    on them, each with the windows of ``learn.batch_size`` games: ``update_per_collect * batch_size / games`` passes.
    Then the steps are dropped. The targets of an update, TD(lambda) along the window, come from the network that it
    trains. A window cut by the time limit or by its edge bootstraps.

    JaxMARL's ``pqn_vdn_rnn.py`` counts the time limit as an end, normalises by batch, and learns from a window's last
    steps again in the next one, where here (``collect.burnin_len``) they only warm up the memory.
    """

    config: ClassVar[dict[str, Any]] = dict(
        type="pqn",
        # (bool) Only True: PQN learns from what it has just played.
        on_policy=True,
        model=dict(mixer="sum", encoder_norm=True, layer_norm=True),
        learn=dict(
            update_per_collect=32,
            batch_size=16,
            learning_rate=0.00025,
            optimizer="radam",
            clip_value=1.0,
            td_lambda=0.85,
        ),
        collect=dict(
            # (int) Steps played in every game between two rounds of updates, >= 1.
            unroll_len=32,
        ),
    )

    @classmethod
    def check_config(cls, cfg: Mapping[str, Any], model_class: type, report: Callable[[str, str], None]) -> None:
        super().check_config(cfg, model_class, report)
        usual = defaults(policy_schema(cls))
        for key, why in _WITHOUT.items():
            if (value := lookup(cfg, key)) not in (None, lookup(usual, key)):
                report(key, f"{value!r}, but {why}. Leave it out.")
        games, batch = cfg["collect"]["env_num"], cfg["learn"]["batch_size"]
        if games and games % batch:
            report("learn.batch_size", f"{batch} does not divide env.collector_env_num = {games}. Use one that does.")

    @classmethod
    def _check_collection(cls, cfg: Mapping[str, Any], report: Callable[[str, str], None]) -> None:
        if not cfg["on_policy"]:
            report("on_policy", "False. PQN learns from what it has just played; use True.")

    def _init_learn(self) -> None:
        super()._init_learn()
        self._target_model = self._model

    def _networks(self) -> dict[str, QMix]:
        return {"online": self._model}
