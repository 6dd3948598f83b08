"""How much of the tail is wrong, and what that costs: ratios, peaks, plateaus, and the way back from a peak.

For a proxy that is right below the quantile 1 - c and wrong above. Shares c are shares of the base policy's
responses. Source: derived from Theorem 1 of "Chasing the Tail" (arXiv 2509.21500); the steps are in
docs/theory.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rubricate.theory import stable, uniform
from rubricate.theory.stable import Floats

NO_PEAK_FROM = 0.5 ** (1 / 3)
"""With the top c = 0.794 or more reversed, proxy and gold do not correlate: the win rate never rises."""

PEAK_TILT = 2.674060313723560
"""c / beta at the peak for small c: the positive root of e^s = s^2 + 2 s + 2."""

_HALVINGS = 90


class Peak(NamedTuple):
    """Where the gold win rate is highest along the path of the penalty; each of the shape asked for."""

    beta: Floats
    kl: Floats
    """In nats; it falls as c grows."""
    win_rate: Floats
    """In (1/2, 1)."""


def damage_ratio(c: ArrayLike, beta: ArrayLike) -> Floats:
    """How many times more it costs to reverse the top share c than the bottom share c: e^{(1-c) / beta}.

    Exact, for noise (a shuffle) as well as for reversal. c in (0, 1], beta in (0, inf], broadcast together;
    at least 1, and infinite where it exceeds 1e308.

    Source: the ratio of two `maps.reversal_cost`, whose factor e^{start / beta} is all that differs.
    """
    shares, betas = np.asarray(c, dtype=float), np.asarray(beta, dtype=float)
    if not (np.all((shares > 0) & (shares <= 1)) and np.all(betas > 0)):
        raise ValueError("c is in (0, 1] and beta above 0")
    with np.errstate(over="ignore"):
        return np.asarray(np.exp((1 - shares) / betas))


def peak_of_top_wrong(c: ArrayLike) -> Peak:
    """The highest point of the win-rate curve of a proxy with the top share c reversed (`maps.top_wrong`).

    c in (0, 0.7937), of any shape. Exact to about 1e-12. For small c: beta = c / 2.674, KL = log(2.674 / c) -
    1, win rate = 1 - 0.747 c. Source: the zero of d W / d lambda = Cov(f(U), U) under the tilted law.

    Raises: ValueError for c outside of the range; from 0.7937 on the win rate only falls from 1/2.
    """
    shares = np.asarray(c, dtype=float)
    if not np.all((shares > 0) & (shares < NO_PEAK_FROM)):
        raise ValueError(f"c is in (0, {NO_PEAK_FROM:.4f}): above, there is no peak")
    low, high = np.full_like(shares, np.log(1e-9)), np.log(2 * PEAK_TILT / shares)
    strength = np.exp(_crossing(lambda t: _slope(shares, np.exp(t)), low, high))
    short = stable.shortfall(shares * strength)
    in_tail, edge_gap = _tail(shares, strength)
    win_rate = 1 - shares + in_tail * shares * short - (1 - in_tail) * edge_gap
    return Peak(1 / strength, stable.divergence(strength), win_rate)


def tail_share(peak_kl: ArrayLike) -> Floats:
    """The share c of the tail that is reversed, if gold win rate peaks at this KL: inverts `Peak.kl`.

    `peak_kl` in nats, in (0, 600], of any shape; the result has that shape and lies in (0, 0.7937). Exact to
    1e-10 where the model holds. It reads any curve of gold win rate against KL as if the proxy were right
    below the quantile 1 - c and reversed above, with gold and proxy both in base quantiles. So it is

    - a scale for comparing proxies on one pool, and an estimate of c only as far as errors are reversals;
    - blind to ties and to noise: those give a plateau at 1 - c/2 (`tie_plateau`), without a peak;
    - bounded by the pool: a pool of m responses cannot show a KL above log m, nor a share below about 1/m.

    Source: `peak_of_top_wrong`; the KL fixes beta (`uniform.beta_at`), which leaves one equation in c.
    """
    kls = np.asarray(peak_kl, dtype=float)
    if not np.all((kls > 0) & (kls <= 600)):
        raise ValueError("the KL of a peak is in (0, 600]")
    strength = 1 / uniform.beta_at(kls)
    low, high = np.log(np.minimum(0.5 / strength, 0.3)), np.full_like(kls, np.log(NO_PEAK_FROM))
    return np.exp(_crossing(lambda t: _slope(np.exp(t), strength), low, high))


def tail_share_rule(peak_kl: ArrayLike) -> Floats:
    """The rule of thumb for `tail_share`: c = 0.984 e^{-KL}.

    The constant is 2.674 / e. `peak_kl` in nats, at least 0, of any shape; the result has that shape.
    """
    kls = np.asarray(peak_kl, dtype=float)
    if not np.all(kls >= 0):
        raise ValueError("a KL divergence is at least 0")
    return np.asarray(PEAK_TILT * np.exp(-kls - 1))


def tie_plateau(c: ArrayLike) -> tuple[Floats, Floats]:
    """(win rate, KL) that RL tends to, and cannot pass, when the proxy ties the top share c: 1 - c/2, -log c.

    c in (0, 1], of any shape; both results have that shape. A shuffled top tends to the same win rate, at
    unbounded KL. Source: the tilted law of `maps.top_tied` tends to the base policy on the top share c.
    """
    shares = np.asarray(c, dtype=float)
    if not np.all((shares > 0) & (shares <= 1)):
        raise ValueError("a share is in (0, 1]")
    return 1 - shares / 2, -np.log(shares)


def _tail(c: Floats, strength: Floats) -> tuple[Floats, Floats]:
    """Probability of the top share c, and how far below its edge 1 - c the mean of the rest lies."""
    width = 1 - c
    log_odds = np.log(c / width) + stable.level(c * strength) - stable.level(width * strength) + c * strength
    return 1 / (1 + np.exp(-log_odds)), width * stable.shortfall(width * strength)


def _slope(c: Floats, strength: Floats) -> Floats:
    """d W / d lambda with the top share c reversed: the covariance of proxy and gold.

    Within both blocks and between them. Distances are taken from the edge 1 - c, so that a tail of 1e-12
    keeps its digits.
    """
    in_tail, edge_gap = _tail(c, strength)
    width, short = 1 - c, stable.shortfall(c * strength)
    proxy_gap, gold_gap = c * (1 - short) + edge_gap, c * short + edge_gap
    rest = (1 - in_tail) * np.square(width) * stable.variance(width * strength)
    tail = in_tail * np.square(c) * stable.variance(c * strength)
    return rest - tail + in_tail * (1 - in_tail) * proxy_gap * gold_gap


def _crossing(slope: Callable[[Floats], Floats], low: Floats, high: Floats) -> Floats:
    """Where a function that is positive at `low` and negative at `high` changes sign, by halving."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        rises = slope(middle) > 0
        low, high = np.where(rises, middle, low), np.where(rises, high, middle)
    return (low + high) / 2
