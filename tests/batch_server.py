"""A server with batch endpoints on a socket: the world's own, with answers that a test scripts.

    async with BatchServer(lambda body: (200, completion("yes"))) as server:
        async with by_batch(server, ledger) as chat: ...

`before` and `after` see every call to the batch endpoints; what they return in place of None is the answer,
and `NO_ANSWER` closes the connection without one. `midway` is awaited when half of the next download is
sent; then the connection breaks.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from rubricate.domain.conversation import Message
from rubricate.llm.batches.chat import BatchChat
from rubricate.llm.batches.parts import Limits
from rubricate.llm.batches.waits import Waits
from rubricate.llm.chat import Request
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.http import HttpChat
from rubricate.llm.ledger import Ledger, LedgerDialects
from rubricate.world.batches import Answer
from rubricate.world.dials import BatchDials, Dials
from rubricate.world.server import WorldServer
from rubricate.world.world import World
from tests.fake_server import completion

QUICK = Waits(
    linger_s=0.05, poll_s=0.03, longest_poll_s=0.1, patience_s=20.0, settle_s=0.3, first_pause_s=0.02
)
NO_ANSWER = Answer(0, b"")

Row = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]
Hook = Callable[[str, str], Awaitable[Answer | None]]


async def _nothing(method: str, path: str) -> Answer | None:
    return None


def echo(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Says what was asked, so that no answer can be taken for another."""
    return 200, completion(f"answer to {body['messages'][-1]['content']}")


class BatchServer(WorldServer):
    """The world's server with scripted rows. `bodies` are the rows that were worked off, in order; `calls`
    the calls to the batch endpoints, as (method, path)."""

    def __init__(self, row: Row = echo, *, before: Hook = _nothing, after: Hook = _nothing, **dials: Any):
        super().__init__(World(Dials(batches=BatchDials(**dials)), seed=1))
        self.bodies: list[dict[str, Any]] = []
        self.calls: list[tuple[str, str]] = []
        self._script, self._before, self._after = row, before, after
        self.midway: Callable[[], Awaitable[None]] | None = None
        self.batches._answer = self._scripted
        self._serve_batches, self.batches.serve = self.batches.serve, self._hooked  # type: ignore[method-assign]

    def _scripted(self, body: bytes) -> tuple[int, dict[str, Any]]:
        self.bodies.append(json.loads(body))
        return self._script(self.bodies[-1])

    async def _hooked(self, method: str, target: str, content_type: str, body: bytes) -> Answer:
        path = target.partition("?")[0].removeprefix("/v1")
        self.calls.append((method, path))
        said = await self._before(method, path)
        if said is None:
            said = await self._serve_batches(method, target, content_type, body)
            said = await self._after(method, path) or said
        if said is NO_ANSWER:
            raise ConnectionResetError("cut by the test")
        return said

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        return await super()._exchange(reader, _Writer(writer, self))  # type: ignore[arg-type]

    @property
    def n_submitted(self) -> int:
        """Batches that exist."""
        return len(self.batches.batches)

    @property
    def paid_twice(self) -> dict[str, int]:
        """Rows that were answered well more than once, by their id."""
        return {key: n for key, n in self.batches.paid.items() if n > 1}


class _Writer:
    """A writer that can stop in the middle."""

    def __init__(self, writer: asyncio.StreamWriter, server: BatchServer):
        self._writer, self._server, self._midway = writer, server, None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def write(self, data: bytes) -> None:
        """Writes, or writes half."""
        if self._server.midway is not None and b"octet-stream" in data[:200]:
            self._midway, self._server.midway = self._server.midway, None
            data = data[: len(data) // 2]
        self._writer.write(data)

    async def drain(self) -> None:
        """Waits, and breaks where only half was written."""
        await self._writer.drain()
        if self._midway is not None:
            await self._midway()
            raise ConnectionResetError("cut by the test")


@asynccontextmanager
async def by_batch(
    server: WorldServer, ledger: Ledger, waits: Waits = QUICK, limits: Limits | None = None, **settings: Any
) -> AsyncIterator[BatchChat]:
    """A chat that asks the server by batch."""
    endpoint = Endpoint(server.base_url)
    async with (
        HttpChat(endpoint, LedgerDialects(ledger)) as http,
        BatchChat(endpoint, ledger, http, waits=waits, limits=limits, **settings) as chat,
    ):
        yield chat


async def until(holds: Callable[[], Any], timeout_s: float = 20.0) -> None:
    """Waits until something holds; a test that waits in vain fails."""
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 - what is waited for is not ours to signal
            await asyncio.sleep(0.005)


def asked(n: int | str, model: str = "m", **fields: Any) -> Request:
    """The n-th question."""
    return Request(model, (Message("user", f"question {n}"),), **fields)
