"""Size of the replay memory, ours against PyMARL's layout, on played episodes; time of priorities.

    python -m benchmark.speed.replay_memory [--maps MMM 27m_vs_30m] [--teams random] [--episodes 256] [--out FILE]
    python -m benchmark.speed.replay_memory --priorities 1000 15000 500000

The second form draws batches by priority from so many units and updates their priorities, in the sum tree and, for
comparison, with numpy over the whole array (``Generator.choice`` with probabilities).

PyMARL's layout (`EpisodeBatch` with the scheme of its SMAC runs) is counted, not allocated: per step float32 state and
observations, int32 availability masks, int64 and float32 one-hot actions, float32 reward, uint8 terminated, int64
filled, for episode_limit + 1 steps of every episode, however short it was. Ours is the size of the buffer's arrays
after these episodes, times capacity / episodes. Both rebuild last action and agent id on sampling.

The length of battles and how soon agents die matter, so each team has its own line: ``random`` is what a run stores
first; ``focus_fire`` and ``attack_nearest`` (scripts that win where they can) stand for a trained team.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmark.markdown import table
from dimix.envs.agent_input import AgentInput
from dimix.envs.vec_env import EnvInfo
from dimix.machine.text import format_bytes
from dimix.replay.buffer import ReplayBuffer
from dimix.replay.open_episodes import Rows
from dimix.replay.priorities import Priorities
from dizoo.smac.battle import BattleEngine
from dizoo.smac.battle.teams.scripted import TEAMS, make_team
from dizoo.smac.envs.battle_vec_env import BattleVecEnv


@dataclass(frozen=True)
class Size:
    """Bytes of ``capacity`` episodes of one map, as played by one team.

    Attributes:
        mean_length: steps of an episode.
        episode_limit: of the map.
        pymarl: bytes in PyMARL's layout.
        unpadded: the same layout without padding.
        plain: ours if rows were plain arrays (no padding, no one-hots, a byte per flag).
        dimix: ours.
        ratio: pymarl / dimix.
    """

    map: str
    team: str
    episodes: int
    capacity: int
    mean_length: float
    episode_limit: int
    pymarl: float
    unpadded: float
    plain: float
    dimix: float
    ratio: float


def pymarl_step_bytes(info: EnvInfo) -> int:
    """Bytes of one step in PyMARL's EpisodeBatch."""
    per_agent = 4 * info.obs_shape + 4 * info.action_shape + 8 + 4 * info.action_shape  # obs, avail, action, one-hot
    return info.agent_num * per_agent + 4 * info.state_size + 4 + 1 + 8  # state, reward, terminated, filled


