"""RubricHub: a question with criteria of 0 to 10 whole points.

Fields (teqkilla/RubricHub, data_synthesis_final/step5_export_dataset.py at commit d21dc07): `question`,
`id`, `rubrics` (a list of `{criterion, points: int32}`). The RuRL files of sojuL/RubricHub_v1 are read too:
`prompt`, a list of messages, and `Rubrics` (or `reward_model.rubrics`); we saw these described by their
users, not the files themselves. All points are positive, so a pitfall cannot be said and is left out.
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
from rubricate.dialects.seam import Dialect, Entry, Loss, Row, Taken, Written
from rubricate.domain.rubric import Rubric

_MOST = 10


def _knows(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    _, entries = _entries(value)
    first = entries[0] if isinstance(entries, list) and entries else None
    is_released = "Rubrics" in value or "reward_model" in value
    return isinstance(first, Mapping) and "points" in first and ("question" in value or is_released)


def _entries(value: Mapping[str, Any]) -> tuple[str, Any]:
    for key in ("rubrics", "Rubrics"):
        if value.get(key) is not None:
            return key, value[key]
    inner = value.get("reward_model")
    if isinstance(inner, Mapping) and inner.get("rubrics") is not None:
        return "reward_model.rubrics", inner["rubrics"]
    return "rubrics", None


def _read(row: Row) -> Iterator[Taken]:
    value = object_of(row, row.value)
    name, entries = _entries(value)
    asked = "question" if value.get("question") is not None else "prompt"
    known = ("id", asked, "rubrics", "Rubrics", "reward_model")
    losses, drafts = list(left_over(value, known)), list[Draft]()
    for place, given in enumerate(list_of(row, entries, name)):
        field = f"{name}[{place}]"
        item = object_of(row, given, field)
        drafts.append(
            Draft(
                text_of(row, item.get("criterion"), f"{field}.criterion"),
                number_of(row, item.get("points"), f"{field}.points"),
                field,
            )
        )
        losses += left_over(item, ("criterion", "points"), f"{field}.")
    rubric = rubric_of(row, drafts, losses, name)
    if rubric is not None:
        prompt = prompt_of(row, value.get(asked), asked, id_of(row, value, ("id",)))
        yield Taken(Entry(prompt.id, prompt, rubric), losses)


def _write(entry: Entry) -> Written:
    prompt = needed(entry, "rubrichub")
    good = [criterion for criterion in entry.rubric.criteria if criterion.weight > 0]
    weights, losses = whole(Rubric(tuple(good)), _MOST)
    losses += [
        Loss("a pitfall is left out: there are no negative points", criterion.id)
        for criterion in entry.rubric.criteria
        if criterion.weight < 0
    ]
    value = {
        "question": prompt.text,
        "id": entry.name,
        "rubrics": [
            {"criterion": criterion.text, "points": points}
            for criterion, points in zip(good, weights, strict=True)
        ],
    }
    losses += [*of_prompt(entry, ids=True, turns=False), *unsaid(entry.rubric)]
    return Written(value, losses)


RUBRICHUB = Dialect("rubrichub", "RubricHub, 0 to 10 points", "rows", _knows, _read, _write)
