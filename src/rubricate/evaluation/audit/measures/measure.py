"""What is measured prompt by prompt, so that intervals over prompts and paired comparisons can be had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rubricate.domain.intervals import RESAMPLES, Estimate
from rubricate.evaluation import resampling
from rubricate.evaluation.scored import Floats

CURVES_DRAWN_BEYOND = 200
"""Resamples of whole curves for pools of more than `resampling.BOOTSTRAP_UP_TO` prompts."""


@dataclass(frozen=True, eq=False)
class Measure:
    """A ratio of two sums over prompts; each prompt adds one number above and one below, shape (P,) both.

    A share of pairs has the pairs won above and all pairs below, a mean over prompts has ones below. A
    prompt with nothing below takes no part.
    """

    above: Floats
    below: Floats

    @classmethod
    def mean(cls, values: Floats) -> Measure:
        """The mean of one number per prompt; NaN marks a prompt without."""
        there = ~np.isnan(values)
        return cls(np.where(there, values, 0.0), there.astype(float))

    def estimate(self) -> Estimate | None:
        """The ratio with its 95% interval over prompts (`resampling.ratio`); None where nothing is below."""
        return resampling.ratio(self.above, self.below)

    def less(self, other: Measure) -> Estimate | None:
        """What this one has more than another on the same prompts, paired."""
        return resampling.difference(self.above, self.below, other.above, other.below)


def estimated(measures: Mapping[str, Measure]) -> dict[str, Estimate | None]:
    """`Measure.estimate` of each, in their order, all drawn together."""
    found = resampling.ratios([(measure.above, measure.below) for measure in measures.values()])
    return dict(zip(measures, found, strict=True))


@lru_cache(maxsize=1)
def draws(n_prompts: int, seed: int = 0) -> Floats:
    """How often each prompt is in each resample, shape (R, P): whole curves are drawn again with these.

    2,000 resamples up to `resampling.BOOTSTRAP_UP_TO` prompts, 200 beyond, where a percentile of few draws
    is as good as the interval is narrow. All rewards of an audit see the same draws.
    """
    n_draws = RESAMPLES if n_prompts <= resampling.BOOTSTRAP_UP_TO else CURVES_DRAWN_BEYOND
    rng, counts = np.random.default_rng(seed), np.empty((n_draws, n_prompts))
    for row in counts:
        row[:] = np.bincount(rng.integers(n_prompts, size=n_prompts), minlength=n_prompts)
    return counts


def between(value: float, n: int, drawn: Floats) -> Estimate:
    """A value with the percentile interval of its resamples, shape (R,); NaN among them means no interval."""
    if n < 2 or np.isnan(drawn).any():
        return Estimate(value, n, None, None)
    ordered, tail = np.sort(drawn), len(drawn) // 40
    return Estimate(value, n, float(ordered[tail - 1]), float(ordered[-tail]))
