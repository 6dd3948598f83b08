"""What a grader said: verdicts, scorecards, preferences. A failure to judge is a value of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

Outcome = Literal["met", "unmet", "unjudged"]


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Met, unmet, or unjudged with a reason, for one response and one criterion.

    `by` names who decided: a grader's model, or "check" for a program (domain/checks.py).
    `probability` of being met in [0, 1] where the grader gives one; `votes` as (met, asked);
    `evidence` a piece of the response that the grader quoted.
    """

    outcome: Outcome
    by: str = ""
    reason: str | None = None
    probability: float | None = None
    votes: tuple[int, int] | None = None
    evidence: str | None = None

    def __post_init__(self) -> None:
        if self.outcome == "unjudged" and not self.reason:
            raise ValueError("an unjudged criterion says why")

    @property
    def is_judged(self) -> bool:
        """Whether this is a verdict at all."""
        return self.outcome != "unjudged"


def unjudged(reason: str, by: str = "") -> Verdict:
    """No verdict, and why. Never to be counted as unmet."""
    return Verdict("unjudged", by=by, reason=reason)


class Scorecard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The verdicts of one response on one rubric: one entry per criterion, in rubric order, always."""

    rubric: str
    response: str
    verdicts: tuple[Verdict, ...]


class Preference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a judge says of two responses, asked in both orders (or in one, where that was asked for).

    `winner` is "first" or "second" only when both orders agree; "tie" when they do not;
    "unjudged" when an order gave no readable answer.
    """

    winner: Literal["first", "second", "tie", "unjudged"]
    reason: str | None = None


Side = Literal["first", "second"]


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a judge said to one order of a pair.

    `shown_first` is the response that stood first; `better` the position that was named, 1 or 2, or None,
    and `why` there is none.
    """

    shown_first: Side
    better: Literal[1, 2] | None
    why: str | None = None

    @property
    def winner(self) -> Side | None:
        """The response that was named."""
        if self.better is None:
            return None
        return "first" if (self.better == 1) == (self.shown_first == "first") else "second"


def preference_of(answers: Sequence[Answer]) -> Preference:
    """What the answers come to: unjudged if one is missing, a tie if they disagree."""
    missing = next((answer for answer in answers if answer.better is None), None)
    if missing is not None:
        return Preference("unjudged", missing.why)
    winners = {answer.winner for answer in answers}
    if len(winners) > 1:
        return Preference("tie", "the two orders disagree")
    return Preference("first" if winners == {"first"} else "second")
