"""The links together, against a real server that fails in every way at once."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from rubricate.domain.conversation import Message
from rubricate.errors import RunStopped
from rubricate.llm.chat import Request
from rubricate.llm.circuit import CircuitChat
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.http import HttpChat
from rubricate.llm.retry import RetryChat
from rubricate.llm.throttle import ThrottledChat
from rubricate.llm.wires.wire import Client
from tests.fake_server import FakeServer


def asked(number: int) -> Request:
    return Request("m", (Message("user", f"What is {number}?"),))


@pytest.mark.parametrize("client", ["aiohttp", "swift"])
async def test_every_question_gets_its_own_answer_through_a_storm(client: Client) -> None:
    """With a third of all calls failing in nine ways, 400 questions get 400 right answers, and no more
    calls are in flight than workers."""
    kinds = ["429", "429/0.01", "500", "503", "reset", "cut_body", "cut_json", "bad_utf8", "hang"]
    async with (
        FakeServer(
            lambda request: request["messages"][0]["content"].upper(),
            rates=dict.fromkeys(kinds, 0.037),
            seed=7,
        ) as server,
        HttpChat(Endpoint(server.base_url), connections=16, timeout_s=0.2, client=client) as http,
    ):
        throttled = ThrottledChat(http, 16)
        retried = RetryChat(throttled, base_s=0.005, cap_s=0.02, tries=20)
        chat = CircuitChat(retried, "verifier")
        replies = await asyncio.gather(*(chat.ask(asked(number)) for number in range(400)))
        assert [reply.text for reply in replies] == [f"WHAT IS {number}?" for number in range(400)]
        assert server.peak <= 16 and throttled.counts.peak <= 16 and throttled.counts.in_flight == 0
        assert set(retried.counts.retries) == {
            "RateLimited", "ServerFault", "Unavailable", "BadAnswer", "ChatTimeout",
        }  # fmt: skip
        assert server.n_requests == 400 + sum(retried.counts.retries.values())
        assert throttled.counts.halvings > 0


async def test_a_wrong_key_costs_a_windowful_of_calls_at_most() -> None:
    """Of 400 questions with a wrong key only those in flight reach the server; all are told the same line."""
    async with (
        FakeServer(api_key="sk-right", latency_s=0.01) as server,
        HttpChat(Endpoint(server.base_url, "sk-wrong-key"), connections=8) as http,
    ):
        chat = CircuitChat(RetryChat(ThrottledChat(http, 8)), "verifier")
        calls = [asyncio.create_task(chat.ask(asked(number))) for number in range(400)]
        with pytest.raises(RunStopped, match="Check the API key"):
            await calls[0]
        for call in calls:
            call.cancel()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert server.n_requests <= 16
        assert len({str(end) for end in ends if isinstance(end, RunStopped)}) == 1


def test_aiohttp_is_imported_only_where_it_is_used() -> None:
    """Importing the wire costs no command that does not ask anything the time that aiohttp takes."""
    wire = "rubricate.llm.http, rubricate.llm.retry, rubricate.llm.throttle, rubricate.llm.circuit"
    code = f"import sys, {wire}; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
