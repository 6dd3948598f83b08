"""Files that hold one rubric: id and prompt stand beside the criteria, where other readers pass them over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from rubricate.dialects.fields import id_of, is_plain, messages_of, prompt_of
from rubricate.dialects.seam import Entry, Row
from rubricate.domain.rubric import Rubric

BESIDE = ("id", "prompt", "messages")


def entry_of(row: Row, value: Mapping[str, Any], rubric: Rubric) -> Entry:
    """The entry of a document; without an id it has the name of its file."""
    id = id_of(row, value, ("id",)) or PurePosixPath(row.path).stem.split(".")[0]
    key = next((key for key in ("messages", "prompt") if value.get(key) is not None), None)
    return Entry(id, None if key is None else prompt_of(row, value[key], key, id), rubric)


def beside(entry: Entry) -> dict[str, Any]:
    """The id and the prompt as fields."""
    value: dict[str, Any] = {"id": entry.name}
    if entry.prompt is not None and is_plain(entry.prompt):
        value["prompt"] = entry.prompt.text
    elif entry.prompt is not None:
        value["messages"] = messages_of(entry.prompt)
    return value
