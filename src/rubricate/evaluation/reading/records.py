"""Files -> one record a response, each with the place where it stands, so that every mistake has an address.

The shapes: a flat row a response; `{prompt, responses: [text or {generator, response, ...}]}`; and pairs
`{prompt, chosen, rejected}`, where a score of a side is called `chosen_NAME` or `NAME_chosen`. Formats are
those of `runs.rows`, and CSV.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from rubricate.errors import DataError
from rubricate.runs.places import format_of
from rubricate.runs.rows import Row, rows_of
from rubricate.runs.unpacking import unpacked

SCORES = "scores.jsonl"
SIDES = ("chosen", "rejected")
LARGEST = 1e100
"""Of a score: beyond, its square is no number any more."""
MISSING = ("", "null", "None", "NA")
"""How a CSV says that there is no number."""


@dataclass(frozen=True)
class Record:
    """One response: its own fields, and those of the row around it."""

    row: Row
    fields: Mapping[str, Any]
    around: Mapping[str, Any]
    within: str = ""
    """The place in the row, such as `responses[2].`."""
    side: str | None = None
    """In a row of a pair: chosen or rejected."""
    is_text: bool = False
    """All values are texts, as in CSV, and an empty one is none."""

    def get(self, column: str) -> Any:
        """The value of a column: the response's own before the row's; a dotted name looks into an object."""
        if self.side is not None:
            for name in (f"{self.side}_{column}", f"{column}_{self.side}"):
                if name in self.fields:
                    return self.fields[name]
        for fields in (self.fields, self.around):
            if column in fields:
                return fields[column]
            value: Any = fields
            for part in column.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
            if value is not None:
                return value
        return None

    def error(self, problem: str, column: str) -> DataError:
        """What is wrong with a column here, ready to be raised."""
        own = column in self.fields and self.within
        return self.row.error(problem, f"{self.within}{column}" if own else column)

    def number(self, column: str) -> float:
        """A finite number; NaN where there is none.

        Raises:
            DataError: NaN, an infinity, or no number at all.
        """
        value = self.get(column)
        if value is None or (self.is_text and value.strip() in MISSING):
            return math.nan
        if self.is_text:
            try:
                value = float(value)
            except ValueError:
                raise self.error(f"a number is needed, not the text {short(value)!r}", column) from None
        if not isinstance(value, int | float):  # True and False are numbers too: 1 and 0
            raise self.error(f"a number is needed, not {said(value)}", column)
        if math.isnan(value):
            raise self.error("NaN is no score; leave the field empty (null) where nothing was judged", column)
        if not abs(value) <= sys.float_info.max:
            raise self.error("a finite number is needed, not an infinity", column)
        if abs(value) > LARGEST:
            raise self.error(f"a score of at most {LARGEST:g} is needed: larger ones have no square", column)
        return float(value)

    def name(self, column: str) -> str | None:
        """A text or a whole number as text, messages as JSON; None where there is none or an empty one."""
        value = self.get(column)
        if value is None or value == "":
            return None
        if isinstance(value, str):
            return value
        if isinstance(value, list | dict):
            return json.dumps(value, ensure_ascii=False, sort_keys=True)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(f"a text or a whole number is needed, not {said(value)}", column)
        return str(value)

    def text(self, column: str) -> str | None:
        """A text; None where there is none."""
        value = self.get(self.side or column)
        if value is not None and not isinstance(value, str):
            raise self.error(f"a text is needed, not {said(value)}", self.side or column)
        return value


def records_of(path: Path) -> Iterator[Record]:
    """The responses of a file or a run folder, in order.

    Raises:
        DataError: the file is missing, empty, unreadable or malformed; with its line or row.
    """
    is_text, n_rows = format_of(path) == ".csv", 0
    for row in plain_rows(path):
        n_rows += 1
        value = row.value
        if not isinstance(value, Mapping):
            raise row.error(f"a row is an object with columns, not {said(value)}")
        responses = value.get("responses")
        if isinstance(responses, list):
            for place, entry in enumerate(responses):
                fields = entry if isinstance(entry, Mapping) else {"response": entry}
                yield Record(row, fields, value, f"responses[{place}].")
        elif all(side in value for side in SIDES) and "response" not in value:
            for side in SIDES:
                yield Record(row, value, {}, side=side, is_text=is_text)
        else:
            yield Record(row, value, {}, is_text=is_text)
    if not n_rows:
        raise DataError(path, "no rows: the file is empty")


def plain_rows(path: Path) -> Iterator[Row]:
    """The rows of a file as they stand: those of `runs.rows`, and of CSV, whose values are texts."""
    return _csv_rows(path) if format_of(path) == ".csv" else rows_of(str(path))


def source_file(source: Path) -> Path:
    """The file to read: of a run folder its scores.

    Raises:
        DataError: a run folder without scores, or nothing there at all.
    """
    if (source / SCORES).is_file():
        return source / SCORES
    if (source / "journal.jsonl").is_file() or (source / "config.yaml").is_file():
        raise DataError(
            source, f"a run without {SCORES}: finish it, with workflow.score_final=true", field=SCORES
        )
    if not source.exists():
        raise DataError(source, "no such file or folder")
    return source


def said(value: Any) -> str:
    """A value of the wrong kind in words."""
    if isinstance(value, str):
        return f"the text {short(value)!r}"
    names = {dict: "an object", list: "a list", bool: "true or false", float: "a number", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def short(text: str, limit: int = 40) -> str:
    """A text on one line, cut."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


def _csv_rows(path: Path) -> Iterator[Row]:
    if not path.is_file():
        raise DataError(path, "no such file" if not path.exists() else "not a file")
    before = csv.field_size_limit(sys.maxsize)
    try:
        with unpacked(path) as raw:
            lines = csv.reader(TextIOWrapper(raw, encoding="utf-8-sig", newline=""), strict=True)
            header, end = next(lines, None), 1
            if not header:
                raise DataError(path, "the file is empty")
            twice = next((name for name in header if header.count(name) > 1), None)
            if twice is not None:
                raise DataError(path, "two columns have this name", line=1, field=twice)
            for number, cells in enumerate(lines, 1):
                line, end = end + 1, lines.line_num
                if not cells:
                    continue
                row = Row(dict(zip(header, cells, strict=False)), str(path), line, number=number)
                if len(cells) != len(header):
                    raise row.error(f"{len(cells)} fields, where the header has {len(header)}")
                yield row
    except csv.Error as failure:
        raise DataError(path, f"not CSV: {failure}", line=lines.line_num) from None
    except UnicodeDecodeError as failure:
        raise DataError(path, f"not UTF-8: byte {failure.object[failure.start]:#04x}") from None
    finally:
        csv.field_size_limit(before)
