"""Does the reward order responses as the gold does: overall, in the tail, by band; and where does it tie?

Accuracies come in three forms, all on the same pairs of different gold. Ties count as wrong (the plain name),
as one half (`_half`), or are left out (`_decided`). A pair with an unjudged response is wrong in the first
two, since silence agrees with nobody, and is left out of the third; the shares of tied and unjudged pairs
stand beside them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from rubricate.evaluation.audit.measures.counting import Booked, Layout, booked
from rubricate.evaluation.audit.measures.measure import Measure
from rubricate.evaluation.scored import Floats, Mask
from rubricate.theory.pools import order_within

SHARES = (0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""The top shares c of the pool by gold within which accuracy is measured."""

BANDS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Edges of the gold bands, counted from the bottom of the pool."""

TOPS = (2, 4, 8)
"""The k of the tie share among the best k by the proxy."""

EDGE = 1e-9
"""Rounding of base mass."""


def pair_measures(layout: Layout, pairs: Booked) -> dict[str, Measure]:
    """`pair_accuracy`, `_half`, `_decided`, and the shares `pair_ties` and `pair_unjudged`.

    Pair accuracy is the share of pairs of responses to one prompt, different in gold, of which the proxy
    gives the better one strictly more. Pairs are pooled over prompts.

    Source: ties as wrong, "Chasing the Tail" (arXiv 2509.21500), Table 2; ties as one half, its official
    evaluation script; that both stand beside the decided ones is ours.
    """
    return _three_ways("pair", layout, pairs, np.ones(len(pairs.pairs)))


def tail_measures(
    layout: Layout, pairs: Booked, better: Floats, shares: Iterable[float] = SHARES
) -> dict[str, Measure]:
    """The same within the top share c by gold: `tail_accuracy@25%`, `tail_accuracy_half@25%`, and so on.

    A response is in the top share c when the base mass of those with more gold, `better`, shape (N,), is
    below c: of 16 equal ones the best four at 25%, and all that tie with the fourth.

    Source: the tail of "Chasing the Tail", section 3: the responses with the gold quantile above 1 - c.
    """
    measures = dict[str, Measure]()
    for share in shares:
        inside = (better < share - EDGE).astype(float)
        measures |= _three_ways("tail", layout, pairs, inside, f"@{percent(share)}")
    return measures


def band_measures(layout: Layout, gold: Floats, proxy: Floats, better: Floats) -> dict[str, Measure]:
    """The same among responses of one gold band: `band_accuracy@75-100%` is the best quarter.

    The band [a, b) from the bottom holds the responses with 1 - b <= `better` < 1 - a. Source: ours; the
    paper's high and low regions (Table 2) are two policies instead.
    """
    inner = np.array(BANDS[1:-1])
    band = np.searchsorted(inner, 1 - better - EDGE, side="right")  # 0 is the worst
    segment = layout.segment_of * (len(BANDS) - 1) + band
    order = np.argsort(segment, kind="stable")
    _, sizes = np.unique(segment[order], return_counts=True)
    counted = booked(Layout(sizes.astype(np.int64)), gold[order], proxy[order])
    pairs = Booked(*(np.empty(len(gold)) for _ in counted))
    for whole, part in zip(pairs, counted, strict=True):
        whole[order] = part
    measures = dict[str, Measure]()
    for place, (low, high) in enumerate(pairwise(BANDS)):
        name = f"@{percent(low).rstrip('%')}-{percent(high)}"
        measures |= _three_ways("band", layout, pairs, (band == place).astype(float), name)
    return measures


def tie_measures(layout: Layout, proxy: Floats, better: Floats) -> dict[str, Measure]:
    """Shares of pairs with one score: `tie_share`, `tie_share_top@4`, `tail_tie_share@25%`.

    Of all pairs of judged responses, whatever their gold; of those among the best k by the proxy and all
    that tie with the last of them (`domain.scoring.top_tie_share`); of those in the top share c by gold.
    Pairs are pooled over prompts.

    Source: ours. A proxy that ties the top share c cannot pass a win rate of 1 - c/2 (`tail.tie_plateau`).
    """
    judged = ~np.isnan(proxy)
    above = np.full(len(proxy), np.inf)
    if judged.any():
        above[judged] = _greater(layout.kept(judged), proxy[judged])
    measures = {"tie_share": _ties(layout, proxy, judged)}
    measures |= {f"tie_share_top@{k}": _ties(layout, proxy, above < k) for k in TOPS}
    for share in (0.1, 0.25, 0.5):
        inside = judged & (better < share - EDGE)
        measures[f"tail_tie_share@{percent(share)}"] = _ties(layout, proxy, inside)
    return measures


def kendall_tau(layout: Layout, gold: Floats, proxy: Floats, pairs: Booked) -> Measure:
    """`kendall_tau`: the mean over prompts of tau-b between proxy and gold, in [-1, 1], of judged responses.

    tau-b = (C - D) / sqrt((n0 - n1)(n0 - n2)) with C concordant and D discordant pairs of n0, n1 tied in gold
    and n2 in the proxy. A proxy that ties a whole prompt gets 0 there, where the formula has no value: it
    orders nothing. A prompt with fewer than two judged responses or with one gold takes no part.

    Source: Kendall (1945), The treatment of ties in ranking problems, Biometrika 33.
    """
    concordant, tied = layout.total(pairs.correct), layout.total(pairs.tied)
    differ = layout.total(pairs.pairs - pairs.unjudged)  # n0 - n1
    judged = layout.total(~np.isnan(proxy))
    all_pairs = judged * (judged - 1) / 2
    ordered = all_pairs - _ties(layout, proxy, ~np.isnan(proxy)).above  # n0 - n2
    gap = concordant - (differ - concordant - tied)
    tau = np.divide(gap, np.sqrt(differ * ordered), out=np.zeros_like(gap), where=differ * ordered > 0)
    return Measure.mean(np.where(differ > 0, tau, np.nan))


def percent(share: float) -> str:
    """A share as it stands in a metric's name: 0.25 is 25%."""
    return f"{round(100 * share, 6):g}%"


