"""A process of its own that uses a ledger: what the tests of the ledger kill, starve and set upon others.

ledger_child.py endless PATH NAME        keeps replies until killed; prints each key once acknowledged
ledger_child.py share PATH NAME N        keeps N own and N common replies; prints "key text" as kept
ledger_child.py starve PATH BYTES N      asks N questions with no file allowed to grow beyond BYTES
ledger_child.py nobody PATH              opens the ledger as a user who may not write
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from pathlib import Path

from rubricate.domain.conversation import Message
from rubricate.domain.identity import key_of
from rubricate.errors import RubricateError
from rubricate.llm.chat import Reply, Request, Usage
from rubricate.llm.ledger import LedgerChat
from rubricate.llm.scripted import ScriptedChat
from rubricate.llm.sqlite import SqliteLedger

NOBODY = 65534


def reply_of(key: str) -> Reply:
    """The reply that belongs to a key, so that a reader can tell whether it is whole."""
    return Reply(f"{key} \x00 é 漢 🦊 " * 20, usage=Usage(len(key), 1))


def say(line: str) -> None:
    """One line in one write: a reader never sees half of it."""
    os.write(1, f"{line}\n".encode())


async def endless(path: Path, name: str) -> None:
    async with SqliteLedger(path) as ledger:

        async def keep(worker: int) -> None:
            for number in itertools.count():
                key = key_of("test", name, worker, number)
                await ledger.keep_reply(key, reply_of(key), "m")
                say(key)

        await asyncio.gather(*(keep(worker) for worker in range(32)))


async def share(path: Path, name: str, n: str) -> None:
    async with SqliteLedger(path) as ledger:

        async def keep(key: str, text: str) -> None:
            kept = await ledger.keep_reply(key, Reply(text), "m")
            say(f"{key} {kept.text}")

        for number in range(int(n)):
            await asyncio.gather(
                keep(key_of("test", name, number), f"{name}-own"),
                keep(key_of("test", "common", number), name),
            )


async def starve(path: Path, n_bytes: str, n: str) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (int(n_bytes), int(n_bytes)))
    handed, errors, left = [], [], ""
    inner = ScriptedChat(lambda request: Reply(key_of("noise", request.draw) * 40))
    try:
        async with SqliteLedger(path) as ledger:
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


async def nobody(path: Path) -> None:
    ledger = SqliteLedger(path)
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    try:
        async with ledger:
            say("opened")
    except RubricateError as error:
        say(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    mode = {"endless": endless, "share": share, "starve": starve, "nobody": nobody}[sys.argv[1]]
    asyncio.run(mode(Path(sys.argv[2]), *sys.argv[3:]))
