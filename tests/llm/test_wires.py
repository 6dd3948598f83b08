"""Two wires, one behaviour: the same bytes of a server give the same answer or the same kind of error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from rubricate.errors import ChatError, ChatTimeout, SettingsError, Unavailable
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.http import wire_to
from rubricate.llm.wires.steady import SteadyWire
from rubricate.llm.wires.swift import SwiftWire
from rubricate.llm.wires.wire import Answer, Client, Limits, Wire

LIMITS = Limits(connections=4, timeout_s=2.0, max_body_bytes=10_000)
WIRES: dict[str, Callable[[Endpoint, Limits], Wire]] = {"steady": SteadyWire, "swift": SwiftWire}


@asynccontextmanager
async def saying(*pieces: bytes, ends: bool = False) -> AsyncIterator[Endpoint]:
    """A server that answers every request with these pieces of bytes, and then hangs up if it `ends`."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                await reader.readexactly(length)
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if ends:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield Endpoint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "key")


async def outcome(wire: str, endpoint: Endpoint, limits: Limits = LIMITS) -> tuple[object, ...]:
    """What becomes of two calls in a row: status, type and content, or the kind of error."""
    found: list[object] = []
    async with WIRES[wire](endpoint, limits) as opened:
        for _ in range(2):
            try:
                answer = await opened.post(b'{"model": "m"}', "m")
                found.append((answer.status, answer.headers.get("Content-Type"), answer.content))
            except ChatError as error:
                found.append(type(error).__name__)
    return tuple(found)


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
WHOLE = OK + b"Content-Length: 2\r\n\r\n{}"
CASES: dict[str, tuple[list[bytes], bool]] = {
    "whole": ([WHOLE], False),
    "byte by byte": ([WHOLE[at : at + 1] for at in range(len(WHOLE))], False),
    "chunked": ([OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"], False),
    "chunked with a trailer": (
        [OK + b"transfer-encoding: Chunked\r\n\r\n2;x=y\r\n{}\r\n0\r\nA: b\r\n\r\n"],
        False,
    ),
    "until the end": ([OK + b"\r\n{}"], True),
    "announced": ([b"HTTP/1.1 100 Continue\r\n\r\n", WHOLE], False),
    "closes": ([OK + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"], False),
    "version 1.0": (
        [b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"],
        True,
    ),
    "empty": ([OK + b"Content-Length: 0\r\n\r\n"], False),
    "an error": ([b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nsick"], False),
    "a redirect": ([b"HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"], False),
    "hangs up at once": ([], True),
    "hangs up in the head": ([b"HTTP/1.1 200 OK\r\nConte"], True),
    "hangs up in the body": ([OK + b"Content-Length: 20\r\n\r\n{"], True),
    "hangs up in a chunk": ([OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\n{"], True),
    "hangs up after the head": ([OK + b"Content-Length: 2\r\n\r\n"], True),
    "too large": ([OK + b"Content-Length: 20000\r\n\r\n" + b"x" * 20_000], False),
}


@pytest.mark.parametrize("case", CASES)
async def test_both_make_the_same_of_it(case: str) -> None:
    """Whatever a server sends, the two wires agree, on the first call and on the next."""
    pieces, ends = CASES[case]
    async with saying(*pieces, ends=ends) as endpoint:
        steady, swift = await outcome("steady", endpoint), await outcome("swift", endpoint)
    assert steady == swift
    if case in ("whole", "byte by byte", "chunked", "until the end", "announced", "closes", "version 1.0"):
        assert swift == ((200, "application/json", b"{}"),) * 2


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "pieces", [[b"\x00\x01nonsense\r\n\r\n"], [b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]]
)
async def test_what_is_no_http_is_an_error_that_may_be_tried_again(wire: str, pieces: list[bytes]) -> None:
    """Nonsense is never an answer."""
    async with saying(*pieces, ends=True) as endpoint, WIRES[wire](endpoint, LIMITS) as opened:
        with pytest.raises(ChatError) as caught:
            await opened.post(b"{}", "m")
    assert caught.value.retryable


@pytest.mark.parametrize("wire", WIRES)
async def test_silence_ends_in_time_and_the_next_call_is_served(wire: str) -> None:
    """A call that is not answered is given up alone."""
    n_calls = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls > 1:
            writer.write(WHOLE)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        endpoint = Endpoint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with WIRES[wire](endpoint, LIMITS._replace(timeout_s=0.2)) as opened:
            with pytest.raises(ChatTimeout, match=r"no answer within 0\.2 s"):
                await opened.post(b"{}", "m")
            assert (await opened.post(b"{}", "m")).content == b"{}"


@pytest.mark.parametrize("wire", WIRES)
async def test_who_is_cancelled_frees_a_place_for_the_next(wire: str) -> None:
    """More callers than connections, some of them cancelled in every state: all others are served."""
    async with saying(WHOLE) as endpoint, WIRES[wire](endpoint, LIMITS) as opened:
        calls = [asyncio.create_task(opened.post(b"{}", "m")) for _ in range(200)]
        for turn in range(20):
            calls[turn * 7].cancel()
            await asyncio.sleep(0)
        answers = await asyncio.gather(*calls, return_exceptions=True)
        served = [answer for answer in answers if isinstance(answer, Answer)]
        assert len(served) + sum(isinstance(answer, asyncio.CancelledError) for answer in answers) == 200
        assert len(served) >= 180 and {answer.content for answer in served} == {b"{}"}


@pytest.mark.parametrize("wire", WIRES)
async def test_nobody_there_is_unavailable(wire: str) -> None:
    """A port that nobody listens on, and a name that nobody has."""
    for address in ("http://127.0.0.1:9", "http://nowhere.invalid"):
        async with WIRES[wire](Endpoint(address), LIMITS) as opened:
            with pytest.raises(Unavailable, match="model 'm'"):
                await opened.post(b"{}", "m")


def test_the_swift_one_is_taken_for_plain_http_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS and proxies are left to aiohttp, and asking for the swift one there is a mistake that is named."""

    def chosen(address: str, client: Client = "auto") -> type:
        return type(wire_to(Endpoint(address), LIMITS, client))

    assert chosen("http://10.0.0.1:8000") is SwiftWire
    assert chosen("https://api.example.com") is SteadyWire
    assert chosen("http://10.0.0.1:8000", "aiohttp") is SteadyWire
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    assert chosen("http://10.0.0.1:8000") is SteadyWire
    with pytest.raises(SettingsError, match="plain http only"):
        chosen("https://api.example.com", "swift")
