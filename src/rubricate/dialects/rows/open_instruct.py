"""open-instruct: messages with a label that is JSON in a text.

Fields (allenai/open-instruct, RubricVerifier in ground_truth_utils.py, and rubrics/rubric_utils.py at commit
06b596f): the label `ground_truth`, a JSON text or an object (or a list of one), is `{query, rubrics}`;
a rubric is `{description, weight, title}`, also read are `Question`, `rubric_item` and `Ingredient`, and a
weight of 1 where there is none. `dataset` names the verifier, "rubric". Its score divides by the sum of
absolute weights where ours divides by the positive ones, and its judge gives 0, 1 or 2 halves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rubricate.dialects.fields import (
    Draft,
    as_number,
    id_of,
    left_over,
    list_of,
    messages_of,
    number_of,
    object_of,
    prompt_of,
    rubric_of,
    said,
    text_of,
)
from rubricate.dialects.losses import of_prompt, unsaid
from rubricate.dialects.losses import prompt_of as needed
from rubricate.dialects.seam import Dialect, Entry, Row, Taken, Written

_TEXT = ("description", "rubric_item", "Ingredient")
_QUERY = ("query", "Question")


def _knows(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    if "ground_truth" not in value:
        return any(key in value for key in _QUERY) and isinstance(value.get("rubrics"), list)
    label = _inner(value["ground_truth"])
    if isinstance(label, str):
        try:
            label = json.loads(label)
        except (ValueError, RecursionError):
            return False
    return isinstance(label, Mapping) and "rubrics" in label


def _inner(given: Any) -> Any:
    return given[0] if isinstance(given, list) and len(given) == 1 else given


def _label(row: Row, value: Mapping[str, Any]) -> Mapping[str, Any]:
    if "ground_truth" not in value:
        return value  # a bare label
    label = _inner(value["ground_truth"])
    if isinstance(label, str):
        try:
            label = json.loads(label)
        except (ValueError, RecursionError):
            raise row.error(f"a label is JSON, not {said(label)}", "ground_truth") from None
    return object_of(row, label, "ground_truth")


def _read(row: Row) -> Iterator[Taken]:
    value = object_of(row, row.value)
    label = _label(row, value)
    within = "" if label is value else "ground_truth."
    losses, drafts = list(left_over(label, ("id", "rubrics", *_QUERY), within)), list[Draft]()
    if label is not value:
        losses += left_over(value, ("id", "messages", "ground_truth", "dataset"))
    for place, given in enumerate(list_of(row, label.get("rubrics"), f"{within}rubrics")):
        field = f"{within}rubrics[{place}]"
        item = object_of(row, given, field)
        key = next((key for key in _TEXT if item.get(key)), _TEXT[0])
        title, weight = item.get("title"), item.get("weight")
        drafts.append(
            Draft(
                text_of(row, item.get(key), f"{field}.{key}"),
                1.0 if weight is None else number_of(row, weight, f"{field}.weight"),
                field,
                None if title is None else text_of(row, title, f"{field}.title"),
            )
        )
        losses += left_over(item, ("weight", "title", key), f"{field}.")
    rubric = rubric_of(row, drafts, losses, f"{within}rubrics")
    if rubric is None:
        return
    id = id_of(row, value, ("id",))
    query = next((key for key in _QUERY if label.get(key)), _QUERY[0])
    if value.get("messages") is not None:
        prompt = prompt_of(row, value["messages"], "messages", id)
    else:
        prompt = prompt_of(row, text_of(row, label.get(query), f"{within}{query}"), f"{within}{query}", id)
    yield Taken(Entry(prompt.id, prompt, rubric), losses)


def _write(entry: Entry) -> Written:
    prompt = needed(entry, "open-instruct")
    rubrics = [
        {"description": c.text, "weight": as_number(c.weight), "title": c.id} for c in entry.rubric.criteria
    ]
    value = {
        "messages": messages_of(prompt),
        "ground_truth": json.dumps({"query": prompt.text, "rubrics": rubrics}, ensure_ascii=False),
        "dataset": "rubric",
    }
    losses = [*of_prompt(entry, ids=False, turns=True), *unsaid(entry.rubric, ids=True)]
    return Written(value, losses)


OPEN_INSTRUCT = Dialect(
    "open-instruct", "labels of open-instruct's rubric verifier", "rows", _knows, _read, _write
)
