"""The same for flat tables of a million rows: whole columns at a time, and not a word about mistakes.

Whatever is not plain (another shape, a text in a number column, NaN, a repeated row) raises `NotPlain`, and
the reader of single records takes over: it reads everything, and says where each mistake is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rubricate.evaluation.reading.columns import Columns, Wanted
from rubricate.evaluation.reading.records import LARGEST, MISSING, Record
from rubricate.evaluation.reading.rows_to_pool import Codes
from rubricate.evaluation.scored import Floats, Indices, ScoredPool, grouped
from rubricate.runs.places import format_of
from rubricate.runs.unpacking import unpacked

_CHUNK = 1 << 25


class NotPlain(Exception):
    """This file is one for the reader of records."""


def read_table(path: Path, columns: Columns, sample: Record, wanted: Wanted) -> ScoredPool:
    """The pool of a flat CSV, JSON Lines or Parquet file; `sample` is one of its records.

    Cost: about 2 s for a million rows; memory holds one batch of texts. Raises: NotPlain.
    """
    import pyarrow as arrow

    parts, prompts, sources = list[_Part](), Codes(), Codes()
    try:
        for batch in _batches(path, columns, sample):
            parts.append(_part(batch, columns, prompts, sources))
    except (arrow.ArrowException, KeyError) as failure:
        raise NotPlain from failure
    if not parts:
        raise NotPlain
    prompt_of, source_of, lengths, texts = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("prompt_of", "source_of", "lengths", "texts")
    )
    numbers = {name: np.concatenate([part.numbers[name] for part in parts]) for name in columns.numbers}
    if columns.weights and not np.all(numbers[columns.weights] > 0):
        raise NotPlain
    if columns.response and wanted.duplicates != "keep":
        _refuse_repeats(prompt_of, source_of, texts, lengths)
    return grouped(
        prompts.names,
        prompt_of,
        gold=numbers[columns.gold] if columns.gold else np.full(len(prompt_of), np.nan),
        proxies={name: numbers[name] for name in columns.proxies},
        lengths=numbers[columns.length] if columns.length else lengths,
        sources=source_of,
        source_names=sources.names,
        weights=numbers[columns.weights] if columns.weights else None,
        gold_name=columns.gold or "preferences",
    )


class _Part:
    """The columns of one batch."""

    prompt_of: Indices
    source_of: Indices
    lengths: Floats
    texts: Indices
    """A hash of each text."""
    numbers: dict[str, Floats]


def _part(batch: Any, columns: Columns, prompts: Codes, sources: Codes) -> _Part:
    import pyarrow.compute as compute

    part, n = _Part(), batch.num_rows
    part.prompt_of = _coded(batch.column(columns.prompt), prompts)
    if (part.prompt_of < 0).any():
        raise NotPlain
    part.source_of = _coded(batch.column(columns.source), sources) if columns.source else np.full(n, -1)
    part.lengths, part.texts = np.full(n, np.nan), np.zeros(n, dtype=np.int64)
    if columns.response:
        text = _text(batch.column(columns.response))
        part.lengths = np.asarray(compute.utf8_length(text).cast("float64").to_numpy(zero_copy_only=False))
        part.texts = np.fromiter(map(hash, text.to_pylist()), dtype=np.int64, count=n)
    part.numbers = {name: _numbers(batch.column(name)) for name in columns.numbers}
    return part


def _coded(column: Any, codes: Codes) -> Indices:
    """Each value as its number among the names; -1 for none or an empty one."""
    import pyarrow as arrow

    if arrow.types.is_integer(column.type):
        column = column.cast("string")
    encoded = _text(column).dictionary_encode()
    names = encoded.dictionary.to_pylist()
    numbers = np.array([codes.of(name) if name else -1 for name in names] or [-1], dtype=np.int64)
    at = np.asarray(encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)
    return np.where(at < 0, -1, numbers[at])


def _text(column: Any) -> Any:
    import pyarrow as arrow

    if isinstance(column, arrow.ChunkedArray):
        column = column.combine_chunks()
    if not (arrow.types.is_string(column.type) or arrow.types.is_large_string(column.type)):
        raise NotPlain
    return column


def _numbers(column: Any) -> Floats:
    import pyarrow as arrow
    import pyarrow.compute as compute

    kind = column.type
    if not (arrow.types.is_floating(kind) or arrow.types.is_integer(kind) or arrow.types.is_null(kind)):
        raise NotPlain
    values = column.cast("float64")
    if compute.all(compute.less_equal(compute.abs(values), LARGEST)).as_py() is False:  # NaN is not less
        raise NotPlain
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=float)


def _refuse_repeats(prompt_of: Indices, source_of: Indices, texts: Indices, lengths: Floats) -> None:
    there = ~np.isnan(lengths)
    mixed = texts[there].astype(np.uint64)
    for codes, factor in ((prompt_of, 0x9E3779B97F4A7C15), (source_of, 0xC2B2AE3D27D4EB4F)):
        mixed = (mixed ^ (mixed >> np.uint64(29))) + codes[there].astype(np.uint64) * np.uint64(factor)
        mixed = mixed * np.uint64(0xD6E8FEB86659FD93)
    if len(np.unique(mixed)) < len(mixed):
        raise NotPlain


def _batches(path: Path, columns: Columns, sample: Record) -> Iterator[Any]:
    names = list(
        dict.fromkeys(filter(None, (columns.prompt, columns.response, columns.source, *columns.numbers)))
    )
    kind = format_of(path)
    if sample.within or sample.side:
        raise NotPlain
    if kind == ".parquet":
        import pyarrow.parquet as parquet

        with parquet.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=1 << 16, columns=names)
    elif kind == ".csv":
        yield from _csv_batches(path, names, columns)
    elif kind in (".jsonl", ".ndjson"):
        yield from _json_batches(path, names, columns, sample)
    else:
        raise NotPlain


def _csv_batches(path: Path, names: list[str], columns: Columns) -> Iterator[Any]:
    import pyarrow as arrow
    import pyarrow.csv as tables

    options = tables.ConvertOptions(
        include_columns=names,
        column_types={name: "float64" if name in columns.numbers else "string" for name in names},
        null_values=list(MISSING),
        strings_can_be_null=False,
        quoted_strings_can_be_null=True,
    )
    with unpacked(path) as raw:
        yield from tables.open_csv(
            arrow.PythonFile(raw, mode="r"),
            read_options=tables.ReadOptions(block_size=_CHUNK),
            parse_options=tables.ParseOptions(newlines_in_values=True),
            convert_options=options,
        )


def _json_batches(path: Path, names: list[str], columns: Columns, sample: Record) -> Iterator[Any]:
    import pyarrow as arrow
    import pyarrow.json as tables

    def kind(name: str) -> Any:
        if name in columns.numbers:
            return arrow.float64()
        return arrow.int64() if type(sample.get(name)) is int else arrow.string()

    schema = arrow.schema([(name, kind(name)) for name in names])
    options = tables.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    with unpacked(path) as raw:
        rest = b""
        while chunk := raw.read(_CHUNK):
            whole, newline, rest = (rest + chunk).rpartition(b"\n")
            if newline:
                yield _json_table(whole + newline, options)
        if rest.strip():
            yield _json_table(rest, options)


def _json_table(lines: bytes, options: Any) -> Any:
    import pyarrow as arrow
    import pyarrow.json as tables

    if b"\\ud" in lines or b"\\uD" in lines:
        raise NotPlain  # halves of surrogate pairs need mending
    read = tables.ReadOptions(use_threads=True, block_size=len(lines) + 1)
    return tables.read_json(arrow.BufferReader(lines), read_options=read, parse_options=options)
