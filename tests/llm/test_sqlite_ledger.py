"""The ledger in a file: what was acknowledged is there, whatever happens to the process or to the file."""

import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import ledger_child
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rubricate.domain.identity import key_of
from rubricate.domain.judgement import Verdict, unjudged
from rubricate.errors import DataError, RunError
from rubricate.llm.chat import Reply, Usage
from rubricate.llm.dialect import Dialect
from rubricate.llm.ledger import LedgerDialects
from rubricate.llm.sqlite import SqliteLedger
from rubricate.llm.sqlite_file import Batch, SqliteFile


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


async def test_what_was_acknowledged_survives_kill_9_at_any_moment(tmp_path: Path):
    """Fourteen times a process is killed while it writes or opens; every key it acknowledged is whole."""
    path, chance, acknowledged = tmp_path / "ledger.sqlite", random.Random(7), []
    for life in range(14):
        process = child("endless", path, life)
        assert process.stdout is not None
        if life % 5 == 0:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=chance.uniform(0.05, 0.3))
        else:
            acknowledged += [process.stdout.readline() for _ in range(chance.randint(1, 400))]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.communicate()[0].splitlines(keepends=True)
    keys = [line.decode().rstrip("\n") for line in acknowledged]
    assert len(keys) == len(set(keys)) > 1000
    async with SqliteLedger(path) as ledger:
        for key in keys:
            assert await ledger.reply(key) == ledger_child.reply_of(key)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


