"""Rubrics from files, in every dialect that can be read, found by prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rubricate.dialects.registry import dialect_of
from rubricate.dialects.rows.own import OWN
from rubricate.dialects.seam import Dialect, Taken
from rubricate.domain.conversation import Prompt
from rubricate.domain.rubric import Rubric
from rubricate.runs.documents import DOCUMENTS
from rubricate.runs.places import is_url
from rubricate.runs.rows import Row, rows_of


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
    """All rubrics of a file in any dialect that can be read (docs/dialects.md), found out row by row.

    A row has `criteria` or `rubrics`, and an `id`, a `prompt`, or both; in an object of named rows the name
    is the id, and a row may be the bare list of criteria. Rows without any criterion are passed over: their
    prompts have no rubric yet. What a foreign row says beyond a rubric is passed over too; `rubricate
    convert` names it.

    Raises:
        DataError: a row is malformed; with file, line and field.
    """
    found = RubricFile()
    for row, taken in taken_of(source):
        entry = taken.entry
        try:
            found.add(entry.rubric, entry.id, None if entry.prompt is None else entry.prompt.text)
        except ValueError as problem:
            raise row.error(str(problem), "id" if entry.id is not None else "prompt") from None
    return found


def taken_of(source: str, dialect: Dialect | None = None) -> Iterator[tuple[Row, Taken]]:
    """Every entry of a file with its row, read as `dialect`, else as each row looks.

    A folder with TOML or YAML files in it is these files, a rubric each; the folder of a run its rubrics.

    Raises:
        DataError: a row is malformed; with file, line and field.
    """
    for row in _whole(row for part in _parts(source) for row in rows_of(part)):
        if isinstance(row.value, list) and row.name is not None:
            row = row._replace(value={"criteria": row.value})
        speaks = dialect or dialect_of(row.value) or OWN
        for taken in speaks.read(row):
            yield row, taken


def _parts(source: str) -> list[str]:
    if not is_url(source) and (folder := Path(source)).is_dir():
        if (folder / "journal.jsonl").is_file() and (folder / "rubrics.jsonl").is_file():
            return [str(folder / "rubrics.jsonl")]
        documents = sorted(
            str(path)
            for path in folder.iterdir()
            if path.suffix in DOCUMENTS and not path.name.startswith(".")
        )
        return documents or [source]
    return [source]


def _whole(rows: Iterator[Row]) -> Iterator[Row]:
    """Rows, where the criteria of a JSON file that is a bare list of them are one row."""
    open_: Row | None = None
    for row in rows:
        is_part = _is_bare(row.value)
        if open_ is not None and is_part and row.path == open_.path:
            open_.value["criteria"].append(row.value)
            continue
        if open_ is not None:
            yield open_
            open_ = None
        if is_part:
            open_ = row._replace(value={"criteria": [row.value]})
        else:
            yield row
    if open_ is not None:
        yield open_


def rubric_of_row(row: Row) -> Rubric | None:
    """The rubric of a row, in our form or a dialect, of whatever prompt; None where it has no criterion yet.

    Raises:
        DataError: it is malformed.
    """
    speaks = dialect_of(row.value) or OWN
    if isinstance(row.value, Mapping):
        row = row._replace(value={"id": "any", **row.value})
    return next((taken.entry.rubric for taken in speaks.read(row)), None)


def _is_bare(value: Any) -> bool:
    """Whether a row is a criterion by itself, as verifiers and autorubric list them."""
    if not isinstance(value, Mapping) or dialect_of(value) is not None:
        return False
    return ("name" in value and "text" in value) or "requirement" in value
