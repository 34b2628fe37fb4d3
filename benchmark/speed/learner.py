"""How fast is one QMIX update, and how much of the machine's arithmetic does it use?

    python -m benchmark.speed.learner [--maps MMM 3s5z] [--batch 32 128] [--repeats 20]
    python -m benchmark.speed.learner --sharing        # cost of weights per unit type and per agent
    python -m benchmark.speed.learner --equivariant --maps MMM 3s5z corridor  # cost of sets of units

Times one `QMIXPolicy` update (online forward and backward, target forward, optimizer, target update) in CPU time on one
thread, on synthetic episodes with the sizes of a map, alternating fused and plain recurrence. Multiply-adds are counted
exactly from the computed rows. The share is their rate over the best rate of a large matrix product in the same run.

A plain update is bound by its many passes over memory between small matrix products; the fused one is a compiled loop
that takes four rows at a time through products and gates while they are in the cache. On an AMD EPYC (Zen 4) it reaches
63 to 70 % of the peak, twice the plain speed. The rest goes into the gates, written by forward and read by backward
(1 KB per row at H = 64, more than the cache holds), and the mixer's element-wise operations. With torch's products in
place of its own it reached 48 to 57 %: smaller ones, and 35 microseconds of calls per time step. Tried without gain
then: one input product for the whole sequence, keeping the allocator from returning memory, huge pages, batched
products in the mixer.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from easydict import EasyDict

from benchmark.markdown import line, table
from dimix.config.checks import agent_input, place_entities
from dimix.config.schema import class_schema, defaults
from dimix.model import Mixer, Packing, QMix
from dimix.policy import QMIXPolicy
from dimix.replay.batch import EpisodeBatch, make_batch
from dimix.replay.buffer import ReplayBuffer
from dizoo.smac.battle import BattleEngine
from dizoo.smac.envs.smac_env import SMACEnv


class Sizes(NamedTuple):
    """What the cost of an update depends on; steps is the length of the longest battle in the synthetic batch."""

    agents: int
    obs: int
    state: int
    actions: int
    steps: int


MAPS = {"MMM": Sizes(10, 186, 290, 16, 60), "3s5z": Sizes(8, 150, 216, 14, 60), "3m": Sizes(3, 42, 48, 9, 30)}
TYPES = {
    "MMM": ["MARAUDER"] * 2 + ["MARINE"] * 7 + ["MEDIVAC"],
    "3s5z": ["STALKER"] * 3 + ["ZEALOT"] * 5,
    "3m": ["MARINE"] * 3,
}


def synthetic_batch(sizes: Sizes, episodes: int, rng: np.random.Generator) -> EpisodeBatch:
    """Create won and lost battles of half to full length; half the agents die in the battle's second half."""
    steps, agents = sizes.steps, sizes.agents
    length = rng.integers(steps // 2, steps + 1, episodes)
    death = np.where(
        rng.random((episodes, agents)) < 0.5,
        rng.integers(length[:, None] // 2, length[:, None] + 1, (episodes, agents)),
        steps + 1,
    )
    time_axis = np.arange(steps + 1)
    rows = time_axis[None] <= length[:, None]
    alive = rows[..., None] & (time_axis[None, :, None] < death[:, None])
    mask = (rng.random((episodes, steps + 1, agents, sizes.actions)) < 0.6) & alive[..., None]
    mask[..., 0] = ~mask[..., 1:].any(-1)
    filled = rows[:, 1:] & (time_axis[None, :-1] < length[:, None])
    last = time_axis[None, :-1] == length[:, None] - 1
    floats = {
        "obs.agent_state": rng.standard_normal((episodes, steps + 1, agents, sizes.obs), np.float32) * alive[..., None],
        "obs.global_state": rng.standard_normal((episodes, steps + 1, sizes.state), np.float32) * rows[..., None],
        "reward": rng.random((episodes, steps), np.float32) * filled,
        "weight": np.ones(episodes, np.float32),
        "hidden_state": np.zeros((episodes, agents, 64), np.float32),
    }
    others = {
        "obs.action_mask": mask,
        "alive": alive,
        "action": (mask[:, :-1] * rng.random((episodes, steps, agents, sizes.actions))).argmax(-1),
        "terminated": last,
        "truncated": np.zeros_like(last),
        "filled": filled,
        "burnin": np.zeros(episodes, np.int64),
    }
    return make_batch({k: torch.from_numpy(v) for k, v in {**floats, **others}.items()})


def make_policy(sizes: Sizes, device: str = "cpu", **model: Any) -> QMIXPolicy:
    """Create a policy with the default config; keyword arguments change keys of its model."""
    cfg = EasyDict(defaults(class_schema(QMIXPolicy)))
    cfg.model = EasyDict(defaults(class_schema(QMix)))
    cfg.model.update(
        agent_num=sizes.agents,
        obs_shape=sizes.obs,
        global_obs_shape=sizes.state,
        action_shape=sizes.actions,
        **model,
    )
    torch.manual_seed(0)
    return QMIXPolicy(cfg, device=device)


def multiply_adds(policy: QMIXPolicy, batch: EpisodeBatch, sizes: Sizes) -> int:
    """Count multiply-adds of all matrix products of one update: online forward and backward, target forward."""
    with_next = batch.filled & ~batch.terminated
    rows = len(Packing.of(policy._computed_rows(batch)).rows)
    hidden, mixer = 64, policy.model.mixer
    assert isinstance(mixer, Mixer)
    first = sizes.obs * hidden
    agent = first + 2 * hidden * 3 * hidden + hidden * sizes.actions
    state_layer = mixer.state_layer.weight.numel()
    mix = state_layer + mixer.w1.weight.numel() + mixer.w2.weight.numel() + (sizes.agents + 2) * mixer.embed_dim
    # Backward costs twice the forward, less the gradient of the inputs, which is not needed.
    learned = rows * (3 * agent - first) + int(batch.filled.sum()) * (3 * mix - state_layer)
    return learned + rows * agent + int(with_next.sum()) * mix


def best_time(function: Callable[[], object], repeats: int) -> float:
    """Least CPU time of a call in seconds, which is least affected by other load."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def update_time(policy: QMIXPolicy, batch: EpisodeBatch, repeats: int) -> float:
    """Least CPU time of an update in seconds, after one that compiles and fills the buffers."""
    policy.learn_mode.forward(batch)
    return best_time(lambda: policy.learn_mode.forward(batch), repeats)


def peak() -> float:
    """Multiply-adds per second of a large matrix product."""
    a, b, out = torch.randn(1024, 1024), torch.randn(1024, 1024), torch.empty(1024, 1024)
    return 1024**3 / best_time(lambda: torch.mm(a, b, out=out), 20)


def in_turn(policies: Sequence[QMIXPolicy], batch: EpisodeBatch, repeats: int) -> list[float]:
    """Least CPU time of an update of each policy in milliseconds; the policies take turns."""
    times = [[update_time(policy, batch, 4) for policy in policies] for _ in range(max(repeats // 4, 1))]
    return [1e3 * min(column) for column in zip(*times, strict=True)]


def sharing_rows(maps: Sequence[str], batch_sizes: Sequence[int], repeats: int) -> Iterator[list[str]]:
    """Measure the cost of an update with weights for all, per unit type and per agent."""
    for name in maps:
        by_type = dict(parameter_sharing="type", agent_types=TYPES[name])
        kinds: list[dict[str, Any]] = [{}, by_type, dict(parameter_sharing="none")]
        for episodes in batch_sizes:
            batch = synthetic_batch(MAPS[name], episodes, np.random.default_rng(0))
            for fused in (True, False):
                ms = in_turn([make_policy(MAPS[name], fused=fused, **kind) for kind in kinds], batch, repeats)
                shown = [*(f"{x:.1f}" for x in ms), f"{ms[1] / ms[0]:.2f}", f"{ms[2] / ms[0]:.2f}"]
                yield [name, str(episodes), "fused" if fused else "plain", *shown]


def equivariant_rows(maps: Sequence[str], batch_sizes: Sequence[int], repeats: int) -> Iterator[list[str]]:
    """Measure the cost of an update with flat and with equivariant agents, on battles that a script played.

    Equivariant agents compute only units that are alive and in sight, so random rows would be misleading.
    """
    from benchmark.speed.replay_memory import play

    for name in maps:
        cfg = EasyDict({**defaults(class_schema(SMACEnv)), "map_name": name})
        info, engine = SMACEnv.describe(cfg), BattleEngine(name, 32, seed=0)
        joined = agent_input(cfg, info)
        sizes = Sizes(info.agent_num, joined.size, info.state_size, info.action_shape, info.episode_limit)
        buffer = ReplayBuffer(max(batch_sizes), info, joined)
        play(buffer, engine, "attack_nearest", max(batch_sizes))
        units: dict[str, Any] = dict(equivariant=True, entities=place_entities(info, joined))
        for episodes in batch_sizes:
            batch = buffer.sample(episodes)
            batch.hidden_state = torch.zeros(episodes, info.agent_num, 64)
            kinds: list[dict[str, Any]] = [{}, units, units, {**units, "entity_net": "hypernet"}]
            policies = [make_policy(sizes, **kind) for kind in kinds]
            for each in (policies[2].model, policies[2]._target_model):
                assert each.agent.entities is not None
                each.agent.entities.fused = False
            flat, sets, plain, hyper = in_turn(policies, batch, repeats)
            cells = [name, str(engine.scenario.n_enemies), str(episodes)]
            yield [*cells, f"{flat:.1f}", f"{sets:.1f}", f"{sets / flat:.2f}", f"{plain:.1f}", f"{hyper:.1f}"]


def update_rows(maps: Sequence[str], batch_sizes: Sequence[int], repeats: int) -> Iterator[list[str]]:
    """Measure the cost of an update with fused and plain recurrence, and its share of the machine's arithmetic."""
    best = peak()
    print(f"torch {torch.__version__}, one thread, matrix product {best / 1e9:.0f} G multiply-adds/s\n")
    for name in maps:
        for episodes in batch_sizes:
            batch = synthetic_batch(MAPS[name], episodes, np.random.default_rng(0))
            policies = [make_policy(MAPS[name], fused=fused) for fused in (True, False)]
            fused, plain = (update_time(policy, batch, repeats) for policy in policies)
            work = multiply_adds(policies[0], batch, MAPS[name])
            cells = [name, str(episodes), str(int(batch.filled.sum())), f"{fused * 1e3:.1f}", f"{plain * 1e3:.1f}"]
            yield [*cells, f"{plain / fused:.2f}", f"{work / 1e9:.2f}", f"{work / fused / best:.0%}"]


#: Measurements: option, columns, rows.
MEASURES = {
    "sharing": (
        ("map", "episodes", "recurrence", "all ms", "type ms", "none ms", "type / all", "none / all"), sharing_rows,
    ),
    "equivariant": (
        ("map", "enemies", "episodes", "flat ms", "equivariant ms", "ratio", "in torch's operations ms", "hypernet ms"),
        equivariant_rows,
    ),
    "update": (
        ("map", "episodes", "steps", "fused ms", "plain ms", "plain / fused", "G multiply-adds", "share of peak"),
        update_rows,
    ),
}  # fmt: skip


def main() -> None:
    """Print the table line by line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--maps", nargs="+", default=["MMM", "3s5z"])
    parser.add_argument("--batch", nargs="+", type=int, default=[32, 128])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--sharing", action="store_true", help="compare weights per unit type and per agent instead")
    parser.add_argument("--equivariant", action="store_true", help="compare agents that see units as sets, any map")
    args = parser.parse_args()
    if not args.equivariant and (unknown := set(args.maps) - set(MAPS)):
        parser.error(f"--maps {' '.join(unknown)}: known are {', '.join(MAPS)}; with --equivariant all maps.")
    torch.set_num_threads(1)
    names, rows = MEASURES["equivariant" if args.equivariant else "sharing" if args.sharing else "update"]
    measured = rows(args.maps, args.batch, args.repeats)
    print(table(names, [next(measured)]))
    for cells in measured:
        print(line(cells), flush=True)


if __name__ == "__main__":
    main()
