"""HealthBench: conversations with criteria of positive and negative points, and tags.

Fields (openai/simple-evals, healthbench_eval.py, read at commit 9e2fafd): a row has `prompt`, a list of
`{role, content}`, and `rubrics`, a list of `{criterion, points, tags}`, all three required; the data files
also have `prompt_id`, `example_tags`, `ideal_completions_data`. Its score is ours before clipping: points of
the met criteria over the sum of the positive points (`calculate_score`).
"""

from __future__ import annotations

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
    text_of,
)
from rubricate.dialects.losses import of_prompt, unsaid
from rubricate.dialects.losses import prompt_of as needed
from rubricate.dialects.seam import Dialect, Entry, Loss, Row, Taken, Written

_IDS = ("prompt_id", "id")


def _knows(value: Any) -> bool:
    if not isinstance(value, Mapping) or not isinstance(value.get("prompt"), list):
        return False
    entries = value.get("rubrics")
    first = entries[0] if isinstance(entries, list) and entries else None
    return isinstance(first, Mapping) and "points" in first


def _read(row: Row) -> Iterator[Taken]:
    value = object_of(row, row.value)
    id = id_of(row, value, _IDS)
    losses, drafts = list(left_over(value, (*_IDS, "prompt", "rubrics"))), list[Draft]()
    for place, given in enumerate(list_of(row, value.get("rubrics"), "rubrics")):
        field = f"rubrics[{place}]"
        item = object_of(row, given, field)
        tags = list_of(row, item.get("tags") or [], f"{field}.tags")
        drafts.append(
            Draft(
                text_of(row, item.get("criterion"), f"{field}.criterion"),
                number_of(row, item.get("points"), f"{field}.points"),
                field,
                tags=tuple(text_of(row, tag, f"{field}.tags") for tag in tags),
            )
        )
        losses += left_over(item, ("criterion", "points", "tags"), f"{field}.")
    rubric = rubric_of(row, drafts, losses, "rubrics")
    if rubric is not None:
        prompt = prompt_of(row, value.get("prompt"), "prompt", id)
        yield Taken(Entry(prompt.id, prompt, rubric), losses)


def _write(entry: Entry) -> Written:
    prompt = needed(entry, "healthbench")
    rubrics = [
        {"criterion": c.text, "points": as_number(c.weight), "tags": list(c.tags or ())}
        for c in entry.rubric.criteria
    ]
    value = {"prompt_id": entry.name, "prompt": messages_of(prompt), "rubrics": rubrics, "example_tags": []}
    losses: list[Loss] = [*of_prompt(entry, ids=True, turns=True), *unsaid(entry.rubric, tags=True)]
    return Written(value, losses)


HEALTHBENCH = Dialect("healthbench", "HealthBench of simple-evals", "rows", _knows, _read, _write)
