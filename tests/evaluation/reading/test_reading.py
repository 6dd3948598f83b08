"""Files become scored pools: every shape, one pool either way, and an address for each mistake."""

from __future__ import annotations

import csv
import gzip
import io
import json

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
import zstandard

from rubricate.errors import DataError
from rubricate.evaluation.reading import reader
from rubricate.evaluation.reading.columns import Wanted
from rubricate.evaluation.reading.reader import read_scored
from rubricate.evaluation.reading.tables import NotPlain

FLAT = [
    {"prompt": "p", "response": "one", "generator": "a", "gold": 1, "score": 0.5, "other_reward": 3},
    {
        "prompt": "q",
        "response": "línea\ntwo",
        "generator": "b",
        "gold": 2.5,
        "score": None,
        "other_reward": 1,
    },
    {
        "prompt": "p",
        "response": "three",
        "generator": "b",
        "gold": None,
        "score": 0.25,
        "other_reward": -1e-3,
    },
    {"prompt": "q", "response": "", "generator": None, "gold": 0, "score": 1, "other_reward": 1},
]
NESTED = [
    {"id": "p", "prompt": "P?", "responses": [
        {"generator": "a", "response": "one", "reference_score": 1, "score": 0.5},
        {"generator": "b", "response": "three", "reference_score": None, "score": 0.25}]},
    {"id": "q", "prompt": "Q?", "responses": [
        {"generator": "b", "response": "two", "reference_score": 2.5, "score": None}]},
]  # fmt: skip


def lines(rows) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def as_csv(rows) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def written(folder, name, rows):
    """The rows in the format that the name states."""
    path, plain = folder / name, name.removesuffix(".gz").removesuffix(".zst")
    if plain.endswith(".parquet"):
        parquet.write_table(arrow.Table.from_pylist(rows), path)
        return path
    text = as_csv(rows) if plain.endswith(".csv") else lines(rows)
    text = json.dumps(rows) if plain.endswith(".json") else text
    raw = text.encode()
    pack = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}
    path.write_bytes(pack.get(path.suffix, bytes)(raw))
    return path


NAMES = ("x.jsonl", "x.jsonl.gz", "x.ndjson.zst", "x.json", "x.csv", "x.csv.gz", "x.csv.zst", "x.parquet")


@pytest.mark.parametrize("name", NAMES)
def test_every_format_is_one_pool(tmp_path, name):
    """Columns found by name, rows put together by prompt, an empty field is no number."""
    pool = read_scored(written(tmp_path, name, FLAT), Wanted())
    assert (list(pool.prompts), pool.sizes.tolist()) == (["p", "q"], [2, 2])
    assert np.array_equal(pool.gold, [1, np.nan, 2.5, 0], equal_nan=True)
    assert list(pool.proxies) == ["score", "other_reward"]
    assert np.array_equal(pool.proxies["score"], [0.5, 0.25, np.nan, 1], equal_nan=True)
    assert pool.proxies["other_reward"].tolist() == [3, -1e-3, 1, 1]
    assert pool.lengths.tolist() == [3, 5, 9, 0]  # characters, not bytes
    names = [pool.source_names[code] if code >= 0 else None for code in pool.sources]
    assert names == ["a", "b", "b", None]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "x.json"])
def test_the_fast_way_and_the_slow_way_agree(tmp_path, monkeypatch, name):
    """The table reader takes all flat formats, and gives what the reader of records gives."""
    path = written(tmp_path, name, FLAT * 1)
    fast = read_scored(path, Wanted())

    def refuse(*_):
        raise NotPlain

    with monkeypatch.context() as patch:
        patch.setattr(reader, "read_rows", refuse)
        read_scored(path, Wanted())  # it was the fast way
        patch.undo()
    monkeypatch.setattr(reader, "read_table", refuse)
    slow = read_scored(path, Wanted())
    for column in ("sizes", "gold", "lengths", "sources"):
        assert np.array_equal(getattr(fast, column), getattr(slow, column), equal_nan=True), column
    assert list(fast.prompts) == list(slow.prompts)
    assert all(np.array_equal(fast.proxies[p], slow.proxies[p], equal_nan=True) for p in fast.proxies)


