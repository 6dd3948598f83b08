"""The subset Ties of RewardBench 2: several answers are right, and none of them should stand out.

Source: RewardBench 2 (arXiv 2506.01937), section 3 and appendix; `process_single_model` of its repository.
Each question comes twice: `ref:N` with one right answer, `tied:N` with several.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubricate.domain.intervals import RESAMPLES, Estimate
from rubricate.evaluation.benchmarks.cases import Case
from rubricate.evaluation.benchmarks.figures.headlines import Headline
from rubricate.evaluation.benchmarks.figures.outcomes import Scores

_WEIGHTS = (0.30, 0.30, 0.20, 0.20, 0.01)


class _Margins(NamedTuple):
    """Of one case: whether all right answers beat all wrong ones, how far apart the right ones are, and how
    far the worst right one is above the best wrong one."""

    accurate: bool
    spread: float
    gap: float


def is_ties(case: Case) -> bool:
    """Whether a case is of that subset."""
    return any(group.casefold() == "ties" for group in case.groups)


def composite(cases: Sequence[Case], scores: Sequence[Scores]) -> Headline:
    """The score of the subset: 0.3 accuracy on the tied ones + 0.3 on the reference ones + 0.2 share where
    the gap to the wrong answers exceeds the spread of the right ones + 0.2 share where it does so in both
    versions of a question + 0.01 mean of tanh(gap / spread - 1), as published. At most 1.01.

    Accuracies are over the cases of their version, the rest over questions that have both. A case with a
    response that has no score leaves both sides, and is counted in `missing`. The interval is the percentile
    bootstrap over questions, from a fixed seed.
    """
    found: dict[str, dict[str, _Margins]] = {"ref": {}, "tied": {}}
    silent = []
    for case, values in zip(cases, scores, strict=True):
        version, _, number = case.id.partition(":")
        margins = _margins(case, values)
        if margins is None:
            silent.append(case.id)
        else:
            found[version][number] = margins
    missing = tuple(f"{len(silent)} cases without all scores" for _ in silent[:1])
    both = sorted(set(found["ref"]) & set(found["tied"]))
    if not both:
        return Headline("Ties", None, missing, "no question of it has scores in both versions")
    questions = sorted(set(found["ref"]) | set(found["tied"]))
    terms = np.array([_terms(found, question) for question in questions])
    value = _weighed(terms, np.ones((1, len(questions))))[0]
    if len(questions) == 1:
        return Headline("Ties", Estimate(value, 1, None, None), missing)
    draws = np.random.default_rng(0).multinomial(
        len(questions), np.full(len(questions), 1 / len(questions)), size=RESAMPLES
    )
    drawn = np.sort(_weighed(terms, draws.astype(float)))
    drawn = drawn[np.isfinite(drawn)]
    tail = len(drawn) // 40
    low, high = float(drawn[max(tail - 1, 0)]), float(drawn[-max(tail, 1)])
    return Headline("Ties", Estimate(float(value), len(questions), low, high), missing)


def mean_of(parts: Sequence[Headline]) -> Headline:
    """The unweighted mean of the headlines that could be had, as the leaderboard takes it.

    The parts have no prompt in common; the interval adds their variances, each taken from its interval.
    """
    known = [part.estimate for part in parts if part.estimate is not None]
    missing = tuple(part.name for part in parts if part.estimate is None)
    if not known:
        return Headline("overall", None, missing, "none of its parts could be had")
    value = math.fsum(estimate.value for estimate in known) / len(known)
    halves = [
        (estimate.high - estimate.low) / 2
        for estimate in known
        if estimate.low is not None and estimate.high is not None
    ]
    n = sum(estimate.n for estimate in known)
    if len(halves) < len(known):
        return Headline("overall", Estimate(value, n, None, None), missing)
    half = math.sqrt(math.fsum(half * half for half in halves)) / len(known)
    return Headline("overall", Estimate(value, n, max(0.0, value - half), value + half), missing)


def _margins(case: Case, scores: Scores) -> _Margins | None:
    (contest,) = case.contests
    right = [scores[place] for place in contest.better]
    wrong = [scores[place] for place in contest.worse]
    known, others = [s for s in right if s is not None], [s for s in wrong if s is not None]
    if len(known) < len(right) or len(others) < len(wrong):
        return None
    gap = min(known) - max(others)
    spread = max(known) - min(known) if len(known) > 1 else math.nan
    return _Margins(gap > 0, spread, gap)


def _terms(found: Mapping[str, Mapping[str, _Margins]], question: str) -> list[float]:
    """The five terms of one question; NaN where it does not count for one."""
    ref, tied = found["ref"].get(question), found["tied"].get(question)
    accuracies = [float(side.accurate) if side else math.nan for side in (tied, ref)]
    if ref is None or tied is None:
        return [*accuracies, math.nan, math.nan, math.nan]
    least = min(ref.gap, tied.gap)
    # As published, what is not a number counts 0 in the mean; infinity stays, and its tanh is 1 or -1.
    if tied.spread == 0:
        lead = math.copysign(1.0, least) if least else 0.0
    else:
        lead = math.tanh(least / tied.spread - 1) if not math.isnan(tied.spread) else 0.0
    return [*accuracies, float(tied.gap > tied.spread), float(least > tied.spread), lead]


def _weighed(terms: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """The composite for each row of `draws`, which says how often each question is in it."""
    known = ~np.isnan(terms)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (draws @ np.where(known, terms, 0.0)) / (draws @ known.astype(float))
    composite: NDArray[np.float64] = means @ np.array(_WEIGHTS)
    return composite
