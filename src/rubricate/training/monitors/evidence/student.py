"""Student's t for whole degrees of freedom: its upper tail, and its 97.5% point."""

from __future__ import annotations

import math
from functools import cache

_AS_NORMAL_FROM = 2_000


def upper_tail(t: float, freedom: int) -> float:
    """P(T > t) with `freedom` degrees, at least 1; absolute error about 1e-15.

    Source: Abramowitz and Stegun (1964), 26.7.3 and 26.7.4; from 2,000 degrees on the normal, which is there
    at most a tenth less, for probabilities above 1e-7.
    """
    if freedom < 1:
        raise ValueError(f"{freedom} degrees of freedom")
    if freedom >= _AS_NORMAL_FROM or math.isinf(t):
        return math.erfc(t / math.sqrt(2)) / 2
    angle = math.atan(abs(t) / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    is_odd = freedom % 2
    term, total = (cosine, 0.0) if is_odd else (1.0, 0.0)
    for power in range(1 if is_odd else 0, freedom - 1, 2):
        total += term
        term *= cosine * cosine * (power + 1) / (power + 2)
    within = 2 / math.pi * (angle + sine * total) if is_odd else sine * total
    tail = max(0.0, (1 - within) / 2)
    return tail if t >= 0 else 1 - tail


@cache
def two_sided(freedom: int, tail: float = 0.025) -> float:
    """The point that T exceeds with probability `tail`, to 1e-9."""
    low, high = 0.0, 2.0
    while upper_tail(high, freedom) > tail:
        high *= 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if upper_tail(middle, freedom) > tail else (low, middle)
    return (low + high) / 2
