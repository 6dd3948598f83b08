"""Shards wherever they lie: read in order, named when they are wrong, written whole, read again by others."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from rubricate.errors import DataError, RunError, SettingsError
from rubricate.runs.intake import read_pools
from rubricate.runs.places import files_of, folder_at
from rubricate.runs.rows import rows_of
from tests.served import Served, command, rows, run_here, write_pool

BUCKET = "pools-of-the-tests"


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    """A server that speaks S3 on this machine, with a bucket; the environment that leads to it."""
    moto = pytest.importorskip("moto.server", reason="needs moto[server]")
    pytest.importorskip("s3fs", reason="needs s3fs")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir(BUCKET)
        yield environment
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def _lines(path: Path, pool: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in pool).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def _parquet(path: Path, pool: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(arrow.Table.from_pylist(pool), path)
    return path


def _ids(source: str) -> list[str]:
    return [row.value["id"] for row in rows_of(source)]


class TestWhatIsRead:
    def test_shards_in_the_order_of_their_names(self, tmp_path):
        """A folder, a glob and a glob through folders, packed or not; markers are passed over."""
        pool = rows(6)
        _lines(tmp_path / "b/part-1.jsonl.gz", pool[4:])
        _lines(tmp_path / "b/part-0.jsonl", pool[2:4])
        _lines(tmp_path / "a/part-9.ndjson", pool[:2])
        (tmp_path / "b/_SUCCESS").touch()
        (tmp_path / "b/.part-0.jsonl.crc").touch()
        (tmp_path / "_temporary").mkdir()
        _lines(tmp_path / "_temporary/part-3.jsonl", rows(1))
        assert _ids(str(tmp_path)) == [f"p{n}" for n in range(6)]
        assert _ids(str(tmp_path / "b/*.jsonl")) == ["p2", "p3"]
        assert _ids(str(tmp_path / "b" / "**" / "*.jsonl*")) == ["p2", "p3", "p4", "p5"]

    def test_a_file_whose_name_looks_like_a_glob_is_a_file(self, tmp_path):
        """What is there by its very name is meant."""
        _lines(tmp_path / "pool[1].jsonl", rows(1))
        assert _ids(str(tmp_path / "pool[1].jsonl")) == ["p0"]

    def test_shards_of_two_kinds(self, tmp_path):
        """Not guessed which are meant."""
        _lines(tmp_path / "a.jsonl", rows(1))
        _parquet(tmp_path / "a.parquet", rows(1))
        with pytest.raises(DataError, match="name one kind"):
            list(rows_of(str(tmp_path)))
        assert _ids(str(tmp_path / "*.parquet")) == ["p0"]

    @pytest.mark.parametrize("missing", ["*.jsonl", "none/*.parquet"])
    def test_a_glob_without_a_match(self, tmp_path, missing):
        """Said, and not an empty pool."""
        with pytest.raises(DataError, match="no file matches"):
            list(rows_of(str(tmp_path / missing)))

    def test_a_wrong_row_names_its_shard(self, tmp_path):
        """File and line, or file and row, of the shard that it stands in."""
        _lines(tmp_path / "l/a.jsonl", rows(3))
        wrong = _lines(tmp_path / "l/b.jsonl", [*rows(1), {"id": "x"}, {"prompt": 7}])
        with pytest.raises(DataError, match=rf"{wrong}:3: prompt"):
            read_pools(str(tmp_path / "l"))
        _parquet(tmp_path / "p/a.parquet", [{"id": "a", "prompt": "A?", "responses": ["x"]}] * 300)
        numbers = [{"id": f"b{n}", "prompt": "B?", "responses": [""], "model": 1} for n in range(300)]
        later = _parquet(tmp_path / "p/b.parquet", numbers)
        table = (
            parquet.read_table(later)
            .set_column(1, "prompt", arrow.array(["B?"] * 270 + [None] * 30))
            .set_column(0, "id", arrow.array(["b"] * 270 + [None] * 30))
        )
        parquet.write_table(table, later)
        with pytest.raises(DataError, match=rf"{later}: row 271, prompt"):
            read_pools(str(tmp_path / "p"))

    def test_memory_does_not_grow_with_the_shards(self, tmp_path):
        """One batch of one shard at a time: of 40 MB in eight shards, a few are held."""
        import tracemalloc

        big = [{"id": f"p{n}", "prompt": "Q?", "responses": ["x" * 20_000 + str(n)]} for n in range(256)]
        for n in range(8):
            _lines(tmp_path / f"part-{n}.jsonl", big)
        tracemalloc.start()
        n_rows = sum(1 for _ in rows_of(str(tmp_path / "*.jsonl")))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert n_rows == 2048
        assert peak < 4_000_000


class TestWhatIsFar:
    @pytest.mark.parametrize("scheme", ["file", "memory"])
    def test_urls(self, tmp_path, scheme):
        """A file, a folder and a glob behind a URL are what they are on this machine."""
        fsspec = pytest.importorskip("fsspec")
        root = f"{scheme}://{tmp_path}/pools"
        for n, pool in enumerate((rows(2), rows(4)[2:])):
            with fsspec.open(f"{root}/part-{n}.jsonl", "wb", auto_mkdir=True) as file:
                file.write("".join(json.dumps(row) + "\n" for row in pool).encode())
        assert _ids(root) == _ids(f"{root}/*.jsonl") == ["p0", "p1", "p2", "p3"]
        assert _ids(f"{root}/part-1.jsonl") == ["p2", "p3"]
        with pytest.raises(DataError, match=r"part-7\.jsonl: cannot be read"):
            _ids(f"{root}/part-7.jsonl")
        with pytest.raises(DataError, match="no file matches"):
            _ids(f"{root}/*.parquet")

    def test_s3(self, tmp_path, s3):
        """Parquet and packed lines in a bucket, read in ranges; a wrong row names its object."""
        import s3fs

        store = s3fs.S3FileSystem()
        for n, pool in enumerate((rows(3), rows(6)[3:])):
            store.put_file(str(_parquet(tmp_path / f"{n}.parquet", pool)), f"{BUCKET}/in/part-{n}.parquet")
        assert _ids(f"s3://{BUCKET}/in") == _ids(f"s3://{BUCKET}/in/*.parquet") == [f"p{n}" for n in range(6)]
        packed = _lines(tmp_path / "x.jsonl.gz", [*rows(2), {"responses": ["no prompt"]}])
        store.put_file(str(packed), f"{BUCKET}/lines/x.jsonl.gz")
        with pytest.raises(DataError, match=rf"s3://{BUCKET}/lines/x\.jsonl\.gz:3: prompt"):
            read_pools(f"s3://{BUCKET}/lines/x.jsonl.gz")
        with pytest.raises(DataError, match=r"cannot be (read|listed)"):
            _ids("s3://no-such-bucket-of-ours/pool.jsonl")

    def test_a_store_that_does_not_answer(self, s3, monkeypatch):
        """One line, and no traceback of the library."""
        import s3fs

        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        s3fs.S3FileSystem.clear_instance_cache()
        monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
        try:
            with pytest.raises(DataError, match=r"s3://somewhere/pool\.jsonl: cannot be"):
                _ids("s3://somewhere/pool.jsonl")
        finally:
            s3fs.S3FileSystem.clear_instance_cache()

    def test_what_cannot_be_opened(self, monkeypatch):
        """A protocol that is none, a password in the address, a missing package: the user's to mend."""
        with pytest.raises(SettingsError, match="nope"):
            files_of("nope://x/y.jsonl")
        with pytest.raises(SettingsError, match="password") as mistake:
            files_of("https://me:hunter2@example.org/y.jsonl")
        assert "hunter2" not in str(mistake.value)
        monkeypatch.setitem(sys.modules, "fsspec", None)
        with pytest.raises(SettingsError, match=r"rubricate\[remote\]"):
            files_of("s3://bucket/y.jsonl")


