"""The paper's two ways to hold a rubric against a judge, on the gradings of one pair. Pure rules.

A grading is a score of one response by one run of the grader, None where it gave none. Only the order of the
scores of one pair counts, so raw sums and normalised scores do alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Literal, TypeVar

from rubricate.domain.judgement import Side

Score = float | None
Outcome = Literal["first", "second", "tie"]
Thing = TypeVar("Thing", bound=Hashable)


def outcome_of(first: Score, second: Score) -> Outcome | None:
    """Which of two scores is higher; None where one is missing."""
    if first is None or second is None:
        return None
    return "tie" if first == second else "first" if first > second else "second"


def majority(votes: Iterable[Thing | None]) -> Thing | None:
    """What more than half of all votes say, votes of None among those that count against it; else None."""
    cast = list(votes)
    given = Counter(vote for vote in cast if vote is not None)
    best = next(iter(given.most_common(1)), None)
    return best[0] if best is not None and 2 * best[1] > len(cast) else None


def paper_outcome(first: Sequence[Score], second: Sequence[Score]) -> Outcome | None:
    """The outcome that most gradings have: the k-th of one response against the k-th of the other.

    Source: Chasing the Tail, Table 2: five gradings of each response give five outcomes, and the majority is
    the rubric's preference. Two of each and one tie are no majority.
    """
    return majority(outcome_of(one, two) for one, two in zip(first, second, strict=False))


def paper_correct(outcome: Outcome | None, judge: Side) -> bool:
    """Right only if the majority is the judge's own preference: a tie, no majority and no grading are wrong.

    Source: Chasing the Tail, Table 2 ("ties count as wrong"). The mean over pairs is its accuracy.
    """
    return outcome == judge


def majority_score(scores: Sequence[Score]) -> Score:
    """The score that more than half of the gradings give exactly; None where none does."""
    return majority(scores)


def alignment_credit(first: Sequence[Score], second: Sequence[Score], judge: Side) -> float | None:
    """1 if the judge's preferred response has the higher majority score, 1/2 if the scores are equal, else 0.

    Without a majority for a response it is 1/2, as the official script's own page says; its code leaves such
    prompts out, and so counts only where the grader was sure of itself. None where a response has no grading
    at all: that is no opinion.

    Source: `evaluation/calculate_rubric_preference_alignment.py` of the official repository at 14bc65c.
    """
    if all(score is None for score in first) or all(score is None for score in second):
        return None
    outcome = outcome_of(majority_score(first), majority_score(second))
    return 0.5 if outcome in (None, "tie") else float(outcome == judge)
