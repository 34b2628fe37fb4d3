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
    fresh: dict[str, str] = {}
    for name in dict.fromkeys([*own, *saved]):
        if (difference := _difference(name, saved, own)) is not None:
            fresh.setdefault(_part(name), difference)
    taken = list(dict.fromkeys(part for part in map(_part, own) if part not in fresh))
    weights = {name: (saved if _part(name) in taken else own)[name] for name in own}
    return Transfer(weights, taken, {part: why for part, why in fresh.items() if part in set(map(_part, own))})


def _difference(name: str, saved: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str | None:
    was, now = (list(weights[name].shape) if name in weights else None for weights in (saved, own))
    return None if was == now else f"{name} is {was or 'not there'} instead of {now or 'not there'}"


def _part(name: str) -> str:
    return name.partition(".")[0]
