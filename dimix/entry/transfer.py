"""Weights of one map's networks for another's, part by part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

#: The part without which nothing is worth taking.
AGENT = "agent"


class Transfer(NamedTuple):
    """What one network takes over from another.

    Attributes:
        weights: its own, with those of the parts that it takes over.
        taken: names of these parts, such as ``agent``.
        fresh: the others, each with its first difference, in words.
    """

    weights: dict[str, Tensor]
    taken: list[str]
    fresh: dict[str, str]

    def __str__(self) -> str:
        starts = f"{', '.join(self.fresh)} start{'s' * (len(self.fresh) == 1)} fresh ({'; '.join(self.fresh.values())})"
        return f"{', '.join(self.taken)} taken; {starts if self.fresh else 'nothing starts fresh'}"


def transfer(saved: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Transfer:
    """Take over each part of a network (agent, mixer and so on) that has the same weights in both, by name and shape.

    Args:
        saved: the weights of the one, by name; the first word is the part.
        own: the weights of the other.
    """
    parts, fresh = dict.fromkeys(map(_part, own)), dict[str, str]()
    for name in (*own, *saved):
        was, now = (list(weights[name].shape) if name in weights else "missing" for weights in (saved, own))
        if was != now and _part(name) in parts:
            fresh.setdefault(_part(name), f"{name} is {was} instead of {now}")
    weights = {name: (own if _part(name) in fresh else saved)[name] for name in own}
    return Transfer(weights, [part for part in parts if part not in fresh], fresh)


def _part(name: str) -> str:
    return name.partition(".")[0]
