"""Checks of every policy's update: against plain references, and under changes that must not affect it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from easydict import EasyDict
from torch import Tensor

from dimix.check import references
from dimix.check.batches import padded, random_batch, reordered
from dimix.check.oracles import Entry
from dimix.check.references import Reference
from dimix.config.compile import policy_schema
from dimix.config.schema import defaults
from dimix.policy import QMIXPolicy
from dimix.registry import POLICY_REGISTRY
from dimix.replay.batch import EpisodeBatch

#: Episodes that cover everything: padding after most, all three ends, one with a single step.
LENGTHS, ENDS, STEPS = [5, 3, 6, 1, 4], ["terminated", "truncated", "cut", "terminated", "truncated"], 8
FACTORS, ALPHA = (1.5, 0.7, 0.3), 0.3

#: Algorithms whose team value ignores the order of agents; a monotonic mixer has weights per position.
UNORDERED = ("VDN", "PQN", "IQL", "QTRAN-base", "QTRAN-alt")

_OW, _CW = ({"wqmix_ow": ow, "alpha": ALPHA} for ow in (True, False))
_BASE, _ALT = (
    {"qtran": form, "td_weight": FACTORS[0], "opt_weight": FACTORS[1], "nopt_min_weight": FACTORS[2]}
    for form in ("base", "alt")
)

#: Algorithm -> policy, keys of its ``learn`` branch, and its reference for (online, target, batch).
FAMILY: dict[str, tuple[str, dict[str, Any], Callable[..., Reference]]] = {
    "QMIX": ("qmix", {}, references.qmix),
    "QMIX-sets": ("qmix", {}, references.qmix),
    "QMIX-any-size": ("qmix", {}, references.qmix),
    "HPN-QMIX": ("qmix", {}, references.qmix),
    "QPLEX": ("qplex", {}, partial(references.qmix, mix=references.qplex)),
    "QPLEX-sets": ("qplex", {}, partial(references.qmix, mix=references.qplex)),
    "Qatten": ("qmix", {}, partial(references.qmix, mix=references.qatten)),
    "Set mixer": ("qmix", {}, partial(references.qmix, mix=references.set_mix)),
    "PQN": ("pqn", {}, references.qmix),
    "VDN": ("vdn", {}, references.qmix),
    "IQL": ("iql", {}, partial(references.qmix, mix=references.unmixed, mask_dead=False)),
    "OW-QMIX": ("wqmix", _OW, partial(references.wqmix, ow=True, alpha=ALPHA)),
    "CW-QMIX": ("wqmix", _CW, partial(references.wqmix, ow=False, alpha=ALPHA)),
    "QTRAN-base": ("qtran", _BASE, partial(references.qtran, form="base", factors=FACTORS)),
    "QTRAN-alt": ("qtran", _ALT, partial(references.qtran, form="alt", factors=FACTORS)),
}

#: Units in columns 1 to 4, targeted by actions 2 and 3.
_SETS = {
    "equivariant": True,
    "entities": [{"column": 1, "count": 2, "size": 2, "action": 2, "last_action": 5}],
    "entity_embed_dim": 4,
}
#: Networks other than the policy's plain one.
NETWORKS: dict[str, dict[str, Any]] = {
    "QMIX-sets": _SETS,
    "QMIX-any-size": {**_SETS, "any_size": True},
    "HPN-QMIX": {**_SETS, "entity_net": "hypernet", "entity_heads": 2},
    "QPLEX-sets": {**_SETS, "attention_heads": 2, "advantage_layers": 3},
    "Qatten": {"mixer": "qatten", "state_entities": [{"column": 0, "count": 3, "size": 2}]},
    "Set mixer": {
        "mixer": "set",
        "state_entities": [{"column": 0, "count": 3, "size": 1}, {"column": 4, "count": 1, "size": 2}],
    },
}


def small_policy(algorithm: str, dtype: torch.dtype = torch.float64, fused: bool = False) -> QMIXPolicy:
    """A policy of `FAMILY` with the sizes of `random_batch`, whose target network differs from the online one.

    With ``fused``, it uses the compiled recurrence, as in training.
    """
    name, learn, _ = FAMILY[algorithm]
    cfg = EasyDict(defaults(policy_schema(POLICY_REGISTRY.get(name))))
    cfg.learn.update(learn, td_lambda=0.6, clip_type="none")
    cfg.model = EasyDict(
        agent_num=3, obs_shape=7, global_obs_shape=6, action_shape=5, hidden_size_list=[8], fused=fused,
        **NETWORKS.get(algorithm, {}), **({} if name == "qtran" else dict(mixer_embed_dim=4, hypernet_embed_dim=6)),
    )  # fmt: skip
    torch.manual_seed(0)
    return with_other_target(POLICY_REGISTRY.get(name)(cfg, seed=0), dtype)


def with_other_target(policy: Any, dtype: torch.dtype = torch.float32) -> Any:
    """The policy in the given dtype, with its target network perturbed so that it differs from the online one."""
    with torch.no_grad():
        for p in policy._target_model.parameters():
            p.add_(0.3 * torch.randn_like(p))
    for network in (policy.model, policy._target_model, policy._averaged_model):
        network.to(dtype)
    return policy


def small_batch(dtype: torch.dtype = torch.float64, seed: int = 7) -> EpisodeBatch:
    """Five episodes that cover everything: padding, all ends, dead agents, masked actions."""
    return random_batch(np.random.default_rng(seed), LENGTHS, ENDS, steps=STEPS, dtype=dtype)


def update(policy: QMIXPolicy, batch: EpisodeBatch) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of one update."""
    loss = policy.learn_mode.forward(batch)["loss"]
    return loss, {name: p.grad.clone() for name, p in policy.model.named_parameters() if p.grad is not None}


