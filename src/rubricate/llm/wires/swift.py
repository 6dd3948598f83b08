"""The wire for a server near by: HTTP/1.1 over kept connections on asyncio, read by httptools.

Plain http only, no proxy, no compression, no redirect. What it leaves out is what a call to a server on the
same machine or in the same rack does without, and costs a fifth of the processor time of the wire that has it
(docs/decisions/0022).
"""

from __future__ import annotations

import asyncio
import urllib.parse
from collections import deque
from types import TracebackType
from typing import Any, Self, cast

from rubricate.errors import BadAnswer, ChatError, Unavailable
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.failures import quoted
from rubricate.llm.wires.wire import (
    CONNECT_TIMEOUT_S,
    ERROR_BODY_BYTES,
    Answer,
    Limits,
    lost,
    told,
    too_large,
    too_late,
)


class SwiftWire:
    """Posts over at most `limits.connections` kept connections, the most recently used first.

    A call that is cancelled or comes too late takes its connection with it, since the answer may still come.
    Costs about 0.02 ms of processor time per call (benchmarks/throughput.py).
    """

    def __init__(self, endpoint: Endpoint, limits: Limits):
        self.endpoint, self.limits = endpoint, limits
        parts = urllib.parse.urlsplit(endpoint.chat_url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "User-Agent: rubricate"]
        lines += [f"{name}: {value}" for name, value in endpoint.headers.items()]
        self._head = "\r\n".join([*lines, "Content-Length: "]).encode("ascii")
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._n_opening = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in list(self._open):
            connection.close()

    async def post(self, body: bytes, model: str) -> Answer:
        """The answer to a body; see `Wire.post`."""
        connection = self._idle.pop() if self._idle else await self._another(model)
        answer = connection.send(b"%b%d\r\n\r\n%b" % (self._head, len(body), body), model)
        alarm = self._loop.call_later(self.limits.timeout_s, connection.give_up, answer, model)
        try:
            return await answer
        finally:
            alarm.cancel()
            connection.abandon(answer)

    async def _another(self, model: str) -> _Connection:
        """A new connection, or the next that is free where there are as many as may be."""
        while len(self._open) + self._n_opening >= self.limits.connections:
            turn = self._loop.create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._pass_on()
                raise
            if self._idle:
                return self._idle.pop()
        self._n_opening += 1
        try:
            async with asyncio.timeout(min(CONNECT_TIMEOUT_S, self.limits.timeout_s)):
                _, connection = await self._loop.create_connection(
                    lambda: _Connection(self), self._host, self._port
                )
        except TimeoutError as error:
            raise Unavailable(told(self.endpoint, model, "no connection in time")) from error
        except OSError as error:
            raise lost(self.endpoint, model, error) from error
        finally:
            self._n_opening -= 1
            self._pass_on()
        return connection

    def _pass_on(self) -> None:
        """Wakes the first who waits for a connection: one is free, or there is room for another."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def joined(self, connection: _Connection) -> None:
        """A connection that is open now."""
        self._open.add(connection)

    def left(self, connection: _Connection) -> None:
        """A connection that is closed now."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._pass_on()

    def free(self, connection: _Connection) -> None:
        """A connection that may be used again."""
        self._idle.append(connection)
        self._pass_on()


class _Connection(asyncio.Protocol):
    """One connection, with at most one call on it. The `on_` methods are called by the parser."""

    def __init__(self, wire: SwiftWire):
        self._wire = wire
        self._model = ""
        self._answer: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._wire.joined(self)

    def send(self, request: bytes, model: str) -> asyncio.Future[Answer]:
        """Sends a call; its answer, which fails with a `ChatError`."""
        from httptools import HttpResponseParser

        self._model, self._headers, self._chunks, self._size = model, dict[str, str](), list[bytes](), 0
        self._is_framed = self._has_headers = False
        self._parser: Any = HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def give_up(self, answer: asyncio.Future[Answer], model: str) -> None:
        """The answer did not come in time; the connection may be another caller's by now."""
        if self._answer is answer:
            self._fail(too_late(self._wire.endpoint, model, self._wire.limits.timeout_s))

    def close(self) -> None:
        """Closes the connection; whoever still waits hears of it."""
        self._fail(lost(self._wire.endpoint, self._model, ConnectionAbortedError("the wire was closed")))

    def abandon(self, answer: asyncio.Future[Answer]) -> None:
        """Closes the connection if this very answer is still to come; it may be another caller's by now."""
        if self._answer is answer:
            self.abort()

    def abort(self) -> None:
        """Closes the connection at once."""
        self._answer = None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        from httptools import HttpParserError

        if self._answer is None:  # nobody asked: whatever this is, it is no answer of ours
            self._transport.abort()
            return
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            if self._answer is not None:
                what = quoted(f"the answer is no HTTP: {error}", self._wire.endpoint)
                self._fail(BadAnswer(told(self._wire.endpoint, self._model, what)))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the answer."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The body comes next; without a length it ends with the connection."""
        self._has_headers = True
        self._is_framed = "content-length" in self._headers or "transfer-encoding" in self._headers

    def on_body(self, chunk: bytes) -> None:
        """A piece of the body."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        status = self._parser.get_status_code()
        limit = self._wire.limits.max_body_bytes if status == 200 else ERROR_BODY_BYTES
        if self._size > limit:
            if status == 200:
                self._fail(too_large(self._wire.endpoint, self._model, limit))
            else:
                self._complete()
            self._transport.abort()

    def on_message_complete(self) -> None:
        """The end of the answer; of one that only announces another (1xx) there is more to come."""
        if self._parser.get_status_code() < 200:
            self._headers.clear()
            self._has_headers = False
            return
        keeps = self._parser.should_keep_alive() and not self._transport.is_closing()
        if self._complete() and keeps:
            self._wire.free(self)
        else:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._wire.left(self)
        if self._answer is None:
            return
        if error is None and self._has_headers and not self._is_framed:
            self._complete()
            return
        cut = error or ConnectionResetError("the server closed the connection before its answer was complete")
        self._fail(lost(self._wire.endpoint, self._model, cut))

    def _complete(self) -> bool:
        """Hands the answer over; whether anybody still wants it."""
        answer, self._answer = self._answer, None
        if answer is None or answer.done():
            return False
        content = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        answer.set_result(Answer(self._parser.get_status_code(), _Headers(self._headers), content))
        return True

    def _fail(self, failure: ChatError) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(failure)
        self._transport.abort()


class _Headers(dict[str, str]):
    """Headers by their names in lower case, found in any spelling."""

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a header, or the default."""
        return super().get(name.lower(), default)
