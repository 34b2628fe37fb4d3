"""What a run's recorded numbers say about its training, in words: one function per kind of trouble.

Each function takes the `Evidence` of a run and returns what it found, with the numbers, or None. Most of them leave a
run that wins alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dimix.envs.recordable import GameEnd
from dimix.machine.intervals import wilson_interval
from dimix.machine.text import duration, short
from dimix.plot.runs import Run
from dimix.plot.table import GOOD, LAST


@dataclass(frozen=True)
class Evidence:
    """What is known about a run.

    Attributes:
        run: its metrics and config.
        episode_limit: steps after which a game is cut; None if unknown.
        games: recorded games of its last evaluation.
        floors: win rates of teams that learn nothing, or see nothing, on its map.
    """

    run: Run
    episode_limit: int | None = None
    games: Sequence[GameEnd] = ()
    floors: Mapping[str, float] = field(default_factory=dict)

    def setting(self, key: str, default: Any = None) -> Any:
        """A dotted key of its config."""
        return (self.run.config or {}).get(key, default)

    def values(self, metric: str) -> np.ndarray:
        """A metric's recorded values."""
        return self.run.curve(metric)[2]

    def last(self, metric: str) -> float:
        """Mean of a metric's values in its last ten rows; NaN if none was recorded."""
        values = self.values(metric)[-LAST:]
        return float(values.mean()) if len(values) else math.nan

    @property
    def is_good(self) -> bool:
        """Whether it wins: then it needs no help."""
        return self.last("eval/battle_won") >= GOOD


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes:
        title: in a few words, the same for every run.
        text: the numbers, and what may help.
    """

    title: str
    text: str


def games_end_with_the_time(run: Evidence) -> Finding | None:
    """Games are cut by the time limit instead of being decided; in recorded games, who is still there then."""
    length, limit = run.last("eval/ep_length"), run.episode_limit
    if limit is None or run.is_good or not length >= 0.95 * limit:
        return None
    text = (
        f"Evaluation games last {length:.0f} of at most {limit} steps; {_percent(run.last('eval/battle_won'))} are won."
    )
    cut = [game for game in run.games if game.timed_out and len(game.units) > 1]
    left = {kind for game in cut for kind, count in game.survivors.items() if count}
    if len(left) == 1:
        text += f" In all {len(cut)} recorded games that were cut, only one unit type survives: {left.pop()}."
        text += " It may avoid the fight that the others have lost: env.reward_only_positive=False makes losses cost."
    else:
        text += " The team survives but does not attack. env.reward_defeat below 0 makes waiting cost."
    return Finding("Games end with the time", text)


def explored_too_briefly(run: Evidence) -> Finding | None:
    """Epsilon fell before returns rose."""
    step, _, epsilon = run.run.curve("rollout/epsilon")
    at, _, returns = run.run.curve("eval/ep_reward")
    if run.is_good or len(epsilon) < 2 or len(returns) < 4 or epsilon[0] - epsilon.min() < 0.1:
        return None
    fell = float(step[np.argmax(epsilon <= epsilon.min() + 0.1 * (epsilon[0] - epsilon.min()))])
    before, after = returns[at <= fell], returns[at > fell]
    if not len(before) or len(after) < 2:
        return None
    rise, whole = before.max() - returns[0], max(returns.max() - returns[0], run.last("eval/std_ep_reward"))
    if rise > 0.25 * whole:
        return None
    decay = run.setting("policy.other.eps.decay")
    more = "" if decay is None else f", for example policy.other.eps.decay={4 * decay} instead of {decay}"
    return Finding(
        "Epsilon fell before returns rose",
        f"Epsilon was down to {epsilon.min():.2g} at env step {short(fell)}. Until then the return had gone from "
        f"{returns[0]:.2f} to at most {before.max():.2f}; the best since is {after.max():.2f}. Explore longer{more}.",
    )


def values_grow_without_bound(run: Evidence) -> Finding | None:
    """Q-values exceed every return ever seen and keep growing, or the loss does."""
    scaled = any(run.setting(f"policy.learn.reward_{how}") for how in ("normalize", "standardise"))
    q, loss = np.abs(run.values("train/q_tot")), run.values("train/loss")
    returns = np.concatenate([run.values("rollout/ep_reward"), run.values("eval/ep_reward")])
    found = []
    if len(returns) and not scaled:
        largest = float(np.abs(returns).max()) * run.setting("policy.learn.reward_scale", 1.0)
        _, second, third, fourth = _quarters(q)
        if fourth > 2 * max(largest, 1.0) and second < third < fourth:
            found.append(f"train/q_tot rose from {second:.3g} to {fourth:.3g}, but no return was beyond {largest:.3g}")
    _, second, third, fourth = _quarters(loss)
    if fourth > 30 * max(second, 1e-3) and second < third < fourth and not run.is_good:
        found.append(f"train/loss rose from {second:.3g} in the second quarter to {fourth:.3g} in the last")
    if not found:
        return None
    rate = run.setting("policy.learn.learning_rate")
    more = "" if rate is None else f" (policy.learn.learning_rate is {rate:g})"
    return Finding(
        "Values grow without bound",
        f"{' and '.join(found)}. A smaller learning rate{more}, a slower target "
        "(policy.learn.target_update_theta) or a lower discount keeps them together.",
    )


def greedy_is_worse_than_random(run: Evidence) -> Finding | None:
    """The greedy team earns less than the same team with random actions mixed in."""
    moved = any(run.setting(f"env.{k}") != run.setting(f"env.evaluator.{k}") for k in ("start_jitter", "random_side"))
    at, _, greedy = run.run.curve("eval/ep_reward")
    step, _, rollout = run.run.curve("rollout/ep_reward")
    if moved or run.setting("env.backplay.share") or len(greedy) < LAST:
        return None
    rollout = rollout[step >= at[-LAST]]
    if len(rollout) < LAST:
        return None
    greedy = greedy[-LAST:]
    error = 2 * (_standard_error(greedy) + _standard_error(rollout))
    if greedy.mean() + error >= rollout.mean():
        return None
    return Finding(
        "The greedy team does worse than with random actions",
        f"Over the last {LAST} evaluations the greedy return is {greedy.mean():.2f}, in training games, with random "
        f"actions, {rollout.mean():.2f}. Two actions of nearly equal value may block each other: "
        "policy.learn.average_theta below 1 evaluates averaged weights, policy.eval.epsilon=0.02 breaks ties.",
    )


def won_by_heart(run: Evidence) -> Finding | None:
    """Games from the map's own start are won, those from moved starts are not."""
    won, moved = run.last("eval/battle_won"), run.last("eval/battle_won_jitter")
    played = round(run.values("eval/games_played_jitter")[-LAST:].sum())
    if not (won >= 0.8 and moved >= 0 and played) or wilson_interval(round(moved * played), played)[1] >= won - 0.2:
        return None
    distinct = run.last("eval/distinct_games")
    more = "" if math.isnan(distinct) else f" An evaluation's games were {distinct:.0f} different."
    return Finding(
        "The win is one battle by heart",
        f"{_percent(won)} of the games from the map's own start are won, {_percent(moved)} of those from moved starts."
        f"{more} Train on moved starts (env.start_jitter=0.5) with agents that see units as sets "
        "(policy.model.equivariant=True).",
    )


