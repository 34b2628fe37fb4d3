"""The list of checks and the table of their results: ``dimix -m check``."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dimix.check.battle import recorded_battle
from dimix.check.games import GAMES
from dimix.check.oracles import ORACLES, Entry
from dimix.check.updates import UPDATES
from dimix.check.weights import WEIGHTS
from dimix.errors import first_line
from dimix.machine.text import aligned


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: short name.
        proves: what it shows, in a few words.
        expected: the right result, in words.
        run: runs the check; returns whether it passed, and what it measured.
    """

    name: str
    proves: str
    expected: str
    run: Callable[[], tuple[bool, str]]


@dataclass(frozen=True)
class Outcome:
    """The result of a check.

    Attributes:
        check: the check.
        passed: whether it passed.
        measured: the result in words, or the error it raised.
        seconds: time it took.
    """

    check: Check
    passed: bool
    measured: str
    seconds: float


BATTLES: list[Entry] = [("battle", "a recorded game, tick by tick", "1 of 1 traces pass", recorded_battle)]

#: All checks, quick ones first.
CHECKS = [Check(*entry) for entry in (*ORACLES, *UPDATES, *WEIGHTS, *BATTLES, *GAMES)]


def run_checks(checks: Sequence[Check] = CHECKS) -> Iterator[Outcome]:
    """Run checks one after another; a failure does not stop the others."""
    for check in checks:
        started = time.monotonic()
        try:
            passed, measured = check.run()
        except Exception as error:
            passed, measured = False, first_line(traceback.format_exception_only(error)[-1])
        yield Outcome(check, passed, measured, time.monotonic() - started)


def table(outcomes: Sequence[Outcome]) -> str:
    """One line per check: name, what it proves, expected, measured, pass or FAIL, seconds."""
    rows = [("check", "proves", "expected", "measured", "", "s")]
    rows += [
        (o.check.name, o.check.proves, o.check.expected, o.measured, "pass" if o.passed else "FAIL", f"{o.seconds:.1f}")
        for o in outcomes
    ]
    return aligned(rows)