def distance(found: tuple[float, dict[str, Tensor]], right: tuple[float, dict[str, Tensor]]) -> float:
    """Largest relative difference of two updates, over losses and gradients (relative to the largest gradient)."""
    scale = max(float(grad.abs().max()) for grad in right[1].values())
    off = [float((found[1][name] - grad).abs().max()) / scale for name, grad in right[1].items()]
    return max(abs(found[0] - right[0]) / abs(right[0]), *off)


def from_reference(algorithm: str, dtype: torch.dtype, fused: bool) -> float:
    """`distance` of an update from its plain reference, over two batches."""
    worst = 0.0
    for seed in (7, 8):
        policy, batch = small_policy(algorithm, dtype, fused), small_batch(dtype, seed)
        right = FAMILY[algorithm][2](policy.model, policy._target_model, batch)
        worst = max(worst, distance(update(policy, batch), (right.loss.item(), right.grads)))
    return worst


def from_padded(algorithm: str) -> float:
    """`distance` of an update from that of the same batch with more padding."""
    plain, longer = (
        update(small_policy(algorithm), batch) for batch in (small_batch(), padded(small_batch(), steps=4))
    )
    return distance(longer, plain)


def from_reordered(algorithm: str, order: tuple[int, ...] = (2, 0, 1)) -> tuple[float, float]:
    """Effect of reordering the agents, if they share weights and do not see their index.

    Returns:
        Largest difference of any Q-value from that of the same agent, and `distance` of the updates.
    """
    batch = small_batch()
    other = reordered(batch, order)
    policy = small_policy(algorithm)
    with torch.no_grad():
        q, q_other = (policy.model.unroll(each.obs.agent_state)[0] for each in (batch, other))
    plain, moved = update(policy, batch), update(small_policy(algorithm), other)
    return float((q_other - q[:, :, list(order)]).abs().max()), distance(moved, plain)


def _loss(algorithm: str) -> tuple[bool, str]:
    double, single = from_reference(algorithm, torch.float64, False), from_reference(algorithm, torch.float32, True)
    return double < 1e-12 and single < 1e-5, f"off by {double:.0e}, float32 {single:.0e}"


def padding() -> tuple[bool, str]:
    """More padding changes no loss and no gradient of any policy."""
    worst = max(from_padded(algorithm) for algorithm in FAMILY)
    return worst < 1e-12, f"off by {worst:.0e}"


def agent_order() -> tuple[bool, str]:
    """Q-values follow the agents, and losses are unchanged if the team's value is a sum or there is none."""
    found = {algorithm: from_reordered(algorithm) for algorithm in FAMILY}
    worst = max(max(q for q, _ in found.values()), *(found[algorithm][1] for algorithm in UNORDERED))
    return worst < 1e-12, f"off by {worst:.0e}"


UPDATES: list[Entry] = [
    *((f"{name} update", "loss, gradient: plain reference", "off by < 1e-12", partial(_loss, name)) for name in FAMILY),
    ("padding", "changes no loss, no gradient", "off by < 1e-12", padding),
    ("agent order", "values follow, sums stay", "off by < 1e-12", agent_order),
]
