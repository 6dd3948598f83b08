"""Is the reward about length? Its correlation with length, and its accuracy on pairs of about one length."""

from __future__ import annotations

import numpy as np

from rubricate.evaluation.audit.measures.counting import Layout
from rubricate.evaluation.audit.measures.measure import Measure
from rubricate.evaluation.scored import Floats, Indices
from rubricate.theory.pools import order_within, pools_of

RATIO = 1.25
"""Two lengths match when neither is more than 1.25 times the other: a ratio in [0.8, 1.25]."""

MATCHED_UP_TO = 256
"""Of a prompt with more responses, this many take part in the matching, spread evenly over its lengths."""


def length_correlation(layout: Layout, proxy: Floats, lengths: Floats) -> Measure:
    """`length_correlation`: the mean over prompts of Spearman's rank correlation of proxy and length.

    In [-1, 1], over the judged responses with a text. A prompt whose proxy ties all of them counts as 0; one
    with fewer than two of them, or with a single length, takes no part.

    Source: Spearman (1904), with mid-ranks for ties: Pearson's correlation of the ranks.
    """
    used = ~np.isnan(proxy) & ~np.isnan(lengths)
    result = np.full(len(layout.sizes), np.nan)
    if used.any():
        part = layout.kept(used)
        pools = pools_of(int(part.sizes.sum()), part.sizes)
        ranks = [pools.quantiles(values[used]) - 0.5 for values in (proxy, lengths)]  # of mean 0
        cross, own, length = (
            pools.total(a * b) for a, b in ((ranks[0], ranks[1]), (ranks[0], ranks[0]), (ranks[1], ranks[1]))
        )
        spread = np.sqrt(own * length)
        found = np.divide(cross, spread, out=np.zeros_like(cross), where=own > 1e-12)
        result[np.unique(layout.segment_of[used])] = np.where(length > 1e-12, found, np.nan)
    return Measure.mean(result)


def length_matched(layout: Layout, gold: Floats, proxy: Floats, lengths: Floats) -> dict[str, Measure]:
    """`length_matched_accuracy`, `_half`, `_decided`, with ties and unjudged pairs beside it.

    Pair accuracy (`accuracy.pair_measures`) on the pairs with a length ratio in [0.8, 1.25]. Exact up to 256
    responses a prompt; of more, 256 take part. Cost: a sort and O(matched pairs).

    Source: the length-matched pairs of the public sets in `docs/trust.md`; the range is theirs.
    """
    rows = _taking_part(layout, gold, proxy, lengths)
    segment, length = layout.segment_of[rows], lengths[rows]
    limit = length * RATIO * (1 + 1e-12)
    n_segments = len(layout.sizes)
    counts = np.zeros((4, n_segments))
    left, step = np.arange(len(rows)), 0
    while len(left):
        step += 1
        left = left[left + step < len(rows)]
        right = left + step
        near = (segment[left] == segment[right]) & (length[right] <= limit[left])
        left = left[near]
        counts += _compared(rows[left], rows[left + step], segment[left], gold, proxy, n_segments)
    pairs, correct, tied, unjudged = counts
    return {
        "length_matched_accuracy": Measure(correct, pairs),
        "length_matched_accuracy_half": Measure(correct + tied / 2, pairs),
        "length_matched_accuracy_decided": Measure(correct, pairs - tied - unjudged),
        "length_matched_ties": Measure(tied, pairs),
        "length_matched_unjudged": Measure(unjudged, pairs),
    }


def _taking_part(layout: Layout, gold: Floats, proxy: Floats, lengths: Floats) -> Indices:
    """Responses with a text, by prompt and length; of a large prompt every so many, ties by content."""
    rows = np.flatnonzero(lengths > 0)
    segment = layout.segment_of[rows]
    sizes = np.bincount(segment, minlength=len(layout.sizes))
    silent = np.where(np.isnan(proxy), np.inf, proxy)
    within = order_within(sizes[sizes > 0], silent[rows], gold[rows], lengths[rows])
    rows = rows[within]
    if not len(rows) or sizes.max() <= MATCHED_UP_TO:
        return rows
    size = np.repeat(sizes, sizes)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    wanted = np.minimum(size, MATCHED_UP_TO)
    taken: Indices = rows[(place * wanted) // size != ((place - 1) * wanted) // size]
    return taken


def _compared(
    one: Indices, other: Indices, segment: Indices, gold: Floats, proxy: Floats, n_segments: int
) -> Floats:
    """Pairs of different gold, correct, tied and unjudged ones, by segment: shape (4, S)."""
    by_gold, by_proxy = np.sign(gold[one] - gold[other]), np.sign(proxy[one] - proxy[other])
    differ = by_gold != 0
    marks = (differ, differ & (by_proxy == by_gold), differ & (by_proxy == 0), differ & np.isnan(by_proxy))
    return np.array([np.bincount(segment[mark], minlength=n_segments) for mark in marks], dtype=float)