class TestWhatIsWritten:
    @pytest.fixture
    def run_folder(self, desk) -> Path:
        """A finished run of eleven prompts."""
        write_pool(desk.path / "pool.json", rows(11, 3))
        folder = desk.move("run")
        with Served() as server:
            desk.ask(server)
            assert run_here("files.responses_file=../pool.json", "files.rows_per_shard=4").code == 0
        return folder

    def test_a_run_writes_shards(self, run_folder, desk):
        """Eleven rows at four a shard are three files in input order, which load as one dataset."""
        datasets = pytest.importorskip("datasets")
        names = sorted(path.name for path in (run_folder / "dataset").iterdir())
        assert names == [f"part-{n:05d}-of-00003.parquet" for n in range(3)]
        desk.patch.setenv("HF_HOME", str(desk.path))
        loaded = datasets.load_dataset(str(run_folder / "dataset"), cache_dir=str(desk.path / "cache"))
        assert list(loaded) == ["train"]
        assert loaded["train"]["id"][:] == [f"p{n}" for n in range(11)]
        whole = desk.path / "whole"
        told = command("export", str(run_folder), "--format", "dataset", "-o", str(whole))
        assert told.text.splitlines() == [f"{whole}/train.parquet"]
        shards = [parquet.read_table(run_folder / "dataset" / name) for name in names]
        assert parquet.read_table(whole / "train.parquet").equals(arrow.concat_tables(shards))

    def test_an_earlier_cut_leaves_nothing(self, run_folder):
        """Written again in other shards, no row is there twice; what is not ours stays."""
        dataset = run_folder / "dataset"
        (dataset / "README.md").write_text("mine")
        for rows_per_shard, n_files in (("2", 6), ("20", 1)):
            told = command(
                "export", str(run_folder), "--format", "dataset", "--rows-per-shard", rows_per_shard
            )
            assert (told.code, len(told.text.splitlines())) == (0, n_files)
            assert len(list(dataset.glob("*.parquet"))) == n_files
        assert sum(parquet.read_table(path).num_rows for path in dataset.glob("*.parquet")) == 11
        command("export", str(run_folder), "--format", "dataset")
        assert sorted(path.name for path in dataset.iterdir()) == ["README.md", "train.parquet"]

    def test_to_s3_and_back(self, run_folder, s3, desk):
        """Shards in a bucket, and a run that starts from a pool in a bucket and from these rubrics."""
        import s3fs

        url = f"s3://{BUCKET}/out/rubrics"
        told = command("export", str(run_folder), "--format", "dataset", "-o", url, "--rows-per-shard", "6")
        assert told.text.splitlines() == [f"{url}/part-0000{n}-of-00002.parquet" for n in range(2)], told.text
        told = command("export", str(run_folder), "--format", "dataset", "-o", url)
        assert s3fs.S3FileSystem().ls(f"{BUCKET}/out/rubrics", refresh=True) == [
            f"{BUCKET}/out/rubrics/train.parquet"
        ]
        s3fs.S3FileSystem().put_file("../pool.json", f"{BUCKET}/out/pool.json")
        with Served() as server:
            desk.ask(server)
            outcome = command(
                "grade",
                f"files.responses_file=s3://{BUCKET}/out/pool.json",
                f"files.initial_rubrics={url}",
                "files.output_dir=again",
            )
        assert outcome.code == 0, outcome.text
        scored = Path("workflow_outs/again/scores.jsonl").read_text().splitlines()
        assert len(scored) == 33

    def test_a_bucket_that_is_not_there(self, run_folder, s3):
        """Said in one line; a bucket is not made by the way."""
        import s3fs

        told = command(
            "export", str(run_folder), "--format", "dataset", "-o", "s3://no-such-bucket-of-ours/x"
        )
        assert told.code == 2
        assert "s3://no-such-bucket-of-ours/x/train.parquet: cannot be written" in told.text
        assert s3fs.S3FileSystem().ls("", refresh=True) == [BUCKET]

    @pytest.mark.parametrize("scheme", ["file", "memory"])
    def test_a_file_appears_whole(self, tmp_path, scheme):
        """What fails while it is written is not there, and neither is a draft of it."""
        pytest.importorskip("fsspec")
        folder = folder_at(f"{scheme}://{tmp_path}/out")
        with folder.writing("a.parquet") as draft:
            draft.write_bytes(b"whole")
        with pytest.raises(ZeroDivisionError), folder.writing("b.parquet") as draft:
            draft.write_bytes(b"half")
            raise ZeroDivisionError
        assert folder.names() == ["a.parquet"]
        folder.remove("a.parquet")
        assert folder.names() == []
        with pytest.raises(RunError, match=r"gone\.parquet: cannot be written"):
            folder.remove("gone.parquet")

    def test_only_the_dataset_has_shards(self, run_folder):
        """The other formats are files for one machine."""
        for wrong in (["--rows-per-shard", "3"], ["-o", "s3://bucket/x"]):
            told = command("export", str(run_folder), "--format", "official", *wrong)
            assert told.code == 2 and "--format dataset" in told.text