def test_prompts_with_their_responses(tmp_path):
    """The nested shape; without a proxy there are the baselines."""
    pool = read_scored(written(tmp_path, "x.jsonl", NESTED), Wanted())
    assert (list(pool.prompts), pool.sizes.tolist()) == (["p", "q"], [2, 1])
    assert np.array_equal(pool.gold, [1, np.nan, 2.5], equal_nan=True)
    assert list(pool.proxies) == ["score"]
    bare = [{**row, "responses": [{"response": r["response"], "gold": 1} for r in row["responses"]]}
            for row in NESTED]  # fmt: skip
    assert read_scored(written(tmp_path, "y.jsonl", bare), Wanted()).proxies == {}


def test_a_run_folder(tmp_path):
    """Its scores.jsonl; one without says what to do."""
    rows = [
        {
            "id": "p",
            "generator": "a",
            "response": "x",
            "score": 0.5,
            "raw_score": 4,
            "coverage": 1.0,
            "gold": 2,
        },
        {
            "id": "p",
            "generator": "b",
            "response": "y",
            "score": None,
            "raw_score": 0,
            "coverage": 0.1,
            "gold": 1,
        },
    ]
    written(tmp_path, "scores.jsonl", rows)
    pool = read_scored(tmp_path, Wanted())
    assert list(pool.proxies) == ["score"]
    assert (pool.sizes.tolist(), pool.gold.tolist()) == ([2], [2, 1])
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "journal.jsonl").touch()
    with pytest.raises(DataError, match=r"workflow\.score_final"):
        read_scored(tmp_path / "empty", Wanted())


def test_columns_by_name_and_weights(tmp_path):
    """Whatever they are called."""
    rows = [
        {"who": 1, "what": "x", "true": 1, "mine": 2, "w": 3},
        {"who": 1, "what": "yy", "true": 2, "mine": 1, "w": 1},
    ]
    wanted = Wanted(prompt="who", response="what", gold="true", proxies=("mine",), weights="w")
    for name in ("x.csv", "x.jsonl", "x.parquet"):
        pool = read_scored(written(tmp_path, name, rows), wanted)
        assert (list(pool.prompts), pool.weights.tolist(), pool.lengths.tolist()) == (
            ["1"],
            [3, 1],
            [1, 2],
        ), name


