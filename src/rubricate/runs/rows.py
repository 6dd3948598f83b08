"""Files -> rows. Knows formats (JSON, JSON Lines, Parquet, Hugging Face datasets), not what rows mean."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from glob import has_magic
from json import JSONDecodeError
from pathlib import Path
from typing import Any, NamedTuple

from rubricate.errors import DataError, SettingsError
from rubricate.runs.documents import DOCUMENTS, parsed
from rubricate.runs.places import LINES, PARQUET, File, failures, files_of, format_of, is_url
from rubricate.runs.unpacking import unpacked

HUB = "hf://"
_HUB_FILES = ("hf://datasets/", "hf://buckets/", "hf://spaces/")
_ROW_FIELDS = ("id", "prompt_id", "prompt", "responses", "criteria", "rubrics")
_FOREIGN_FIELDS = ("question", "rubric", "rubric_items", "ground_truth", "sections", "items", "type")
_SPACE = re.compile(r"[ \t\r\n]*")
_HALF = re.compile("[\ud800-\udfff]")
_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_DECODER = json.JSONDecoder()


class Row(NamedTuple):
    """One row and where it stands.

    `line` counts from 1 and is None where the format has no lines; `number` counts from 1 there, else it
    is None. `name` is the row's name in an object of named rows. `mended` says that the text held halves of
    surrogate pairs, which no UTF-8 can carry, and now has question marks in their place.
    """

    value: Any
    path: str
    line: int | None
    name: str | None = None
    number: int | None = None
    mended: bool = False

    def error(self, problem: str, field: str | None = None) -> DataError:
        """What is wrong with this row, ready to be raised."""
        place = [f"row {self.number}"] if self.number is not None else []
        place += [field] if field is not None else []
        return DataError(self.path, problem, line=self.line, field=", ".join(place) or None)


def rows_of(source: str) -> Iterator[Row]:
    """The rows of a file, in its order; one at a time wherever the format allows it.

    `.jsonl` and `.ndjson` (also `.gz`, `.zst`) and `.parquet` stream. Of a `.json` file the text is held: a
    list of rows, an object of named rows, a single row, or JSON Lines under the wrong name. A folder is
    read as a saved Hugging Face dataset or as the shards in it, a glob as the files that match it, and both
    may stand behind a URL (`s3://BUCKET/pools/*.parquet`; see runs/places.py). `hf://NAME[:CONFIG][#SPLIT]`
    is a dataset of the hub and needs the package `datasets`, as saved ones do; `hf://datasets/...` is a URL.
    A `.toml` or `.yaml` file is one row, named by the file; a list in it is that of its criteria.

    Raises:
        DataError: the file is missing, unreadable or malformed; with its line where there is one.
    """
    if source.startswith(HUB) and not source.startswith(_HUB_FILES):
        return _hub_rows(source)
    path = Path(source)
    if not is_url(source):
        if path.is_dir() and any((path / name).is_file() for name in ("state.json", "dataset_dict.json")):
            return _dataset_rows(source, saved=True)
        if not path.is_file() and not path.is_dir() and not has_magic(source):
            raise DataError(path, "no such file" if not path.exists() else "not a file")
    return (row for file in files_of(source) for row in _file_rows(file))


def _file_rows(file: File) -> Iterator[Row]:
    kind = format_of(file)
    if kind in LINES:
        return _line_rows(file)
    if kind == PARQUET:
        return _parquet_rows(file)
    if kind == ".json":
        return _json_rows(file)
    if kind in DOCUMENTS:
        return _document_rows(file, kind)
    raise DataError(str(file), "unknown format; use .json, .jsonl, .ndjson (also .gz, .zst) or .parquet")


def _line_rows(path: File) -> Iterator[Row]:
    with unpacked(path) as stream:
        for line, raw in enumerate(stream, 1):
            if raw.strip():
                yield _line_row(_text_of(raw, path, line), path, line)


def _document_rows(path: File, kind: str) -> Iterator[Row]:
    with unpacked(path) as stream:
        text = _text_of(stream.read(), path)
    given = parsed(text, str(path), kind)
    value = _mended(given)  # YAML has the escapes that JSON has
    whole = {"criteria": value} if isinstance(value, list) else value
    yield Row(whole, str(path), None, path.name.partition(".")[0], mended=value != given)


def _text_of(raw: bytes, path: File, line: int | None = None) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        at = line or raw.count(b"\n", 0, failure.start) + 1
        column = failure.start - raw.rfind(b"\n", 0, failure.start)
        raise DataError(str(path), f"not UTF-8 at byte {column} of the line", line=at) from None


def _line_row(text: str, path: File, line: int) -> Row:
    try:
        return _row(json.loads(text), path, line, None, _has_halves(text))
    except JSONDecodeError as failure:
        raise DataError(
            str(path), f"not JSON: {failure.msg} at column {failure.pos + 1}", line=line
        ) from None
    except (RecursionError, ValueError) as failure:
        raise DataError(str(path), _unreadable(failure), line=line) from None


def _unreadable(failure: RecursionError | ValueError) -> str:
    """Why valid JSON cannot be read: Python bounds depth and the digits of a number."""
    deep = isinstance(failure, RecursionError)
    return "not a row: nested too deeply" if deep else f"not a row: {str(failure).partition(';')[0]}"


def _has_halves(text: str) -> bool:
    """Whether the values of a JSON text may hold halves of surrogate pairs: they can only come as escapes."""
    return _ESCAPED_HALF.search(text) is not None


def _row(value: Any, path: File, line: int, name: str | None, has_halves: bool) -> Row:
    if not has_halves:
        return Row(value, str(path), line, name)
    whole, whole_name = _mended(value), _mended(name)
    return Row(whole, str(path), line, whole_name, mended=(whole, whole_name) != (value, name))


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return _HALF.sub("?", value)
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, dict):
        return {_mended(name): _mended(item) for name, item in value.items()}
    return value


def _json_rows(path: File) -> Iterator[Row]:
    with unpacked(path) as stream:
        text = _text_of(stream.read(), path)
    start, line, has_halves = _after_space(text, 0), 1, _has_halves(text)
    if start == len(text):
        raise DataError(str(path), "the file is empty")
    if text[start] not in "[{":
        raise DataError(str(path), "holds neither a list nor an object", line=text.count("\n", 0, start) + 1)
    try:
        if text[start] == "{":
            value, end = _DECODER.raw_decode(text, start)
            if _after_space(text, end) < len(text) and "\n" not in text[start:end]:
                yield from _line_rows(path)  # JSON Lines under the wrong name
                return
            _must_end(text, end)
            if (wrapped := _wrapped(value)) is not None:
                start = next(at for name, at, _ in _items(text, start) if name == wrapped)
            elif _is_row(value):
                yield _row(value, path, text.count("\n", 0, start) + 1, None, has_halves)
                return
        counted = 0
        for name, at, value in _items(text, start):
            line, counted = line + text.count("\n", counted, at), at
            yield _row(value, path, line, name, has_halves)
    except JSONDecodeError as failure:
        problem = f"not JSON: {failure.msg} at column {failure.colno}"
        raise DataError(str(path), problem, line=failure.lineno) from None
    except (RecursionError, ValueError) as failure:
        raise DataError(str(path), _unreadable(failure), line=line) from None


def _wrapped(value: dict[str, Any]) -> str | None:
    """The field that holds the rows: official files say `{"responses": [...]}` and `{"rubrics": {...}}`."""
    if any(name in value for name in ("id", "prompt_id", "prompt", "question", "query")):
        return None
    wrappers = (name for name in ("responses", "rubrics") if isinstance(value.get(name), list | dict))
    return next(wrappers, None)


def _is_row(value: dict[str, Any]) -> bool:
    """Whether an object is a row itself and not an object of named rows."""
    return any(
        name in value and not isinstance(value[name], Mapping) for name in (*_ROW_FIELDS, *_FOREIGN_FIELDS)
    )


def _items(text: str, at: int) -> Iterator[tuple[str | None, int, Any]]:
    """Name (None in a list), place and value of each item of the JSON list or object that begins at `at`,
    one at a time: memory holds the text and one value.

    Raises:
        ValueError: as `json.loads` does.
    """
    is_list, is_whole = text[at] == "[", at == _after_space(text, 0)
    closing = "]" if is_list else "}"
    at = _after_space(text, at + 1)
    while text[at : at + 1] != closing:
        name = None
        if not is_list:
            if text[at : at + 1] != '"':
                raise JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
            name, at = _DECODER.raw_decode(text, at)
            at = _after_space(text, at)
            if text[at : at + 1] != ":":
                raise JSONDecodeError("Expecting ':' delimiter", text, at)
            at = _after_space(text, at + 1)
        value, end = _DECODER.raw_decode(text, at)
        yield name, at, value
        at = _after_space(text, end)
        if text[at : at + 1] == ",":
            at = _after_space(text, at + 1)
            if text[at : at + 1] == closing:
                raise JSONDecodeError("Illegal trailing comma before the end", text, at)
        elif text[at : at + 1] != closing:
            raise JSONDecodeError("Expecting ',' delimiter", text, at)
    if is_whole:
        _must_end(text, at + 1)


def _must_end(text: str, at: int) -> None:
    at = _after_space(text, at)
    if at < len(text):
        raise JSONDecodeError("Extra data", text, at)


def _after_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _parquet_rows(file: File) -> Iterator[Row]:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    try:
        with file.open("rb") as opened, parquet.ParquetFile(opened) as shard:
            number = 0
            for batch in shard.iter_batches(batch_size=256):
                for value in batch.to_pylist():
                    number += 1
                    yield Row(value, str(file), None, number=number)
    except (arrow.ArrowException, *failures()) as failure:
        raise DataError(str(file), f"not a readable Parquet file: {failure}") from None


def _hub_rows(source: str) -> Iterator[Row]:
    return _dataset_rows(source.removeprefix(HUB), saved=False)


def _dataset_rows(name: str, *, saved: bool) -> Iterator[Row]:
    try:
        import datasets
    except ModuleNotFoundError:
        raise SettingsError(
            "reading a Hugging Face dataset needs the package datasets: pip install datasets"
        ) from None
    if saved:
        try:
            loaded = datasets.load_from_disk(name)
        except (OSError, ValueError, LookupError) as failure:
            raise DataError(name, f"not a saved dataset: {failure}") from None
        splits = loaded.values() if isinstance(loaded, dict) else [loaded]
    else:
        name, _, split = name.partition("#")
        name, _, config = name.partition(":")
        try:
            splits = [datasets.load_dataset(name, config or None, split=split or "train", streaming=True)]
        except (OSError, ValueError, ConnectionError) as failure:
            raise DataError(f"{HUB}{name}", f"cannot be loaded: {failure}") from None
    number = 0
    for rows in splits:
        for value in rows:
            number += 1
            yield Row(value, name, None, number=number)
