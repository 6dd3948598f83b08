"""A number with what it was measured on and how far it can be trusted: Wilson, clusters, bootstrap.

All intervals are of 95%, two-sided. Nothing here draws from outside: the bootstrap has a seed, and one
and the same input gives one and the same interval on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

Z = 1.959963984540054
"""The 97.5% point of the standard normal."""

T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
"""The 97.5% points of Student's t with 1, 2, ... degrees of freedom."""

RESAMPLES = 2_000
BOOTSTRAP_UP_TO = 500
"""Means of more values than this get the normal interval: there the two agree to a few percent of their
width, and the bootstrap of one mean would take more than the 10 ms that it takes here."""


class Estimate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value measured on `n` units, with its 95% interval.

    `low` and `high` are None where the data allow no interval: a mean of one value.
    """

    value: float
    n: int
    low: float | None
    high: float | None


def rate(hits: int, n: int) -> Estimate | None:
    """The share `hits / n` of independent units with its Wilson score interval, inside [0, 1].

    None for no units. The interval keeps a width at 0 of n and at n of n, as it should.

    Source: Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22;
    recommended for all n by Brown, Cai and DasGupta (2001), Statistical Science 16.
    """
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} hits of {n}")
    return None if n == 0 else Estimate(hits / n, n, *_wilson(hits / n, n))


class Clusters:
    """A share of units that come in clusters (verdicts within prompts), added up one cluster at a time.

    Verdicts of one prompt succeed and fail together, so that counting each as independent would promise
    too much. Keeps five numbers however many clusters there are.
    """

    def __init__(self) -> None:
        self._clusters = self._hits = self._units = 0
        self._hits_squared = self._hits_by_units = self._units_squared = 0

    def add(self, hits: int, units: int) -> None:
        """One cluster: `hits` of its `units`; one without units changes nothing."""
        if not 0 <= hits <= units:
            raise ValueError(f"{hits} hits of {units}")
        self._clusters += units > 0
        self._hits += hits
        self._units += units
        self._hits_squared += hits * hits
        self._hits_by_units += hits * units
        self._units_squared += units * units

    def rate(self) -> Estimate | None:
        """The share over all units, `n` of them, with a Wilson interval of the effective number of units.

        The effective number is share * (1 - share) over the variance of a ratio over clusters, and never
        more than there are units. With one cluster, or without a spread to measure, it is the number of
        units itself. None for no units.

        Source: the variance is Cochran (1977), Sampling Techniques, section 6.3; the effective size in a
        Wilson interval, Dean and Pagano (2015), Journal of Survey Statistics and Methodology 3.
        """
        if self._units == 0:
            return None
        share = self._hits / self._units
        spread = self._hits_squared - 2 * share * self._hits_by_units + share * share * self._units_squared
        effective: float = self._units
        if self._clusters > 1 and spread > 0 and 0 < share < 1:
            variance = self._clusters / (self._clusters - 1) * spread / self._units**2
            effective = min(effective, share * (1 - share) / variance)
        return Estimate(share, self._units, *_wilson(share, effective))


def mean(values: Sequence[float], seed: int = 0) -> Estimate | None:
    """The mean of independent values (one per prompt) with its interval; None for no values.

    Up to 500 values: the percentile bootstrap, 2,000 resamples from `seed`. Beyond: the normal interval,
    mean +- 1.96 standard errors, within the range of the values. One value has no interval. Equal values
    give one of no width: they say nothing of what else there could be. For a handful of values the
    percentile bootstrap is known to be too narrow; `n` stands beside it for that reason.

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 13.3.
    """
    n = len(values)
    if n == 0:
        return None
    lowest, highest = min(values), max(values)
    value = min(highest, max(lowest, math.fsum(values) / n))  # equal numbers, but for rounding
    if n == 1:
        return Estimate(value, n, None, None)
    if n > BOOTSTRAP_UP_TO:
        error = math.sqrt(math.fsum((x - value) ** 2 for x in values) / (n - 1) / n)
        return Estimate(value, n, max(lowest, value - Z * error), min(highest, value + Z * error))
    import numpy

    drawn = numpy.random.default_rng(seed).integers(n, size=(RESAMPLES, n), dtype=numpy.int32)
    means = numpy.asarray(values, dtype=float)[drawn].mean(axis=1)
    means = numpy.sort(means.clip(lowest, highest)).tolist()
    tail = RESAMPLES // 40
    return Estimate(value, n, means[tail - 1], means[-tail])


def mean_of_few(values: Sequence[float]) -> Estimate | None:
    """The mean of a handful of independent values (one per seed) with Student's interval; None for none.

    Beyond 16 values the normal point stands in for Student's. Assumes values that scatter about as the normal
    law does, which three seeds cannot show: such an interval is wide, and that is its point.
    """
    n = len(values)
    if n == 0:
        return None
    value = math.fsum(values) / n
    if n == 1:
        return Estimate(value, n, None, None)
    error = math.sqrt(math.fsum((x - value) ** 2 for x in values) / (n - 1) / n)
    half = (T[n - 2] if n - 2 < len(T) else Z) * error
    return Estimate(value, n, value - half, value + half)


def _wilson(share: float, n: float) -> tuple[float, float]:
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return low, high