def bad(**changes):
    """Two good rows and one that is changed."""
    good = [{"prompt": "p", "response": f"r{n}", "gold": float(n), "score": n / 2} for n in range(3)]
    return [*good[:2], {**good[2], **changes}]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"score": float("nan")}, "score: NaN is no score"),
        ({"gold": float("nan")}, "gold: NaN is no score"),
        ({"score": float("inf")}, "score: a finite number is needed"),
        ({"gold": float("-inf")}, "gold: a finite number is needed"),
        ({"gold": -1e101}, "gold: a score of at most 1e+100 is needed"),
        ({"prompt": "p", "response": "r1"}, "response: repeats "),
    ],
)
@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.parquet"])
def test_a_mistake_has_row_and_column(tmp_path, name, changes, said):
    """Line 3 of JSON Lines, line 4 of CSV (with its header), row 3 of Parquet."""
    with pytest.raises(DataError) as mistake:
        read_scored(written(tmp_path, name, bad(**changes)), Wanted())
    place = {"x.jsonl": "x.jsonl:3: ", "x.csv": "x.csv:4: row 3, ", "x.parquet": "x.parquet: row 3, "}[name]
    assert place + said in str(mistake.value)


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("x.jsonl", {"score": "high"}, "x.jsonl:3: score: a number is needed, not the text 'high'"),
        ("x.csv", {"score": "high"}, "x.csv:4: row 3, score: a number is needed, not the text 'high'"),
        ("x.jsonl", {"score": [1]}, "x.jsonl:3: score: a number is needed, not a list"),
        ("x.jsonl", {"response": 7}, "x.jsonl:3: response: a text is needed"),
        ("x.jsonl", {"prompt": None}, "x.jsonl:3: prompt: missing"),
        ("x.csv", {"prompt": ""}, "x.csv:4: row 3, prompt: missing"),
    ],
)
def test_a_wrong_value_has_row_and_column(tmp_path, name, changes, said):
    """Texts, lists, gaps."""
    with pytest.raises(DataError) as mistake:
        read_scored(written(tmp_path, name, bad(**changes)), Wanted())
    assert said in str(mistake.value)


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("", "x.csv", "the file is empty"),
        ("", "x.jsonl", "no rows: the file is empty"),
        ("prompt,gold,score\n", "x.csv", "no rows"),
        ("prompt,gold,score\np,1\n", "x.csv", "x.csv:2: row 1: 2 fields, where the header has 3"),
        ("prompt,gold,gold\np,1,1\n", "x.csv", "x.csv:1: gold: two columns have this name"),
        ('{"prompt": "p", "gold": 1\n', "x.jsonl", "x.jsonl:1: not JSON"),
        ("[1, 2]\n", "x.jsonl", "a row is an object"),
        ("prompt,gold,score\np,1,2\n", "x.tsv", "unknown format"),
    ],
)
def test_a_broken_file_is_told(tmp_path, text, name, said):
    """Empty, torn, misshapen."""
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as mistake:
        read_scored(tmp_path / name, Wanted())
    assert said in str(mistake.value)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted(gold="golf"), "golf: no such column, but gold"),
        (
            Wanted(proxies=("score", "reward")),
            "reward: no such column; the columns are prompt, response, gold, score",
        ),
        (Wanted(weights="gold"), "gold: a weight of the base policy is above 0"),
        (Wanted(proxies=("score", "score")), "named twice"),
    ],
)
def test_a_wrong_column_is_told(tmp_path, wanted, said):
    """With the nearest name, or all of them."""
    with pytest.raises(DataError) as mistake:
        read_scored(written(tmp_path, "x.jsonl", bad()), wanted)
    assert said in str(mistake.value)


def test_a_file_without_gold_or_without_a_name_for_its_proxy(tmp_path):
    """What there is stands in the message."""
    with pytest.raises(DataError, match=r"no gold: .* the columns are prompt, mark"):
        read_scored(written(tmp_path, "x.jsonl", [{"prompt": "p", "mark": 1}]), Wanted())
    with pytest.raises(DataError, match="name it with --proxy: mark"):
        read_scored(written(tmp_path, "x.jsonl", [{"prompt": "p", "gold": 1, "mark": 1}]), Wanted())


def test_duplicates_by_choice(tmp_path):
    """An error, or dropped and counted, or kept; another source or prompt is no duplicate."""
    rows = [*bad(), {**bad()[0], "score": 9.0}, {**bad()[0], "prompt": "q"}]
    path = written(tmp_path, "x.csv", rows)
    with pytest.raises(DataError, match=r"x.csv:5: row 4, response: repeats line 2 .*--duplicates drop"):
        read_scored(path, Wanted())
    dropped = read_scored(path, Wanted(duplicates="drop"))
    assert (dropped.n_responses, dropped.notes[0][:22]) == (4, "1 rows repeat an earli")
    assert read_scored(path, Wanted(duplicates="keep")).n_responses == 5


def test_a_text_of_any_size_and_quoted_line_ends(tmp_path):
    """Beyond what Python's csv takes by itself, through both ways."""
    rows = [{"prompt": "p", "response": "x" * 300_000 + '\n"y"', "gold": 1, "score": 1}, {**bad()[1]}]
    path = written(tmp_path, "x.csv", rows)
    assert read_scored(path, Wanted()).lengths.tolist() == [300_004, 2]
    rows[1]["score"] = "bad"
    with pytest.raises(DataError, match=r"y.csv:4: row 2, score"):
        read_scored(written(tmp_path, "y.csv", rows), Wanted())


