"""What is won by choosing with the reward: its best response, best-of-n, and who wrote the winners."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rubricate.domain.intervals import Estimate
from rubricate.evaluation.audit.measures.counting import Layout
from rubricate.evaluation.audit.measures.measure import Measure
from rubricate.evaluation.scored import Floats, Indices
from rubricate.theory.best_of_n import chances_of_best
from rubricate.theory.pools import pools_of
from rubricate.theory.tilt import density

MOST_DRAWS = 64
SOURCES_SHOWN = 20


class BestOf(NamedTuple):
    """Choosing the proxy's best of n different responses of each prompt that has as many judged ones."""

    n: int
    gold: Measure
    win_rate: Measure
    """Chance to beat a response of the prompt drawn by chance, ties one half."""
    spread: float
    """Standard deviation of the mean gold over the choice of the n candidates, the prompts held fixed: what
    one run of best-of-n, with its candidates in the order they came, would add as noise."""


class Source(NamedTuple):
    """A generator: its share of the responses, of the proxy's best ones, and of the gold's."""

    name: str
    pool: float
    proxy: Estimate | None
    gold: Estimate | None


def chances(layout: Layout, proxy: Floats, weights: Floats | None) -> Floats:
    """How likely each response is the proxy's best of its prompt, shape (N,): ties share by base weight."""
    judged, result = ~np.isnan(proxy), np.zeros(len(proxy))
    if judged.any():
        part = layout.kept(judged)
        base = None if weights is None else weights[judged]
        result[judged] = density(proxy[judged], 0.0, sizes=part.sizes, base=base)[0]
    return result


def regret(layout: Layout, gold: Floats, chance: Floats, weights: Floats | None) -> dict[str, Measure]:
    """`best_gold`, `regret`, `regret_share`: what the proxy's best response is worth, and what it misses.

    `best_gold` is its expected gold, ties by base weight; `regret` the prompt's highest gold less that, in
    gold units, at least 0: means over prompts. `regret_share` is the sum of the regrets over the sum of
    (highest gold - mean gold): 0 for the gold itself, 1 for a draw by chance, above 1 for worse than chance.
    Prompts without a judged response take no part.

    Source: simple regret as in the bandit literature, e.g. Bubeck, Munos and Stoltz (2009), arXiv 0802.2655.
    """
    pools = pools_of(len(gold), layout.sizes, weights)
    heard = layout.total(chance) > 0
    best = np.where(heard, layout.total(chance * gold), np.nan)
    highest = np.maximum.reduceat(gold, layout.starts)
    room = highest - pools.total(pools.base * gold)
    missed = np.where(heard, highest - best, 0.0)
    return {
        "best_gold": Measure.mean(best),
        "regret": Measure(missed, heard.astype(float)),
        "regret_share": Measure(missed, np.where(heard, room, 0.0)),
    }


def best_of_n(layout: Layout, gold: Floats, proxy: Floats) -> list[BestOf]:
    """The curve for n = 1, 2, 4, ... up to 64 or the largest prompt: exact means over all choices of n.

    Ties by chance, base weights not used: the responses count as draws of the policy. Prompts with fewer
    than n judged responses take no part from there on.

    Source: the estimator of `theory.best_of_n.best_of_n_estimate`. The spread over candidates is what a
    best-of-n figure from one order of candidates hides.
    """
    judged = ~np.isnan(proxy)
    if not judged.any():
        return []
    part, heard = layout.kept(judged), np.unique(layout.segment_of[judged])
    rewards = gold[judged]
    ns = _draws(int(part.sizes.max()))
    chance = chances_of_best(proxy[judged], ns, sizes=part.sizes)
    beaten = pools_of(len(rewards), part.sizes).quantiles(rewards)
    away = rewards - np.repeat(part.total(rewards) / part.sizes, part.sizes)  # squares keep their digits
    result = []
    for n, law in zip(ns, chance, strict=True):
        columns = []
        for values in (rewards, beaten):
            whole = np.full(len(layout.sizes), np.nan)
            whole[heard] = part.total(law * values)
            columns.append(Measure.mean(whole))
        variance = part.total(law * np.square(away)) - np.square(part.total(law * away))
        variance = np.maximum(variance[~np.isnan(variance)], 0.0)
        result.append(BestOf(n, columns[0], columns[1], float(np.sqrt(variance.sum()) / len(variance))))
    return result


def by_chance(layout: Layout, gold: Floats) -> list[BestOf]:
    """The curve of a choice by chance: flat."""
    mean = layout.total(gold) / layout.sizes
    variance = layout.total(np.square(gold - np.repeat(mean, layout.sizes))) / layout.sizes
    result = []
    for n in _draws(int(layout.sizes.max())):
        enough = layout.sizes >= n
        reached = Measure.mean(np.where(enough, mean, np.nan))
        even = Measure.mean(np.where(enough, 0.5, np.nan))
        result.append(BestOf(n, reached, even, float(np.sqrt(variance[enough].sum()) / enough.sum())))
    return result


def _draws(largest: int) -> list[int]:
    """1, 2, 4, ... up to the largest prompt, and no more than 64."""
    return [n for n in (1, 2, 4, 8, 16, 32, MOST_DRAWS) if n <= largest]


def winners(layout: Layout, chance: Floats, sources: Indices) -> tuple[dict[str, Measure], list[int]]:
    """`source_top_share`: the share of prompts won by the source that wins most; and all sources, best first.

    A source is who wrote a response. A reward that loves one model's style has a share far above that of the
    gold. Prompts with a response of unknown source count below only. Empty where no source is known.
    """
    known = sources >= 0
    if not known.any():
        return {}, []
    wins = np.bincount(sources[known], chance[known], minlength=int(sources.max()) + 1)
    order = sorted(range(len(wins)), key=lambda place: (-wins[place], place))
    return {"source_top_share": share_of(layout, chance, sources, order[0])}, order


def share_of(layout: Layout, chance: Floats, sources: Indices, source: int) -> Measure:
    """The share of prompts that a source wins; ties share a prompt."""
    heard = (layout.total(chance) > 0).astype(float)
    return Measure(layout.total(chance * (sources == source)), heard)
