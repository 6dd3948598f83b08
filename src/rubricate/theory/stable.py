"""Numbers that cancel or overflow in their plain formula, computed so that they do neither.

Let x >= 0 and let V have the density x e^{xv} / (e^x - 1) on [0, 1]: the uniform law tilted by e^{xv}. All
that Theorem 1 of "Chasing the Tail" (arXiv 2509.21500) says about one stretch of quantiles is a function
of x: the mean of V, its variance, its divergence from the uniform law. Below x = 1 these are power series
in the Bernoulli numbers, above it closed forms without differences of large numbers; both branches agree
to about 1e-15 where they meet. Arrays of any shape give arrays of that shape; x may be infinite.

Only `theory` calls these; what has a meaning of its own belongs into the module that names it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_BERNOULLI = (
    *(1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730),
    *(7 / 6, -3617 / 510, 43867 / 798, -174611 / 330, 854513 / 138),
)
_C = np.array([number / factorial(2 * k) for k, number in enumerate(_BERNOULLI, 1)])
"""B_2k / (2k)! for k = 1, 2, ...: 1 / (1 - e^-x) = 1/x + 1/2 + sum C_k x^(2k-1). The first term that is left
out is 3e-18 of the first one at x = 1."""

_K = np.arange(1.0, len(_C) + 1)
_LIFT, _SPREAD = _C, _C * (2 * _K - 1)
_LEVEL, _DIVERGENCE = _C / (2 * _K), _C * (1 - 1 / (2 * _K))

_TAYLOR = np.array([(k - 1) / factorial(k) for k in range(2, 9)])
_NEAR = 0.02
"""Here the closed form of `surprise` still has 12 digits, and the series of 7 terms 16."""


def _joined(x: ArrayLike, near: Callable[[Floats], Floats], far: Callable[[Floats], Floats]) -> Floats:
    values = np.asarray(x, dtype=float)
    result = np.empty_like(values)
    is_near = np.abs(values) < 1
    result[is_near] = near(values[is_near])
    with np.errstate(over="ignore", divide="ignore"):
        result[~is_near] = far(values[~is_near])
    return result


def _power_series(coefficients: Floats, x: Floats) -> Floats:
    total = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total *= x
        total += coefficient
    return total


def lift(x: ArrayLike) -> Floats:
    """E[V] - 1/2, in [0, 1/2): what the tilt adds to the mean. 1 / (1 - e^-x) - 1/x - 1/2."""
    return _joined(x, lambda v: v * _power_series(_LIFT, v * v), lambda v: 0.5 - (1 / v - 1 / np.expm1(v)))


def shortfall(x: ArrayLike) -> Floats:
    """1 - E[V], in (0, 1/2], to full relative precision where it is small: 1/x - 1 / (e^x - 1)."""
    return _joined(x, lambda v: 0.5 - v * _power_series(_LIFT, v * v), lambda v: 1 / v - 1 / np.expm1(v))


def variance(x: ArrayLike) -> Floats:
    """Var[V] = d E[V] / dx, in (0, 1/12]: 1/x^2 - 1 / (4 sinh^2(x/2))."""
    return _joined(
        x,
        lambda v: _power_series(_SPREAD, v * v),
        lambda v: 1 / np.square(v) - np.exp(-v) / np.square(np.expm1(-v)),
    )


def level(x: ArrayLike) -> Floats:
    """log of the mean of e^{x(u - 1)} over u in [0, 1], at most 0: log((1 - e^-x) / x)."""
    return _joined(
        x,
        lambda v: -v / 2 + v * v * _power_series(_LEVEL, v * v),
        lambda v: np.log(-np.expm1(-v)) - np.log(v),
    )


def divergence(x: ArrayLike) -> Floats:
    """KL of V from the uniform law, at least 0: x / (1 - e^-x) - 1 - log((e^x - 1) / x)."""

    def far(v: Floats) -> Floats:
        finite = np.minimum(v, 1000.0)  # beyond, e^-x is 0 and infinity times 0 would be none
        fading = finite * np.exp(-finite) / -np.expm1(-finite)
        return fading - 1 - np.log1p(-np.exp(-v)) + np.log(v)

    return _joined(x, lambda v: v * v * _power_series(_DIVERGENCE, v * v), far)


def surprise(log_ratio: Floats, ratio: Floats) -> Floats:
    """q log q - q + 1 for a density ratio q given with its logarithm, at least 0; 1 where q is 0.

    The mean of it over a base law is the KL divergence of the law with density q. Unlike the mean of
    q log q it adds up terms of one sign, so that a small divergence keeps its digits. Where q is 0 the
    logarithm may be any finite number below -1.
    """
    series = np.square(log_ratio) * _power_series(_TAYLOR, log_ratio)
    return np.where(np.abs(log_ratio) < _NEAR, series, ratio * (log_ratio - 1) + 1)


def over_beta(gaps: ArrayLike, beta: Floats) -> Floats:
    """gaps / beta for gaps <= 0 and beta in [0, inf], with 0 / 0 = 0, and never below -10,000.

    There e^x has long been 0, and a finite number needs no care from then on.
    """
    below = np.asarray(gaps, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scaled = below / beta
    if not np.all(beta > 0):
        scaled = np.where(below == 0, 0.0, scaled)
    return np.maximum(scaled, -1e4)


def log_of_mean(mean_of_exp: Floats, mean_of_expm1: Floats) -> Floats:
    """log E[e^s] for s <= 0 from both E[e^s] and E[e^s - 1]: each is exact where the other is not."""
    with np.errstate(divide="ignore"):
        return np.where(mean_of_expm1 > -0.5, np.log1p(np.maximum(mean_of_expm1, -0.5)), np.log(mean_of_exp))
