"""What becomes of criteria: which are one, which retire, which come back. Pure rules.

A criterion counts (active), or it is kept for evaluations alone (retired); nothing is ever lost. Must-haves
and vetoes always count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from rubricate.domain.judgement import Verdict
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.offline.words import criterion_terms
from rubricate.rewards.measures.groups import Standing
from rubricate.rewards.measures.tally import Course

How = Literal["constant", "crowded", "dropped"]
"""Why a criterion counts no more: it said the same of all completions; there were too many; the proposer left
it out of a rubric that was accepted."""

_TURN_LIST = (
    "not no nor never none without cannot can't don't doesn't isn't aren't won't shouldn't avoid avoids "
    "against warn warns before after over under above below up down out off more less most least fewer "
    "only all both either neither first last unless until"
)
_TURNS = frozenset(_TURN_LIST.split())
"""Words that turn the sense of a sentence, and that weigh little among its words: they must be the same."""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?|\d+(?:[.,:]\d+)*")


class Retired(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A criterion that counts no more, since which step and why; `why` has the numbers."""

    criterion: Criterion
    how: How
    step: int
    why: str


class Merged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rubric as it was proposed, with what was there already in its old words.

    `same` are the proposed texts that were merged, each with the text that stays; `back` the texts of retired
    criteria that were proposed again.
    """

    rubric: Rubric
    same: tuple[tuple[str, str], ...] = ()
    back: tuple[str, ...] = ()


def plain(text: str) -> str:
    """A text without what makes no difference: case, spaces, marks at its end."""
    return " ".join(text.casefold().split()).rstrip(" .;:!")


def are_one(first: Criterion, second: Criterion, alike: float) -> bool:
    """Whether two criteria say the same, as far as words can tell. Symmetric.

    Their plain texts are equal; or they share `alike` of all their content words (Jaccard, by stem, see
    offline/words.py), all numbers, and all words that turn a sense. One that says more than the other is
    another criterion: that is what refinement writes. Good statements and pitfalls are never one.
    """
    if (first.weight > 0) != (second.weight > 0):
        return False
    if plain(first.text) == plain(second.text):
        return True
    one, other = (
        {term.stem: term.is_number for term in criterion_terms(criterion.text)}
        for criterion in (first, second)
    )
    if not one or not other or _turns(first.text) != _turns(second.text):
        return False
    shared, whole = one.keys() & other.keys(), one.keys() | other.keys()
    lone_number = any((one | other)[stem] for stem in whole - shared)
    return not lone_number and len(shared) / len(whole) >= alike


def merged(
    before: Rubric, retired: Sequence[Retired], proposed: Rubric, alike: float, taken: Iterable[str] = ()
) -> Merged:
    """The proposed rubric in which what says the same as a known criterion is that criterion.

    A known one keeps its id and its text, so that its verdicts hold, and takes the weight that the proposal
    gives it; of two weights the larger. New ones get ids of their own (`taken` are those in use). The order
    is that of the proposal.
    """
    known = [*before.criteria, *(one.criterion for one in retired)]
    resting = {one.criterion.text for one in retired} - {criterion.text for criterion in before.criteria}
    ids = {*taken, *(criterion.id for criterion in known)}
    chosen: dict[str, Criterion] = {}
    same, back = [], []
    for criterion in proposed.criteria:
        exact = [each for each in known if each.text == criterion.text and _agree(each, criterion)]
        near = (
            each
            for each in (*known, *chosen.values())
            if are_one(each, criterion, alike) and _agree(chosen.get(each.text, each), each)
        )
        match = exact[0] if exact else next(near, None)
        if match is None:
            number = next(n for n in range(len(ids) + 1, 2 * len(ids) + 2) if f"c{n}" not in ids)
            ids.add(f"c{number}")
            chosen[criterion.text] = msgspec.structs.replace(criterion, id=f"c{number}")
            continue
        if match.text != criterion.text:
            same.append((criterion.text, match.text))
        if match.text in resting and match.text not in back:
            back.append(match.text)
        size = max(abs(criterion.weight), abs(chosen[match.text].weight) if match.text in chosen else 0)
        weight = size if match.weight > 0 else -size
        chosen[match.text] = msgspec.structs.replace(match, weight=weight)
    if _content(chosen.values()) == _content(before.criteria):
        return Merged(before, tuple(same))
    rubric = Rubric(tuple(chosen.values()), proposed.version, proposed.lineage)
    return Merged(rubric, tuple(same), tuple(back))


def courses_of(groups: Sequence[Sequence[Mapping[str, Verdict]]], texts: Iterable[str]) -> dict[str, Course]:
    """How each criterion fared in groups of completions, which are verdicts by text of the criterion."""
    courses = {text: Course() for text in texts}
    for text, course in courses.items():
        for group in groups:
            said = [verdicts[text] for verdicts in group if text in verdicts]
            judged = [verdict for verdict in said if verdict.is_judged]
            met = sum(verdict.outcome == "met" for verdict in judged)
            if said:
                course.add(Standing(met, len(judged), len(said) - len(judged), True, False))
    return courses


def to_retire(
    rubric: Rubric,
    courses: Mapping[str, Course],
    *,
    n_groups: int,
    min_verdicts: int,
    min_active: int,
    max_active: int,
) -> list[tuple[Criterion, How, str]]:
    """The criteria to retire, each with how and why, in rubric order.

    Constant: in each of `n_groups` groups it said the same of all completions of the group, with
    `min_verdicts` verdicts in all; those with the most verdicts go first, and `min_active` stay. Crowded: of
    more than `max_active`, those of the least spread, and not those that are too new to have one. Never a
    must-have or a veto, and never the last one with a positive weight. Ties are broken by content key.
    """
    left = {criterion.text: criterion for criterion in rubric.criteria}
    gone: dict[str, tuple[How, str]] = {}

    def retire(criterion: Criterion, how: How, why: str, least: int) -> None:
        others = [other for text, other in left.items() if text != criterion.text]
        if len(others) >= least and any(other.weight > 0 for other in others):
            del left[criterion.text]
            gone[criterion.text] = (how, why)

    may_go = [criterion for criterion in rubric.criteria if not criterion.is_decisive]
    constant = [
        criterion
        for criterion in may_go
        if (course := courses.get(criterion.text)) is not None
        and course.never_varies
        and course.groups >= n_groups
        and course.judged >= min_verdicts
    ]
    for criterion in sorted(constant, key=lambda each: (-courses[each.text].judged, each.key)):
        course = courses[criterion.text]
        why = f"met by {course.met} of {course.judged} in {course.groups} groups, without spread in any"
        retire(criterion, "constant", why, min_active)
    with_spread = [
        (course.spread, criterion.key, criterion)
        for criterion in may_go
        if criterion.text in left
        and (course := courses.get(criterion.text)) is not None
        and course.spread is not None
    ]
    for spread, _, criterion in sorted(with_spread, key=lambda each: each[:2]):
        if len(left) > max_active:
            retire(criterion, "crowded", f"spread {spread:.2f}, among more than {max_active}", min_active)
    return [(each, *gone[each.text]) for each in rubric.criteria if each.text in gone]


def varying(verdicts: Sequence[Mapping[str, Verdict]], texts: Iterable[str]) -> list[str]:
    """The texts of the criteria that some completions meet and others do not."""
    courses = courses_of([verdicts], texts)
    return [text for text, course in courses.items() if course.varied]


def without(rubric: Rubric, texts: Iterable[str]) -> Rubric:
    """The rubric without some of its criteria."""
    gone = set(texts)
    return msgspec.structs.replace(rubric, criteria=tuple(c for c in rubric.criteria if c.text not in gone))


def whole(rubric: Rubric, retired: Sequence[Retired]) -> Rubric:
    """The rubric with all that ever counted: what an evaluation sees. The active criteria stand first."""
    texts = {criterion.text for criterion in rubric.criteria}
    others = tuple(one.criterion for one in retired if one.criterion.text not in texts)
    return msgspec.structs.replace(rubric, criteria=(*rubric.criteria, *others)) if others else rubric


def _content(criteria: Iterable[Criterion]) -> set[tuple[str, float, str, bool]]:
    return {(each.text, each.weight, each.kind, each.is_decisive) for each in criteria}


def _agree(first: Criterion, second: Criterion) -> bool:
    return (first.weight > 0) == (second.weight > 0)


def _turns(text: str) -> list[str]:
    """The words that turn a sense, sorted."""
    return sorted(word for word in _WORD.findall(text.casefold().replace("’", "'")) if word in _TURNS)
