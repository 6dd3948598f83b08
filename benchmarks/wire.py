"""The wire (circuit, retry, throttle, http) beside a bare aiohttp loop over the same requests.

    python benchmarks/wire.py [--calls 8000] [--workers 64] [--callers 64] [--rounds 5] [--latency 0]

Both post the same 1.4 kB question to a server in a process of its own and read the content of the answer,
in turns, so that a noisy machine is noisy for both. With more callers than workers the rest queues in the
throttle. Prints calls per second and processor time per call, and the ratio of the medians.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import aiohttp
import msgspec

from rubricate.domain.conversation import Message
from rubricate.llm.chat import Request
from rubricate.llm.circuit import CircuitChat
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.http import HttpChat
from rubricate.llm.retry import RetryChat
from rubricate.llm.throttle import ThrottledChat
from tests.fake_server import server_process

TEXT = "word " * 280
Rates = tuple[float, float]


async def timed(ask: Callable[[], Awaitable[object]], n_calls: int, n_callers: int) -> Rates:
    """Calls per second and milliseconds of processor time per call."""
    left = iter(range(n_calls))

    async def caller() -> None:
        for _ in left:
            await ask()

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(n_callers)))
    return n_calls / (time.perf_counter() - wall), (time.process_time() - cpu) / n_calls * 1e3


async def bare(base_url: str, settings: argparse.Namespace) -> Rates:
    """aiohttp alone: encode, post, decode; no error is looked at."""
    body = {"model": "m", "messages": [{"role": "user", "content": TEXT}], "temperature": 0.0}
    url, headers = f"{base_url}/chat/completions", {"Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=settings.workers, limit_per_host=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def ask() -> object:
            async with session.post(url, data=msgspec.json.encode(body)) as answer:
                return msgspec.json.decode(await answer.read())["choices"][0]["message"]["content"]

        return await timed(ask, settings.calls, settings.callers)


async def whole(base_url: str, settings: argparse.Namespace) -> Rates:
    """The chain as a run opens it, without ledger and budget."""
    request = Request("m", (Message("user", TEXT),), temperature=0.0)
    async with HttpChat(Endpoint(base_url, "key"), connections=settings.workers) as http:
        chat = CircuitChat(RetryChat(ThrottledChat(http, settings.workers)), "bench")
        return await timed(lambda: chat.ask(request), settings.calls, settings.callers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, default in {"calls": 8000, "workers": 64, "callers": 64, "rounds": 5}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--latency", type=float, default=0.0, help="of the server, in seconds")
    settings = parser.parse_args()
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    measured: dict[str, list[Rates]] = {"bare aiohttp": [], "the wire": []}
    with server_process(settings.latency) as base_url:
        for _ in range(settings.rounds):
            measured["bare aiohttp"].append(asyncio.run(bare(base_url, settings)))
            measured["the wire"].append(asyncio.run(whole(base_url, settings)))
    medians = {}
    for name, rates in measured.items():
        per_second, cpu_ms = (statistics.median(column) for column in zip(*rates, strict=True))
        medians[name] = per_second
        print(f"{name:14} {per_second:8.0f} calls/s   {cpu_ms:.3f} ms of processor time a call")
    print(f"ratio          {medians['the wire'] / medians['bare aiohttp']:8.2f}")


if __name__ == "__main__":
    main()
