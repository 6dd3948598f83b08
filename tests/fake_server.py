"""A real server of OpenAI chat completions on 127.0.0.1, with a dial for every way to fail.

A raw asyncio protocol, so that load tests measure the client: about 7 us a request with a fixed answer.
In a test:

    async with FakeServer(lambda request: "yes", faults=["503", None]) as server:
        ... server.base_url, server.n_requests, server.peak ...

For benchmarks, as a process of its own that ends with its parent: `python tests/fake_server.py --latency 0.1`
prints its base URL; `server_process()` does that.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

JSON_TYPE = "application/json"


@dataclass(frozen=True)
class Raw:
    """An answer as it goes over the wire: JSON if `body` is no bytes."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = JSON_TYPE

    def encoded(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        lines = [f"HTTP/1.1 {self.status} X", f"Content-Type: {self.content_type}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode() + body


Hook = Callable[[dict[str, Any]], str | Raw]


class FakeServer:
    """Answers `POST .../chat/completions` with what `answer(request)` says, and `GET .../models`.

    `answer` returns the content, or a `Raw`; None answers `content` to all without reading the request.
    `faults` are used up one per request (None: no fault); afterwards `rates` (fault -> probability, seeded)
    decide. A fault is a status ("503", "429/2" with `Retry-After: 2`), something on the line (`reset`,
    `cut_body`, `hang`, `drip`), or an odd 200 (the methods of `OddAnswers`).
    With an `api_key`, other keys get a 401 that echoes them. `refuses` gives field -> message of a 400.
    `latency_s` may be changed at any time. Kept: `requests` (decoded; with an `answer`), `n_requests`,
    `in_flight`, `peak`, `connections`.
    """

    def __init__(
        self,
        answer: Hook | None = None,
        *,
        latency_s: float = 0.0,
        faults: Iterable[str | None] = (),
        rates: dict[str, float] | None = None,
        seed: int = 0,
        api_key: str | None = None,
        refuses: dict[str, str] | None = None,
        models: tuple[str, ...] = ("model",),
        huge_bytes: int = 4 * 1024 * 1024,
        keeps_requests: bool = True,
        content: str = "ok",
    ):
        self.answer, self.latency_s, self.api_key, self.models = answer, latency_s, api_key, models
        self.faults, self.rates, self.refuses = list(faults), rates or {}, refuses or {}
        self.huge_bytes, self.keeps_requests = huge_bytes, keeps_requests
        self.requests: list[dict[str, Any]] = []
        self.n_requests = self.in_flight = self.peak = 0
        self.connections: set[_Connection] = set()
        self.base_url = ""
        self._chance = random.Random(seed)
        self._fixed = Raw(completion(content)).encoded()
        self._seen = asyncio.Event()

    async def __aenter__(self) -> FakeServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, port: int = 0) -> None:
        """Listens on 127.0.0.1; 0 picks a free port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", port, backlog=2048)
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def stop(self) -> None:
        """Closes everything, connections with unanswered requests included."""
        self._server.close()
        for connection in list(self.connections):
            connection.transport.abort()
        await self._server.wait_closed()

    async def until(self, holds: Callable[[FakeServer], bool], timeout_s: float = 10.0) -> None:
        """Waits until something holds of the counts; they are looked at after each request."""
        async with asyncio.timeout(timeout_s):
            while not holds(self):
                self._seen.clear()
                await self._seen.wait()

    def take(self, connection: _Connection, head: bytes, body: bytes) -> None:
        """One complete request."""
        if head.startswith(b"GET "):
            connection.send(Raw({"object": "list", "data": [{"id": name} for name in self.models]}).encoded())
            return
        self.n_requests += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        connection.is_busy = True
        self._seen.set()
        fault = self._next_fault()
        if fault == "reset":
            connection.transport.abort()
        elif fault != "hang":
            delay_s, payload = self.latency_s, self._payload(head, body, fault)
            if delay_s > 0:
                asyncio.get_running_loop().call_later(delay_s, connection.answer, payload, fault)
            else:
                connection.answer(payload, fault)

    def _next_fault(self) -> str | None:
        if self.faults:
            return self.faults.pop(0)
        if not self.rates:
            return None
        drawn = self._chance.random()
        for fault, rate in self.rates.items():
            drawn -= rate
            if drawn < 0:
                return fault
        return None

    def _payload(self, head: bytes, body: bytes, fault: str | None) -> bytes:
        if b"/chat/completions " not in head.split(b"\r\n", 1)[0]:
            return Raw(error_body("no such path"), 404).encoded()
        if self.api_key is not None and (key := _bearer(head)) != self.api_key:
            return Raw(error_body(f"Incorrect API key provided: {key}", "invalid_api_key"), 401).encoded()
        if fault is not None and fault[:3].isdigit():
            status, _, retry_after = fault.partition("/")
            headers = {"Retry-After": retry_after} if retry_after else {}
            return Raw(error_body(f"fault {status}"), int(status), headers).encoded()
        if self.answer is None and fault is None and not self.refuses:
            return self._fixed
        request = json.loads(body)
        if self.keeps_requests:
            self.requests.append(request)
        for name, message in self.refuses.items():
            if name in request:
                return Raw(error_body(message, "unsupported_parameter", name), 400).encoded()
        answer = self.answer(request) if self.answer is not None else "ok"
        raw = answer if isinstance(answer, Raw) else Raw(completion(answer, request))
        if fault in (None, "cut_body", "drip"):
            return raw.encoded()
        return getattr(OddAnswers(self.huge_bytes), str(fault))(raw.body).encoded()


class OddAnswers:
    """Answers with status 200 that are not what was asked for, made from one that is."""

    def __init__(self, huge_bytes: int):
        self._huge_bytes = huge_bytes

    def empty(self, body: Any) -> Raw:
        return Raw(completion(""))

    def null(self, body: Any) -> Raw:
        return Raw(completion(None))

    def refusal(self, body: Any) -> Raw:
        return Raw(completion(None, refusal="I cannot help with that."))

    def length(self, body: Any) -> Raw:
        content = body["choices"][0]["message"]["content"]
        return Raw(completion(content[: len(content) // 2], finish_reason="length"))

    def prose(self, body: Any) -> Raw:
        content = body["choices"][0]["message"]["content"]
        return Raw(completion(f"Sure! Here it is:\n\n{content}\n\nDo ask if anything is unclear."))

    def cut_json(self, body: Any) -> Raw:
        encoded = json.dumps(body).encode()
        return Raw(encoded[: len(encoded) // 2])

    def wrong_type(self, body: Any) -> Raw:
        return Raw(b"<html>sign in</html>", content_type="text/html; charset=utf-8")

    def bad_utf8(self, body: Any) -> Raw:
        return Raw(json.dumps(completion("@")).encode().replace(b"@", b"\xff\xfe"))

    def huge(self, body: Any) -> Raw:
        return Raw(completion("x" * self._huge_bytes))

    def no_choices(self, body: Any) -> Raw:
        return Raw({**completion("ok"), "choices": []})


def completion(
    content: str | None,
    request: dict[str, Any] | None = None,
    *,
    refusal: str | None = None,
    finish_reason: str = "stop",
) -> dict[str, Any]:
    """The body of a chat completion; tokens are counted as a quarter of the characters."""
    asked = len(json.dumps(request["messages"])) // 4 if request else 10
    said = len(content or "") // 4 + 1
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if refusal is not None:
        message["refusal"] = refusal
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": request["model"] if request else "model",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said},
    }


def error_body(message: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """The body of an error in OpenAI's form."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


class _Connection(asyncio.Protocol):
    def __init__(self, server: FakeServer):
        self._server, self._buffer, self.is_busy = server, b"", False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)
        self._end()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            whole = end + 4 + _content_length(head)
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            self._server.take(self, head, body)

    def answer(self, payload: bytes, fault: str | None) -> None:
        if fault == "cut_body":
            self.send(payload[: -len(payload) // 3])
            self.transport.close()
        elif fault == "drip":
            self._drip(payload, 0)
        else:
            self._end()
            self.send(payload)

    def send(self, payload: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(payload)

    def _drip(self, payload: bytes, at: int) -> None:
        if at < len(payload) and not self.transport.is_closing():
            self.send(payload[at : at + 1])
            asyncio.get_running_loop().call_later(0.02, self._drip, payload, at + 1)
        else:
            self._end()

    def _end(self) -> None:
        if self.is_busy:
            self.is_busy = False
            self._server.in_flight -= 1
            self._server._seen.set()


def _content_length(head: bytes) -> int:
    lowered = head.lower()
    at = lowered.find(b"content-length:")
    return int(lowered[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


def _bearer(head: bytes) -> str:
    at = head.lower().find(b"authorization: bearer ")
    return head[at + 22 :].split(b"\r\n", 1)[0].decode() if at >= 0 else ""


@contextlib.contextmanager
def server_process(latency_s: float = 0.0, content: str = "ok", core: int | None = None) -> Iterator[str]:
    """A server with a fixed answer in a process of its own, on a core of its own if one is named; gives its
    base URL."""
    command = [sys.executable, str(Path(__file__)), "--latency", str(latency_s), "--content", content]
    command += [] if core is None else ["--core", str(core)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


async def _serve(latency_s: float, port: int, content: str) -> None:
    server = FakeServer(latency_s=latency_s, content=content)
    await server.start(port)
    print(server.base_url, flush=True)
    reader = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await reader  # the parent is gone when its end of the pipe closes
    await server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A fake server of chat completions, for benchmarks.")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--content", default="ok")
    parser.add_argument("--core", type=int, default=None)
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(_serve(arguments.latency, arguments.port, arguments.content))
