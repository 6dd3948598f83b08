"""Intervals over prompts for what is measured within prompts: shares, ratios, and differences of two.

Whatever is counted inside a prompt (pairs, verdicts, responses) succeeds and fails together, so a prompt is
the unit that is drawn again. Everything here takes one number, or a numerator and a denominator, for each
prompt; nothing draws without a seed, so equal input gives equal intervals on every machine.

Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 13.3 (percentile intervals);
beyond `BOOTSTRAP_UP_TO` prompts the linearised variance of a ratio, Cochran (1977), Sampling Techniques,
section 6.3, with which the bootstrap agrees there to a few percent of the width.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rubricate.domain.intervals import RESAMPLES, Estimate, Z

BOOTSTRAP_UP_TO = 2_000
_TAIL = RESAMPLES // 40

Floats = NDArray[np.float64]


def ratio(numerators: ArrayLike, denominators: ArrayLike, seed: int = 0) -> Estimate | None:
    """The sum of the numerators over the sum of the denominators, one of each per prompt, with its interval.

    `n` of the result counts the prompts with a positive denominator: the others take no part. A share of
    pairs has the pairs won as numerator and the pairs as denominator; a mean over prompts has denominators
    of 1. None when no prompt takes part, and an interval only from two on. Equal prompts give an interval of
    no width: they say nothing of what else there could be.
    """
    return ratios([(numerators, denominators)], seed)[0]


def ratios(many: Sequence[tuple[ArrayLike, ArrayLike]], seed: int = 0) -> list[Estimate | None]:
    """`ratio` of many pairs of numerators and denominators, in order; all those that rest on the same prompts
    are drawn again together, which is many times as fast."""
    found: list[Estimate | None] = [None] * len(many)
    together = dict[bytes, list[tuple[int, Floats, Floats]]]()
    for place, (numerators, denominators) in enumerate(many):
        top, bottom = _used(numerators, denominators)
        if len(top) > max(1, BOOTSTRAP_UP_TO):
            value = float(top.sum() / bottom.sum())
            found[place] = _normal(value, _influence(top, bottom))
        elif len(top) > 1:
            used = (np.asarray(denominators, dtype=float) > 0).tobytes()
            together.setdefault(used, []).append((place, top, bottom))
        elif len(top):
            found[place] = Estimate(float(top.sum() / bottom.sum()), 1, None, None)
    for group in together.values():
        n = len(group[0][1])
        weights = draws(n, seed)
        tops, bottoms = (weights @ np.stack([entry[side] for entry in group], axis=1) for side in (1, 2))
        for column, (place, top, bottom) in enumerate(group):
            value = float(top.sum() / bottom.sum())
            found[place] = _percentile(value, n, tops[:, column] / bottoms[:, column])
    return found


def difference(
    numerators_a: ArrayLike,
    denominators_a: ArrayLike,
    numerators_b: ArrayLike,
    denominators_b: ArrayLike,
    seed: int = 0,
) -> Estimate | None:
    """The ratio of `a` less that of `b` over the same prompts, paired: both sides see the same draw.

    All four have one entry per prompt, in one order. A prompt takes part when both denominators are
    positive. None when none does.
    """
    a, under_a, b, under_b = (
        np.asarray(side, dtype=float) for side in (numerators_a, denominators_a, numerators_b, denominators_b)
    )
    used = (under_a > 0) & (under_b > 0)
    a, under_a, b, under_b = a[used], under_a[used], b[used], under_b[used]
    if not len(a):
        return None
    value = float(a.sum() / under_a.sum() - b.sum() / under_b.sum())
    if len(a) == 1:
        return Estimate(value, 1, None, None)
    if len(a) > BOOTSTRAP_UP_TO:
        return _normal(value, _influence(a, under_a) - _influence(b, under_b))
    weights = draws(len(a), seed)
    drawn = (weights @ a) / (weights @ under_a) - (weights @ b) / (weights @ under_b)
    return _percentile(value, len(a), drawn)


def mean(values: ArrayLike, seed: int = 0) -> Estimate | None:
    """The mean of one number per prompt with its interval; NaN marks a prompt that has none."""
    numbers = np.asarray(values, dtype=float)
    numbers = numbers[~np.isnan(numbers)]
    return ratio(numbers, np.ones_like(numbers), seed)


def _used(numerators: ArrayLike, denominators: ArrayLike) -> tuple[Floats, Floats]:
    top, bottom = np.asarray(numerators, dtype=float), np.asarray(denominators, dtype=float)
    return top[bottom > 0], bottom[bottom > 0]


@lru_cache(maxsize=4)
def draws(n: int, seed: int) -> Floats:
    """How often each prompt is in each resample: shape (RESAMPLES, n); not to be written to."""
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    return counts.astype(float)


def _influence(top: Floats, bottom: Floats) -> Floats:
    """What each prompt adds to the error of the ratio (the linear term of its delta method)."""
    error: Floats = (top - top.sum() / bottom.sum() * bottom) / bottom.mean()
    return error


def _normal(value: float, influence: Floats) -> Estimate:
    error = float(influence.std(ddof=1) / np.sqrt(len(influence)))
    return Estimate(value, len(influence), value - Z * error, value + Z * error)


def _percentile(value: float, n: int, drawn: Floats) -> Estimate:
    ordered = np.sort(drawn[np.isfinite(drawn)])
    if len(ordered) < RESAMPLES:  # a resample without a single denominator says nothing
        return Estimate(value, n, None, None)
    return Estimate(value, n, float(ordered[_TAIL - 1]), float(ordered[-_TAIL]))
