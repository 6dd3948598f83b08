"""Files -> rows. Knows formats (JSON, JSON Lines, Parquet, Hugging Face datasets), not what rows mean."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from rubricate.errors import DataError, SettingsError

HUB = "hf://"


class Row(NamedTuple):
    """One row and where it stands. `line` counts from 1; None where the format has no lines."""

    value: Any
    path: str
    line: int | None
    name: str | None = None

    def error(self, problem: str, field: str | None = None) -> DataError:
        """What is wrong with this row, ready to be raised."""
        return DataError(self.path, problem, line=self.line, field=field)


def rows_of(source: str) -> Iterator[Row]:
    """The rows of a file, in its order; one at a time wherever the format allows it.

    `.jsonl` and `.ndjson` (also `.gz`, `.zst`) and `.parquet` stream. A `.json` file is read whole: a list
    of rows, or an object of named rows. A folder is read as a saved Hugging Face dataset or as the Parquet
    files in it, `hf://NAME[:CONFIG][#SPLIT]` as a dataset of the hub (both need the extra `datasets`).

    Raises:
        DataError: the file is missing, unreadable or malformed; with its line where there is one.
    """
    if source.startswith(HUB):
        return _hub_rows(source)
    path = Path(source)
    if path.is_dir():
        return _folder_rows(path)
    if not path.is_file():
        raise DataError(path, "no such file" if not path.exists() else "not a file")
    kind = "".join(suffix for suffix in path.suffixes if suffix not in (".gz", ".zst"))
    if kind.endswith((".jsonl", ".ndjson")):
        return _line_rows(path)
    if kind.endswith(".parquet"):
        return _parquet_rows(path)
    if kind.endswith(".json"):
        return _json_rows(path)
    raise DataError(path, "unknown format; use .json, .jsonl, .ndjson (also .gz, .zst) or .parquet")


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked if its name ends in .gz or .zst."""
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as unpacked:
                yield io.BufferedReader(unpacked)
        elif path.suffix == ".zst":
            import zstandard

            with path.open("rb") as packed, zstandard.ZstdDecompressor().stream_reader(packed) as stream:
                yield io.BufferedReader(stream)
        else:
            with path.open("rb") as stream:
                yield stream
    except (OSError, EOFError) as failure:
        raise DataError(path, f"cannot be read: {failure}") from None


def _line_rows(path: Path) -> Iterator[Row]:
    with opened(path) as stream:
        for line, raw in enumerate(stream, 1):
            if raw.strip():
                yield Row(_decoded(raw, path, line), str(path), line)


def _decoded(raw: bytes, path: Path, line: int | None) -> Any:
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as failure:
        at = line or raw.count(b"\n", 0, failure.start) + 1
        raise DataError(path, f"not UTF-8 at byte {failure.start}", line=at) from None
    except json.JSONDecodeError as failure:
        at = line or failure.lineno
        raise DataError(path, f"not JSON: {failure.msg} at column {failure.colno}", line=at) from None
    except RecursionError:
        raise DataError(path, "not a row: nested too deeply", line=line) from None


def _json_rows(path: Path) -> Iterator[Row]:
    with opened(path) as stream:
        raw = stream.read()
    if not raw.strip():
        raise DataError(path, "the file is empty")
    try:
        value = _decoded(raw, path, None)
    except DataError as failure:
        if "Extra data" not in failure.problem:
            raise
        yield from _line_rows(path)
        return
    if isinstance(value, dict) and isinstance(value.get("responses"), list) and "prompt" not in value:
        value = value["responses"]
    if isinstance(value, dict) and isinstance(value.get("rubrics"), dict):
        value = value["rubrics"]
    if isinstance(value, list):
        lines = _lines_of_items(raw) if len(raw) < _SMALL else []
        for place, item in enumerate(value):
            yield Row(item, str(path), lines[place] if place < len(lines) else None, f"[{place}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            yield Row(item, str(path), None, name)
    else:
        raise DataError(path, "holds neither a list nor an object", line=1)


_SMALL = 64 * 2**20


def _lines_of_items(raw: bytes) -> list[int]:
    """The line on which each item of a JSON list begins, so that an error can name it."""
    text = raw.decode("utf-8-sig")
    decoder, lines, at, line, counted = json.JSONDecoder(), list[int](), text.index("[") + 1, 1, 0
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        if at >= len(text) or text[at] == "]":
            return lines
        line, counted = line + text.count("\n", counted, at), at
        lines.append(line)
        _, at = decoder.raw_decode(text, at)


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=256):
                for value in batch.to_pylist():
                    number += 1
                    yield Row(value, str(path), None, f"row {number}")
    except (arrow.ArrowInvalid, OSError) as failure:
        raise DataError(path, f"not a readable Parquet file: {failure}") from None


def _folder_rows(path: Path) -> Iterator[Row]:
    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        return _dataset_rows(str(path), saved=True)
    shards = sorted(path.rglob("*.parquet"))
    if not shards:
        raise DataError(path, "a folder with neither a saved dataset nor Parquet files")
    return (row for shard in shards for row in _parquet_rows(shard))


def _hub_rows(source: str) -> Iterator[Row]:
    return _dataset_rows(source.removeprefix(HUB), saved=False)


def _dataset_rows(name: str, *, saved: bool) -> Iterator[Row]:
    try:
        import datasets
    except ModuleNotFoundError:
        raise SettingsError(
            "reading a Hugging Face dataset needs the extra: pip install 'rubricate[datasets]'"
        ) from None
    if saved:
        loaded = datasets.load_from_disk(name)
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
            yield Row(value, name, None, f"row {number}")
