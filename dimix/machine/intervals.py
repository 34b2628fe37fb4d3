"""How sure a share is that was counted."""

from __future__ import annotations

import math


def wilson_interval(won: int, played: int, z: float = 1.96) -> tuple[float, float]:
    """Lower and upper end of a proportion's interval (Wilson 1927), valid near 0 and 1 and for few independent trials.

    ``won`` of ``played`` (>= 1) trials succeeded; ``z`` is the normal quantile, 1.96 for 95 %.
    """
    share = won / played
    centre = share + z**2 / (2 * played)
    spread = z * math.sqrt(share * (1 - share) / played + z**2 / (4 * played**2))
    scale = 1 + z**2 / played
    return max((centre - spread) / scale, 0.0), min((centre + spread) / scale, 1.0)