def _three_ways(
    stem: str, layout: Layout, pairs: Booked, inside: Floats, place: str = ""
) -> dict[str, Measure]:
    total, correct, tied, unjudged = (layout.total(counts * inside) for counts in pairs)
    return {
        f"{stem}_accuracy{place}": Measure(correct, total),
        f"{stem}_accuracy_half{place}": Measure(correct + tied / 2, total),
        f"{stem}_accuracy_decided{place}": Measure(correct, total - tied - unjudged),
        f"{stem}_ties{place}": Measure(tied, total),
        f"{stem}_unjudged{place}": Measure(unjudged, total),
    }


def _ties(layout: Layout, proxy: Floats, inside: Mask) -> Measure:
    """Tied pairs and all pairs among the responses inside, by segment."""
    segment = layout.segment_of[inside]
    counts: Floats = np.bincount(segment, minlength=len(layout.sizes)).astype(float)
    order = order_within(counts[counts > 0].astype(np.int64), proxy[inside])
    ordered, of = proxy[inside][order], segment[order]
    opens = np.ones(len(order), dtype=bool)
    opens[1:] = (ordered[1:] != ordered[:-1]) | (of[1:] != of[:-1])
    first = np.flatnonzero(opens)
    group = np.diff(np.append(first, len(order))).astype(float)
    tied: Floats = np.bincount(of[first], group * (group - 1) / 2, minlength=len(layout.sizes)).astype(float)
    return Measure(tied, counts * (counts - 1) / 2)


def _greater(layout: Layout, values: Floats) -> Floats:
    """How many of its segment have a strictly greater value than each."""
    segment = layout.segment_of
    order = layout.order(-values)
    ordered, of = values[order], segment[order]
    opens = np.ones(len(order), dtype=bool)
    opens[1:] = (ordered[1:] != ordered[:-1]) | (of[1:] != of[:-1])
    first = np.flatnonzero(opens)
    level = np.repeat(first, np.diff(np.append(first, len(order))))
    result = np.empty(len(values))
    result[order] = level - np.repeat(layout.starts, layout.sizes)
    return result
