"""Many prompts with any number of responses each, laid end to end, and sums within each prompt.

Flat arrays of N responses, prompt after prompt, take a pool of a million responses through in whole-array
steps whatever the sizes of its prompts. Nothing here knows of rewards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rubricate.theory.stable import Floats

Indices = NDArray[np.int64]


class Levels(NamedTuple):
    """Where each response stands among those of its prompt, as base mass in [0, 1]; all (N,)."""

    below: Floats
    """Of the responses with a smaller value."""
    mass: Floats
    """Of the responses with the same value, itself among them."""
    up_to: Floats
    """Of both together."""


@dataclass(frozen=True, eq=False)
class Pools:
    """P prompts with N responses in all and the base policy over them; make one with `pools_of`."""

    sizes: Indices
    """Responses per prompt, shape (P,), each at least 1, adding up to N."""
    base: Floats
    """Base probability of each response, shape (N,), positive, adding up to 1 within each prompt."""
    starts: Indices
    """Where each prompt begins, shape (P,)."""

    def parts(self, limit: int) -> Iterator[tuple[Pools, slice]]:
        """The pools a few prompts at a time, with their rows: at most `limit` responses, or one prompt."""
        start = 0
        while start < len(self.sizes):
            offset = self.starts[start]
            stop = max(
                start + 1, int(np.searchsorted(self.starts + self.sizes, offset + limit, side="right"))
            )
            sizes = self.sizes[start:stop]
            rows = slice(int(offset), int(offset + sizes.sum()))
            yield Pools(sizes, self.base[rows], self.starts[start:stop] - offset), rows
            start = stop

    def total(self, values: Floats) -> Floats:
        """Sums within each prompt: shape (..., N) to (..., P)."""
        return np.add.reduceat(values, self.starts, axis=-1)

    def spread(self, values: Floats) -> Floats:
        """The value of its prompt for each response: shape (..., P) to (..., N)."""
        return np.repeat(values, self.sizes, axis=-1)

    def below_best(self, values: Floats) -> Floats:
        """Each value less the greatest of its prompt, shape (N,), at most 0."""
        return values - self.spread(np.maximum.reduceat(values, self.starts))

    def quantiles(self, values: Floats) -> Floats:
        """F0 of each response within its prompt, shape (N,), in (0, 1): the chance to beat a base draw.

        A draw that ties, itself among them, counts one half, so that the base policy wins exactly 1/2 of its
        draws and reversing all values turns F0 into 1 - F0. "Chasing the Tail" ignores ties here (section
        3): for a continuous reward there are none, in a pool every response ties at least with itself.
        """
        levels = self.levels(values)
        return (levels.below + levels.up_to) / 2

    def levels(self, values: Floats) -> Levels:
        """The level of each response among the responses of its prompt: equal values share one.

        Cost: one sort.
        """
        order = order_within(self.sizes, values)
        ordered = values[order]
        opens = np.ones(len(values), dtype=bool)  # the first response of each level
        opens[1:] = ordered[1:] != ordered[:-1]
        opens[self.starts] = True
        first = np.flatnonzero(opens)
        last = np.append(first[1:], len(values)) - 1
        running = self._running(self.base[order])
        is_lowest = np.zeros(len(values), dtype=bool)
        is_lowest[self.starts] = True
        below = np.where(is_lowest[first], 0.0, running[first - 1])
        mass = np.add.reduceat(self.base[order], first)  # not a difference: a light level keeps its digits
        in_order = np.cumsum(opens) - 1
        result = np.empty((3, len(values)))
        result[:, order] = below[in_order], mass[in_order], running[last][in_order]
        return Levels(*result)

    def _running(self, values: Floats) -> Floats:
        """Running sums within each prompt; one long sum with its start taken off would lose digits."""
        sums = np.empty_like(values)
        for size in np.unique(self.sizes):
            rows = self.starts[self.sizes == size][:, None] + np.arange(size)
            sums[rows] = np.cumsum(values[rows], axis=1)
        return np.minimum(sums, 1.0)


def pools_of(n_responses: int, sizes: ArrayLike | None = None, base: ArrayLike | None = None) -> Pools:
    """The layout of `n_responses` responses, N.

    `sizes`: responses per prompt in order, shape (P,); None means one prompt. `base`: weights of the base
    policy, shape (N,), scaled to 1 within each prompt; None means uniform.

    Raises: ValueError for no responses, a prompt without any, sizes that do not add up to N, and weights
    that are not positive and finite (a response of no weight is not of the base policy: leave it out).
    """
    counts = np.atleast_1d(np.asarray(n_responses if sizes is None else sizes, dtype=np.int64))
    if counts.ndim != 1 or not len(counts) or counts.min() < 1 or counts.sum() != n_responses:
        raise ValueError(f"sizes must be at least 1 and add up to the {n_responses} responses")
    weights = np.ones(n_responses) if base is None else np.asarray(base, dtype=float)
    if weights.shape != (n_responses,) or not np.all((weights > 0) & (weights < np.inf)):
        raise ValueError(f"base weights must be {n_responses} positive finite numbers")
    starts = np.cumsum(counts) - counts
    return Pools(counts, weights / np.repeat(np.add.reduceat(weights, starts), counts), starts)


def order_within(sizes: Indices, *keys: ArrayLike) -> Indices:
    """The order in which each prompt's responses stand by the last key, equal ones by the key before, and so
    on; equal ones by all keys keep their order. Shape (N,), places of responses, prompt after prompt.

    As `np.lexsort` with the prompt as the last key, and ten times as fast: prompts of one size are rows of
    one array. No key may hold NaN.
    """
    starts, order = np.cumsum(sizes) - sizes, np.arange(int(np.sum(sizes)))
    places = [starts[sizes == size][:, None] + np.arange(size) for size in np.unique(sizes)]
    for key in map(np.asarray, keys):
        following = np.empty_like(order)
        for rows in places:
            here = order[rows]
            following[rows] = np.take_along_axis(here, np.argsort(key[here], axis=1, kind="stable"), axis=1)
        order = following
    return order


def column(name: str, values: ArrayLike, n_responses: int | None = None) -> Floats:
    """One finite number per response, shape (N,).

    Raises: ValueError that names the column for another shape, NaN or an infinity.
    """
    numbers = np.asarray(values, dtype=float)
    if numbers.ndim != 1 or n_responses not in (None, len(numbers)):
        raise ValueError(f"{name}: one number per response is wanted, not shape {numbers.shape}")
    if not np.all(np.isfinite(numbers)):
        raise ValueError(f"{name}: row {int(np.argmin(np.isfinite(numbers)))} is not finite")
    return numbers
