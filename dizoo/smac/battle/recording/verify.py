"""Replay episodes recorded from the reference and report where this engine differs.

    python -m dizoo.smac.battle.recording.verify [DIR]

Without a folder, the traces shipped with the package are used. For each trace, this compares the outputs of every
recorded state, replays every tick (if recorded) and every step from its recorded start with the recorded actions and
orders of execution, and plays the whole episode freely from its start. It prints one line per trace and a summary; the
exit status is 1 if any trace fails. Collision avoidance in a crowd is chaotic, so a small share of positions may
differ: the thresholds are those that two correct implementations in double precision meet.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dizoo.smac.battle.engine import BattleEngine, needs_compile
from dizoo.smac.battle.errors import BattleError
from dizoo.smac.battle.kernels.state import Array
from dizoo.smac.battle.recording.trace import TICKS, UNIT_FIELDS, Trace, engine_at, load_trace, restore

#: Folder of the traces shipped with the package.
SHIPPED = Path(__file__).parents[1] / "maps/data/traces"

OUTPUT_TOLERANCE = 1e-6  # observation, state
POSITION_TOLERANCE = 1e-4  # cells
VALUE_TOLERANCE = 1e-9  # hp, shields, energy, timers, rewards: exact up to the order of sums
TICK_POSITIONS_WITHIN = 0.9995  # share of unit-ticks
TICK_VALUES_EQUAL = 0.998  # share of ticks
STEP_POSITIONS_WITHIN = 0.995  # share of all unit-steps of a folder
STEP_POSITIONS_WITHIN_TRACE = 0.98  # of one trace: crowded ones can be several times worse than average
STEP_VALUES_WRONG = 2  # steps per trace
FREE_RUN_TOLERANCE = 1e-3  # cells


@dataclass(frozen=True)
class Comparison:
    """Replayed states compared with recorded ones, after ticks or steps.

    Attributes:
        cases: ticks or steps compared.
        wrong_values: cases with a wrong hp, shield, energy, timer, target, flag, death or reward.
        positions: unit positions compared.
        far_positions: positions farther off than the tolerance.
        worst_position: largest difference in cells.
    """

    cases: int = 0
    wrong_values: int = 0
    positions: int = 0
    far_positions: int = 0
    worst_position: float = 0.0

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(
            self.cases + other.cases,
            self.wrong_values + other.wrong_values,
            self.positions + other.positions,
            self.far_positions + other.far_positions,
            max(self.worst_position, other.worst_position),
        )

    @property
    def share_within(self) -> float:
        """Share of positions within the tolerance."""
        return 1.0 - self.far_positions / max(1, self.positions)

    def __str__(self) -> str:
        return (
            f"{self.wrong_values}/{self.cases} wrong, {self.far_positions}/{self.positions} positions off"
            f" (max {self.worst_position:.1e})"
        )


@dataclass(frozen=True)
class Verdict:
    """Result of replaying one trace.

    Attributes:
        outputs: number of states whose observation, global state or mask differs from the recorded one.
        ticks: replayed ticks (no cases without tick data).
        steps: replayed steps.
        departs: first step at which the free run differs, or None.
        problems: why the trace fails; empty if it passes.
    """

    outputs: int
    ticks: Comparison
    steps: Comparison
    departs: int | None
    problems: tuple[str, ...]


def compare_outputs(trace: Trace) -> int:
    """Count the recorded states whose outputs differ; a misplaced start counts too."""
    engine = engine_at(trace.scenario, trace.rows("h"), trace.last_actions())
    a = trace.arrays
    wrong = (engine.action_mask != a["avail"].astype(bool)).any((1, 2))
    wrong |= (np.abs(engine.agent_state - a["obs"]) > OUTPUT_TOLERANCE).any((1, 2))
    wrong |= (np.abs(engine.global_state - a["state"]) > OUTPUT_TOLERANCE).any(1)
    wrong[0] |= not np.array_equal(a["h_pos"][0], trace.scenario.start_pos)
    return int(wrong.sum())


def compare_units(engine: BattleEngine, expected: dict[str, Array], wrong: Array) -> Comparison:
    """Compare the units of all battles with (E, U) recorded states by name of UNIT.

    ``wrong`` (E,) bool marks cases already known to be wrong, for instance by their reward. Units out of play only need
    to be out of play.
    """
    units = engine.units
    alive = expected["in_play"].astype(bool)
    wrong = wrong | (units["in_play"] != alive).any(1)
    both = alive & units["in_play"]
    for name in UNIT_FIELDS.values():
        difference = np.abs(units[name].astype(np.float64) - expected[name].astype(np.float64))
        wrong |= ((difference > VALUE_TOLERANCE) & both).any(1)
    off = np.maximum(np.abs(units["x"] - expected["x"]), np.abs(units["y"] - expected["y"])).astype(np.float64)[both]
    off = np.nan_to_num(off, nan=np.inf)
    return Comparison(
        len(wrong), int(wrong.sum()), off.size, int((off > POSITION_TOLERANCE).sum()), float(off.max(initial=0.0))
    )


def compare_steps(trace: Trace) -> Comparison:
    """Replay every step from its recorded start, with one battle per step."""
    rows, last = trace.rows("h"), trace.last_actions()
    engine = engine_at(trace.scenario, {k: v[:-1] for k, v in rows.items()}, last[:-1])
    engine.step_in_order(trace.actions(), trace.orders())
    a = trace.arrays
    wrong = np.abs(engine.reward - a["reward"]) > VALUE_TOLERANCE
    wrong |= (engine.terminated != a["terminated"]) | (engine.battle_won != a["battle_won"])
    return compare_units(engine, {k: v[1:] for k, v in rows.items()}, wrong)


def compare_ticks(trace: Trace) -> Comparison:
    """Replay every tick from its recorded start, with one battle per step, tick k of all steps at once.

    Commands are given in the state at the start of the step, because the point of a move depends on it.
    """
    total = Comparison()
    if not trace.has_ticks:
        return total
    rows, ticks, last = trace.rows("h"), trace.rows("tick"), trace.last_actions()
    engine = engine_at(trace.scenario, {k: v[:-1] for k, v in rows.items()}, last[:-1])
    engine.begin_step(trace.actions())
    reward_before = np.zeros(trace.steps)
    for k in range(TICKS):
        if k > 0:
            restore(engine, {name: v[k - 1 :: TICKS] for name, v in ticks.items()})
        engine.run_tick(trace.orders()[:, k])
        reward = engine.battles["tick_reward"].copy()
        wrong = np.abs(reward - reward_before - trace.arrays["tick_reward"][k::TICKS]) > 1e-6
        reward_before = reward
        total += compare_units(engine, {name: v[k::TICKS] for name, v in ticks.items()}, wrong)
    return total


def free_run(trace: Trace) -> int | None:
    """Return the first step at which a free run differs: a wrong unit value, or a position by more than 1e-3."""
    engine = BattleEngine(trace.scenario, 1, num_threads=1)
    rows = trace.rows("h")
    for t in range(trace.steps):
        mask = engine.action_mask[0]
        action = trace.actions()[t]
        if not mask[np.arange(len(action)), action].all() or engine.terminated[0] or engine.truncated[0]:
            return t
        engine.step_in_order(action[None], trace.orders()[t][None])
        expected = {k: v[t + 1][None] for k, v in rows.items()}
        found = compare_units(engine, expected, np.zeros(1, bool))
        if found.wrong_values or found.worst_position > FREE_RUN_TOLERANCE:
            return t
    return None


def verify_trace(path: Path) -> Verdict:
    """Replay one trace; it passes if the verdict has no problems.

    Raises:
        BattleError: the file is damaged, its map is unknown, or its actions are not available in its states.
    """
    trace = load_trace(path)
    outputs = compare_outputs(trace)
    ticks = compare_ticks(trace)
    steps = compare_steps(trace)
    problems = []
    if outputs:
        problems.append(f"outputs differ in {outputs} states")
    if ticks.share_within < TICK_POSITIONS_WITHIN or ticks.wrong_values > (1.0 - TICK_VALUES_EQUAL) * ticks.cases:
        problems.append("ticks differ")
    if steps.share_within < STEP_POSITIONS_WITHIN_TRACE or steps.wrong_values > STEP_VALUES_WRONG:
        problems.append("steps differ")
    return Verdict(outputs, ticks, steps, free_run(trace), tuple(problems))


def main(argv: Sequence[str] | None = None) -> int:
    """Verify all traces of a folder; returns 0 if every trace passes, 1 otherwise or if there is none."""
    parser = argparse.ArgumentParser(
        prog="python -m dizoo.smac.battle.recording.verify", description="Replay recorded episodes."
    )
    parser.add_argument("dir", type=Path, nargs="?", default=SHIPPED, help="folder of .npz traces; default: shipped")
    folder = parser.parse_args(argv).dir
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        print(f"{folder}: no .npz traces found. Give the folder that holds them.", file=sys.stderr)
        return 1
    if needs_compile():
        print("compiling the battle engine (once, about a minute)", file=sys.stderr, flush=True)
    failed = 0
    ticks = steps = Comparison()
    for path in paths:
        try:
            verdict = verify_trace(path)
        except BattleError as e:
            failed += 1
            print(f"FAIL {path.name}: {e}")
            continue
        failed += bool(verdict.problems)
        ticks, steps = ticks + verdict.ticks, steps + verdict.steps
        print(_line(path, verdict), flush=True)
    print(f"ticks: {ticks}\nsteps: {steps}\n{len(paths) - failed} of {len(paths)} traces pass")
    if steps.share_within < STEP_POSITIONS_WITHIN:
        print(f"FAIL: {steps.share_within:.3%} of step positions agree; at least {STEP_POSITIONS_WITHIN:.1%} should")
        return 1
    return 1 if failed else 0


def _line(path: Path, verdict: Verdict) -> str:
    departs = "never departs" if verdict.departs is None else f"departs at step {verdict.departs}"
    ticks = f"ticks {verdict.ticks}; " if verdict.ticks.cases else ""
    status = "FAIL" if verdict.problems else "ok  "
    why = f" <- {', '.join(verdict.problems)}" if verdict.problems else ""
    return f"{status} {path.name}: {ticks}steps {verdict.steps}; free run {departs}{why}"


if __name__ == "__main__":
    sys.exit(main())