class TestPreferences:
    """Gold from verdicts on pairs."""

    def test_rows_of_pairs(self, tmp_path):
        """Chosen and rejected texts with their scores; a text in two pairs is one response."""
        rows = [
            {"prompt": "p", "chosen": "best", "rejected": "mid", "chosen_score": 3, "rejected_score": 2},
            {"prompt": "p", "chosen": "mid", "rejected": "low", "chosen_score": 2, "rejected_score": 5},
        ]
        for name in ("x.jsonl", "x.csv"):
            pool = read_scored(written(tmp_path, name, rows), Wanted())
            assert pool.sizes.tolist() == [3]
            assert pool.gold[0] > pool.gold[1] > pool.gold[2]
            assert pool.gold[0] == pytest.approx(-pool.gold[2])
            assert pool.proxies["score"].tolist() == [3, 2, 5]
            assert "2 verdicts" in pool.notes[0] and "winners and losers" in pool.notes[1]
        rows[1]["chosen_score"] = 9
        with pytest.raises(
            DataError, match=r"x.jsonl:2: chosen_score: 9, but line 1 gives the same response 2"
        ):
            read_scored(written(tmp_path, "x.jsonl", rows), Wanted())

    def test_a_file_of_pairs(self, tmp_path):
        """By prompt and generator; what the pool has not is counted; a part without links has no gold."""
        pool_rows = [{"prompt_id": "p", "generator": g, "response": g, "score": 1} for g in "abcde"]
        path = written(tmp_path, "x.jsonl", pool_rows)
        pairs = [
            {"prompt_id": "p", "chosen": "a", "rejected": "b"},
            {"prompt_id": "p", "chosen": "b", "rejected": "c"},
            {"prompt_id": "p", "chosen": "d", "rejected": "e"},
            {"prompt_id": "z", "chosen": "a", "rejected": "b"},
        ]
        pool = read_scored(path, Wanted(), str(written(tmp_path, "pairs.jsonl.gz", pairs)))
        assert pool.gold[0] > pool.gold[1] > pool.gold[2]
        assert np.isnan(pool.gold[3:]).all()
        assert any(note.startswith("1 preferences name") for note in pool.notes)
        assert any(note.startswith("2 responses have no gold") for note in pool.notes)
        pairs[0]["rejected"] = "a"
        with pytest.raises(DataError, match=r"pairs.jsonl:1: rejected: a response is compared with itself"):
            read_scored(path, Wanted(), str(written(tmp_path, "pairs.jsonl", pairs)))

    def test_a_field_of_votes(self, tmp_path):
        """Votes with ties in the rows themselves, by name or by place."""
        votes = [{"a": "a", "b": "b", "votes_a": 3, "votes_b": 1, "votes_tie": 2}]
        responses = [{"generator": "a", "response": "x"}, {"generator": "b", "response": "y"}]
        nested = [{"id": "p", "responses": responses, "pairwise": votes}]
        path = written(tmp_path, "x.jsonl", nested)
        pool = read_scored(path, Wanted(), "pairwise")
        assert pool.gold[0] > pool.gold[1]
        assert "6 verdicts, of which 2 are ties" in pool.notes[0]
        nested[0]["pairwise"] = [{"a": 0, "b": 1, "winner": "b"}]
        pool = read_scored(written(tmp_path, "y.jsonl", nested), Wanted(), "pairwise")
        assert pool.gold[1] > pool.gold[0]
        nested[0]["pairwise"] = [{"a": 0, "b": 1, "winner": "c"}]
        with pytest.raises(DataError, match=r"y.jsonl:1: pairwise\[0\].winner: the winner is a, b or tie"):
            read_scored(written(tmp_path, "y.jsonl", nested), Wanted(), "pairwise")
        with pytest.raises(DataError, match="neither a file nor a field"):
            read_scored(path, Wanted(), "votes")
