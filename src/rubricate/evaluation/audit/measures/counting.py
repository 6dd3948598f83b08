"""How many pairs a reward orders as the gold does: counted for all pairs of all prompts without listing one.

A pair is two responses to one prompt with different gold. Each pair is booked on its worse response, so that
the pairs within the top share of a pool are a sum over the responses in it: a pair is inside when the worse
of the two is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rubricate.evaluation.scored import Floats, Indices, Mask
from rubricate.theory.pools import order_within


class Layout(NamedTuple):
    """Responses of S segments (prompts, or bands of prompts), end to end."""

    sizes: Indices
    """Shape (S,), each at least 1."""

    @property
    def starts(self) -> Indices:
        return np.cumsum(self.sizes) - self.sizes

    @property
    def segment_of(self) -> Indices:
        """Shape (N,)."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def total(self, values: Floats | Indices | Mask) -> Floats:
        """Sums within each segment, shape (N,) to (S,)."""
        return np.add.reduceat(np.asarray(values, dtype=float), self.starts)

    def order(self, *keys: Floats) -> Indices:
        """See `theory.pools.order_within`."""
        return order_within(self.sizes, *keys)

    def kept(self, mask: Mask) -> Layout:
        """The layout of the responses that a mask keeps; segments may be empty no more than here."""
        counts = np.bincount(self.segment_of[mask], minlength=len(self.sizes))
        return Layout(counts[counts > 0].astype(np.int64))


class Booked(NamedTuple):
    """Pairs of each response with the better ones of its segment, shape (N,) each."""

    pairs: Floats
    """With all that are better in gold."""
    correct: Floats
    """Of these, the proxy gives the better one strictly more."""
    tied: Floats
    """The proxy gives both the same."""
    unjudged: Floats
    """The proxy is silent on one or both."""


def booked(layout: Layout, gold: Floats, proxy: Floats) -> Booked:
    """Counts the pairs of all segments; `gold` finite, `proxy` NaN where unjudged, both shape (N,).

    Exact. Cost: three sorts and O(N log m) for segments of m, in whole-array steps.

    Source: the count of concordant pairs behind Kendall's tau by divide and conquer, Knight (1966), JASA 61;
    here for every response, and for all segments at once.
    """
    pairs = _better(layout, gold)
    judged = ~np.isnan(proxy)
    correct, tied, seen = np.zeros_like(pairs), np.zeros_like(pairs), np.zeros_like(pairs)
    if judged.any():
        correct[judged], tied[judged], seen[judged] = _judged(
            layout.kept(judged), gold[judged], proxy[judged]
        )
    return Booked(pairs, correct, tied, pairs - seen)


def _judged(layout: Layout, gold: Floats, proxy: Floats) -> tuple[Floats, Floats, Floats]:
    """Correct, tied, and all pairs of each response, where every response is judged."""
    segment = layout.segment_of
    # Best gold first; within equal gold the proxy rises, so that none of these stands before a smaller one.
    order = layout.order(proxy, -gold)
    greater = _greater_before(layout, proxy[order])
    same = _place_in_group(layout.order(-gold, proxy), segment, proxy)
    same_gold_too = _place_in_group(order, segment, gold, proxy)
    correct = np.empty(len(gold))
    correct[order] = greater
    return correct, same - same_gold_too, _better(layout, gold)


def _better(layout: Layout, gold: Floats) -> Floats:
    """How many responses of its segment have more gold than each."""
    segment = layout.segment_of
    order = layout.order(-gold)
    place = np.empty(len(gold))
    place[order] = np.arange(len(gold)) - np.repeat(layout.starts, layout.sizes)
    return place - _place_in_group(order, segment, gold)


def _place_in_group(order: Indices, *keys: Floats | Indices) -> Floats:
    """How many before each have the same keys, where `order` puts equal keys side by side."""
    n = len(order)
    opens = np.ones(n, dtype=bool)
    opens[1:] = np.logical_or.reduce([key[order[1:]] != key[order[:-1]] for key in keys])
    first = np.flatnonzero(opens)
    place = np.empty(n)
    place[order] = np.arange(n) - np.repeat(first, np.diff(np.append(first, n)))
    return place


def _greater_before(layout: Layout, values: Floats) -> Floats:
    """How many of those that stand before it in its segment have a strictly greater value; shape (N,).

    Responses are kept in order of value and are sent by the bits of their places, the highest first, to the
    left or right half of their block: whoever goes right has passed all of the left half but those that come
    before it by value. Equal values stand in order of place, so that they pass nobody.
    """
    starts, order = layout.starts, layout.order(values)
    base = np.repeat(starts, layout.sizes)  # of each slot, and slots never leave their segment
    ends = np.repeat(starts + layout.sizes, layout.sizes)
    who, slots = order, np.arange(len(values))
    counts = np.zeros(len(values), dtype=np.int64)
    for bit in reversed(range(int(layout.sizes.max() - 1).bit_length())):
        place = who - base
        is_right = ((place >> bit) & 1).astype(bool)
        block = base + ((place >> (bit + 1)) << (bit + 1))
        lefts = np.cumsum(~is_right)
        passed = lefts - np.where(block > 0, lefts[block - 1], 0)  # lefts of the block up to this slot
        n_left = np.minimum(1 << bit, ends - block)
        counts[who[is_right]] += (n_left - passed)[is_right]
        target = np.where(is_right, n_left + (slots - passed), block + passed - 1)
        moved = np.empty_like(who)
        moved[target] = who
        who = moved
    return counts.astype(float)
