"""Which way do the figures of a trainer go? Blocks of steps -> slopes, levels and differences with intervals.

A trainer's figures lean on their neighbours, so steps are put together into at most `BLOCKS` blocks, and the
blocks are taken for independent. The intervals are of 95% each, not adjusted for being looked at again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from rubricate.domain.intervals import Estimate
from rubricate.training.monitors.evidence.student import two_sided
from rubricate.training.monitors.evidence.turning import change
from rubricate.training.monitors.series.points import HELD_OUT_REWARD, REWARD, Point

BLOCKS = 10
LEAST, LEAST_FOR_A_SLOPE = 6, 4
"""Fewer steps than this show nothing."""

Way = Literal["climbs", "falls", "stands", "unknown"]


class Drift(NamedTuple):
    """A figure in the first and in the last third of the steps, and by how much it has changed."""

    early: Estimate
    late: Estimate
    change: Estimate


def way_of(points: Sequence[Point], since: int, until: int) -> tuple[Way, str, Estimate | None]:
    """Which way the reward goes from one step to another: the way, the name of the figure, and the change.

    The held-out reward where it was read at both steps, prompt by prompt; else the training reward, by the
    slope over the steps between, times their distance. It climbs where the whole interval is above 0, falls
    where it is below, else it stands.
    """
    known = {point.step: point.readings[HELD_OUT_REWARD] for point in points
             if HELD_OUT_REWARD in point.readings}  # fmt: skip
    if since in known and until in known:
        found = change([known[until]], known[since])
        if found is not None:
            return _way(found.change), HELD_OUT_REWARD, found.change
    span = [point for point in points if since <= point.step <= until]
    moved = slope(span, REWARD)
    return ("unknown" if moved is None else _way(moved)), REWARD, moved


def slope(points: Sequence[Point], name: str) -> Estimate | None:
    """How far a figure moves over the steps, by the straight line through the means of its blocks.

    None for fewer than four steps that have it. Source: least squares, the interval by Student's t with as
    many degrees as there are blocks, less two.
    """
    found = [(float(point.step), value) for point in points if (value := point.value(name)) is not None]
    if len(found) < LEAST_FOR_A_SLOPE:
        return None
    blocks = _blocks(found)
    xs = [math.fsum(x for x, _ in block) / len(block) for block in blocks]
    ys = [math.fsum(y for _, y in block) / len(block) for block in blocks]
    middle, level = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    across = math.fsum((x - middle) ** 2 for x in xs)
    by_step = math.fsum((x - middle) * (y - level) for x, y in zip(xs, ys, strict=True)) / across
    rest = math.fsum((y - level - by_step * (x - middle)) ** 2 for x, y in zip(xs, ys, strict=True))
    freedom = len(blocks) - 2
    distance = found[-1][0] - found[0][0]
    reach = two_sided(freedom) * math.sqrt(rest / freedom / across) * distance
    moved = by_step * distance
    return Estimate(moved, len(found), moved - reach, moved + reach)


def drift(points: Sequence[Point], name: str) -> Drift | None:
    """A figure early and late, each over a third of the steps that have it; None for fewer than six.

    Source of the interval of the difference: Welch (1947), Biometrika 34, with the smaller of the two numbers
    of blocks less one as degrees of freedom, which is on the wide side.
    """
    values = [value for point in points if (value := point.value(name)) is not None]
    if len(values) < LEAST:
        return None
    third = max(3, len(values) // 3)
    (early, early_error, n_early), (late, late_error, n_late) = (
        _level(values[:third]),
        _level(values[-third:]),
    )
    both = math.hypot(early_error, late_error)
    reach = two_sided(min(n_early, n_late) - 1) * both
    return Drift(
        _estimate(early, early_error, n_early, third),
        _estimate(late, late_error, n_late, third),
        Estimate(late - early, 2 * third, late - early - reach, late - early + reach),
    )


def _level(values: Sequence[float]) -> tuple[float, float, int]:
    """The mean, its standard error over blocks, and the number of blocks."""
    means = [
        math.fsum(value for _, value in block) / len(block) for block in _blocks(list(enumerate(values)))
    ]
    level = math.fsum(means) / len(means)
    variance = math.fsum((each - level) ** 2 for each in means) / (len(means) - 1)
    return level, math.sqrt(variance / len(means)), len(means)


def _estimate(level: float, error: float, blocks: int, n: int) -> Estimate:
    reach = two_sided(blocks - 1) * error
    return Estimate(level, n, level - reach, level + reach)


def _blocks(found: Sequence[tuple[float, float]]) -> list[Sequence[tuple[float, float]]]:
    """Neighbours together, in as many parts as there may be, of sizes as equal as can be."""
    parts = min(BLOCKS, len(found))
    ends = [len(found) * part // parts for part in range(parts + 1)]
    return [found[start:end] for start, end in pairwise(ends)]


def _way(moved: Estimate) -> Way:
    assert moved.low is not None and moved.high is not None
    return "climbs" if moved.low > 0 else "falls" if moved.high < 0 else "stands"
