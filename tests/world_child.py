"""Worlds in a process of their own: what the tests of faults talk to over real sockets.

Reads one JSON object a line and answers with one:
`{"serve": {dial: value}, "seed": 0, "api_key": null, "port": 0}` gives `{"base_url": ...}` and ends the world
that was served before; `{"count": true}` gives `{"n_calls": ..., "fates": {...}}`. Ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


class Worlds:
    """The other end: serves one world after the other."""

    def __init__(self, child: subprocess.Popen[str]):
        self._child = child

    def serve(self, *dials: str, seed: int = 0, api_key: str | None = None, port: int = 0) -> str:
        """A new world in place of the last one; its base URL."""
        return str(self._told(serve=dials, seed=seed, api_key=api_key, port=port)["base_url"])

    def counts(self) -> tuple[int, dict[str, int]]:
        """Calls so far, and how many met which fate."""
        told = self._told(count=True)
        return told["n_calls"], told["fates"]

    def _told(self, **order: Any) -> dict[str, Any]:
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.write(json.dumps(order) + "\n")
        self._child.stdin.flush()
        return json.loads(self._child.stdout.readline())  # type: ignore[no-any-return]


@contextmanager
def worlds() -> Iterator[Worlds]:
    """The process, for as long as the block lasts."""
    command = [sys.executable, "-m", "tests.world_child"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as child:  # type: ignore[call-overload]
        try:
            yield Worlds(child)
        finally:
            child.stdin.close()
            child.wait(20)


async def stay() -> None:
    """Does as it is told until the input ends."""
    from rubricate.world.dials import dials_of
    from rubricate.world.server import WorldServer
    from rubricate.world.world import World

    loop, server = asyncio.get_running_loop(), None
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        if "serve" in order:
            if server is not None:
                await server.stop()
            server = WorldServer(World(dials_of(order["serve"]), order["seed"]), api_key=order["api_key"])
            await server.start(order["port"])
            told: dict[str, Any] = {"base_url": server.base_url}
        else:
            assert server is not None
            told = {"n_calls": server.n_calls, "fates": dict(server.fates)}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    asyncio.run(stay())
