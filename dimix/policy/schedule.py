"""Exploration and learning rate as functions of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: The kinds of schedules.
SCHEDULES = ("constant", "linear", "exp", "cosine", "step")


@dataclass(frozen=True)
class Schedule:
    """A number that moves from ``start`` to ``end``.

    - ``constant``: start.
    - ``linear``: linear over ``decay`` steps, then end.
    - ``exp``: ``end + (start - end) * exp(-step / decay)``; 37 % of the way is left after ``decay`` steps.
    - ``cosine``: half a cosine wave from start to end over ``decay`` steps, then end.
    - ``step``: multiplied by ``factor`` after every ``decay`` steps, never below end.

    Attributes:
        type: one of `SCHEDULES`.
        start: value at step 0.
        end: last value.
        decay: length in steps, > 0.
        factor: for ``step``.

    Raises:
        ValueError: an unknown type, or decay is not positive.
    """

    type: str
    start: float
    end: float
    decay: float
    factor: float = 0.5

    def __post_init__(self) -> None:
        if self.type not in SCHEDULES:
            raise ValueError(f"schedule type '{self.type}': unknown. Use one of {', '.join(SCHEDULES)}.")
        if not self.decay > 0:
            raise ValueError(f"schedule decay {self.decay}: it must be a positive number of steps.")

    def __call__(self, step: float) -> float:
        """Value after `step` steps, >= 0."""
        if self.type == "constant":
            return self.start
        if self.type == "exp":
            return self.end + (self.start - self.end) * math.exp(-step / self.decay)
        if self.type == "step":
            return max(self.start * self.factor ** (step // self.decay), self.end)
        done = min(step / self.decay, 1.0)
        left = 1.0 - done if self.type == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
        return self.end + (self.start - self.end) * left
