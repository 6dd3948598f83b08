"""A process of its own that uses a ledger: what the tests of the ledger kill, starve and set upon others.

ledger_child.py endless PLACE NAME       keeps replies until killed; prints each key once acknowledged
ledger_child.py share PLACE NAME N       keeps N own and N common replies; prints "key text" as kept
ledger_child.py claim PLACE N            claims N keys, prints how many it got, and keeps them
ledger_child.py starve PLACE BYTES N     asks N questions with no file allowed to grow beyond BYTES
ledger_child.py nobody PLACE             opens the ledger as a user who may not write
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys

from rubricate.domain.conversation import Message
from rubricate.domain.identity import key_of
from rubricate.errors import RubricateError
from rubricate.llm.chat import Reply, Request, Usage
from rubricate.llm.ledger import LedgerChat
from rubricate.llm.scripted import ScriptedChat
from rubricate.llm.store import Place, open_ledger

NOBODY = 65534


def reply_of(key: str) -> Reply:
    """The reply that belongs to a key, so that a reader can tell whether it is whole."""
    return Reply(f"{key} \x00 é 漢 🦊 " * 20, usage=Usage(len(key), 1))


def say(line: str) -> None:
    """One line in one write: a reader never sees half of it."""
    os.write(1, f"{line}\n".encode())


async def endless(place: Place, name: str) -> None:
    async with open_ledger(place) as ledger:

        async def keep(worker: int) -> None:
            for number in itertools.count():
                key = key_of("test", name, worker, number)
                await ledger.keep_reply(key, reply_of(key), "m")
                say(key)

        await asyncio.gather(*(keep(worker) for worker in range(32)))


async def share(place: Place, name: str, n: str) -> None:
    async with open_ledger(place) as ledger:

        async def keep(key: str, text: str) -> None:
            kept = await ledger.keep_reply(key, Reply(text), "m")
            say(f"{key} {kept.text}")

        for number in range(int(n)):
            await asyncio.gather(
                keep(key_of("test", name, number), f"{name}-own"),
                keep(key_of("test", "common", number), name),
            )


async def starve(place: Place, n_bytes: str, n: str) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (int(n_bytes), int(n_bytes)))
    handed, errors, left = [], [], ""
    inner = ScriptedChat(lambda request: Reply(key_of("noise", request.draw) * 40))
    try:
        async with open_ledger(place) as ledger:
            chat = LedgerChat(inner, ledger)
            for draw in range(int(n)):
                try:
                    reply = await chat.ask(Request("m", (Message("user", "?"),), draw=draw))
                    handed.append(reply.text == key_of("noise", draw) * 40)
                except RubricateError as error:
                    errors.append(f"{type(error).__name__}: {error}")
    except RubricateError as error:
        left = f"{type(error).__name__}: {error}"
    say(json.dumps({"asked": len(inner.requests), "handed": handed, "errors": errors, "left": left}))


async def nobody(place: Place) -> None:
    ledger = open_ledger(place)
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    try:
        async with ledger:
            say("opened")
    except RubricateError as error:
        say(f"{type(error).__name__}: {error}")


async def claim(place: Place, n: str) -> None:
    async with open_ledger(place) as ledger:
        keys = [key_of("test", "claim", number) for number in range(int(n))]
        granted = await asyncio.gather(*(ledger.claim(key) for key in keys))
        say(str(sum(granted)))
        await asyncio.Event().wait()


if __name__ == "__main__":
    mode = {"endless": endless, "share": share, "claim": claim, "starve": starve, "nobody": nobody}[
        sys.argv[1]
    ]
    asyncio.run(mode(Place.parse(sys.argv[2]), *sys.argv[3:]))
