"""Theorem 1 in closed form: what optimising a correctly ranked reward gives at every strength of the penalty.

Here and all over `theory`, beta is the weight of the KL penalty: the optimum of E[r] - beta KL(pi || pi0) is
proportional to pi0 e^{r / beta}. Rewards are measured in base quantiles, U = F0(r*) ~ U(0, 1). The KL is
the same for every proxy that has this law too, however wrongly it ranks; the win rate is not, and `maps`
has that of the wrong ones.

Source: "Chasing the Tail" (arXiv 2509.21500), Theorem 1; with lambda = 1 / beta it reads
KL = lambda / (1 - e^-lambda) - 1 - log((e^lambda - 1) / lambda), W = 1 / (1 - e^-lambda) - 1 / lambda.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rubricate.theory import stable
from rubricate.theory.stable import Floats

_STEPS = 100
_FAR = 40.0
"""From this KL on, log(lambda) is KL + 1 to the last digit: e^-lambda is 0 in double precision."""


def win_rate(beta: ArrayLike) -> Floats:
    """The win rate against the base policy, which is the expected gold quantile too, of a correct reward.

    beta in [0, inf], of any shape; the result has that shape and lies in [1/2, 1]: 1/2 at infinity, 1 at 0.
    Exact to 1e-15. Source: Theorem 1 (ii) with f(r) = r.
    """
    return 1 - stable.shortfall(_strength(beta))


def kl(beta: ArrayLike) -> Floats:
    """KL(pi || pi0) in nats, for every measure-preserving proxy.

    beta in [0, inf], of any shape; the result has that shape and lies in [0, inf]: it falls from infinity
    at 0 to 0 at infinity, as -log(beta) - 1 for small beta and as 1 / (24 beta^2) for large. The error is
    below 1e-14 of the value. Source: Theorem 1 (i).
    """
    return stable.divergence(_strength(beta))


def beta_at(kl: ArrayLike) -> Floats:
    """The beta at which the KL is `kl`: the inverse of `kl`.

    `kl` in nats, in [0, inf], of any shape; the result has that shape: infinity at 0, 0 at infinity. Beyond
    708 nats it may be 0, which it is in double precision. The relative error is below 1e-12. Takes about ten
    evaluations of `kl`.

    Source: ours. With lambda = 1 / beta, log(lambda) - 1 <= KL <= lambda^2 / 24, which encloses the root;
    then Newton in log(lambda), d KL / d log(lambda) = lambda^2 Var[V], halving whenever Newton leaves.

    Raises: ValueError for a negative KL or NaN.
    """
    wanted = np.asarray(kl, dtype=float)
    if not np.all(wanted >= 0):
        raise ValueError("a KL divergence is at least 0")
    with np.errstate(divide="ignore"):
        low, high = np.log(24 * wanted) / 2, wanted + 1
    inside = np.isfinite(low) & (wanted < _FAR)
    root = np.where(wanted == 0, -np.inf, high)
    root[inside] = _root(wanted[inside], low[inside], high[inside])
    return np.exp(-root)


def _root(wanted: Floats, low: Floats, high: Floats) -> Floats:
    """log(lambda) for each KL, enclosed by `low` and `high`."""
    guess = np.where(wanted > 1, high, low)
    for _ in range(_STEPS):
        strength = np.exp(guess)
        miss = stable.divergence(strength) - wanted
        low, high = np.where(miss <= 0, guess, low), np.where(miss >= 0, guess, high)
        newton = guess - miss / (np.square(strength) * stable.variance(strength))
        following = np.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
        if np.array_equal(following, guess):
            break
        guess = following
    return guess


def _strength(beta: ArrayLike) -> Floats:
    betas = np.asarray(beta, dtype=float)
    if not np.all(betas >= 0):
        raise ValueError("beta is at least 0")
    with np.errstate(divide="ignore", over="ignore"):
        return 1 / betas