async def test_processes_that_share_a_ledger_agree_on_the_first_write(tmp_path: Path):
    """Three processes make the file at once and write own and common keys: none is lost, and all three
    are given the same reply for a common key, the one that stands in the ledger."""
    path, names = tmp_path / "new" / "folder" / "ledger.sqlite", ("a", "b", "c")
    processes = [child("share", path, name, 150) for name in names]
    outputs = [process.communicate(timeout=30)[0].decode().splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    kept = [dict(line.split(" ") for line in output) for output in outputs]
    assert [len(replies) for replies in kept] == [300, 300, 300]
    async with SqliteLedger(path) as ledger:
        for replies in kept:
            for key, text in replies.items():
                assert (await ledger.reply(key)).text == text
        common = {(await ledger.reply(a_key("common", number))).text for number in range(150)}
        assert common <= set(names)


async def test_one_process_sees_at_once_what_another_has_kept(tmp_path: Path):
    """Two ledgers open on one file; the second is given what the first kept."""
    async with SqliteLedger(tmp_path / "l") as one, SqliteLedger(tmp_path / "l") as other:
        assert await other.reply(a_key(1)) is None
        assert await one.keep_reply(a_key(1), Reply("one"), "m") == Reply("one")
        assert await other.reply(a_key(1)) == Reply("one")
        assert await other.keep_reply(a_key(1), Reply("other"), "m") == Reply("one")


@given(st.text(st.characters()), st.text(st.characters()), st.integers(0, 10**12))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back_as_it_was(tmp_path: Path, text, model, tokens):
    """Every Unicode text, half surrogates, control characters and empty ones included."""
    reply = Reply(text, "length", Usage(tokens, 1, 2, 3), model)

    async def there_and_back() -> Reply | None:
        async with SqliteLedger(tmp_path / "ledger.sqlite") as ledger:
            key = a_key(
                "any",
                text.encode("utf-8", "surrogatepass").hex(),
                tokens,
                model.encode("utf-8", "surrogatepass").hex(),
            )
            assert await ledger.keep_reply(key, reply, "m") == reply
            return await ledger.reply(key)

    assert asyncio.run(there_and_back()) == reply


async def test_large_and_small_values_come_back(tmp_path: Path):
    """From an empty reply to ten megabytes."""
    replies = [Reply(""), Reply("x" * 10_000_000), Reply(random.Random(1).randbytes(200_000).hex())]
    async with SqliteLedger(tmp_path / "l") as ledger:
        for number, reply in enumerate(replies):
            await ledger.keep_reply(a_key(number), reply, "m")
    async with SqliteLedger(tmp_path / "l") as ledger:
        assert [await ledger.reply(a_key(number)) for number in range(3)] == replies


async def test_verdicts_are_seen_up_to_the_watermark_and_no_further(tmp_path: Path):
    """Later verdicts, also of other processes and after a restart, are unknown to a run that began before."""
    met, unmet = Verdict("met", by="g", votes=(3, 5), evidence="\u2028 <b>"), Verdict("unmet", by="g")
    async with SqliteLedger(tmp_path / "l") as ledger, SqliteLedger(tmp_path / "l") as other:
        assert await ledger.watermark() == 0
        await ledger.keep_verdicts({a_key(1): met, a_key(2): unmet})
        watermark = await ledger.watermark()
        await other.keep_verdicts({a_key(3): met})
        await ledger.keep_verdicts({a_key(1): unmet, a_key(4): met})
        keys = [a_key(number) for number in range(6)]
        before = {a_key(1): met, a_key(2): unmet}
        assert await ledger.verdicts(keys, watermark) == before
        assert await ledger.verdicts(keys, 0) == {}
        assert await ledger.verdicts([], watermark) == {}
    async with SqliteLedger(tmp_path / "l") as ledger:
        assert await ledger.verdicts(keys, watermark) == before
        assert await ledger.watermark() > watermark
        assert await ledger.verdicts(keys, await ledger.watermark()) == before | {
            a_key(3): met,
            a_key(4): met,
        }


async def test_a_watermark_is_never_given_twice(tmp_path: Path):
    """Even when somebody deletes the latest verdicts by hand, new ones do not slip under an old mark."""
    async with SqliteLedger(tmp_path / "l") as ledger:
        await ledger.keep_verdicts({a_key(1): Verdict("met")})
        watermark = await ledger.watermark()
    with sqlite3.connect(tmp_path / "l") as connection:
        connection.execute("DELETE FROM verdict")
    connection.close()
    async with SqliteLedger(tmp_path / "l") as ledger:
        await ledger.keep_verdicts({a_key(2): Verdict("met")})
        assert await ledger.verdicts([a_key(2)], watermark) == {}


async def test_unjudged_is_never_remembered(tmp_path: Path):
    """A grader that stuttered is asked again; and the verdicts beside it are not half kept."""
    async with SqliteLedger(tmp_path / "l") as ledger:
        with pytest.raises(ValueError, match="cut off"):
            await ledger.keep_verdicts({a_key(1): Verdict("met"), a_key(2): unjudged("cut off")})
        assert await ledger.watermark() == 0


async def test_facts_are_replaced_and_dialects_are_remembered_without_secrets(tmp_path: Path):
    """The latest word counts; the password in an address never reaches the file."""
    url, dialect = "http://user:hunter2@127.0.0.1/v1", Dialect(structured=True, refused=("top_p",))
    async with SqliteLedger(tmp_path / "l") as ledger:
        assert await ledger.fact("f") is None
        await ledger.keep_fact("f", "1")
        await ledger.keep_fact("f", '{"ü": 2}')
        assert await ledger.fact("f") == '{"ü": 2}'
        dialects = LedgerDialects(ledger)
        assert await dialects.get(url, "m") is None
        await dialects.put(url, "m", dialect)
        assert await dialects.get(url, "m") == dialect
        assert await dialects.get("http://elsewhere/v1", "m") is None
    assert b"hunter2" not in (tmp_path / "l").read_bytes()


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


async def test_leaving_the_block_writes_what_is_pending(tmp_path: Path):
    """Nothing that was begun is lost at the end; after it, the ledger says that it is closed."""
    async with SqliteLedger(tmp_path / "l") as ledger:
        pending = [asyncio.create_task(ledger.keep_reply(a_key(n), Reply(str(n)), "m")) for n in range(1200)]
        await asyncio.sleep(0)
    assert [reply.text for reply in await asyncio.gather(*pending)] == [str(n) for n in range(1200)]
    with pytest.raises(RunError, match="not open"):
        await ledger.keep_reply(a_key("late"), Reply(""), "m")
    with pytest.raises(RunError, match="not open"):
        await ledger.reply(a_key(1))
    assert not wal(tmp_path / "l").exists(), "all is in one file, which can be copied"


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