def too_few_updates(run: Evidence) -> Finding | None:
    """Less is learned than played, or the target network hardly moves."""
    if run.is_good:
        return None
    ratio, updates, found = run.values("train/replay_ratio"), run.values("train/num_updates"), []
    if len(ratio) and ratio[-1] < 1:
        found.append(
            f"Each step played was learned from {ratio[-1]:.2g} times: raise policy.learn.update_per_collect or "
            "policy.learn.batch_size."
        )
    freq, interval = run.setting("policy.learn.target_update_freq"), run.setting("policy.learn.target_update_interval")
    theta, episodes = run.setting("policy.learn.target_update_theta"), run.values("rollout/num_episodes")
    if len(updates) and len(episodes) and theta is not None:
        moved = episodes[-1] / interval if interval else updates[-1] / freq if freq else updates[-1] * theta
        if moved < 20:
            key, value = ("interval", interval) if interval else ("freq", freq) if freq else ("theta", theta)
            found.append(
                f"The target network followed the online one {moved:.3g} times in {short(updates[-1])} updates "
                f"(policy.learn.target_update_{key}={value:g}): let it follow faster, or train longer."
            )
    return Finding("Too few updates", " ".join(found)) if found else None


def floor_wins_the_map(run: Evidence) -> Finding | None:
    """A team that learns nothing wins as well."""
    winners = {
        name: rate for name, rate in run.floors.items() if rate >= 0.5 and rate >= run.last("eval/battle_won") - 0.05
    }
    if not winners:
        return None
    named = ", ".join(f"{name} {_percent(rate)}" for name, rate in winners.items())
    return Finding(
        "A team that learns nothing wins too",
        f"Of the games from the map's own start, {named}; this run {_percent(run.last('eval/battle_won'))}. A win rate "
        "there shows little: look at moved starts, or take a harder map.",
    )


def waited_for_the_processor(run: Evidence) -> Finding | None:
    """Much of the time passed without computing."""
    wall, cpu = run.values("speed/seconds"), run.values("speed/cpu_seconds")
    if not (len(wall) and len(cpu) and wall[-1] > 10 and cpu[-1] < 0.7 * wall[-1]):
        return None
    return Finding(
        "The run waited for the processor",
        f"It computed for {_percent(cpu[-1] / wall[-1])} of its {duration(wall[-1])}: other work shared the cores. "
        "Use fewer seeds at a time (--jobs).",
    )


#: All of them, in the order of a report.
FINDINGS: tuple[Callable[[Evidence], Finding | None], ...] = (
    floor_wins_the_map,
    won_by_heart,
    games_end_with_the_time,
    explored_too_briefly,
    values_grow_without_bound,
    greedy_is_worse_than_random,
    too_few_updates,
    waited_for_the_processor,
)


def find_all(run: Evidence) -> list[Finding]:
    """Everything found in a run."""
    return [found for look in FINDINGS if (found := look(run)) is not None]


def _quarters(values: np.ndarray) -> list[float]:
    """Median of each quarter; zeros for fewer than eight values."""
    return [float(np.median(part)) for part in np.array_split(values, 4)] if len(values) >= 8 else [0.0] * 4


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def _percent(share: float) -> str:
    return "an unknown share" if math.isnan(share) else f"{share:.0%}"
