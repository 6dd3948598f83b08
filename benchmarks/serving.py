"""What `rubricate serve` adds to its grader: overhead at many concurrent requests.

    python benchmarks/serving.py [--clients 256] [--requests 8000] [--latency 1] [--spread 0.5]

The server runs in a process of its own with the whole stack of `rubricate serve` (HTTP, JSON, schema, gate,
reward, verdicts, metrics) around a stand-in for the grader. Its time is fixed by the completion: the
latency, give or take the spread as a share of it, as no real grader takes the same time twice. The clients
are bare sockets in another process, each with one connection and one request at a time, on completions
never graded before. The garbage of the server is collected as in every command
(`commands.session.in_loop`); the clients collect none, since a pause of theirs is not the server's.
Overhead is the time of a request less its grader's time, so what a loaded loop adds to a sleep counts.
Clients begin one after the other over one latency; with `--spread 0` they begin together and stay in step,
and each wave of them waits for itself.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import json
import multiprocessing
import os
import time
from contextlib import asynccontextmanager

PROMPT = "How do I bring an old apple tree through a dry summer?"
CRITERIA = [{"criterion": f"The response names thing {n}.", "weight": 1 + n % 3} for n in range(8)]


def latency_of(number, latency_s, spread):
    """Seconds that the grader takes over this completion: any of the range, by a hash of its number."""
    share = int.from_bytes(hashlib.blake2b(b"%d" % number, digest_size=8).digest(), "big") / 2**64
    return latency_s * (1 + spread * (2 * share - 1))


class StandIn:
    """Meets every second criterion, after the time of its completion."""

    name = "stand-in"

    def __init__(self, times):
        self.times = times

    async def grade(self, prompt, response, criteria):
        from rubricate.domain.judgement import Verdict

        await asyncio.sleep(latency_of(int(response.text.split(".")[0].split()[1]), *self.times))
        return tuple(Verdict("met" if n % 2 else "unmet") for n in range(len(criteria)))


def serve(grader_times, port_of, ending, used):
    from rubricate.commands.session import in_loop
    from rubricate.rewards.panel import Panel
    from rubricate.rewards.reward import RubricReward
    from rubricate.rewards.serving.app import App
    from rubricate.rewards.serving.contracts.seam import API, Served, Version
    from rubricate.rewards.serving.intake.gate import Limits
    from rubricate.rewards.serving.server import RewardServer
    from rubricate.settings.reward import rubric_in_column

    @asynccontextmanager
    async def opening():
        yield Panel(StandIn(grader_times))

    async def stay():
        reward = RubricReward(opening, read_column=rubric_in_column)
        async with reward.on_this_loop():
            app = App(reward, Served(Version(API, "benchmark", "key"), "rubricate", None), Limits())
            server = RewardServer(app)
            await server.start("127.0.0.1", 0)
            port_of.put(int(server.url.rsplit(":", 1)[1]))
            before = time.process_time()
            while not ending.is_set():  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.02)
            used.put(time.process_time() - before)
            await server.drain()

    in_loop(stay())


def run(work):
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


async def client(port, numbers, times, grader_times, after_s=0.0):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(after_s)
    for number in numbers:
        item = {
            "prompt": PROMPT,
            "completion": f"Answer {number}. " + "Water it early. " * 40,
            "rubric": CRITERIA,
        }
        body = json.dumps({"items": [item]}).encode()
        head = (
            "POST /v1/rewards HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        said = await reader.readexactly(length)
        times.append(time.perf_counter() - began - latency_of(number, *grader_times))
        assert answer.startswith(b"HTTP/1.1 200") and b'"reward":' in said, (answer, said)
    writer.close()


def main():
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--clients", type=int, default=256)
    asked.add_argument("--requests", type=int, default=8_000)
    asked.add_argument("--latency", type=float, default=1.0)
    asked.add_argument("--spread", type=float, default=0.5)
    given = asked.parse_args()
    grader_times = (given.latency, given.spread)
    context = multiprocessing.get_context("spawn")
    port_of, used, ending = context.Queue(), context.Queue(), context.Event()
    server = context.Process(target=serve, args=(grader_times, port_of, ending, used))
    server.start()
    port, times = port_of.get(timeout=60), list[float]()

    async def ask():
        warm, n = list[float](), given.requests // given.clients
        await asyncio.gather(
            *(client(port, range(-5 * k - 5, -5 * k), warm, grader_times) for k in range(given.clients))
        )
        began, apart = time.perf_counter(), given.latency if given.spread else 0.0
        spans = [range(k * n, k * n + n) for k in range(given.clients)]
        await asyncio.gather(
            *(
                client(port, span, times, grader_times, k / given.clients * apart)
                for k, span in enumerate(spans)
            )
        )
        return time.perf_counter() - began

    took = []
    gc.disable()
    run(_kept(ask(), took))
    ending.set()
    cpu = used.get(timeout=30)
    server.join(30)
    over = sorted(1_000 * value for value in times)
    at = {share: over[min(len(over) - 1, int(share * len(over)))] for share in (0.5, 0.9, 0.99, 0.999)}
    grader = f"grader {1000 * given.latency:g} ms, give or take {given.spread:.0%}"
    load = os.getloadavg()[0]
    print(f"{len(times):,} requests, {given.clients} at a time, {grader}, load {load:.1f}")
    print(f"{len(times) / took[0]:,.0f} a second of at most {given.clients / given.latency:,.0f}; "
          f"{1000 * cpu / (len(times) + 5 * given.clients):.2f} ms of processor a request")  # fmt: skip
    print("overhead, ms: " + ", ".join(f"p{100 * share:g} {value:.1f}" for share, value in at.items()))


async def _kept(work, found):
    found.append(await work)


if __name__ == "__main__":
    main()
