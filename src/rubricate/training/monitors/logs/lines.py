"""Lines of a trainer's log -> what was logged, a mapping of numbers for each of them.

JSON Lines (TRL's `log_history.jsonl`, verl's `file` logger, wandb's history), a JSON file with a
`log_history` (TRL's `trainer_state.json`) or a list, CSV with a head, and verl's console:
`step:12 - critic/score/mean:0.4 - ...` anywhere in a line.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rubricate.errors import DataError

Logged = dict[str, float]

_CONSOLE = re.compile(r"\bstep:(\d+)((?: - [^\s:]+:\S+)+)")
_ENTRY = re.compile(r" - ([^\s:]+):(\S+)")
_PRINTED = re.compile(r"np\.\w+\((.*)\)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_MOST_DEEP = 3


def logged_in(path: Path) -> tuple[list[Logged], bool]:
    """What a log says, entry by entry, in its order; and whether its last line is only half there, which is
    left out.

    Numbers are kept, also in nested objects (by their names with `/` between); NaN and infinite ones are not
    there. Texts, lists and truth values are passed over.

    Raises:
        DataError: it cannot be read, or nothing in it is a log.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as failure:
        raise DataError(path, f"cannot be read ({failure.strerror})") from failure
    if not text.strip():
        return [], False
    first = text.lstrip()[0]
    if first in "{[":
        whole = _whole(text)
        if whole is not None:
            return [numbers_of(entry) for entry in whole], False
        return _json_lines(path, text)
    found = [_console(match) for match in _CONSOLE.finditer(_COLOUR.sub("", text))]
    if found:
        return found, False
    return _table(path, text)


def numbers_of(entry: Mapping[str, Any], before: str = "", depth: int = 0) -> Logged:
    """The numbers of an object by their names; those of inner objects as `outer/inner`."""
    found: Logged = {}
    for name, value in entry.items():
        if isinstance(value, Mapping) and depth < _MOST_DEEP:
            inner = before if name == "data" else f"{before}{name}/"  # verl's file logger: {"step", "data"}
            found |= numbers_of(value, inner, depth + 1)
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found[f"{before}{name}"] = float(value)
    return found


def _whole(text: str) -> list[Mapping[str, Any]] | None:
    """The entries of a file that is one JSON value; None where it is not one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, Mapping):
        history = value.get("log_history")
        value = history if isinstance(history, list) else [value]
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else None


def _json_lines(path: Path, text: str) -> tuple[list[Logged], bool]:
    found, lines = list[Logged](), text.splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            if number == len(lines) and not text.endswith("\n"):
                return found, True
            raise DataError(path, "is no JSON", line=number) from None
        if not isinstance(entry, Mapping):
            raise DataError(path, "is no object with names and numbers", line=number)
        found.append(numbers_of(entry))
    return found, False


def _console(match: re.Match[str]) -> Logged:
    entry: Logged = {"step": float(match[1])}
    for name, said in _ENTRY.findall(match[2]):
        printed = _PRINTED.fullmatch(said)
        value = _number(printed[1] if printed else said)
        if value is not None:
            entry[name] = value
    return entry


def _table(path: Path, text: str) -> tuple[list[Logged], bool]:
    rows = list(_rows(text))
    if len(rows) < 2 or len(rows[0]) < 2:
        raise DataError(
            path,
            "is no log that is known here (JSON Lines, trainer_state.json, CSV with a head, verl's console)",
        )
    head, is_half = rows[0], len(rows[-1]) < len(rows[0]) and not text.endswith("\n")
    body = rows[1:-1] if is_half else rows[1:]
    for number, row in enumerate(body, 2):
        if len(row) != len(head):
            raise DataError(path, f"has {len(row)} cells, and the head has {len(head)}", line=number)
    read = [{name: _number(cell) for name, cell in zip(head, row, strict=True)} for row in body]
    return [{name: value for name, value in row.items() if value is not None} for row in read], is_half


def _rows(text: str) -> Iterator[list[str]]:
    delimiter = "\t" if "\t" in text.split("\n", 1)[0] else ","
    return (row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
