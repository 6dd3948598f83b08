"""Verdicts -> score -> order. Pure rules; a second rule is a second function."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from math import comb

from rubricate.domain.judgement import Verdict
from rubricate.domain.rubric import Rubric

COVERAGE_FLOOR = 0.8
TOP = 4
_ROUNDING = 1e-9


def score(rubric: Rubric, verdicts: Sequence[Verdict], floor: float = COVERAGE_FLOOR) -> float | None:
    """Weighted share of met criteria among those judged.

    In [0, 1]: the weights of the met criteria over the sum of the positive weights, clipped. None when
    less than `floor` of the weight was judged, of all of it or of the positive part alone, so that a silent
    grader never looks like a poor response, nor a heavy pitfall like coverage. Unjudged criteria leave both
    sums. 0 where a decisive criterion failed (`has_failed`).

    Source: Chasing the Tail, section 2, r = sum_i w_i V_i / sum_i w_i. The paper has neither pitfalls
    (negative weights), nor decisive criteria, nor a rule for unreadable verdicts; all three are ours.
    """
    judged = [(c.weight, v) for c, v in zip(rubric.criteria, verdicts, strict=True) if v.is_judged]
    if not suffices(rubric, [weight for weight, _ in judged], floor):
        return None
    if has_failed(rubric, verdicts):
        return 0.0
    positive = math.fsum(weight for weight, _ in judged if weight > 0)
    met = math.fsum(weight for weight, verdict in judged if verdict.outcome == "met")
    return min(1.0, max(0.0, met / positive))


def has_failed(rubric: Rubric, verdicts: Sequence[Verdict | None]) -> bool:
    """Whether a must-have is judged unmet or a veto judged met. Unjudged (or open) decides nothing."""
    return rubric.has_decisive and any(
        criterion.is_decisive
        and verdict is not None
        and verdict.outcome == ("unmet" if criterion.weight > 0 else "met")
        for criterion, verdict in zip(rubric.criteria, verdicts, strict=True)
    )


def suffices(rubric: Rubric, judged: Sequence[float], floor: float = COVERAGE_FLOOR) -> bool:
    """Whether enough is judged for a score: `floor` of the weight, and of its positive part. `judged` holds
    the weights of the judged criteria. More that is judged never suffices less."""
    if len(judged) == len(rubric.criteria) and floor <= 1:
        return True
    positive = math.fsum(weight for weight in judged if weight > 0)
    weight = math.fsum(map(abs, judged)) / rubric.total_absolute_weight
    return positive > 0 and min(weight, positive / rubric.total_weight) >= floor - _ROUNDING


def coverage(rubric: Rubric, verdicts: Sequence[Verdict]) -> float:
    """Share of the weight (pitfalls by their absolute weight) that was judged, in [0, 1]."""
    judged = [abs(c.weight) for c, v in zip(rubric.criteria, verdicts, strict=True) if v.is_judged]
    return math.fsum(judged) / rubric.total_absolute_weight


def ranked(score_by_key: dict[str, float | None]) -> tuple[str, ...]:
    """Keys of the responses, best score first, ties by content key, those without a score last."""

    def place(key: str) -> tuple[bool, float, str]:
        value = score_by_key[key]
        return (value is None, -(value or 0.0), key)

    return tuple(sorted(score_by_key, key=place))


def top_of(score_by_key: dict[str, float | None], top: int = TOP) -> tuple[str, ...]:
    """Keys of the best `top` responses and of all that tie with the last of them, best first."""
    best = [key for key in ranked(score_by_key) if score_by_key[key] is not None]
    if len(best) <= top:
        return tuple(best)
    last = score_by_key[best[top - 1]]
    return tuple(best[:top]) + tuple(key for key in best[top:] if score_by_key[key] == last)


def tie_share(scores: Iterable[float | None]) -> float | None:
    """Share of pairs that have equal scores, in [0, 1]; responses without a score do not count.

    None for fewer than two scores. Over the top of a pool this is what saturates a reward: a proxy
    constant on the top share c caps the win rate at 1 - c/2 however long one trains (derived from
    Chasing the Tail, Proposition 1; see docs/concepts.md).
    """
    groups = Counter(value for value in scores if value is not None)
    pairs = comb(groups.total(), 2)
    return sum(comb(size, 2) for size in groups.values()) / pairs if pairs else None


def top_tie_share(score_by_key: dict[str, float | None], top: int = TOP) -> float | None:
    """`tie_share` over `top_of` a pool."""
    return tie_share(score_by_key[key] for key in top_of(score_by_key, top))
