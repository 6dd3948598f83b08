"""The ledger in a file: what was acknowledged is there, whatever happens to the process or to the file."""

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import ledger_child
import pytest

from rubricate.domain.identity import key_of
from rubricate.domain.judgement import Verdict
from rubricate.errors import DataError, RunError
from rubricate.llm.chat import Reply
from rubricate.llm.dialect import Dialect
from rubricate.llm.ledger import LedgerDialects
from rubricate.llm.sqlite.file import Batch, SqliteFile
from rubricate.llm.sqlite.ledger import SqliteLedger


def a_key(*parts: object) -> str:
    return key_of("test", *parts)


def child(*arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, ledger_child.__file__, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


async def filled(path: Path, n: int = 300) -> None:
    """A ledger of n replies, closed."""
    async with SqliteLedger(path) as ledger:
        keys = [a_key(number) for number in range(n)]
        await asyncio.gather(*(ledger.keep_reply(key, ledger_child.reply_of(key), "m") for key in keys))


async def test_a_dialect_never_stands_in_the_way_of_a_reply(tmp_path: Path):
    """One written by another version is learnt again; one that cannot be kept raises nothing, for the
    ledger's `failure` stops the run where nothing is lost by it."""
    url, path = "http://127.0.0.1/v1", tmp_path / "l"
    with pytest.raises(RunError, match="deleted"):
        async with SqliteLedger(path) as ledger:
            dialects = LedgerDialects(ledger)
            await dialects.put(url, "m", Dialect(structured=True))
            with sqlite3.connect(path) as connection:
                connection.execute("UPDATE fact SET value = '{\"tools\": true}'")
            connection.close()
            assert await dialects.get(url, "m") is None
            path.unlink()
            await dialects.put(url, "m", Dialect(structured=False))
            assert isinstance(ledger.failure, RunError)


async def test_the_event_loop_goes_on_while_a_commit_waits(tmp_path: Path):
    """Another program holds the ledger: reads answer, a write waits, and is done when the other lets go.
    A caller who does not wait for its write has it done all the same."""
    path = tmp_path / "l"
    async with SqliteLedger(path) as ledger:
        await ledger.keep_reply(a_key(1), Reply("before"), "m")
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        write = asyncio.create_task(ledger.keep_reply(a_key(2), Reply("waits"), "m"))
        gone = asyncio.create_task(ledger.keep_reply(a_key(3), Reply("orphan"), "m"))
        for _ in range(20):
            await asyncio.sleep(0.001)
            assert (await ledger.reply(a_key(1))).text == "before"
        assert not write.done()
        gone.cancel()
        holder.close()
        assert (await asyncio.wait_for(write, 10)).text == "waits"
        assert (await ledger.reply(a_key(3))).text == "orphan"


async def test_after_the_block_all_is_in_one_file(tmp_path: Path):
    """Which can be copied: the write-ahead log is folded into it."""
    await filled(tmp_path / "l", 10)
    assert not wal(tmp_path / "l").exists()


def test_a_full_disk_stops_the_run_and_takes_no_reply_with_it(tmp_path: Path):
    """No file may grow beyond 300 KB: the reply that does not fit is handed on, nothing more is asked, the
    error says what to do, and the ledger is whole."""
    path = tmp_path / "ledger.sqlite"
    output = json.loads(child("starve", path, 300_000, 2000).communicate(timeout=30)[0])
    assert 10 < output["asked"] == len(output["handed"]) < 2000
    assert all(output["handed"])
    assert len(output["errors"]) == 2000 - output["asked"]
    for said in (output["errors"][0], output["left"]):
        assert said.startswith(f"RunError: {path}: the disk")
        assert "--resume" in said
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        kept = connection.execute("SELECT count(*) FROM reply").fetchone()[0]
    connection.close()
    assert kept == output["asked"] - 1


@pytest.mark.parametrize("which", [lambda path: path, wal], ids=["ledger", "log"])
@pytest.mark.parametrize("how", ["deleted", "replaced"])
async def test_a_ledger_that_is_taken_away_is_noticed_before_anything_is_acknowledged(
    tmp_path: Path, how, which
):
    """SQLite itself would write into the deleted file and say nothing."""
    path = tmp_path / "ledger.sqlite"
    with pytest.raises(RunError, match=how):
        async with SqliteLedger(path) as ledger:
            await ledger.keep_reply(a_key(1), Reply("kept"), "m")
            if how == "replaced":
                shutil.copy(which(path), tmp_path / "copy")
                (tmp_path / "copy").replace(which(path))
            else:
                which(path).unlink()
            with pytest.raises(RunError, match=how):
                await ledger.keep_reply(a_key(2), Reply("lost"), "m")
            with pytest.raises(RunError, match=how):
                await ledger.keep_verdicts({a_key(3): Verdict("met")})
            assert isinstance(ledger.failure, RunError)


async def test_a_ledger_cut_off_while_open_is_noticed(tmp_path: Path):
    """Before anything more is acknowledged, also when SQLite still has in memory what it needs."""
    path = tmp_path / "ledger.sqlite"
    await filled(path)
    with pytest.raises(DataError, match="cut off while the run was using it"):
        async with SqliteLedger(path) as ledger:
            await ledger.keep_fact("f", "1")
            os.truncate(path, path.stat().st_size - 4096)
            with pytest.raises(DataError, match="cut off while the run was using it"):
                await ledger.keep_fact("f", "2")


@pytest.mark.parametrize("size", [8192, 20_000, 100_000])
async def test_a_ledger_that_was_cut_off_is_said_at_opening_with_the_remedy(tmp_path: Path, size):
    """Not an empty ledger in silence, and no trace of SQLite."""
    path = tmp_path / "ledger.sqlite"
    await filled(path, 2000)
    assert path.stat().st_size > size
    os.truncate(path, size)
    with pytest.raises(DataError, match=r"damaged or cut off; move it away and run again") as caught:
        async with SqliteLedger(path):
            pass
    assert caught.value.path == str(path)


async def test_a_damaged_value_is_no_reply(tmp_path: Path):
    """One bit that flipped on the disk is noticed by the checksum and told, never parsed into a reply."""
    path = tmp_path / "ledger.sqlite"
    await filled(path, 1)
    with sqlite3.connect(path) as connection:
        ((value,),) = connection.execute("SELECT value FROM reply").fetchall()
        damaged = value[:-6] + bytes([value[-6] ^ 1]) + value[-5:]
        connection.execute("UPDATE reply SET value = ?", (damaged,))
    connection.close()
    async with SqliteLedger(path) as ledger:
        with pytest.raises(DataError, match="holds a reply that cannot be read"):
            await ledger.reply(a_key(0))


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to look like a header" * 90, b"{}"]
)
async def test_a_file_that_is_no_ledger_is_left_alone(tmp_path: Path, content):
    """Said, and not overwritten."""
    path = tmp_path / "results.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is no ledger"):
        async with SqliteLedger(path):
            pass
    assert path.read_bytes() == content


