"""How far the gold scores are from uniform, which Theorem 1 takes them to be, and what that changes."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rubricate.domain.intervals import Estimate
from rubricate.evaluation.audit.measures.accuracy import tie_measures
from rubricate.evaluation.audit.measures.counting import Layout
from rubricate.evaluation.audit.measures.frontier import Path
from rubricate.evaluation.audit.measures.measure import Measure
from rubricate.evaluation.scored import Floats, Indices
from rubricate.theory import uniform

_SIMULATED = 400
_SIZES_SIMULATED = 24


class AtKl(NamedTuple):
    """Win rates at one KL of a reward that ranks perfectly, by the law of its values."""

    kl: float
    as_given: float | None
    """The gold scores as they are."""
    in_quantiles: float | None
    """The gold in quantiles: uniform but for the size of the pools and for ties."""
    theorem: float
    """Theorem 1: uniform, and a pool without end."""


class GoldLaw(NamedTuple):
    """The gold scores beside the uniform law."""

    distance: Estimate | None
    """`uniform_distance`, see `distance_from_uniform`."""
    distance_if_uniform: float
    """What truly uniform scores in prompts of these sizes would show."""
    tie_share: Estimate | None
    """Pairs of equal gold among all pairs."""
    at_kl: tuple[AtKl, ...]


def distance_from_uniform(layout: Layout, gold: Floats) -> Measure:
    """`uniform_distance`: the mean over prompts of the greatest gap between the gold's law and the uniform.

    Within each prompt gold is stretched to [0, 1]; the gap is the Kolmogorov-Smirnov distance of the
    empirical law from u, in [1/m, 1). Prompts with fewer than three responses or one gold take no part.

    Source: Kolmogorov (1933); stretching to the range of each prompt is ours.
    """
    lowest = np.repeat(np.minimum.reduceat(gold, layout.starts), layout.sizes)
    highest = np.repeat(np.maximum.reduceat(gold, layout.starts), layout.sizes)
    width = highest - lowest
    stretched = np.divide(gold - lowest, width, out=np.zeros_like(gold), where=width > 0)
    order = layout.order(stretched)
    place = np.arange(len(gold)) - np.repeat(layout.starts, layout.sizes)
    size = np.repeat(layout.sizes, layout.sizes)
    in_order = stretched[order]
    gap = np.maximum((place + 1) / size - in_order, in_order - place / size)
    greatest = np.maximum.reduceat(gap, layout.starts)
    usable = (layout.sizes >= 3) & (width[layout.starts] > 0)
    return Measure.mean(np.where(usable, greatest, np.nan))


def gold_law(layout: Layout, gold: Floats, as_given: Path, in_quantiles: Path, better: Floats) -> GoldLaw:
    """The gold of a pool beside the uniform law, from its own two paths (`frontier.path_of`)."""
    distance = distance_from_uniform(layout, gold)
    used = layout.sizes[distance.below > 0]
    ends = [path.means()[0][-1] for path in (as_given, in_quantiles)]
    kls = [kl for kl in (0.25, 0.5, 1.0, 1.5, 2.0, 3.0) if kl <= min(ends)]
    rows = [
        AtKl(
            kl,
            _win_rate(as_given, kl),
            _win_rate(in_quantiles, kl),
            float(uniform.win_rate(uniform.beta_at(kl))),
        )
        for kl in kls
    ]
    ties = tie_measures(layout, gold, better)["tie_share"].estimate()
    return GoldLaw(distance.estimate(), _if_uniform(used), ties, tuple(rows))


def _win_rate(path: Path, at: float) -> float:
    kl, win_rate, _ = path.means()
    return float(np.interp(at, kl, win_rate))


def _if_uniform(sizes: Indices) -> float:
    """The mean distance of uniform scores, by simulation; of many sizes, of a few spread among them."""
    if not len(sizes):
        return float("nan")
    ordered = np.sort(sizes)
    taken = ordered[np.unique(np.linspace(0, len(ordered) - 1, _SIZES_SIMULATED).round().astype(int))]
    return float(np.mean([_simulated(int(size)) for size in taken]))


@lru_cache(maxsize=64)
def _simulated(size: int) -> float:
    n_prompts = max(8, min(_SIMULATED, 400_000 // size))
    layout = Layout(np.full(n_prompts, size, dtype=np.int64))
    drawn = np.random.default_rng(size).random(n_prompts * size)
    measure = distance_from_uniform(layout, drawn)
    return float(measure.above.sum() / measure.below.sum())
