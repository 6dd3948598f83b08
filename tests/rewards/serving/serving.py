"""A server of ours on a real socket, and a client that says what came back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp

from rubricate.rewards.seam import Reward
from rubricate.rewards.serving.app import App
from rubricate.rewards.serving.contracts.seam import API, Served, Version
from rubricate.rewards.serving.intake.gate import Limits
from rubricate.rewards.serving.server import RewardServer

VERSION = Version(API, "0.0", "key-of-the-reward")


class Desk:
    """One running server: `post` and `get` give status, JSON (or text) and headers."""

    def __init__(self, app: App, server: RewardServer, session: aiohttp.ClientSession):
        self.app, self.server, self.session = app, server, session

    async def post(self, path: str, body: Any = None, **how: Any) -> tuple[int, Any, Any]:
        given = how if "data" in how else {"json": body, **how}
        async with self.session.post(self.server.url + path, **given) as answer:
            return answer.status, await answer.json(), answer.headers

    async def get(self, path: str, **how: Any) -> tuple[int, Any, Any]:
        async with self.session.get(self.server.url + path, **how) as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await (answer.json() if is_json else answer.text()), answer.headers

    async def raw(self, data: bytes) -> bytes:
        """What comes back to these bytes, until the server closes."""
        host, port = self.server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(data)
        await writer.drain()
        try:
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def desk(
    reward: Reward, *, unjudged: float | None = None, limits: Limits | None = None, **how: Any
) -> AsyncIterator[Desk]:
    app = App(reward, Served(VERSION, "rubricate", unjudged), limits or Limits(), **how)
    server = RewardServer(app)
    await server.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession() as session:
            yield Desk(app, server, session)
    finally:
        await server.stop()


async def until(holds: Callable[[], object]) -> None:
    """Waits until it holds; a test that waits in vain fails after ten seconds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what is waited for is state of the server, not an event
            await asyncio.sleep(0.005)
