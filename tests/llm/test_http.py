"""The wire against a real server on a socket."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from rubricate.domain.conversation import Message
from rubricate.errors import (
    AccountError,
    BadAnswer,
    BadRequest,
    ChatError,
    ChatTimeout,
    RateLimited,
    ServerFault,
    Unavailable,
)
from rubricate.llm.chat import Reply, Request, Usage
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.http import HttpChat
from rubricate.llm.wires.wire import Client
from tests.fake_server import FakeServer, Raw, completion

KEY = "sk-secret-0123456789"

CLIENTS = ("aiohttp", "swift")
_client: Client = "auto"


@pytest.fixture(params=CLIENTS, autouse=True)
def client(request: pytest.FixtureRequest) -> Client:
    """Every law holds over both wires."""
    global _client
    _client = request.param
    return _client


def over(endpoint: Endpoint, **settings: Any) -> HttpChat:
    """A chat over the wire of this test."""
    return HttpChat(endpoint, client=_client, **settings)


def asked(text: str = "Is it so?", **fields: Any) -> Request:
    return Request("acme/large-2", (Message("system", "Be brief."), Message("user", text)), **fields)


async def ask(server: FakeServer, request: Request | None = None, **settings: Any) -> Reply:
    async with over(Endpoint(server.base_url, KEY), **settings) as chat:
        return await chat.ask(request or asked())


async def test_only_what_the_request_carries_is_sent() -> None:
    """Parameters that are None are not sent, and nothing else is: no user, no seed, no draw."""
    async with FakeServer(lambda request: "yes") as server:
        await ask(server, asked(draw=3))
        await ask(server, asked("ä€😀", temperature=0.0, top_p=0.5, max_tokens=7))
    bare, full = server.requests
    assert set(bare) == {"model", "messages"}
    assert full == {
        "model": "acme/large-2",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "ä€😀"}],
        "temperature": 0.0,
        "top_p": 0.5,
        "max_tokens": 7,
    }


async def test_a_reply_carries_text_reason_usage_and_model() -> None:
    """All that the server counted arrives."""
    body = completion("yes", finish_reason="length") | {
        "model": "large-2-0101",
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
    }
    async with FakeServer(lambda request: Raw(body)) as server:
        assert await ask(server) == Reply("yes", "length", Usage(9, 5, 4, 3), "large-2-0101")


def message(content: Any, finish_reason: str | None = "stop", **more: Any) -> Raw:
    return Raw({"choices": [{"message": {"content": content, **more}, "finish_reason": finish_reason}]})


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (message("<think>hm</think>\nyes"), Reply("yes")),
        (message("<think>hm, hm", "length"), Reply("", "length")),
        (message("yes", reasoning_content="hm"), Reply("yes")),
        (message([{"type": "thinking"}, {"type": "text", "text": "yes"}]), Reply("yes")),
        (message(None, refusal="I will not."), Reply("I will not.", "refusal")),
        (message(None, "content_filter"), Reply("", "content_filter")),
        (message(None, "tool_calls", tool_calls=[{"id": "1"}]), Reply("", "tool_calls")),
        (message("yes", None), Reply("yes", "")),
        (message("", refusal=""), Reply("")),
        (Raw({**completion("yes"), "usage": None, "model": None}), Reply("yes")),
        (
            Raw(completion("yes"), content_type="application/vnd.x+json; charset=UTF-8"),
            Reply("yes", usage=Usage(10, 1), model="model"),
        ),
    ],
)
async def test_what_servers_send_is_understood(answer: Raw, reply: Reply) -> None:
    """Null contents, refusals, parts, reasoning and missing fields make a reply, not an exception."""
    async with FakeServer(lambda request: answer) as server:
        assert await ask(server) == reply


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("401", AccountError),
        ("404", AccountError),
        ("429/2", RateLimited),
        ("500", ServerFault),
        ("503", Unavailable),
        ("reset", Unavailable),
        ("cut_body", Unavailable),
        ("hang", ChatTimeout),
        ("drip", ChatTimeout),
        ("cut_json", BadAnswer),
        ("wrong_type", BadAnswer),
        ("bad_utf8", BadAnswer),
        ("no_choices", BadAnswer),
        ("huge", BadAnswer),
    ],
)
async def test_every_foreign_failure_is_one_of_ours(fault: str, kind: type[ChatError]) -> None:
    """Whatever breaks, and wherever, the error is of our tree, names endpoint and model, never the key;
    the next call on the same chat goes through."""
    async with (
        FakeServer(lambda request: "yes", faults=[fault]) as server,
        over(Endpoint(server.base_url, KEY), timeout_s=0.3, max_body_bytes=100_000) as chat,
    ):
        with pytest.raises(ChatError) as caught:
            await chat.ask(asked())
        assert type(caught.value) is kind
        assert server.base_url in str(caught.value) and "acme/large-2" in str(caught.value)
        assert (await chat.ask(asked())).text == "yes"
        if isinstance(caught.value, RateLimited):
            assert caught.value.retry_after_s == 2.0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"choices": [{}]}',
        b'{"choices": [{"message": {"content": 7}}]}',
        b'{"choices": [{"message": {"content": "\\ud800"}}]}',
        b'{"choices": [{"message": {"content": "half"}, "finish_reason": "error"}]}',
        b'{"error": {"message": "overloaded", "code": 529}}',
        b"[" * 50_000,
        b'{"error": ' + b"[" * 50_000,
        b'{"other": ' + b"[" * 50_000,
    ],
)
async def test_a_200_that_is_no_completion_is_a_bad_answer(body: bytes) -> None:
    """Other shapes, half surrogates, errors in the clothes of a 200, and nests without end."""
    async with FakeServer(lambda request: Raw(body)) as server:
        with pytest.raises(BadAnswer):
            await ask(server)


async def test_a_large_body_is_left_not_held() -> None:
    """Neither a declared nor a compressed flood is read to its end."""
    bomb = Raw(gzip.compress(b" " * 30_000_000), headers={"Content-Encoding": "gzip"})
    async with FakeServer(lambda request: bomb) as server:
        with pytest.raises(BadAnswer, match="larger than 1000 bytes"):
            await ask(server, max_body_bytes=1000)


async def test_an_endpoint_that_is_not_there_is_unavailable() -> None:
    """A refused connection is an outage like any other."""
    async with FakeServer() as server:
        pass
    with pytest.raises(Unavailable, match="Connect"):
        await ask(server)


async def test_a_wrong_key_is_named_but_not_shown() -> None:
    """The server echoes the key; the error says what to do and does not repeat it."""
    async with FakeServer(api_key="sk-right") as server:
        with pytest.raises(AccountError, match="Check the API key") as caught:
            await ask(server)
    assert KEY not in str(caught.value) and "[key]" in str(caught.value)


async def test_a_redirect_is_not_followed_with_the_key() -> None:
    """A redirect could lead the key anywhere; it is the address that must be put right."""
    moved = Raw(b"", 307, {"Location": "http://127.0.0.1:9/elsewhere"})
    async with FakeServer(lambda request: moved) as server:
        with pytest.raises(AccountError, match="check the base URL"):
            await ask(server)
    assert server.n_requests == 1


async def test_text_that_is_no_unicode_is_the_requests_fault() -> None:
    """Half a surrogate pair cannot be sent; no other call suffers."""
    async with FakeServer() as server:
        with pytest.raises(BadRequest):
            await ask(server, asked("\ud800"))
    assert server.n_requests == 0


async def test_a_large_request_arrives_whole() -> None:
    """Two million characters go out as a stream, unchanged."""
    async with FakeServer(lambda request: str(len(request["messages"][1]["content"]))) as server:
        assert (await ask(server, asked("x" * 2_000_000))).text == "2000000"


async def test_as_many_calls_as_connections_are_on_their_way() -> None:
    """The pool does not cap concurrency below what was asked for, nor reopen what is open."""
    async with (
        FakeServer(latency_s=0.05) as server,
        over(Endpoint(server.base_url), connections=150) as chat,
    ):
        await asyncio.gather(*(chat.ask(asked()) for _ in range(300)))
        assert server.peak == 150
        assert len(server.connections) == 150


async def test_a_cancelled_call_frees_its_connection() -> None:
    """Cancelling a call that hangs lets the next one use the only connection."""
    async with (
        FakeServer(lambda request: "yes", faults=["hang"]) as server,
        over(Endpoint(server.base_url), connections=1) as chat,
    ):
        hanging = asyncio.create_task(chat.ask(asked()))
        await server.until(lambda server: server.n_requests == 1)
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        assert (await chat.ask(asked())).text == "yes"


async def test_the_server_of_the_tests_lists_its_models() -> None:
    """GET /v1/models answers in OpenAI's form."""
    async with FakeServer(models=("a", "b")) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.base_url.split(":")[2][:-3]))
        writer.write(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        writer.close()
    assert [model["id"] for model in json.loads(body)["data"]] == ["a", "b"]
