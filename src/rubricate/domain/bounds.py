"""What a score can still become, and what must be asked before a choice is certain.

Some verdicts of a response are known and some were not asked. Its score then lies between two bounds, and
often that is enough: who cannot reach the top need not be graded. Nothing here is an estimate. Whatever the
open verdicts turn out to be, met, unmet or unjudged, the choice is the one of full grading, ties included;
tests/domain/test_bounds.py holds it against random tables of verdicts.

The rule of what to ask next is that of threshold algorithms (Fagin, Lotem and Naor 2003, Optimal aggregation
algorithms for middleware, section 6, "no random access"): the best upper bound first, until nobody's upper
bound reaches what is known of the last place. Ours are the floor of coverage, below which there is no
score, the pitfalls, and that ties are settled by content key.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence

import msgspec

from rubricate.domain.judgement import Verdict
from rubricate.domain.rubric import Rubric
from rubricate.domain.scoring import COVERAGE_FLOOR, TOP, has_failed, score, suffices, tie_share
from rubricate.domain.selection import FEW, Policy

_SLACK = 1e-12
"""How far bounds are widened for weights that are no whole numbers, whose sums are rounded."""


class Reach(msgspec.Struct, frozen=True):
    """Where a score can still end.

    If there is a score in the end, `low` <= score <= `high`, in [0, 1]. `may_lack`: it may end without one;
    `may_have`: it may end with one. `is_settled`: no verdict is open. `is_blank`: none is known.
    """

    low: float
    high: float
    may_lack: bool
    may_have: bool = True
    is_settled: bool = False
    is_blank: bool = False

    @property
    def score(self) -> float | None:
        """The score, where it is settled and there is one."""
        return self.low if self.is_settled and self.may_have else None


def settled(value: float | None) -> Reach:
    """The reach of a score that is known, None included."""
    if value is None:
        return Reach(0.0, 0.0, may_lack=True, may_have=False, is_settled=True)
    return Reach(value, value, may_lack=False, is_settled=True)


def reach_of(rubric: Rubric, verdicts: Sequence[Verdict | None], floor: float = COVERAGE_FLOOR) -> Reach:
    """Where the score of a response can still end; a verdict that is None is open. Linear in the criteria.

    Best and worst are had when all that is open gets judged, for good or for bad: an unjudged criterion
    leaves both sums of the score, which never helps beyond "met", nor hurts beyond "unmet". What may stay
    unjudged decides whether there is a score at all. A decisive criterion that failed leaves only 0, and
    one that is open may still.
    """
    known = tuple(verdict for verdict in verdicts if verdict is not None)
    if len(known) == len(verdicts):
        return settled(score(rubric, known, floor))
    met, judged, open_ = list[float](), list[float](), list[float]()
    for criterion, verdict in zip(rubric.criteria, verdicts, strict=True):
        if verdict is None:
            open_.append(criterion.weight)
        elif verdict.is_judged:
            judged.append(criterion.weight)
            if verdict.outcome == "met":
                met.append(criterion.weight)
    if not suffices(rubric, [*judged, *open_], floor):
        return Reach(0.0, 0.0, may_lack=True, may_have=False)
    positive = math.fsum(weight for weight in (*judged, *open_) if weight > 0)
    best = math.fsum((*met, *(weight for weight in open_ if weight > 0))) / positive
    worst = math.fsum((*met, *(weight for weight in open_ if weight < 0))) / positive
    if has_failed(rubric, verdicts):
        best = worst = 0.0
    elif rubric.has_decisive and any(
        c.is_decisive and verdict is None for c, verdict in zip(rubric.criteria, verdicts, strict=True)
    ):
        worst = 0.0
    slack = 0.0 if all(criterion.weight.is_integer() for criterion in rubric.criteria) else _SLACK
    return Reach(
        low=min(1.0, max(0.0, worst - slack)),
        high=min(1.0, max(0.0, best + slack)),
        may_lack=not suffices(rubric, judged, floor),
        is_blank=not known,
    )


def next_wave(reaches: Mapping[str, Reach], policy: Policy) -> tuple[str, ...]:
    """The keys of the responses to grade next, so that `select` can choose as from full grading; empty when
    it can already.

    `exclude_used` and `top2` need the best two settled, and nobody else who could rank before them;
    `contested` the top four and their ties, up to the eight that it looks at. `first_two` needs no score.
    All keys are of responses in play.
    """
    if policy == "first_two":
        return ()
    return next_of(reaches, TOP, FEW) if policy == "contested" else next_of(reaches, 2, 2)


def next_of(reaches: Mapping[str, Reach], top: int = TOP, most: int | None = None) -> tuple[str, ...]:
    """The keys of those to grade next until the best `top` and all that tie with the last of them (no more
    than `most`, in the order of `ranked`) are known with their scores; empty when they are.

    Only those are named that have to be graded whatever the others turn out to be, best upper bound first:
    so nobody is graded for nothing. But of those of whom nothing is known, whose order says nothing either, a
    quarter is named at a time and at least `TOP`: one after the other would save a little more where a rubric
    is saturated, and take as many times longer.
    """
    scores = sorted(-reach.low for reach in reaches.values() if reach.score is not None)
    places = sorted((-reach.low, key) for key, reach in reaches.items() if reach.score is not None)
    contenders = sorted(
        (-reach.high, key) for key, reach in reaches.items() if reach.may_have and not reach.is_settled
    )
    named = list[str]()
    for before, (high, key) in enumerate(contenders):
        better, ahead = bisect_left(scores, high), bisect_left(places, (high, key))
        if better + before >= top or (most is not None and ahead + before >= most):
            break
        named.append(key)
    if any(reaches[key].is_blank for key in named):
        size = max(TOP, -(-len(reaches) // 4))
        blank = [key for _, key in contenders if reaches[key].is_blank and key not in named]
        named += blank[: max(0, size - len(named))]
    return tuple(named)


def tie_share_of_top(reaches: Mapping[str, Reach], top: int = TOP) -> float | None:
    """`scoring.top_tie_share` where what is known fixes it; None where it is open or there is none."""
    scores = sorted((reach.low for reach in reaches.values() if reach.score is not None), reverse=True)
    best = scores[:top]
    others = [reach.high for reach in reaches.values() if reach.may_have and not reach.is_settled]
    if len(best) == top and best[0] == best[-1] and all(high <= best[-1] for high in others):
        return 1.0  # whoever else is in the top ties with all of it
    if next_of(reaches, top):
        return None
    return tie_share([value for value in scores if value >= best[-1]]) if best else None