async def test_another_programs_database_is_left_alone(tmp_path: Path):
    """Not a table is added, not even its journal mode is changed."""
    path = tmp_path / "bookmarks.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(DataError, match="another program"):
        async with SqliteLedger(path):
            pass
    assert path.read_bytes() == before


async def test_a_newer_ledger_is_refused_politely(tmp_path: Path):
    """With both format numbers and what to do."""
    path = tmp_path / "ledger.sqlite"
    await filled(path, 1)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(DataError, match=r"newer rubricate \(ledger format 99, this one reads 1\): upgrade"):
        async with SqliteLedger(path):
            pass


async def test_a_place_where_no_file_can_be_is_said(tmp_path: Path):
    """A folder, and a path through a file."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "ledger.sqlite"):
        with pytest.raises(RunError, match="ledger"):
            async with SqliteLedger(path):
                pass


async def test_a_ledger_that_may_not_be_written_is_said():
    """To a user without the right to write, with the remedy."""
    folder = Path(tempfile.mkdtemp())
    try:
        path = folder / "ledger.sqlite"
        await filled(path, 1)
        path.chmod(0o444)
        folder.chmod(0o555)
        said = child("nobody", path).communicate(timeout=30)[0].decode()
        assert said.startswith(f"RunError: {path}: the ledger cannot be opened for writing")
        assert "allow writing" in said
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_ledger_that_is_never_let_go_is_said(tmp_path: Path):
    """Patience ends in a sentence."""
    file = SqliteFile(tmp_path / "l", patience_s=0.05)
    holder = sqlite3.connect(tmp_path / "l", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(RunError, match="another program keeps the ledger locked"):
        file.commit(Batch(facts=[("a", "1")]))
    holder.close()
    file.commit(Batch(facts=[("a", "1")]))
    file.close()


async def test_full_durability_keeps_the_same_promises(tmp_path: Path):
    """The option is accepted and what it keeps is there."""
    async with SqliteLedger(tmp_path / "l", "full") as ledger:
        await ledger.keep_reply(a_key(1), Reply("x"), "m")
    async with SqliteLedger(tmp_path / "l") as ledger:
        assert await ledger.reply(a_key(1)) == Reply("x")
