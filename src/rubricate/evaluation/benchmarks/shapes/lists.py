"""Shapes that tell more than a pair of each prompt: ranked lists, labelled criteria, and indexes of pairs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from rubricate.domain.rubric import Rubric
from rubricate.evaluation.benchmarks.cases import Case, Contest
from rubricate.evaluation.benchmarks.shapes.fields import (
    id_of,
    is_list,
    number_of,
    prompt_of,
    rubric_of,
    said,
    text_of,
)
from rubricate.runs.rows import Row

INDEX_FLAGS = ("confident", "length_matched", "strong5", "tail", "direct")
INDEX_GROUPS = {
    "confident": ("confident",),
    "confident length_matched": ("confident", "length_matched"),
    "confident strong5": ("confident", "strong5"),
    "tail": ("tail",),
    "direct": ("direct",),
}
"""Groups of an index of pairs, and the flags that a pair of each must have."""


class _Entry(NamedTuple):
    text: str
    generator: str | None
    gold: float | None


def ranked(row: Row) -> Case:
    """All answers to a prompt with reference scores: a contest for each two that differ.

    Answers without a score take no part; a list in which no two differ has no contest.
    """
    entries = _entries(row)
    return Case(
        id=id_of(row, "id", "prompt_id"),
        prompt=prompt_of(row),
        kind="graded",
        responses=tuple(entry.text for entry in entries),
        contests=tuple(contests_of([entry.gold for entry in entries])),
        groups=_subset(row),
        generators=tuple(entry.generator for entry in entries),
        gold=tuple(entry.gold for entry in entries),
    )


def contests_of(gold: Sequence[float | None]) -> Iterable[Contest]:
    """A contest for each two different grades, in order of their places."""
    for one, two in combinations(range(len(gold)), 2):
        first, second = gold[one], gold[two]
        if first is not None and second is not None and first != second:
            yield Contest((one,), (two,)) if first > second else Contest((two,), (one,))


def criteria(rows: Iterable[Row]) -> Iterable[Case]:
    """Responses whose criteria have labels, one row for each: a graded list for each prompt.

    The grade of a response is its score by its labels, the points of what is met over the positive points,
    labels of null left out. The rubric is the criteria of the prompt's first row, where all its rows have the
    same; where they differ, there is none.
    """
    found: dict[str, list[tuple[Row, Rubric, _Entry]]] = {}
    for row in rows:
        labels = [_label(row, place, entry) for place, entry in enumerate(row.value.get("criteria") or ())]
        rubric = rubric_of(row, "criteria", "weight")
        weights = [float(entry["weight"]) for entry in row.value["criteria"]]
        used = [(weight, label) for weight, label in zip(weights, labels, strict=True) if label is not None]
        positive = math.fsum(weight for weight, _ in used if weight > 0)
        gold = math.fsum(weight for weight, label in used if label) / positive if positive else None
        generator = row.value.get("generator")
        entry = _Entry(text_of(row, "response"), generator if isinstance(generator, str) else None, gold)
        found.setdefault(id_of(row, "prompt_id"), []).append((row, rubric, entry))
    for id, of_prompt in found.items():
        first, rubric, _ = of_prompt[0]
        grades = [entry.gold for _, _, entry in of_prompt]
        yield Case(
            id=id,
            prompt=prompt_of(first),
            kind="graded",
            responses=tuple(entry.text for _, _, entry in of_prompt),
            contests=tuple(contests_of(grades)),
            groups=_subset(first),
            cluster=id,
            rubric=rubric if all(other.key == rubric.key for _, other, _ in of_prompt) else None,
            generators=tuple(entry.generator for _, _, entry in of_prompt),
            gold=tuple(grades),
        )


def indexed(rows: Iterable[Row], lists: Mapping[str, Case]) -> Iterable[Case]:
    """Pairs named by generator in the ranked lists of another file: one case for each prompt.

    Raises:
        DataError: a prompt or a generator is not in that file.
    """
    contests: dict[str, list[Contest]] = {}
    for row in rows:
        id = text_of(row, "prompt_id")
        if id not in lists:
            raise row.error(f"{id!r} is not in the ranked file beside it", "prompt_id")
        generators = lists[id].generators
        places = []
        for side in ("chosen", "rejected"):
            name = text_of(row, side)
            if name not in generators:
                raise row.error(f"{name!r} has no response to {id!r} in the ranked file beside it", side)
            places.append(generators.index(name))
        flags = {flag for flag in INDEX_FLAGS if row.value.get(flag) is True}
        groups = tuple(name for name, needs in INDEX_GROUPS.items() if flags >= set(needs))
        contests.setdefault(id, []).append(Contest((places[0],), (places[1],), groups))
    for id, of_prompt in contests.items():
        case = lists[id]
        yield Case(
            id=id,
            prompt=case.prompt,
            kind="graded",
            responses=case.responses,
            contests=tuple(of_prompt),
            groups=case.groups,
            generators=case.generators,
            gold=case.gold,
        )


def _entries(row: Row) -> list[_Entry]:
    given = row.value.get("responses")
    if not is_list(given) or not given:
        raise row.error(f"a list of responses is needed, not {said(given)}", "responses")
    entries = []
    for place, entry in enumerate(given):
        field = f"responses[{place}]"
        if not isinstance(entry, Mapping):
            raise row.error(f"an object is needed, not {said(entry)}", field)
        generator = entry.get("generator")
        entries.append(
            _Entry(
                text_of(row, f"{field}.response", entry.get("response")),
                generator if isinstance(generator, str) else None,
                number_of(row, f"{field}.reference_score", entry.get("reference_score")),
            )
        )
    return entries


def _label(row: Row, place: int, entry: Any) -> bool | None:
    label = entry.get("label") if isinstance(entry, Mapping) else None
    if label is not None and not isinstance(label, bool):
        raise row.error(f"a label is true, false or null, not {said(label)}", f"criteria[{place}].label")
    return label


def _subset(row: Row) -> tuple[str, ...]:
    name = next((name for name in ("subset", "category") if row.value.get(name) is not None), None)
    return (text_of(row, name),) if name else ()
