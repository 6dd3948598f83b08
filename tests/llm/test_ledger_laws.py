"""What every ledger promises, whatever stands behind it: each law is tried on a file and on PostgreSQL."""

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable

import ledger_child
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rubricate.domain.identity import key_of
from rubricate.domain.judgement import Verdict, unjudged
from rubricate.errors import RunError
from rubricate.llm.chat import Reply, Usage
from rubricate.llm.dialect import Dialect
from rubricate.llm.ledger import LedgerDialects
from rubricate.llm.store import Place, open_ledger
from tests.postgres_server import PostgresServer


def a_key(*parts: object) -> str:
    return key_of("test", *parts)


def written(place: Place) -> str:
    """The place as a command line names it, password and all."""
    address = place.at
    password = getattr(address, "password", None)
    return str(place) if password is None else str(place).replace("@", f":{password}@", 1)


def child(mode: str, place: Place, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, ledger_child.__file__, mode, written(place), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


@pytest.fixture
def inside(request: pytest.FixtureRequest, place: Place) -> Callable[[str], list[tuple]]:
    """What a statement finds in the tables of the place, told to it behind our back."""
    if "postgres" in request.node.callspec.id:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        path = f'SET search_path = "{place.at.schema}"'
        return lambda statement: server.query("postgres", path, statement)

    def ask(statement: str) -> list[tuple]:
        connection = sqlite3.connect(place.at, isolation_level=None)
        rows = connection.execute(statement).fetchall()
        connection.close()
        return rows

    return ask


async def test_what_was_acknowledged_survives_kill_9_at_any_moment(place: Place):
    """Ten times a process is killed while it writes or opens; every key it acknowledged is whole."""
    chance, acknowledged = random.Random(7), []
    for life in range(10):
        process = child("endless", place, life)
        assert process.stdout is not None
        if life % 5 == 0:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=chance.uniform(0.05, 0.3))
        else:
            acknowledged += [process.stdout.readline() for _ in range(chance.randint(100, 400))]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.communicate()[0].splitlines(keepends=True)
    keys = [line.decode().rstrip("\n") for line in acknowledged]
    assert len(keys) == len(set(keys)) > 1000
    async with open_ledger(place) as ledger:
        replies = await asyncio.gather(*(ledger.reply(key) for key in keys))
    assert replies == [ledger_child.reply_of(key) for key in keys]
    if not hasattr(place.at, "schema"):
        with sqlite3.connect(place.at) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()


