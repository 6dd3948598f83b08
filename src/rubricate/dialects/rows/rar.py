"""Rubrics as Rewards: a question with criteria that have a title, a description and a whole, signed weight.

Fields (dataset cards of ScaleAI/RaR-Medicine and RaR-Science): `question`, `reference_answer`,
`question_source`, `rubric` (a list of `{description, title, weight: int64}`), `rubric_list`, `rubric_count`.
Descriptions begin with their category, "Essential Criteria: ...", also Important, Optional and Pitfall (arXiv
2507.17746, prompt of the appendix). The category stays in the text, and an essential one is no must-have: the
paper's explicit reward (equation 1) weighs it like the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rubricate.dialects.fields import (
    Draft,
    id_of,
    left_over,
    list_of,
    number_of,
    object_of,
    prompt_of,
    rubric_of,
    text_of,
)
from rubricate.dialects.losses import of_prompt, unsaid
from rubricate.dialects.losses import prompt_of as needed
from rubricate.dialects.rows.whole import whole
from rubricate.dialects.seam import Dialect, Entry, Row, Taken, Written

_DERIVED = ("rubric_list", "rubric_count")


def _knows(value: Any) -> bool:
    if not isinstance(value, Mapping) or "question" not in value:
        return False
    entries = value.get("rubric")
    first = entries[0] if isinstance(entries, list) and entries else None
    return isinstance(first, Mapping) and "description" in first


def _read(row: Row) -> Iterator[Taken]:
    value = object_of(row, row.value)
    losses, drafts = list(left_over(value, ("id", "question", "rubric", *_DERIVED))), list[Draft]()
    for place, given in enumerate(list_of(row, value.get("rubric"), "rubric")):
        field = f"rubric[{place}]"
        item = object_of(row, given, field)
        title = item.get("title")
        drafts.append(
            Draft(
                text_of(row, item.get("description"), f"{field}.description"),
                number_of(row, item.get("weight"), f"{field}.weight"),
                field,
                None if title is None else text_of(row, title, f"{field}.title"),
            )
        )
        losses += left_over(item, ("description", "title", "weight"), f"{field}.")
    rubric = rubric_of(row, drafts, losses, "rubric")
    if rubric is not None:
        question = text_of(row, value.get("question"), "question")
        prompt = prompt_of(row, question, "question", id_of(row, value, ("id",)))
        yield Taken(Entry(prompt.id, prompt, rubric), losses)


def _write(entry: Entry) -> Written:
    prompt = needed(entry, "rar")
    weights, losses = whole(entry.rubric, most=None)
    rubric = [
        {"description": c.text, "title": c.id, "weight": weight}
        for c, weight in zip(entry.rubric.criteria, weights, strict=True)
    ]
    value = {
        "question": prompt.text,
        "rubric": rubric,
        "rubric_list": [item["description"] for item in rubric],
        "rubric_count": len(rubric),
    }
    losses += [*of_prompt(entry, ids=False, turns=False), *unsaid(entry.rubric, ids=True)]
    return Written(value, losses)


RAR = Dialect(
    "rar", "Rubrics as Rewards, ScaleAI/RaR-Medicine and RaR-Science", "rows", _knows, _read, _write
)
