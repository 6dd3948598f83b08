"""Rubrics from files: official shapes, the published dataset, and our own rubrics.jsonl."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rubricate.domain.conversation import Prompt
from rubricate.domain.rubric import Criterion, Kind, Rubric
from rubricate.runs.rows import Row, rows_of

_TEXT = ("criterion", "description", "text")
_WEIGHT = ("weight", "points")


@dataclass
class RubricFile:
    """Rubrics of a file, found by the id of a prompt, else by its text."""

    by_id: dict[str, Rubric] = field(default_factory=dict)
    by_text: dict[str, Rubric] = field(default_factory=dict)

    def of(self, prompt: Prompt) -> Rubric | None:
        """The rubric of a prompt, or None."""
        return self.by_id.get(prompt.id) or self.by_text.get(prompt.text)


def read_rubrics(source: str) -> RubricFile:
    """All rubrics of a file. A row has `criteria` or `rubrics`, and an `id`, a `prompt`, or both.

    Rows without any criterion are passed over: their prompts have no rubric yet.

    Raises:
        DataError: a row is malformed; with file, line and field.
    """
    found = RubricFile()
    for row in rows_of(source):
        rubric = _rubric_of(row)
        if rubric is None:
            continue
        id = row.value.get("id", row.value.get("prompt_id"))
        prompt = row.value.get("prompt")
        if id is None and row.name is not None and not row.name.startswith(("[", "row ")):
            id = row.name
        if id is None and not isinstance(prompt, str):
            raise row.error("a rubric needs the id or the text of its prompt", "id")
        if id is not None:
            found.by_id[str(id)] = rubric
        if isinstance(prompt, str):
            found.by_text[prompt] = rubric
    return found


def _rubric_of(row: Row) -> Rubric | None:
    if not isinstance(row.value, Mapping):
        raise row.error("a row is an object with criteria")
    name = next((key for key in ("criteria", "rubrics", "rubric") if row.value.get(key) is not None), None)
    if name is None:
        raise row.error('missing; a row needs "criteria" or "rubrics"', "criteria")
    entries = row.value[name]
    if isinstance(entries, Mapping) and isinstance(entries.get("criteria"), list):
        entries = entries["criteria"]
    if not isinstance(entries, list):
        raise row.error("a list of criteria is needed", name)
    if not entries:
        return None
    criteria = tuple(
        _criterion_of(row, entry, place, f"{name}[{place}]") for place, entry in enumerate(entries)
    )
    try:
        return Rubric(criteria)
    except ValueError as problem:
        raise row.error(str(problem), name) from None


def _criterion_of(row: Row, entry: Any, place: int, field: str) -> Criterion:
    if isinstance(entry, str):
        entry = {"criterion": entry, "weight": 1}
    if not isinstance(entry, Mapping):
        raise row.error("a criterion is a text or an object", field)
    text = next((entry[key] for key in _TEXT if isinstance(entry.get(key), str)), None)
    if text is None:
        raise row.error(f"a criterion needs one of {', '.join(_TEXT)}", field)
    weight = next((entry[key] for key in _WEIGHT if entry.get(key) is not None), None)
    if isinstance(weight, str) and weight.strip().lstrip("-").isdecimal():
        weight = int(weight)
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise row.error("a weight is a number", f"{field}.weight")
    kind: Kind = entry.get("kind") or ("pitfall" if weight < 0 else "principle")
    if kind not in ("rule", "principle", "pitfall"):
        raise row.error("a kind is rule, principle or pitfall", f"{field}.kind")
    id = entry.get("local_id", entry.get("id", f"c{place + 1}"))
    try:
        return Criterion(str(id), text, weight, kind)
    except ValueError as problem:
        raise row.error(str(problem), field) from None
