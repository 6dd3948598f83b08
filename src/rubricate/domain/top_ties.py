"""Whether a new rubric ties more of the old top than the old one did, from what is known of both.

The gate compares tied pairs among the old top (`scoring.top_of`) before and after, over the responses that
have a score on both rubrics. It needs no score for that which cannot tip the scales: where the old top was
tied throughout and its pair is told apart, the rest may tie as it will.

All numbers here are of pairs. The bound adds up, response by response, what each open one could add at most;
so it is never too low, and exact once nothing is open. A response in the old top scored at least what the
fourth best surely scores: that narrows its old score, often to a point.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from math import comb

import msgspec

from rubricate.domain.bounds import Reach, next_of
from rubricate.domain.scoring import TOP, tie_share


class TopTies(msgspec.Struct, frozen=True):
    """How the count of tied pairs stands.

    `no_more`: the new rubric surely ties no more pairs of the old top than the old one. `to_ask`: the keys to
    grade next on what either rubric still lacks; empty when `no_more`, or when all is known. `share_before`
    and `share_after` are the tie shares over the same responses, in [0, 1]; None while they are open, and for
    fewer than two.
    """

    no_more: bool
    to_ask: tuple[str, ...] = ()
    share_before: float | None = None
    share_after: float | None = None


def top_ties(before: Mapping[str, Reach], after: Mapping[str, Reach]) -> TopTies:
    """Compares the old top under both rubrics. `before` has all responses in play, `after` the same ones.

    Quadratic in the size of the top.
    """
    members = _members(before, after)
    fixed = [member for member in members if member.is_fixed]
    loose = [member for member in members if not member.is_fixed]
    if not loose:
        return TopTies(
            no_more=_excess(fixed, ()) <= 0,
            share_before=tie_share(member.before for member in fixed),
            share_after=tie_share(member.after.score for member in fixed),
        )
    n_needed = next((n for n in range(len(loose)) if _hoped(fixed, loose, n) <= 0), len(loose))
    if n_needed == 0:
        return TopTies(no_more=True)
    next_in_top = next_of(before)
    named = [member.key for member in loose[:n_needed] if member.is_in_top or member.key in next_in_top]
    return TopTies(no_more=False, to_ask=tuple(named) or next_in_top)


class _Member(msgspec.Struct, frozen=True):
    """A response that may be in the old top and have a score on the new rubric. `before` is its old score if
    it is in the top, None while open; `is_in_top` whether it surely is."""

    key: str
    before: float | None
    after: Reach
    is_in_top: bool

    @property
    def is_fixed(self) -> bool:
        """Whether nothing is open that matters for the count."""
        return self.is_in_top and self.before is not None and self.after.is_settled

    @property
    def counts(self) -> bool:
        """Whether it surely takes part in the comparison."""
        return self.is_in_top and not self.after.may_lack


def may_be_top(reaches: Mapping[str, Reach]) -> tuple[str, ...]:
    """The keys of all who may be in the top (`scoring.top_of`), best upper bound first."""
    least = _least(reaches)
    found = [key for key, reach in reaches.items() if reach.may_have and reach.high >= least]
    return tuple(sorted(found, key=lambda key: (-reaches[key].high, key)))


def _least(reaches: Mapping[str, Reach]) -> float:
    """What the last of the top surely scores; 0 while that is not sure of anybody."""
    sure = sorted((reach.low for reach in reaches.values() if not reach.may_lack), reverse=True)
    return sure[TOP - 1] if len(sure) >= TOP else 0.0


def _members(before: Mapping[str, Reach], after: Mapping[str, Reach]) -> list[_Member]:
    """All who may take part, best upper bound under the old rubric first."""
    least = _least(before)
    highs = [reach.high for reach in before.values() if reach.may_have]
    found = []
    for key in may_be_top(before):
        reach = before[key]
        if not after[key].may_have:
            continue
        low = max(reach.low, least)
        n_better = sum(high > reach.low for high in highs) - (reach.high > reach.low)
        is_in_top = not reach.may_lack and n_better < TOP
        found.append(_Member(key, low if low == reach.high else None, after[key], is_in_top))
    return found


def _hoped(fixed: Sequence[_Member], loose: Sequence[_Member], n: int) -> int:
    """`_excess` once the first `n` of the loose ones are graded, if these then tie with nobody."""
    tied_before = Counter(member.before for member in fixed)
    had = sum(tied_before[member.before] for member in loose[:n] if member.before is not None)
    return _excess(fixed, loose[n:]) - had


def _excess(fixed: Sequence[_Member], loose: Sequence[_Member]) -> int:
    """By how many tied pairs the new rubric can exceed the old one at most; below 0, it has fewer."""
    tied_after = Counter(member.after.low for member in fixed)
    tied_before = Counter(member.before for member in fixed)
    excess = _pairs(tied_after) - _pairs(tied_before)
    for one in loose:
        most = max(
            (n for value, n in tied_after.items() if one.after.low <= value <= one.after.high), default=0
        )
        had = tied_before[one.before] if one.before is not None else 0
        excess += most - had if one.counts else max(0, most - had)
    for one, other in combinations(loose, 2):
        may_tie = one.after.low <= other.after.high and other.after.low <= one.after.high
        were_tied = one.before is not None and one.before == other.before
        excess += may_tie - were_tied if one.counts and other.counts else max(0, may_tie - were_tied)
    return excess


def _pairs(groups: Counter[float] | Counter[float | None]) -> int:
    return sum(comb(size, 2) for size in groups.values())
