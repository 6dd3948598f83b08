"""HealthBench-style figures: the mean of points over positive points, clipped at the mean and nowhere before.

Source: HealthBench (arXiv 2505.08775), section 4, and `healthbench_eval.py` of openai/simple-evals. A
negative criterion that is met takes points off; the denominator has the positive points alone; one answer
may be below 0, and only the mean of all is brought into [0, 1].
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from rubricate.domain.intervals import Estimate
from rubricate.evaluation import resampling
from rubricate.evaluation.benchmarks.cases import ALL, Case, cluster_of
from rubricate.evaluation.scorers.marks import Item, Mark


class PointTally(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One theme: the clipped mean over its answers, how many there are, and how many have no score.

    `below_zero` counts answers with negative points: what clipping each one would have hidden.
    """

    group: str
    n: int
    prompts: int
    unjudged: int
    below_zero: int
    mean: Estimate | None


def point_tallies(cases: Sequence[Case], marks: Mapping[str, Mark]) -> tuple[PointTally, ...]:
    """A row for each theme, `all` first, then by name."""
    found: dict[str, dict[str, list[float | None]]] = defaultdict(lambda: defaultdict(list))
    for case in cases:
        points = [marks[Item(case.prompt, text, case.rubric).key].points for text in case.responses]
        for group in dict.fromkeys((ALL, *case.groups)):
            found[group][cluster_of(case)] += points
    return tuple(_tally(group, found[group]) for group in sorted(found, key=lambda g: (g != ALL, g)))


def _tally(group: str, by_prompt: Mapping[str, list[float | None]]) -> PointTally:
    known = [[value for value in values if value is not None] for values in by_prompt.values()]
    mean = resampling.ratio([sum(values) for values in known], [len(values) for values in known])
    n, judged = sum(map(len, by_prompt.values())), sum(map(len, known))
    below = sum(value < 0 for values in known for value in values)
    return PointTally(group, n, len(by_prompt), n - judged, below, clipped(mean))


def clipped(mean: Estimate | None) -> Estimate | None:
    """The mean and the ends of its interval, brought into [0, 1]."""
    if mean is None:
        return None
    value, low, high = (
        None if x is None else min(1.0, max(0.0, x)) for x in (mean.value, mean.low, mean.high)
    )
    assert value is not None
    return Estimate(value, mean.n, low, high)
