"""Shares and means of what is counted within prompts, with the interval that fits what was counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from rubricate.domain.intervals import Clusters, Estimate, rate
from rubricate.evaluation.resampling import mean, ratio

Counted = tuple[str, float, float]
"""The key of a prompt, a numerator and a denominator."""


def share_over(counted: Iterable[Counted], seed: int = 0) -> Estimate | None:
    """The sum of the numerators over that of the denominators; `n` is the number of prompts that take part.

    Whole hits of whole units get the Wilson interval of clusters, which keeps its width at 0 and at 1, where
    a bootstrap over prompts has none; anything else (half credit, differences) gets that bootstrap.
    """
    tops, bottoms = defaultdict[str, float](float), defaultdict[str, float](float)
    for prompt, top, bottom in counted:
        tops[prompt] += top
        bottoms[prompt] += bottom
    prompts = sorted(key for key, bottom in bottoms.items() if bottom > 0)
    pairs = [(tops[key], bottoms[key]) for key in prompts]
    if not all(float(x).is_integer() and float(n).is_integer() and 0 <= x <= n for x, n in pairs):
        return ratio([x for x, _ in pairs], [n for _, n in pairs], seed)
    clusters = Clusters()
    for hits, units in pairs:
        clusters.add(int(hits), int(units))
    share = clusters.rate()
    return msgspec.structs.replace(share, n=len(prompts)) if share is not None else None


def mean_over(values: Sequence[float], seed: int = 0) -> Estimate | None:
    """The mean of one value for each prompt: Wilson where each is 0 or 1, else the bootstrap."""
    if all(value in (0.0, 1.0) for value in values):
        return rate(int(sum(values)), len(values))
    return mean(values, seed)
