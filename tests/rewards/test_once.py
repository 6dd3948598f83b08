"""Asked once, however many ask; given up only with the last of them."""

from __future__ import annotations

import asyncio

import pytest

from rubricate.rewards.batch.once import Once


async def test_a_cancelled_asker_leaves_the_others_their_answer():
    """The first who asked goes; the second still gets what was asked once."""
    once, asked, go = Once(9), [], asyncio.Event()

    async def ask():
        asked.append(1)
        await go.wait()
        return "answer"

    first, second = (asyncio.create_task(once.of("k", ask)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    go.set()
    assert await second == "answer" == await once.of("k", ask) and asked == [1]


async def test_when_all_are_gone_the_question_is_given_up():
    """And asked anew by the next."""
    once, ended = Once(9), []

    async def hang():
        try:
            await asyncio.sleep(600)
        finally:
            ended.append(1)

    async def ask():
        return 2

    asker = asyncio.create_task(once.of("k", hang))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asker.cancel()
    await asyncio.gather(asker, return_exceptions=True)
    await asyncio.sleep(0)
    assert ended == [1] and await once.of("k", ask) == 2


async def test_errors_are_shared_and_forgotten_and_room_is_kept():
    """The latest used stay."""
    once = Once(2)

    async def fail():
        raise ValueError("no")

    async def give(value):
        return value

    for outcome in await asyncio.gather(once.of("k", fail), once.of("k", fail), return_exceptions=True):
        assert isinstance(outcome, ValueError)
    assert await once.of("k", lambda: give(1)) == 1
    await once.of("l", lambda: give(2))
    await once.of("k", fail)
    await once.of("m", lambda: give(3))
    assert await once.of("k", fail) == 1
    with pytest.raises(ValueError):
        await once.of("l", fail)
