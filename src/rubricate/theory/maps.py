"""The maps of Figure 2: proxies that rank one stretch of gold quantiles wrongly, and what they cost.

A map f sends the gold quantile u of a response to the quantile f(u) at which the proxy puts it. All maps of
the paper cut [0, 1] into blocks and do one thing within each: keep the order, reverse it, shuffle it, or tie
it. Within a block the tilted law is a truncated exponential, so that win rate and KL are sums of one closed
form per block: no integral is ever computed numerically.

Source: "Chasing the Tail" (arXiv 2509.21500), Figure 2 and Theorem 1; closed forms per block, ties,
shuffles and best-of-n are derived here (docs/theory.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from rubricate.theory import stable
from rubricate.theory.stable import Floats

Order = Literal["kept", "reversed", "shuffled", "tied"]


@dataclass(frozen=True)
class Block:
    """A stretch [start, end] of gold quantiles that the proxy maps onto itself, and how.

    kept: f(u) = u. reversed: f(u) = start + end - u. shuffled: a random rearrangement of arbitrarily fine
    cells; what is computed is its expectation. tied: f(u) = start, the whole block at its lower edge.
    """

    start: float
    end: float
    order: Order = "kept"

    @property
    def width(self) -> float:
        return self.end - self.start

    @property
    def top(self) -> float:
        """The highest quantile that the proxy gives to a response of this block."""
        return self.start if self.order == "tied" else self.end


@dataclass(frozen=True)
class BlockMap:
    """A proxy as blocks of [0, 1], ascending and without gaps.

    Without tied blocks it is measure-preserving, so that Theorem 1 (i) holds and its KL is `uniform.kl`
    whatever the blocks do. Raises: ValueError for blocks that do not partition [0, 1].
    """

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        edges = [0.0, *(block.end for block in self.blocks)]
        starts = [*(block.start for block in self.blocks), 1.0]
        if edges != starts or any(not block.width > 0 for block in self.blocks):
            raise ValueError(f"blocks must partition [0, 1] in ascending order: {self.blocks}")

    def proxy(self, gold_quantile: ArrayLike) -> Floats:
        """f(u) for u in [0, 1], of any shape. Raises: ValueError for a map with a shuffled block."""
        if any(block.order == "shuffled" for block in self.blocks):
            raise ValueError("a shuffled block has no one value: only its expectation is known")
        u = np.asarray(gold_quantile, dtype=float)
        result = u.copy()
        for block in self.blocks:
            inside = (u > block.start) & (u <= block.end) if block.start else u <= block.end
            if block.order == "reversed":
                result[inside] = block.start + block.end - u[inside]
            elif block.order == "tied":
                result[inside] = block.start
        return result

    def win_rate(self, beta: ArrayLike) -> Floats:
        """The win rate, which is the expected gold quantile too, of the policy tilted by e^{f / beta}.

        beta in [1e-300, inf], of any shape; the result has that shape and lies in [0, 1]. Exact to 1e-14.

        Source: Theorem 1 (ii), block by block: a block [a, a + w] without ties has the mean a + w W(w / beta)
        if kept, a + w (1 - W(w / beta)) if reversed, with W of `uniform.win_rate`, and a + w/2 if shuffled or
        tied.
        """
        _, tilts, probabilities = self._tilted(beta)
        short = stable.shortfall(tilts)
        means = [
            block.end - block.width * short[..., i]
            if block.order == "kept"
            else block.start + block.width * short[..., i]
            if block.order == "reversed"
            else np.full_like(short[..., i], (block.start + block.end) / 2)
            for i, block in enumerate(self.blocks)
        ]
        return np.asarray(np.sum(probabilities * np.stack(means, axis=-1), axis=-1))

    def kl(self, beta: ArrayLike) -> Floats:
        """KL(pi || pi0) in nats of the policy tilted by e^{f / beta}.

        beta in [1e-300, inf], of any shape; the result has that shape. Without ties it is `uniform.kl(beta)`,
        unbounded; with the top c tied it never exceeds -log c.

        Source: Theorem 1 (i); with ties, the chain rule: the KL between blocks plus the mean KL within them,
        which a tied block does not have.
        """
        log_ratios, tilts, probabilities = self._tilted(beta)
        between = np.sum(self._widths * stable.surprise(log_ratios, probabilities / self._widths), axis=-1)
        return np.asarray(between + np.sum(probabilities * stable.divergence(tilts), axis=-1))

    def win_rate_of_best(self, n: ArrayLike) -> Floats:
        """The win rate of best-of-n under this proxy, ties settled by chance.

        n at least 1, of any shape, not necessarily whole; the result has that shape and lies in [0, 1].

        Source: Theorem 1 (ii) with the density n v^(n-1) instead of e^{v / beta}. A block [a, b] is hit with
        chance b^n - a^n and, if kept, adds n / (n+1) (b^(n+1) - a^(n+1)); correct ranking gives n / (n+1).
        """
        draws = _draws(n)
        total = np.zeros_like(draws)
        for block in self.blocks:
            a, b = block.start, block.end
            hit, both = b**draws - a**draws, a + b
            kept = draws / (draws + 1) * (b ** (draws + 1) - a ** (draws + 1))
            worth = {"kept": kept, "reversed": both * hit - kept}
            total += worth.get(block.order, both / 2 * hit)
        return total

    def kl_of_best(self, n: ArrayLike) -> Floats:
        """KL in nats of best-of-n under this proxy from the base policy.

        n at least 1, of any shape; the result has that shape. Without ties it is `best_of_n.kl_bound(n)`;
        with the top c tied it stays below -log c.

        Source: the mean of log(n v^(n-1)) over a block [a, b] without ties is
        (b^n - a^n) log n + (n-1) [v^n log v - v^n / n] from a to b; over a tied one it is that of
        log((b^n - a^n) / (b - a)).
        """
        draws = _draws(n)
        total = np.zeros_like(draws)
        for block in self.blocks:
            a, b = block.start, block.end
            hit = b**draws - a**draws
            if block.order == "tied":
                total += hit * np.log(np.where(hit > 0, hit, 1.0) / block.width)
            else:
                rest = b**draws * np.log(b) - (a**draws * np.log(a) if a else 0.0) - hit / draws
                total += hit * np.log(draws) + (draws - 1) * rest
        return total

    @property
    def _widths(self) -> Floats:
        return np.array([block.width for block in self.blocks])

    def _tilted(self, beta: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """log(probability / width), tilt within, probability of each block, all of shape (..., blocks)."""
        betas = np.asarray(beta, dtype=float)[..., None]
        if not np.all(betas >= 1e-300):
            raise ValueError("beta: at least 1e-300 is wanted")
        is_tied = np.array([block.order == "tied" for block in self.blocks])
        tops = np.array([block.top for block in self.blocks])
        tilts = np.where(is_tied, 0.0, self._widths / betas)
        levels = stable.over_beta(tops - tops.max(), betas) + stable.level(tilts)
        levels = levels - levels.max(axis=-1, keepdims=True)
        log_ratios = levels - stable.log_of_mean(
            np.sum(self._widths * np.exp(levels), axis=-1, keepdims=True),
            np.sum(self._widths * np.expm1(levels), axis=-1, keepdims=True),
        )
        return log_ratios, tilts, self._widths * np.exp(log_ratios)


def within(start: float, end: float, order: Order) -> BlockMap:
    """The map that does `order` within [start, end] and ranks all else correctly; 0 <= start < end <= 1."""
    blocks = (Block(0.0, start), Block(start, end, order), Block(end, 1.0))
    return BlockMap(tuple(block for block in blocks if block.end > block.start))


def correct() -> BlockMap:
    """f(u) = u, the gold reward itself. Source: Figure 2a."""
    return within(0.0, 1.0, "kept")


def reversed_order() -> BlockMap:
    """f(u) = 1 - u. Source: Figure 2a."""
    return within(0.0, 1.0, "reversed")


def top_wrong(c: float) -> BlockMap:
    """The top share c reversed, c in (0, 1]: f(u) = u up to 1 - c, then 2 - c - u. Source: Figure 2a."""
    return within(1 - _share(c), 1.0, "reversed")


def worst_wrong(c: float) -> BlockMap:
    """The bottom share c reversed, c in [0, 1]: f(u) = c - u up to c, then u. Source: Figure 2a."""
    return within(0.0, c, "reversed") if c else correct()


def top_tied(c: float) -> BlockMap:
    """The top share c tied, c in (0, 1]: f(u) = min(u, 1 - c), what a saturated rubric does. Source: ours."""
    return within(1 - _share(c), 1.0, "tied")


def top_shuffled(c: float) -> BlockMap:
    """The top share c in random order, c in (0, 1]: noise where a wrong order would be bias. Source: ours."""
    return within(1 - _share(c), 1.0, "shuffled")


def only_top_right(c: float) -> BlockMap:
    """The worst of all measure-preserving maps that rank the top share c correctly, c in [0, 1].

    Its curve is the lower envelope of theirs: by the rearrangement inequality the worst order of the rest is
    its reversal, so that it is `worst_wrong(1 - c)`. Source: Figure 2b.
    """
    return worst_wrong(1 - c)


def reversal_cost(start: float, end: float, beta: ArrayLike) -> Floats:
    """The win rate lost by reversing the order within [start, end], all else being correct.

    beta in [1e-300, inf], of any shape; the result has that shape and lies in [0, 1], exact to 1e-13 of
    itself. A shuffle of the block costs one half of it.

    Source: derived from Theorem 1 (ii). With lambda = 1 / beta and w = end - start it is lambda /
    (e^lambda - 1) e^(lambda start) [(w/lambda - 2/lambda^2) e^(lambda w) + w/lambda + 2/lambda^2],
    here as the block's probability times twice what the tilt lifts its mean.
    """
    if not 0 <= start < end <= 1:
        raise ValueError(f"no stretch of [0, 1]: {start} to {end}")
    betas = np.asarray(beta, dtype=float)
    width = end - start
    tilt = width / betas
    above = stable.over_beta(np.asarray(end - 1.0), betas)
    probability = width * np.exp(above + stable.level(tilt) - stable.level(1 / betas))
    return probability * width * 2 * stable.lift(tilt)


def _share(c: float) -> float:
    if not 0 < c <= 1:
        raise ValueError(f"a share is in (0, 1], not {c}")
    return c


def _draws(n: ArrayLike) -> Floats:
    draws = np.asarray(n, dtype=float)
    if not np.all(draws >= 1):
        raise ValueError("n is at least 1")
    return draws
