"""A process of its own that asks by batch, for the tests to kill.

batch_child.py URL LEDGER N     asks N questions through ledger, retry and batch; prints the replies as JSON
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from rubricate.llm.ledger import LedgerChat
from rubricate.llm.retry import RetryChat
from rubricate.llm.sqlite.ledger import SqliteLedger
from tests.batch_server import asked, by_batch


class _At:
    """An address to ask."""

    def __init__(self, base_url: str):
        self.base_url = base_url


async def main(base_url: str, path: Path, n: int) -> None:
    """Asks, and says what was said."""
    async with SqliteLedger(path) as ledger, by_batch(_At(base_url), ledger) as chat:  # type: ignore[arg-type]
        paid = LedgerChat(RetryChat(chat), ledger)
        replies = await asyncio.gather(*(paid.ask(asked(number)) for number in range(n)))
    print(json.dumps([reply.text for reply in replies]))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
