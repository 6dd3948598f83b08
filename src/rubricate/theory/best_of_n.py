"""Best-of-n under a proxy: draw n responses, keep the one that the proxy likes best, ties by chance.

The poor man's RL: its policy has the density n F(r)^(n-1) where RL has e^{r / beta}, and it over-optimises in
the same way. For the maps of Figure 2 see `BlockMap.win_rate_of_best`; here are pools.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rubricate.theory.pools import Pools, column, pools_of
from rubricate.theory.stable import Floats
from rubricate.theory.tilt import Outcome, Ratios, worth

_AT_ONCE = 1 << 14


def best_of_n(
    gold: ArrayLike,
    proxy: ArrayLike,
    n: ArrayLike,
    *,
    sizes: ArrayLike | None = None,
    base: ArrayLike | None = None,
) -> Outcome:
    """Gold reward, win rate and KL of best-of-n when the pool itself is the base policy.

    The n draws are independent, from the pool, and may repeat. Exact with ties: the best score is of a level
    with chance F(level)^n - F(below)^n, and within a level the base policy decides. `n`: shape (S,) or a
    number, each at least 1. The other arguments and the shapes are those of `tilt.tilted`. The KL is exact;
    it never exceeds `kl_bound(n)`, and stays below it wherever scores tie. Cost: two sorts and O(N S).

    Source: Theorem 1's setting with the density of best-of-n; ties as in Beirami et al. (2024),
    arXiv 2401.01879, whose result is that log n - (n-1)/n is only a bound for discrete laws.

    Raises: ValueError for a wrong shape, a number that is not finite, or n below 1.
    """
    rewards = column("gold", gold)
    pools = pools_of(len(rewards), sizes, base)
    _, mass, up_to = pools.levels(column("proxy", proxy, len(rewards)))

    def policy(_: Pools, rows: slice, draws: Floats) -> Ratios:
        n = draws[:, None]
        with np.errstate(divide="ignore"):  # the lowest level has nothing below
            nothing_of_the_level = n * np.log1p(-np.minimum(mass[rows] / up_to[rows], 1.0))
        logs = n * np.log(up_to[rows]) + np.log(-np.expm1(nothing_of_the_level)) - np.log(mass[rows])
        return np.exp(logs), logs

    return worth(pools, rewards, _draws(n), policy)


def best_of_n_estimate(
    gold: ArrayLike, proxy: ArrayLike, n: ArrayLike, *, sizes: ArrayLike | None = None
) -> Outcome:
    """Gold reward, win rate and KL of the best of n different responses of each pool, over all such choices.

    The exact mean over all C(size, n) subsets, ties by chance: C(m, n) / C(size, n) is the chance that the
    best is among the m lowest. It is an unbiased estimate of the gold reward of best-of-n for the policy the
    pool was drawn from, which `best_of_n` is not. The win rate is against the pool's own responses. `n`:
    whole numbers from 1, shape (S,) or a number; NaN where a prompt has fewer than n responses. The KL is
    that of the choice from the pool, in [0, log size]; `kl_bound(n)` holds for the policy, not for it. Other
    arguments and shapes are those of `tilt.tilted`, base weights uniform. Cost: two sorts and O(N max(n)).

    Source: the estimator of best-of-n in Nakano et al. (2021), WebGPT, arXiv 2112.09332, extended to ties.

    Raises: ValueError for a wrong shape, a number that is not finite, or n that is no whole number from 1.
    """
    rewards = column("gold", gold)
    pools = pools_of(len(rewards), sizes)
    draws = _draws(n)
    if np.any(draws != np.floor(draws)):
        raise ValueError("n: whole numbers are wanted, to choose from a pool")
    below, mass, up_to = pools.levels(column("proxy", proxy, len(rewards)))

    def policy(part: Pools, rows: slice, draws: Floats) -> Ratios:
        chances = _among(part, up_to[rows], draws) - _among(part, below[rows], draws)
        ratios = chances / mass[rows]
        return ratios, np.log(np.maximum(ratios, 1e-300))

    outcome = worth(pools, rewards, draws, policy)
    reachable = pools.sizes[:, None] >= draws
    return Outcome(*(np.where(reachable, values, np.nan) for values in outcome))


def chances_of_best(proxy: ArrayLike, n: ArrayLike, *, sizes: ArrayLike | None = None) -> Floats:
    """How likely each response is the best of n different ones of its prompt under the proxy, shape (S, N).

    Over all C(size, n) subsets, ties by chance; each row adds up to 1 within each prompt. NaN where a prompt
    has fewer than n responses. What `best_of_n_estimate` takes means with. Cost: a sort and O(N max(n)).

    Raises: ValueError as `best_of_n_estimate`.
    """
    scores, draws = column("proxy", proxy), _draws(n)
    if np.any(draws != np.floor(draws)):
        raise ValueError("n: whole numbers are wanted, to choose from a pool")
    pools = pools_of(len(scores), sizes)
    below, mass, up_to = pools.levels(scores)
    result = np.empty((len(draws), len(scores)))
    for part, rows in pools.parts(_AT_ONCE):
        reached = _among(part, up_to[rows], draws) - _among(part, below[rows], draws)
        result[:, rows] = reached / mass[rows] * part.base
    return np.where(pools.spread(pools.sizes.astype(float)) >= draws[:, None], result, np.nan)


def kl_bound(n: ArrayLike) -> Floats:
    """log n - (n - 1) / n in nats: the KL of best-of-n from the base policy when no two scores tie.

    With ties it is an upper bound and can be far too high: best-of-n on a proxy that ties the top c stays
    below -log c for every n. n at least 1, of any shape; the result has that shape.

    Source: Stiennon et al. (2020), arXiv 2009.01325, appendix G.3; that it is a bound for discrete laws,
    Beirami et al. (2024), arXiv 2401.01879, Theorem 1.
    """
    draws = np.asarray(n, dtype=float)
    if not np.all(draws >= 1):
        raise ValueError("n is at least 1")
    return np.asarray(np.log(draws) - (draws - 1) / draws)


def _among(pools: Pools, mass: Floats, draws: Floats) -> Floats:
    """C(m, n) / C(size, n) for the m = mass * size lowest of each prompt, shape (S, N), factor by factor."""
    size = pools.spread(pools.sizes.astype(float))
    lowest = np.rint(mass * size)
    chance, wanted = np.ones_like(size), np.empty((len(draws), len(size)))
    for drawn in range(int(draws.max())):
        chance = chance * np.maximum(lowest - drawn, 0.0) / np.maximum(size - drawn, 1.0)
        wanted[draws == drawn + 1] = chance
    return wanted


def _draws(n: ArrayLike) -> Floats:
    draws = np.atleast_1d(np.asarray(n, dtype=float))
    if draws.ndim != 1 or not len(draws) or not np.all((draws >= 1) & (draws < np.inf)):
        raise ValueError("n: numbers of at least 1 are wanted, in one dimension")
    return draws
