"""Marks or preferences -> what became of each contest: won, tied, lost or unjudged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from rubricate.domain.judgement import Preference
from rubricate.evaluation.benchmarks.cases import Case, Contest, cluster_of, contest_groups
from rubricate.evaluation.scorers.marks import Item, Mark, duel_key

Outcome = Literal["won", "tied", "lost", "unjudged"]
Scores = Sequence[float | None]

SAME = 1e-9
"""Scores that differ by no more are equal: sums of weights differ in their last bits."""


class Unit(NamedTuple):
    """One contest with its outcome. `credit` is 1 for a win and 1 / k for a tie of k responses at the top."""

    prompt: str
    groups: tuple[str, ...]
    outcome: Outcome
    credit: float


def scores_of(case: Case, marks: Mapping[str, Mark]) -> list[float | None]:
    """The score of each response of a case, in the order of the case; None also for one that nobody marked,
    since no contest needs it."""
    found = (marks.get(Item(case.prompt, text, case.rubric).key) for text in case.responses)
    return [mark.score if mark is not None else None for mark in found]


def by_scores(case: Case, scores: Scores) -> list[Unit]:
    """The contests of a case by scores: won if each of the better ones is strictly above each of the others.

    Unjudged if one of the responses has no score: it would be a guess on either side.
    """
    return [_unit(case, contest, *_settled(contest, scores)) for contest in case.contests]


def _settled(contest: Contest, scores: Scores) -> tuple[Outcome, float]:
    better = [scores[place] for place in contest.better]
    worse = [scores[place] for place in contest.worse]
    known, others = [s for s in better if s is not None], [s for s in worse if s is not None]
    if len(known) < len(better) or len(others) < len(worse):
        return "unjudged", 0.0
    least, most = min(known), max(others)
    if least > most + SAME:
        return "won", 1.0
    if least < most - SAME:
        return "lost", 0.0
    return "tied", 1 / (1 + sum(abs(score - most) <= SAME for score in others))


def by_preferences(case: Case, preferences: Mapping[str, tuple[str, Preference]]) -> list[Unit]:
    """The contests of a case by a judge who saw each duel in both orders.

    A contest is won only if every duel in it is; where the two orders disagree a duel is tied, which is not
    right: on pairs this is the net score over both orders of JudgeBench (arXiv 2410.12784, section 4). One
    lost duel loses the contest, whatever else is unjudged.
    """
    units = []
    for contest in case.contests:
        duels = [(place, other) for place in contest.better for other in contest.worse]
        found = {_duel(case, place, other, preferences) for place, other in duels}
        order: tuple[Outcome, ...] = ("lost", "unjudged", "tied", "won")
        outcome = next(outcome for outcome in order if outcome in found)
        credit = 1.0 if outcome == "won" else 0.5 if outcome == "tied" else 0.0
        units.append(_unit(case, contest, outcome, credit))
    return units


def _duel(case: Case, place: int, other: int, preferences: Mapping[str, tuple[str, Preference]]) -> Outcome:
    better, worse = case.responses[place], case.responses[other]
    if better == worse:
        return "tied"
    first, preference = preferences[duel_key((case.prompt, better, worse))]
    if preference.winner in ("tie", "unjudged"):
        return "tied" if preference.winner == "tie" else "unjudged"
    return "won" if (preference.winner == "first") == (first == better) else "lost"


def _unit(case: Case, contest: Contest, outcome: Outcome, credit: float) -> Unit:
    return Unit(cluster_of(case), contest_groups(case, contest), outcome, credit)