def play(buffer: ReplayBuffer, engine: BattleEngine, team_name: str, episodes: int) -> None:
    """Fill a buffer, with the same number of games in every battle of the batch, so that short ones do not dominate."""
    env, team = BattleVecEnv(engine), make_team(team_name, engine.scenario)
    ids = np.arange(env.num_envs)
    to_play = np.full(env.num_envs, -(-episodes // env.num_envs))
    buffer.open(env.num_envs)
    buffer.begin(ids, Rows.of(env))
    while len(running := np.flatnonzero(to_play)):
        action = team.act(env.global_state, env.action_mask)
        env.step(action)
        buffer.append(running, action, env.reward, Rows.of(env))
        over = running[(env.terminated | env.truncated)[running]]
        buffer.finish(over, env.terminated)
        to_play[over] -= 1
        again = over[to_play[over] > 0]
        env.reset(again)
        buffer.begin(again, Rows.of(env))


def measure(map_name: str, team: str, episodes: int, capacity: int) -> Size:
    """Play and count bytes."""
    engine = BattleEngine(map_name, 32, seed=0, num_threads=1)
    info = BattleVecEnv(engine).info
    buffer = ReplayBuffer(episodes, info, AgentInput(info.obs_shape, info.action_shape, info.agent_num))
    play(buffer, engine, team, episodes)
    count, rows = buffer.num_episodes, buffer.num_steps + buffer.num_episodes
    pymarl = float(pymarl_step_bytes(info) * (info.episode_limit + 1) * capacity)
    ours = buffer.nbytes / count * capacity
    return Size(
        map=map_name,
        team=team,
        episodes=count,
        capacity=capacity,
        mean_length=buffer.num_steps / count,
        episode_limit=info.episode_limit,
        pymarl=pymarl,
        unpadded=pymarl_step_bytes(info) * rows / count * capacity,
        plain=buffer.plan.plain_row_bytes * rows / count * capacity,
        dimix=ours,
        ratio=pymarl / ours,
    )


@dataclass(frozen=True)
class DrawTime:
    """Median microseconds of a batch of 32 out of `units`: in the sum tree, and over the whole array."""

    units: int
    draw: float
    update: float
    array: float


def median_us(call: Callable[[], object], seconds: float = 1.0) -> float:
    """Median time of a call in microseconds, over at least 20 calls."""
    times: list[float] = []
    call()
    while len(times) < 20 or sum(times) < seconds:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1e6 * float(np.median(times))


def draw_time(units: int, batch_size: int = 32) -> DrawTime:
    """Time drawing and updating, with random priorities."""
    rng = np.random.default_rng(0)
    priorities = Priorities()
    priorities.append(units)
    values = rng.random(units)
    priorities.update(np.arange(units), values)
    drawn, _ = priorities.draw(rng, batch_size)
    surprise = rng.random(batch_size)

    def over_the_array() -> None:
        chance = values**priorities.alpha
        found = rng.choice(units, batch_size, replace=False, p=chance / chance.sum())
        values[found] = surprise

    return DrawTime(
        units,
        median_us(lambda: priorities.draw(rng, batch_size)),
        median_us(lambda: priorities.update(drawn, surprise)),
        median_us(over_the_array),
    )


def priorities_table(units: list[int]) -> str:
    """Format a line per number of units, in microseconds for a batch of 32."""
    times = [draw_time(n) for n in units]
    lines = [[f"{t.units:,}", *(f"{us:.1f}" for us in (t.draw, t.update, t.draw + t.update, t.array))] for t in times]
    return table(("units", "draw (us)", "update (us)", "both (us)", "whole array (us)"), lines, left=0)


def sizes_table(sizes: list[Size]) -> str:
    """Format a line per map and team."""
    lines = []
    for size in sizes:
        steps = f"{size.mean_length:.0f}/{size.episode_limit}"
        arrays = [format_bytes(v) for v in (size.pymarl, size.unpadded, size.plain, size.dimix)]
        lines.append([size.map, size.team, steps, *arrays, f"{size.ratio:.1f}x"])
    return table(("map", "team", "steps/limit", "PyMARL", "unpadded", "plain", "dimix", "ratio"), lines, left=2)


def main() -> None:
    """Print sizes, or times of priorities."""
    parser = argparse.ArgumentParser(description="Size of the replay memory, or time of its priorities.")
    parser.add_argument("--maps", nargs="+", default=["MMM", "27m_vs_30m"])
    parser.add_argument("--teams", nargs="+", default=["random", "focus_fire", "attack_nearest"], choices=sorted(TEAMS))
    parser.add_argument("--episodes", type=int, default=256, help="games to play per line")
    parser.add_argument("--capacity", type=int, default=5000, help="episodes of the full buffer")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--priorities", type=int, nargs="+", metavar="UNITS", help="time draws by priority instead")
    args = parser.parse_args()
    if args.priorities:
        print(priorities_table(args.priorities))
        return
    sizes = [measure(name, team, args.episodes, args.capacity) for name in args.maps for team in args.teams]
    print(f"{args.capacity} episodes; sizes in bytes of arrays\n\n{sizes_table(sizes)}")
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps([asdict(size) for size in sizes], indent=1) + "\n")


if __name__ == "__main__":
    main()
