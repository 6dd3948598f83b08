"""Files -> rows: every format, every way to break one, and the line that is to blame."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from rubricate.errors import DataError
from rubricate.runs.rows import Row, rows_of

ROWS = [{"id": "a", "n": 1}, {"id": "b", "text": "zwei\u2028{braces} 🙂"}, {"id": "c", "list": [1, [2]]}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def written(tmp_path: Path, name: str, content: bytes | str) -> str:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def values(source: str) -> list[Any]:
    return [row.value for row in rows_of(source)]


def failure(source: str) -> DataError:
    with pytest.raises(DataError) as caught:
        list(rows_of(source))
    assert caught.value.path == source
    return caught.value


def packed_twice(content: bytes, pack: Callable[[bytes], bytes]) -> bytes:
    """Two members, cut in the middle of a line."""
    return pack(content[:20]) + pack(content[20:])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", LINES),
        ("rows.ndjson", LINES.rstrip(b"\n")),
        ("ROWS.JSONL", LINES),
        ("rows.v2.jsonl", b"\xef\xbb\xbf" + LINES),
        ("rows.jsonl", b"\n \r\n" + LINES.replace(b"\n", b"\r\n\n")),
        ("rows.jsonl.gz", gzip.compress(LINES, mtime=0)),
        ("rows.jsonl.gz", packed_twice(LINES, partial(gzip.compress, mtime=0))),
        ("rows.jsonl.zst", zstandard.compress(LINES)),
        ("rows.jsonl.zst", packed_twice(LINES, zstandard.compress)),
        ("rows.json", json.dumps(ROWS)),
        ("rows.json", "\ufeff  " + json.dumps(ROWS, indent=2) + "\n\n"),
        ("rows.json.gz", gzip.compress(json.dumps(ROWS).encode(), mtime=0)),
        ("rows.json", LINES),
        ("rows.json", json.dumps({"responses": ROWS})),
        ("rows.json", json.dumps({"made_at": "now", "responses": ROWS})),
        ("rows.json", json.dumps({"rubrics": ROWS})),
    ],
)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, content: bytes | str) -> None:
    """JSON Lines, JSON and their packings hold the same rows in the same order."""
    assert values(written(tmp_path, name, content)) == ROWS


def test_named_rows_keep_their_names_and_lines(tmp_path: Path) -> None:
    """An object of named rows gives them in its order; a name that comes twice is two rows, not one."""
    text = '{\n "x": {"n": 1},\n "[0] y": [1, 2],\n "x":\n  {"n": 2}\n}'
    rows = list(rows_of(written(tmp_path, "rows.json", text)))
    assert [(row.name, row.value, row.line) for row in rows] == [
        ("x", {"n": 1}, 2),
        ("[0] y", [1, 2], 3),
        ("x", {"n": 2}, 5),
    ]


@pytest.mark.parametrize("row", [{"id": 1, "prompt": "p", "responses": []}, {"prompt": "p"}, {"id": "x"}])
def test_an_object_that_is_a_row_is_one_row(tmp_path: Path, row: dict[str, Any]) -> None:
    """A file with a single object that has the fields of a row is no object of named rows."""
    assert values(written(tmp_path, "rows.json", json.dumps(row))) == [row]


@pytest.mark.parametrize(
    ("name", "content", "line", "said"),
    [
        ("rows.jsonl", b'{"a": 1}\n\n{"a": }\n', 3, "column 7"),
        ("rows.jsonl", b'{"a": 1}\n{"a": "\xff"}\n', 2, "not UTF-8"),
        ("rows.jsonl", b'{"a": 1} {"a": 2}\n', 1, "Extra data"),
        ("rows.jsonl", b'{"a": 1}\n{"a": 2', 2, "not JSON"),
        ("rows.jsonl", b"[" * 100_000, 1, "nested too deeply"),
        ("rows.jsonl", b'{"a": ' + b"9" * 5000 + b"}", 1, "4300 digits"),
        ("rows.json", "", None, "empty"),
        ("rows.json", " \n ", None, "empty"),
        ("rows.json", "\n\n12", 3, "neither a list nor an object"),
        ("rows.json", '[\n {"a": 1},\n {"a": }\n]', 3, "column 8"),
        ("rows.json", '[\n {"a": 1}\n {"a": 2}\n]', 3, "',' delimiter"),
        ("rows.json", '[\n {"a": 1},\n]', 3, "trailing comma"),
        ("rows.json", '[\n {"a": 1}\n', 3, "not JSON"),
        ("rows.json", '[{"a": 1}]\n]', 2, "Extra data"),
        ("rows.json", '{"a": {}\n}\n}', 3, "Extra data"),
        ("rows.json", '{"a": {},\n b: {}}', 2, "property name"),
        ("rows.json", b'[\n"a",\n"\xff"]', 3, "not UTF-8 at byte 2 of the line"),
        ("rows.json", '[\n{},\n' + "[" * 100_000, 2, "nested too deeply"),
        ("rows.json", "{" + '"a":{' * 100_000, 1, "nested too deeply"),
        ("rows.json", '{"id": 1, "prompt": "p"}\n{"id": 2', 2, "not JSON"),
        ("rows.jsonl.gz", gzip.compress(LINES, mtime=0)[:-12], None, "end-of-stream"),
        ("rows.jsonl.gz", LINES, None, "cannot be read"),
        ("rows.jsonl.gz", gzip.compress(LINES, mtime=0)[:12] + b"\xff" * 40, None, "cannot be read"),
        ("rows.jsonl.zst", zstandard.compress(LINES * 9999)[:-30], None, "cut off"),
        ("rows.jsonl.zst", LINES, None, "cannot be read"),
        ("rows.parquet", b"PAR1 no", None, "Parquet"),
        ("rows.csv", "id,prompt\n", None, "unknown format"),
        ("rows", "{}", None, "unknown format"),
    ],
)  # fmt: skip
def test_what_is_broken_is_named_with_its_line(
    tmp_path: Path, name: str, content: bytes | str, line: int | None, said: str
) -> None:
    """A file that cannot be read is refused with its name, the line where it breaks, and what is wrong."""
    error = failure(written(tmp_path, name, content))
    assert (error.line, said in error.problem) == (line, True), str(error)


def test_a_missing_file_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    """A path that leads nowhere is an error at once, not an empty input."""
    assert "no such file" in str(failure(str(tmp_path / "none.json")))
    assert "neither a saved dataset nor Parquet" in str(failure(str(tmp_path)))


@given(cut=st.integers(1, 400))
def test_a_cut_packed_file_never_passes_for_a_whole_one(tmp_path_factory: Any, cut: int) -> None:
    """Wherever a .zst or .gz is cut off, reading it fails; no row is lost without a word."""
    folder = tmp_path_factory.mktemp("cut")
    lines = b"".join(json.dumps({"n": n, "x": n * 7919 % 1000}).encode() + b"\n" for n in range(200))
    packed = {"r.jsonl.zst": zstandard.compress(lines), "r.jsonl.gz": gzip.compress(lines, mtime=0)}
    for name, whole in packed.items():
        failure(written(folder, name, whole[: -min(cut, len(whole) - 1)]))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(items=st.lists(json_values, max_size=5), indent=st.sampled_from([None, 0, 3]))
def test_a_list_is_read_as_the_standard_library_reads_it(
    tmp_path_factory: Any, items: list[Any], indent: int | None
) -> None:
    """Reading a JSON list item by item gives what `json.loads` gives, and each item begins on its line."""
    text = json.dumps(items, indent=indent, ensure_ascii=False)
    folder = tmp_path_factory.mktemp("list")
    rows = list(rows_of(written(folder, "rows.json", text.encode("utf-8"))))
    assert [row.value for row in rows] == items
    lines = [row.line for row in rows]
    assert lines == sorted(lines, key=lambda line: line or 0)
    if indent is not None and items:
        assert lines[0] == 2


def test_half_a_surrogate_pair_is_mended_and_said(tmp_path: Path) -> None:
    """Text that no UTF-8 can carry gets question marks and a mark on its row; a whole pair stays."""
    lines = ['{"a\\udc00": ["x\\ud83d", {"b": "\\ude00"}]}', '{"a": "\\ud83d\\ude42"}', '{"a": "\\\\ud83d"}']
    for name, content in (("r.jsonl", "\n".join(lines)), ("r.json", f"[{','.join(lines)}]")):
        first, second, third = rows_of(written(tmp_path, name, content))
        assert (first.value, first.mended) == ({"a?": ["x?", {"b": "?"}]}, True)
        assert (second.value, second.mended) == ({"a": "🙂"}, False)
        assert (third.value, third.mended) == ({"a": "\\ud83d"}, False)


def test_parquet_and_its_folder(tmp_path: Path) -> None:
    """Parquet gives nested rows; errors of its rows count them, for there are no lines."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    rows = [{"id": n, "responses": [{"response": "x", "generator": None}]} for n in range(600)]
    for shard in (0, 1):
        table = arrow.Table.from_pylist(rows[shard * 300 : (shard + 1) * 300])
        parquet.write_table(table, tmp_path / f"part-{shard}.parquet")
    assert values(str(tmp_path)) == rows
    last = list(rows_of(str(tmp_path / "part-0.parquet")))[-1]
    assert str(last.error("wrong", "id")).endswith("part-0.parquet: row 300, id: wrong")


def test_a_saved_dataset(tmp_path: Path) -> None:
    """A folder written by `save_to_disk` is read, with all its splits; a damaged one is named."""
    datasets = pytest.importorskip("datasets")
    rows = [{"prompt": "p", "n": n} for n in range(3)]
    datasets.DatasetDict({"train": datasets.Dataset.from_list(rows)}).save_to_disk(tmp_path / "saved")
    assert values(str(tmp_path / "saved")) == rows
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "state.json").write_text("{}")
    assert "saved dataset" in str(failure(str(tmp_path / "broken")))


def test_an_error_of_a_row_names_file_line_and_field() -> None:
    """The place of a mistake is told in full, whatever the format offers of it."""
    assert str(Row({}, "f.jsonl", 7).error("missing", "prompt")) == "f.jsonl:7: prompt: missing"
    assert str(Row({}, "f.parquet", None, number=3).error("missing")) == "f.parquet: row 3: missing"
