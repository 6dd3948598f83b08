"""The optimum of RL on a scored pool, without training: the base policy tilted by e^{proxy / beta}.

RL with a KL penalty beta tends to pi(y) proportional to pi0(y) e^{r(y) / beta}. On a pool with gold and
proxy scores that law is a vector of weights, and its gold reward, win rate and KL are sums. Averaged over
prompts at one beta they are Proposition 1 of "Chasing the Tail" (arXiv 2509.21500).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rubricate.theory import stable
from rubricate.theory.pools import Pools, column, pools_of
from rubricate.theory.stable import Floats

Ratios = tuple[Floats, Floats]
"""pi / pi0 and its logarithm, both of shape (S, N)."""
Policy = Callable[[Pools, slice, Floats], Ratios]

_AT_ONCE = 1 << 14
"""Numbers in one intermediate array, 128 KB: less than half the time of a million at once (1M x 40)."""


class Outcome(NamedTuple):
    """What a policy over each pool is worth, prompt by prompt (P) and setting by setting (S: a beta, an n).

    The three quantities of Proposition 1; its expectation over prompts is the mean over the first axis.
    """

    gold: Floats
    """Expected gold reward, shape (P, S), within the gold scores of the prompt."""
    win_rate: Floats
    """Chance to beat a base draw of the same prompt, ties one half, shape (P, S), in (0, 1)."""
    kl: Floats
    """KL(pi || pi0) in nats, shape (P, S), in [0, -log of the least base weight]."""


def tilted(
    gold: ArrayLike,
    proxy: ArrayLike,
    beta: ArrayLike,
    *,
    sizes: ArrayLike | None = None,
    base: ArrayLike | None = None,
) -> Outcome:
    """Gold reward, win rate and KL of the policy tilted by e^{proxy / beta}, for each prompt and each beta.

    `gold`, `proxy`: shape (N,), finite, all prompts end to end; `sizes`: responses per prompt, shape (P,),
    None for one prompt; `base`: base weights, shape (N,), None for uniform. `beta`: shape (S,) or a number,
    each in [0, inf]: at infinity the base policy, at 0 the base policy on the proxy's best (all of them, if
    they tie). A column for each beta, in its order.

    Stable at both ends: the exponent is taken from the best of the prompt downwards, and the KL adds up
    terms of one sign, so that it has ten digits even where it is 1e-20. Only the order within
    each prompt and the differences of the proxy matter. Cost: one sort, then O(N S) time; memory O(N + P S).

    Source: Proposition 1 (i)-(iii); in F0 ties count one half (`Pools.quantiles`), where the paper has none.

    Raises: ValueError for a wrong shape, a number that is not finite, or a beta below 0.
    """
    rewards = column("gold", gold)
    pools = pools_of(len(rewards), sizes, base)
    gaps = pools.below_best(column("proxy", proxy, len(rewards)))

    def policy(part: Pools, rows: slice, betas: Floats) -> Ratios:
        return _tilt(part, gaps[rows], betas)

    return worth(pools, rewards, _betas(beta), policy)


def density(
    proxy: ArrayLike, beta: ArrayLike, *, sizes: ArrayLike | None = None, base: ArrayLike | None = None
) -> Floats:
    """Probability of each response under the tilted policy, shape (S, N): a row for each beta.

    Arguments as for `tilted`; each row adds up to 1 within each prompt.
    Source: the optimum of the objective in section 2 of "Chasing the Tail", pi0(y) e^{r(y) / beta} / Z.
    """
    scores = column("proxy", proxy)
    pools = pools_of(len(scores), sizes, base)
    ratios, _ = _tilt(pools, pools.below_best(scores), _betas(beta))
    return pools.base * ratios


def worth(pools: Pools, gold: Floats, settings: Floats, policy: Policy) -> Outcome:
    """What a policy is worth on each pool at each of its settings, shape (S,).

    `policy` is asked for a part of the pools at a time, so that what lies in between stays in the cache.
    """
    quantiles = pools.quantiles(gold)
    outcomes = []
    for part, rows in pools.parts(_AT_ONCE):
        step = max(1, _AT_ONCE // len(part.base))
        columns = [
            _worth(part, gold[rows], quantiles[rows], policy(part, rows, settings[start : start + step]))
            for start in range(0, len(settings), step)
        ]
        outcomes.append([np.concatenate(quantity, axis=1) for quantity in zip(*columns, strict=True)])
    return Outcome(*(np.concatenate(quantity) for quantity in zip(*outcomes, strict=True)))


def _worth(pools: Pools, gold: Floats, quantiles: Floats, ratios: Ratios) -> Outcome:
    density, log_density = ratios
    probabilities = pools.base * density
    sums = (
        probabilities * gold,
        probabilities * quantiles,
        pools.base * stable.surprise(log_density, density),
    )
    return Outcome(*(pools.total(terms).T for terms in sums))


def _tilt(pools: Pools, gaps: Floats, betas: Floats) -> Ratios:
    exponents = stable.over_beta(gaps, betas[:, None])
    tilts = np.exp(exponents)
    means = pools.total(pools.base * tilts)
    log_means = stable.log_of_mean(means, pools.total(pools.base * np.expm1(exponents)))
    return tilts / pools.spread(means), exponents - pools.spread(log_means)


def _betas(beta: ArrayLike) -> Floats:
    betas = np.atleast_1d(np.asarray(beta, dtype=float))
    if betas.ndim != 1 or not len(betas) or not np.all(betas >= 0):
        raise ValueError("beta: numbers of at least 0 are wanted, in one dimension")
    return betas
