"""What a response is sure to be worth, whatever the verdicts that are missing would have been."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rubricate.domain.aggregation import Rule
from rubricate.domain.judgement import Outcome, Verdict
from rubricate.domain.rubric import Rubric
from rubricate.domain.scoring import COVERAGE_FLOOR

_ROUNDING = 1e-9


def guaranteed(
    rule: Rule, rubric: Rubric, verdicts: Sequence[Verdict], floor: float = COVERAGE_FLOOR
) -> float | None:
    """The rule's score with all that is unjudged gone against the response, in [0, 1]; None when too little
    is judged for that.

    With all verdicts there it is `rule`. A plain score leaves unjudged criteria out of both sums, so a text
    that makes the grader stumble over what it would have failed rises: 4 of 5 points are 0.8, and 1.0 when
    the last is unjudged. Here it stays 0.8, and no text gains by making a verdict disappear.

    Two floors make it None: that of the rule, `floor` of the weight judged, and that the missing verdicts
    could not move the score by more than 1 - `floor` between them. The second is for rules with gates, where
    one verdict may settle all: a stutter there is no zero.

    The rules of `domain.aggregation` never fall when one more criterion goes well; this needs such a rule.
    """
    plain = rule(rubric, verdicts, floor)
    if plain is None or all(verdict.is_judged for verdict in verdicts):
        return plain
    worst = rule(rubric, _settled(rubric, verdicts, in_favour=False), floor)
    best = rule(rubric, _settled(rubric, verdicts, in_favour=True), floor)
    if worst is None or best is None or best - worst > 1 - floor + _ROUNDING:
        return None
    return worst


def _settled(rubric: Rubric, verdicts: Sequence[Verdict], *, in_favour: bool) -> list[Verdict]:
    """The verdicts with those that are missing filled in, for or against the response."""
    return [
        verdict if verdict.is_judged else Verdict(_outcome(met=(criterion.weight > 0) == in_favour))
        for criterion, verdict in zip(rubric.criteria, verdicts, strict=True)
    ]


def turned(verdict: Verdict) -> Verdict:
    """The judged verdict turned round, with its probability and its votes."""
    votes = None if verdict.votes is None else (verdict.votes[1] - verdict.votes[0], verdict.votes[1])
    probability = None if verdict.probability is None else 1 - verdict.probability
    return msgspec.structs.replace(
        verdict, outcome=_outcome(met=verdict.outcome != "met"), probability=probability, votes=votes
    )


def _outcome(*, met: bool) -> Outcome:
    return "met" if met else "unmet"
