"""Moving house: everything that one ledger holds comes into another, from any store to any other."""

import asyncio
from pathlib import Path

import pytest

from rubricate.domain.identity import key_of
from rubricate.domain.judgement import Verdict
from rubricate.errors import DataError, RunError
from rubricate.llm.chat import Reply
from rubricate.llm.shelf import WATERMARK, VerdictRow, copy, open_shelf
from rubricate.llm.store import Place, open_ledger


def a_key(*parts: object) -> str:
    return key_of("test", *parts)


KEYS = [a_key(number) for number in range(2500)]
"""More than a page of them."""


@pytest.fixture
def others(request, places, tmp_path: Path):
    """Places of both stores, whatever store `place` is of."""
    server = request.getfixturevalue("postgres_server")
    schema = f"moved_{abs(hash(request.node.nodeid))}"
    return Place(tmp_path / "moved.sqlite"), Place.parse(server.url("postgres", query=f"schema={schema}"))


async def fill(place: Place, name: str = "first", n: int = len(KEYS)) -> int:
    """A ledger with n replies and verdicts and two facts; its watermark at half of it."""
    async with open_ledger(place) as ledger:
        await asyncio.gather(
            *(ledger.keep_reply(key, Reply(f"{name} {key}"), f"m{key[0]}") for key in KEYS[:n])
        )
        for key in KEYS[: n // 2 : 50]:
            await ledger.keep_verdicts({key: Verdict("met", by=name)})
        half = await ledger.watermark()
        await ledger.keep_verdicts({key: Verdict("unmet", by=name) for key in KEYS[n // 2 : n]})
        await ledger.keep_fact("dialect", name)
        await ledger.keep_fact(f"{WATERMARK}x", str(half))
    return half


async def moved(source: Place, target: Place):
    async with open_shelf(source) as giving, open_shelf(target, make=True) as taking:
        return await copy(giving, taking)


@pytest.mark.parametrize("store", [0, 1], ids=["to-sqlite", "to-postgres"])
async def test_all_comes_along_with_its_numbers(place: Place, others, store):
    """Replies, facts, and verdicts up to the same watermarks; what is kept afterwards stands above them; a
    second copy finds everything there."""
    half, target = await fill(place), others[store]
    copied = await moved(place, target)
    n_verdicts = 25 + 1250
    assert copied.is_same
    assert (copied.replies, copied.verdicts, copied.facts) == ((2500,) * 2, (n_verdicts,) * 2, (2, 2))
    async with open_ledger(place) as old, open_ledger(target) as new:
        for key in KEYS[::100]:
            assert await new.reply(key) == await old.reply(key) is not None
        mark = await old.watermark()
        assert await new.watermark() == mark
        for up_to in (0, 1, half - 1, half, half + 1, half + 700, mark):
            assert await new.verdicts(KEYS, up_to) == await old.verdicts(KEYS, up_to)
        assert await new.fact(f"{WATERMARK}x") == str(half)
    async with open_shelf(place) as old, open_shelf(target) as new:
        a, b = await old.holdings(), await new.holdings()
        assert (a.n_replies, a.n_facts, a.models) == (b.n_replies, b.n_facts, b.models)
        assert a.oldest == b.oldest and len(a.models) == 16 and b.n_bytes > 50_000
    again = await moved(place, target)
    assert again.is_same and (again.replies, again.verdicts, again.facts) == ((0, 2500), (0, 0), (0, 2))
    async with open_ledger(target) as new:
        await new.keep_verdicts({a_key("new"): Verdict("met")})
        assert await new.verdicts([a_key("new")], mark) == {}


@pytest.mark.parametrize("store", [0, 1], ids=["to-sqlite", "to-postgres"])
async def test_a_copy_that_was_broken_off_goes_on(place: Place, others, store):
    """With the same numbers."""
    await fill(place)
    target = others[store]
    async with open_shelf(place) as giving, open_shelf(target, make=True) as taking:
        async for rows in giving.verdicts():
            await taking.put_verdicts(rows[:700], numbered=True)
            break
    copied = await moved(place, target)
    assert copied.is_same and copied.verdicts == (575, 575)
    async with open_ledger(place) as old, open_ledger(target) as new:
        mark = await old.watermark()
        assert await new.watermark() == mark
        for up_to in range(0, mark, 250):
            assert await new.verdicts(KEYS, up_to) == await old.verdicts(KEYS, up_to)


@pytest.mark.parametrize("store", [0, 1], ids=["to-sqlite", "to-postgres"])
async def test_what_is_there_stays(place: Place, others, store):
    """Into a ledger with other verdicts: its own replies and facts win, verdicts of the other come behind
    its own in their order, and watermarks, which would mean something else there, stay behind."""
    await fill(place)
    target = others[store]
    await fill(target, "second", 20)
    async with open_ledger(target) as new:
        await new.keep_fact(f"{WATERMARK}x", "7")
        mark = await new.watermark()
    copied = await moved(place, target)
    assert not copied.is_same
    assert copied.replies == (2480, 2500) and copied.facts == (0, 1)
    async with open_ledger(target) as new, open_ledger(place) as old:
        assert (await new.reply(KEYS[0])).text.startswith("second")
        assert (await new.reply(KEYS[-1])).text.startswith("first")
        assert await new.fact("dialect") == "second" and await new.fact(f"{WATERMARK}x") == "7"
        assert len(await new.verdicts(KEYS, mark)) == 11
        everything = await old.verdicts(KEYS, 10**9) | await new.verdicts(KEYS, mark)
        assert await new.verdicts(KEYS, 10**9) == everything
    async with open_shelf(place) as giving, open_shelf(target) as taking:
        theirs = [row.key async for rows in giving.verdicts() for row in rows]
        now = [row.key async for rows in taking.verdicts(mark) for row in rows]
    assert now == [key for key in theirs if key in set(now)] and len(now) > 1200


async def test_numbers_are_never_given_a_second_time(place: Place, others):
    """Another program keeps verdicts in the target between two pages: said, instead of two meanings of a
    number."""
    for target in others:
        async with open_shelf(target, make=True) as taking, open_ledger(target) as busy:
            rows = [VerdictRow(n, bytes.fromhex(KEYS[n]), 0, b"\x00{}") for n in range(1, 5)]
            assert await taking.put_verdicts(rows[:2], numbered=True) == 2
            await busy.keep_verdicts({a_key("busy"): Verdict("met")})
            with pytest.raises(RunError, match="another program keeps verdicts here"):
                await taking.put_verdicts(rows[2:], numbered=True)


async def test_a_ledger_that_is_not_there_is_not_made_by_looking(others):
    """Said, and nothing is made."""
    for place in others:
        with pytest.raises(DataError, match="there is no"):
            async with open_shelf(place):
                pass
    assert not others[0].at.exists()
