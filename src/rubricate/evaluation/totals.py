"""Intervals for any function of sums over prompts: kappa, alpha, balanced accuracy, calibration errors.

All of these depend on the data through a few sums (cells of a table, bins of a plot), and what is counted
within one prompt succeeds and fails together. So a statistic is given as a function of sums, its counts one
row per prompt, and prompts are drawn again, as in `evaluation.resampling`.

Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 13.3 (percentile intervals);
beyond `BOOTSTRAP_UP_TO` prompts the delete-a-group jackknife, Kott (2001), Journal of Official Statistics 17.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from rubricate.domain.intervals import RESAMPLES, Clusters, Estimate, Z, rate
from rubricate.evaluation.resampling import BOOTSTRAP_UP_TO, draws, mean, ratio

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""Sums of shape (..., k) to values of shape (...); NaN where the sums leave it undefined."""
Counted = tuple[str, float, float]
"""The key of a prompt, a numerator and a denominator."""

_TAIL = RESAMPLES // 40
_GROUPS = 200


def estimated(counts: ArrayLike, statistic: Statistic, n: int, seed: int = 0) -> Estimate | None:
    """The statistic of the summed counts, on `n` units, with its 95% interval over prompts.

    `counts` has one row per prompt, shape (prompts, k); rows of zeros take no part. None where the statistic
    is undefined (a single class, say). No interval for one prompt, and none where some resample leaves the
    statistic undefined: too few prompts have what it needs.
    """
    rows = np.asarray(counts, dtype=float)
    rows = rows[rows.any(axis=1)]
    if not len(rows):
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(rows.sum(axis=0)[None, :])[0])
        if np.isnan(value):
            return None
        low, high = _interval(rows, statistic, value, seed)
    return Estimate(value, n, low, high)


def share(hits: ArrayLike, units: ArrayLike) -> Estimate | None:
    """The share of hits among units, one of each per prompt: Wilson with the effective number of units."""
    clusters = Clusters()
    for hit, unit in zip(np.asarray(hits).tolist(), np.asarray(units).tolist(), strict=True):
        clusters.add(int(hit), int(unit))
    return clusters.rate()


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


def per_prompt(prompts: NDArray[np.intp], values: ArrayLike, n_prompts: int) -> Floats:
    """Sums by prompt of `values` of shape (items,) or (items, k): shape (n_prompts,) or (n_prompts, k)."""
    columns = np.asarray(values, dtype=float)
    if columns.ndim == 1:
        return np.bincount(prompts, columns, n_prompts).astype(float)
    summed = [np.bincount(prompts, columns[:, place], n_prompts) for place in range(columns.shape[1])]
    return np.stack(summed, axis=1)


def _interval(
    rows: Floats, statistic: Statistic, value: float, seed: int
) -> tuple[float | None, float | None]:
    n = len(rows)
    if n == 1:
        return None, None
    if n > BOOTSTRAP_UP_TO:
        group = np.random.default_rng(seed).permutation(n) % _GROUPS
        without = rows.sum(axis=0) - per_prompt(group, rows, _GROUPS)
        left_out = statistic(without)
        if np.isnan(left_out).any():
            return None, None
        error = float(np.sqrt((_GROUPS - 1) / _GROUPS * ((left_out - left_out.mean()) ** 2).sum()))
        return value - Z * error, value + Z * error
    values = statistic(draws(n, seed) @ rows)
    if np.isnan(values).any():
        return None, None
    ordered = np.sort(values)
    return float(ordered[_TAIL - 1]), float(ordered[-_TAIL])
