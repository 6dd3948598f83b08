"""Rubrics from files: official shapes, the published dataset, and our own rubrics.jsonl."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from rubricate.domain.conversation import Prompt
from rubricate.domain.rubric import Criterion, Kind, Rubric
from rubricate.runs.rows import Row, rows_of

_TEXT = ("criterion", "description", "text")
_ID = ("prompt_id", "id", "task_id")
_WEIGHT = ("weight", "points")


class _Entry(NamedTuple):
    rubric: Rubric
    prompt: str | None


class RubricFile:
    """Rubrics of a file, found by the id of a prompt, else by its text."""

    def __init__(self) -> None:
        self._by_id: dict[str, _Entry] = {}
        self._by_text: dict[str, Rubric | None] = {}

    def __len__(self) -> int:
        return len(self._by_id) + len(self._by_text)

    def of(self, prompt: Prompt) -> Rubric | None:
        """The rubric of a prompt, or None.

        An id counts only if the file gives no text for it, or the text of this very prompt: ids such as 1
        and 2 name other prompts in another file. A text that has two rubrics in the file finds none.
        """
        text = prompt.text.strip()
        found = self._by_id.get(prompt.id)
        if found is not None and found.prompt in (None, text):
            return found.rubric
        return self._by_text.get(text)

    def add(self, rubric: Rubric, id: str | None, prompt: str | None) -> None:
        """Adds a rubric.

        Raises:
            ValueError: the file has another rubric for this prompt.
        """
        text = None if prompt is None else prompt.strip()
        if id is not None:
            earlier = self._by_id.setdefault(id, _Entry(rubric, text))
            if (earlier.rubric.key, earlier.prompt) != (rubric.key, text):
                raise ValueError(f"the id {id!r} has another rubric in this file")
        if text is None:
            return
        known = self._by_text.setdefault(text, rubric)
        if known is None or known.key != rubric.key:
            if id is None:
                raise ValueError("this prompt has another rubric in this file")
            self._by_text[text] = None


def read_rubrics(source: str) -> RubricFile:
    """All rubrics of a file. A row has `criteria` or `rubrics`, and an `id`, a `prompt`, or both; in an
    object of named rows the name is the id, and a row may be the bare list of criteria.

    Rows without any criterion are passed over: their prompts have no rubric yet.

    Raises:
        DataError: a row is malformed; with file, line and field.
    """
    found = RubricFile()
    for row in rows_of(source):
        if isinstance(row.value, list) and row.name is not None:
            row = row._replace(value={"criteria": row.value})
        rubric = rubric_of_row(row)
        if rubric is None:
            continue
        id, prompt = _id_of(row), row.value.get("prompt")
        if id is None and not isinstance(prompt, str):
            raise row.error("missing; a rubric needs the id or the text of its prompt", "id")
        try:
            found.add(rubric, id, prompt if isinstance(prompt, str) else None)
        except ValueError as problem:
            raise row.error(str(problem), "id" if id is not None else "prompt") from None
    return found


def _id_of(row: Row) -> str | None:
    for key in _ID:
        given = row.value.get(key)
        if given is None or given == "":
            continue
        if isinstance(given, bool) or not isinstance(given, str | int):
            raise row.error("an id is a text or a whole number", key)
        return str(given)
    return row.name or None


def rubric_of_row(row: Row) -> Rubric | None:
    """The rubric of a row with `criteria`, `rubrics` or `rubric`; None where it has no criterion yet.

    Raises:
        DataError: it is malformed.
    """
    if not isinstance(row.value, Mapping):
        raise row.error("a row is an object with criteria")
    name = next((key for key in ("criteria", "rubrics", "rubric") if row.value.get(key) is not None), None)
    if name is None:
        raise row.error('missing; a row needs "criteria" or "rubrics"', "criteria")
    entries = row.value[name]
    if isinstance(entries, Mapping) and isinstance(entries.get("criteria"), list):
        name, entries = f"{name}.criteria", entries["criteria"]
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
        raise row.error(f"a criterion needs one of {', '.join(_TEXT)}, a text", field)
    weight = _weight_of(row, entry, field)
    kind: Kind = entry.get("kind") or ("pitfall" if weight < 0 else "principle")
    if kind not in ("rule", "principle", "pitfall"):
        raise row.error("a kind is rule, principle or pitfall", f"{field}.kind")
    id = next((entry[key] for key in ("local_id", "id") if entry.get(key) is not None), f"c{place + 1}")
    try:
        return Criterion(str(id), text, weight, kind)
    except ValueError as problem:
        raise row.error(str(problem), field) from None


def _weight_of(row: Row, entry: Mapping[str, Any], field: str) -> float:
    """The weight of a criterion; older official files write it as a text."""
    key = next((key for key in _WEIGHT if entry.get(key) is not None), None)
    if key is None:
        raise row.error("missing; a criterion needs a weight", f"{field}.weight")
    weight = entry[key]
    try:
        if isinstance(weight, bool) or not isinstance(weight, str | int | float):
            raise ValueError
        return float(weight)
    except (ValueError, OverflowError):
        raise row.error(f"a weight is a number, not {_short(repr(weight))}", f"{field}.{key}") from None


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