async def test_processes_that_share_a_ledger_agree_on_the_first_write(place: Place):
    """Three processes make the ledger at once and write own and common keys: none is lost, and all three
    are given the same reply for a common key, the one that stands in the ledger."""
    names = ("a", "b", "c")
    processes = [child("share", place, name, 150) for name in names]
    outputs = [process.communicate(timeout=60)[0].decode().splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    kept = [dict(line.split(" ") for line in output) for output in outputs]
    assert [len(replies) for replies in kept] == [300, 300, 300]
    async with open_ledger(place) as ledger:
        for replies in kept:
            for key, text in replies.items():
                assert (await ledger.reply(key)).text == text
        common = {(await ledger.reply(a_key("common", number))).text for number in range(150)}
        assert common <= set(names)


async def test_one_process_sees_at_once_what_another_has_kept(place: Place):
    """Two ledgers open on one place; the second is given what the first kept."""
    async with open_ledger(place) as one, open_ledger(place) as other:
        assert await other.reply(a_key(1)) is None
        assert await one.keep_reply(a_key(1), Reply("one"), "m") == Reply("one")
        assert await other.reply(a_key(1)) == Reply("one")
        assert await other.keep_reply(a_key(1), Reply("other"), "m") == Reply("one")


async def test_of_two_replies_at_once_both_askers_have_the_first(place: Place):
    """Also when they are written together: what one was given is what the ledger gives ever after."""
    async with open_ledger(place) as ledger:
        kept = await asyncio.gather(*(ledger.keep_reply(a_key(1), Reply(text), "m") for text in "abc"))
        assert kept == [Reply("a")] * 3 == [await ledger.reply(a_key(1))] * 3


@given(
    st.lists(
        st.tuples(st.text(st.characters()), st.text(st.characters()), st.integers(0, 10**12)), max_size=8
    )
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back_as_it_was(place: Place, contents):
    """Every Unicode text, half surrogates, control characters and empty ones included, in replies, in names
    of models and in evidence."""
    by_key = {
        a_key(*(str(part).encode("utf-8", "surrogatepass").hex() for part in content)): content
        for content in contents
    }

    async def there_and_back() -> None:
        async with open_ledger(place) as ledger:
            for key, (text, model, tokens) in by_key.items():
                reply = Reply(text, "length", Usage(tokens, 1, 2, 3), model)
                assert await ledger.keep_reply(key, reply, "m") == reply
                assert await ledger.reply(key) == reply
                verdict = Verdict("met", by=model, evidence=text)
                await ledger.keep_verdicts({key: verdict})
                assert await ledger.verdicts([key], await ledger.watermark()) == {key: verdict}

    asyncio.run(there_and_back())


async def test_large_and_small_values_come_back(place: Place):
    """From an empty reply to ten megabytes."""
    replies = [Reply(""), Reply("x" * 10_000_000), Reply(random.Random(1).randbytes(4_000_000).hex())]
    async with open_ledger(place) as ledger:
        await asyncio.gather(
            *(ledger.keep_reply(a_key(number), reply, "m") for number, reply in enumerate(replies))
        )
    async with open_ledger(place) as ledger:
        assert [await ledger.reply(a_key(number)) for number in range(3)] == replies


async def test_verdicts_are_seen_up_to_the_watermark_and_no_further(place: Place):
    """Later verdicts, also of other processes and after a restart, are unknown to a run that began before."""
    met, unmet = Verdict("met", by="g", votes=(3, 5), evidence="\u2028 <b>"), Verdict("unmet", by="g")
    async with open_ledger(place) as ledger, open_ledger(place) as other:
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
    async with open_ledger(place) as ledger:
        assert await ledger.verdicts(keys, watermark) == before
        assert await ledger.watermark() > watermark
        assert await ledger.verdicts(keys, await ledger.watermark()) == before | {
            a_key(3): met,
            a_key(4): met,
        }


async def test_questions_with_different_watermarks_do_not_mix(place: Place):
    """Asked at the same time, each is answered up to its own mark."""
    async with open_ledger(place) as ledger:
        marks = []
        for number in range(4):
            await ledger.keep_verdicts({a_key(number): Verdict("met")})
            marks.append(await ledger.watermark())
        keys = [a_key(number) for number in range(4)]
        seen = await asyncio.gather(*(ledger.verdicts(keys, mark) for mark in marks))
    assert [list(verdicts) for verdicts in seen] == [keys[: n + 1] for n in range(4)]


async def test_nothing_slips_under_a_watermark(place: Place):
    """Six writers in three ledgers, and a reader that asks for the watermark all the while: what it sees up
    to a mark is the same when it looks again after the last write."""
    async with open_ledger(place) as one, open_ledger(place) as two, open_ledger(place) as reader:
        keys = [a_key(writer, number) for writer in range(6) for number in range(40)]
        seen: list[tuple[int, set[str]]] = []

        async def write(writer: int) -> None:
            for number in range(40):
                await (one, two)[writer % 2].keep_verdicts({a_key(writer, number): Verdict("met")})

        async def read() -> None:
            while not seen or len(seen[-1][1]) < len(keys):
                mark = await reader.watermark()
                seen.append((mark, set(await reader.verdicts(keys, mark))))
                await asyncio.sleep(0)

        await asyncio.gather(read(), *(write(writer) for writer in range(6)))
        assert len({mark for mark, _ in seen}) > 5
        for mark, then in seen:
            assert set(await reader.verdicts(keys, mark)) == then


async def test_a_watermark_is_never_given_twice(place: Place, inside):
    """Even when somebody deletes the latest verdicts by hand, new ones do not slip under an old mark."""
    async with open_ledger(place) as ledger:
        await ledger.keep_verdicts({a_key(1): Verdict("met")})
        watermark = await ledger.watermark()
    await asyncio.to_thread(inside, "DELETE FROM verdict")
    async with open_ledger(place) as ledger:
        await ledger.keep_verdicts({a_key(2): Verdict("met")})
        assert await ledger.verdicts([a_key(2)], watermark) == {}


async def test_unjudged_is_never_remembered(place: Place):
    """A grader that stuttered is asked again; and the verdicts beside it are not half kept."""
    async with open_ledger(place) as ledger:
        with pytest.raises(ValueError, match="cut off"):
            await ledger.keep_verdicts({a_key(1): Verdict("met"), a_key(2): unjudged("cut off")})
        assert await ledger.watermark() == 0


async def test_facts_are_replaced_and_dialects_are_remembered_without_secrets(place: Place, inside):
    """The latest word counts, also of two said at once; the password of an address is not there."""
    url, dialect = "http://user:hunter2@127.0.0.1/v1", Dialect(structured=True, refused=("top_p",))
    async with open_ledger(place) as ledger:
        assert await ledger.fact("f") is None
        await ledger.keep_fact("f", "1")
        await asyncio.gather(ledger.keep_fact("f", "2"), ledger.keep_fact("f", '{"ü": 3}'))
        assert await ledger.fact("f") == '{"ü": 3}'
        dialects = LedgerDialects(ledger)
        assert await dialects.get(url, "m") is None
        await dialects.put(url, "m", dialect)
        assert await dialects.get(url, "m") == dialect
        assert await dialects.get("http://elsewhere/v1", "m") is None
    facts = await asyncio.to_thread(inside, "SELECT key, value FROM fact")
    assert len(facts) == 2 and "hunter2" not in str(facts)


async def test_leaving_the_block_writes_what_is_pending(place: Place):
    """Nothing that was begun is lost at the end; after it, the ledger says that it is closed."""
    async with open_ledger(place) as ledger:
        pending = [asyncio.create_task(ledger.keep_reply(a_key(n), Reply(str(n)), "m")) for n in range(1200)]
        await asyncio.sleep(0)
    assert [reply.text for reply in await asyncio.gather(*pending)] == [str(n) for n in range(1200)]
    with pytest.raises(RunError, match="not open"):
        await ledger.keep_reply(a_key("late"), Reply(""), "m")
    with pytest.raises(RunError, match="not open"):
        await ledger.reply(a_key(1))


async def test_a_caller_who_is_gone_has_its_write_done_all_the_same(place: Place):
    """Cancelled on the spot: the reply was paid for."""
    async with open_ledger(place) as ledger:
        gone = asyncio.create_task(ledger.keep_reply(a_key(1), Reply("orphan"), "m"))
        await asyncio.sleep(0)
        gone.cancel()
    async with open_ledger(place) as ledger:
        assert await ledger.reply(a_key(1)) == Reply("orphan")


async def test_a_claim_is_one_ledgers_until_it_is_given_back(place: Place):
    """Two ledgers in one process are two claimants; the same one may ask again; keys do not meet."""
    async with open_ledger(place) as one, open_ledger(place) as other:
        assert await one.claim(a_key(1)) and await one.claim(a_key(1))
        assert not await other.claim(a_key(1))
        assert await other.claim(a_key(2))
        await other.release(a_key(1))  # what it never had
        assert not await other.claim(a_key(1))
        await one.release(a_key(1))
        assert await other.claim(a_key(1))
        assert not await one.claim(a_key(1))
    async with open_ledger(place) as later:
        assert await later.claim(a_key(1)) and await later.claim(a_key(2))


async def test_of_many_who_claim_at_once_one_has_it(place: Place):
    """Three ledgers go for 300 keys in different orders: each key is granted once, and none to nobody."""
    keys = [a_key(number) for number in range(300)]
    async with open_ledger(place) as a, open_ledger(place) as b, open_ledger(place) as c:
        orders = [random.Random(seed).sample(keys, len(keys)) for seed in range(3)]
        tries = [
            asyncio.gather(*(ledger.claim(key) for key in order))
            for ledger, order in zip((a, b, c), orders, strict=True)
        ]
        granted = [
            [key for key, is_granted in zip(order, got, strict=True) if is_granted]
            for order, got in zip(orders, await asyncio.gather(*tries), strict=True)
        ]
    assert sorted(key for keys in granted for key in keys) == sorted(keys)


async def test_claims_of_a_killed_process_are_free_again(place: Place):
    """Ten thousand of them, more than a server has locks for: refused while it lives, granted once it is
    dead by kill -9, though it gave nothing back."""
    process = child("claim", place, 10_000)
    assert process.stdout is not None
    assert int(process.stdout.readline()) == 10_000
    keys = [a_key("claim", number) for number in range(10_000)]
    async with open_ledger(place) as ledger:
        assert not any(await asyncio.gather(*(ledger.claim(key) for key in keys[:50])))
        process.kill()
        process.communicate()
        for _ in range(1000):
            if await ledger.claim(keys[0]):
                break
            await asyncio.sleep(0.01)
        assert all(await asyncio.gather(*(ledger.claim(key) for key in keys)))
