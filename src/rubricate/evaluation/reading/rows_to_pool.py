"""Records -> a scored pool, one at a time and with an address for every mistake: the reader of all shapes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np

from rubricate.errors import DataError
from rubricate.evaluation.reading.columns import Columns, Wanted, columns_of
from rubricate.evaluation.reading.records import Record, records_of
from rubricate.evaluation.scored import Floats, ScoredPool, grouped

PEEKED = 1000
"""Records from which the columns are found."""


class Codes:
    """Names in order of first appearance, each with its number."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def of(self, name: str) -> int:
        return self.numbers.setdefault(name, len(self.numbers))

    @property
    def names(self) -> list[str]:
        return list(self.numbers)


class Rows:
    """Columns in the making."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.prompts, self.sources = Codes(), Codes()
        self.prompt_of = list[int]()
        self.source_of = list[int]()
        self.lengths = list[float]()
        self.numbers: dict[str, list[float]] = {name: [] for name in columns.numbers}
        self.labels = list[str]()
        """What preferences call each response: its source, in rows of pairs its text."""
        self.pairs = list[tuple[int, int, bool]]()
        """In rows of pairs: the chosen and the rejected response, and whether they tie."""
        self.n_dropped = 0
        self._chosen = -1

    def add_side(self, record: Record, at: int) -> None:
        """One side of a pair, which stands at a place among the responses."""
        if record.side == "chosen":
            self._chosen = at
            return
        if at == self._chosen:
            raise record.error("the same text as the chosen one", "rejected")
        self.pairs.append((self._chosen, at, record.get("tie") is True))

    def pool(self, gold: Floats | None = None, notes: tuple[str, ...] = ()) -> ScoredPool:
        """All rows by prompt; `gold` in place of a column, in the order of the rows."""
        columns = self.columns
        dropped = f"{self.n_dropped:,} rows repeat an earlier row (same prompt, text and source): dropped"
        return grouped(
            self.prompts.names,
            self.prompt_of,
            gold=self.numbers[columns.gold] if columns.gold and gold is None else gold,  # type: ignore[arg-type]
            proxies={name: self.numbers[name] for name in columns.proxies},
            lengths=self.numbers[columns.length] if columns.length else self.lengths,
            sources=np.array(self.source_of, dtype=np.int64),
            source_names=self.sources.names,
            weights=self.numbers[columns.weights] if columns.weights else None,
            notes=(*([dropped] if self.n_dropped else []), *notes),
            gold_name=columns.gold or "preferences",
        )


def read_rows(path: Path, wanted: Wanted) -> Rows:
    """All records of a file.

    Raises:
        DataError: a value is none of its column, a row repeats another, a prompt or a weight is missing.
    """
    records, columns = found_columns(path, wanted)
    rows, first = Rows(columns), dict[tuple[int, str, int], tuple[int, Record]]()
    for record in records:
        _add(rows, first, record, wanted)
    return rows


def found_columns(path: Path, wanted: Wanted) -> tuple[Iterator[Record], Columns]:
    """The records of a file, and which column is what.

    Raises:
        DataError: a column is not there, or the file is malformed within its first records.
    """
    records = records_of(path)
    head = list(islice(records, PEEKED))
    if not head:
        raise DataError(path, "no responses in any row")
    names, numeric = dict[str, None](), set[str]()
    for record in head:
        for fields in (record.fields, record.around):
            for name, value in fields.items():
                own = _own_name(name, record)
                names[own] = None
                if _is_number(value, is_text=record.is_text):
                    numeric.add(own)
    nested = any(record.within or record.side for record in head)
    columns = columns_of(str(path), list(names), numeric, wanted, nested=bool(head[0].within))
    if nested and head[0].side:
        columns = Columns(**{**columns.__dict__, "response": head[0].side})
    return chain(head, records), columns


def _own_name(name: str, record: Record) -> str:
    if record.side is not None:
        for side in ("chosen", "rejected"):
            if name.startswith(f"{side}_") or name.endswith(f"_{side}"):
                return name.removeprefix(f"{side}_").removesuffix(f"_{side}")
    return name


def _is_number(value: object, *, is_text: bool) -> bool:
    if is_text and isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return False
        return True
    return isinstance(value, int | float) and not isinstance(value, bool)


def _add(
    rows: Rows, first: dict[tuple[int, str, int], tuple[int, Record]], record: Record, wanted: Wanted
) -> None:
    columns = rows.columns
    prompt = record.name(columns.prompt)
    if prompt is None:
        raise record.error("missing; a row needs its prompt", columns.prompt)
    text = record.text(columns.response) if columns.response else None
    source = record.name(columns.source) if columns.source else None
    code = rows.prompts.of(prompt)
    wrote = -1 if source is None or record.side else rows.sources.of(source)
    numbers = {name: record.number(name) for name in columns.numbers}
    if columns.weights and not numbers[columns.weights] > 0:
        raise record.error(
            "a weight of the base policy is above 0; leave out a response that it never gives",
            columns.weights,
        )
    if record.side and text is None:
        raise record.error("missing; a pair has two texts", record.side)
    if text is not None and (wanted.duplicates != "keep" or record.side):
        at, before = first.setdefault((code, text, wrote), (len(rows.lengths), record))
        if record.side is not None:
            rows.add_side(record, at)
        if before is not record:
            _repeated(rows, at, before, record, numbers, wanted)
            return
    rows.prompt_of.append(code)
    rows.source_of.append(wrote)
    rows.lengths.append(np.nan if text is None else float(len(text)))
    for name, number in numbers.items():
        rows.numbers[name].append(number)
    rows.labels.append((text if record.side else source) or "")


def _repeated(
    rows: Rows, at: int, before: Record, record: Record, numbers: dict[str, float], wanted: Wanted
) -> None:
    """A second row of one response: in pairs its second pair, else a mistake, or to be dropped."""
    if record.side is None:
        if wanted.duplicates == "drop":
            rows.n_dropped += 1
            return
        raise record.error(
            f"repeats {_place(before)} (same prompt, text and source); --duplicates drop leaves it out, "
            "--duplicates keep counts it",
            rows.columns.response or "response",
        )
    for name, number in numbers.items():
        known = rows.numbers[name][at]
        if np.isnan(known):
            rows.numbers[name][at] = number
        elif not np.isnan(number) and number != known:
            raise record.error(
                f"{number:g}, but {_place(before)} gives the same response {known:g}", f"{record.side}_{name}"
            )


def _place(record: Record) -> str:
    row = record.row
    place = f"line {row.line}" if row.line is not None else f"row {row.number}"
    return f"{place}, {record.within.rstrip('.')}" if record.within else place
