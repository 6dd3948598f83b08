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
from typing import Any, NamedTuple

from rubricate.errors import DataError

Logged = dict[str, float]


class Entry(NamedTuple):
    """What was logged at once: `numbers` by their names, and of other values the texts, NaN and infinite
    numbers among them (`odd`). `line` counts from 1, None where the format has no lines."""

    numbers: Logged
    odd: dict[str, str]
    line: int | None = None


class Log(NamedTuple):
    """The entries of a log in its order. `is_half`: its last line is only half there, and was left out.
    `is_timed`: the order is that of time, as of all logs but tables, which may be sorted as one likes.
    `has_ended`: the trainer has written that it is through: transformers' last line has the run time, and its
    state all the steps that there were to be."""

    entries: list[Entry]
    is_half: bool = False
    is_timed: bool = True
    has_ended: bool = False


_CONSOLE = re.compile(r"\bstep:(\d+)((?: - [^\s:]+:\S+)+)")
_ENTRY = re.compile(r" - ([^\s:]+):(\S+)")
_PRINTED = re.compile(r"np\.\w+\((.*)\)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_OF_A_RUN = re.compile(r"^.* - ")
_MOST_DEEP = 3
_RUN_TIME = "train_runtime"


def logged_in(path: Path) -> Log:
    """What a log says.

    Objects within objects go by their names with `/` between; lists are passed over.

    Raises:
        DataError: it cannot be read, or nothing in it is a log.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as failure:
        raise DataError(path, f"cannot be read ({failure.strerror})") from failure
    if not text.strip():
        return Log([])
    first = text.lstrip()[0]
    if first in "{[":
        value = _whole(text)
        if value is None:
            log = _json_lines(path, text)
        else:
            log = Log([entry_of(entry) for entry in _entries(value)], has_ended=_is_through(value))
        return log._replace(has_ended=log.has_ended or _RUN_TIME in _last(log))
    found = [
        _console(match, number)
        for number, line in enumerate(text.splitlines(), 1)
        if (match := _CONSOLE.search(_COLOUR.sub("", line)))
    ]
    return Log(found) if found else _table(path, text)


def entry_of(given: Mapping[str, Any], line: int | None = None) -> Entry:
    """An object as an entry; truth values count as 1 and 0."""
    entry = Entry({}, {}, line)
    _fill(entry, given, "", 0)
    return entry


def _fill(entry: Entry, given: Mapping[str, Any], before: str, depth: int) -> None:
    for name, value in given.items():
        if isinstance(value, Mapping) and depth < _MOST_DEEP:
            inner = before if name == "data" else f"{before}{name}/"  # verl's file logger: {"step", "data"}
            _fill(entry, value, inner, depth + 1)
        elif isinstance(value, int | float | str):
            _put(entry, f"{before}{name}", value)


def _put(entry: Entry, name: str, value: float | str) -> None:
    try:
        number = float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if math.isfinite(number):
        entry.numbers[name] = number
    elif str(value).strip():
        entry.odd[name] = str(value)


def _whole(text: str) -> Mapping[str, Any] | list[Any] | None:
    """A file that is one JSON value, an object or a list; None where it is not one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, Mapping | list) else None


def _entries(value: Mapping[str, Any] | list[Any]) -> list[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        history = value.get("log_history")
        value = history if isinstance(history, list) else [value]
    return [entry for entry in value if isinstance(entry, Mapping)]


def _is_through(value: Mapping[str, Any] | list[Any]) -> bool:
    """Whether a trainer's state says that all of its steps are done."""
    if not isinstance(value, Mapping):
        return False
    done, steps = value.get("global_step"), value.get("max_steps")
    return isinstance(done, int) and isinstance(steps, int) and 0 < steps <= done


def _last(log: Log) -> Logged:
    return log.entries[-1].numbers if log.entries else {}


def _json_lines(path: Path, text: str) -> Log:
    found, lines = list[Entry](), text.splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            if number == len(lines) and not text.endswith("\n"):
                return Log(found, is_half=True)
            raise DataError(path, "is no JSON", line=number) from None
        if not isinstance(entry, Mapping):
            raise DataError(path, "is no object with names and numbers", line=number)
        found.append(entry_of(entry, number))
    return Log(found)


def _console(match: re.Match[str], line: int) -> Entry:
    entry = Entry({"step": float(match[1])}, {}, line)
    for name, said in _ENTRY.findall(match[2]):
        printed = _PRINTED.fullmatch(said)
        _put(entry, name, printed[1] if printed else said)
    return entry


def _table(path: Path, text: str) -> Log:
    rows = list(_rows(text))
    if len(rows) < 2 or len(rows[0][1]) < 2:
        raise DataError(
            path,
            "is no log that is known here (JSON Lines, trainer_state.json, CSV with a head, verl's console)",
        )
    head, is_half = rows[0][1], len(rows[-1][1]) < len(rows[0][1]) and not text.endswith("\n")
    found, names = list[Entry](), _names(head)
    for line, row in rows[1:-1] if is_half else rows[1:]:
        if len(row) != len(head):
            raise DataError(path, f"has {len(row)} cells, and the head has {len(head)}", line=line)
        found.append(entry_of(dict(zip(names, row, strict=True)), line))
    return Log(found, is_half, is_timed=False)


def _names(head: list[str]) -> list[str]:
    """The names of a head. A chart that was exported from wandb's pages has `RUN - NAME`, with the least and
    the largest beside it: of one run the name alone is taken, of several nothing is changed."""
    short = [_OF_A_RUN.sub("", name) for name in head]
    return short if len(set(short)) == len(head) else head


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, each with the line at which it ends."""
    delimiter = "\t" if "\t" in text.split("\n", 1)[0] else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return ((reader.line_num, row) for row in reader if row)
