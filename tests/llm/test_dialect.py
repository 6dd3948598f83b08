"""What a model takes is learnt from a real server that takes this and refuses that."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from llama_server import LlamaEndpoint

from rubricate.domain.conversation import Message
from rubricate.errors import BadRequest, ChatError, ChatTimeout, Unavailable
from rubricate.llm.chat import Request, Schema
from rubricate.llm.dialect import Dialect, MemoryDialects
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.failures import Refusal
from rubricate.llm.http import HttpChat
from tests.fake_server import FakeServer, Raw, error_body

SCHEMA = Schema("answer", {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]})


def asked(model: str = "m", **fields: Any) -> Request:
    return Request(model, (Message("user", "Is it so?"),), **fields)


def obedient(request: dict[str, Any]) -> str:
    """A model that follows any schema of one enum or one string."""
    if "response_format" not in request:
        return "Hello!"
    ((name, kind),) = request["response_format"]["json_schema"]["schema"]["properties"].items()
    return json.dumps({name: kind.get("enum", ["yes"])[0]})


def refusing(message: str, status: int = 400, **named: str) -> Any:
    """A model that answers a schema with this refusal."""

    def answer(request: dict[str, Any]) -> str | Raw:
        return Raw(error_body(message, **named), status) if "response_format" in request else "Hello!"

    return answer


async def test_a_schema_is_sent_where_the_probe_shows_that_it_is_honoured() -> None:
    """One probe, then the schema with every call that has one, and with no other."""
    async with FakeServer(obedient) as server, HttpChat(Endpoint(server.base_url)) as chat:
        assert (await chat.ask(asked(schema=SCHEMA))).text == '{"a": "yes"}'
        await chat.ask(asked(schema=SCHEMA))
        await chat.ask(asked())
        assert chat.counts.probes == 1 and chat.counts.probe_usage.completion_tokens > 0
    probe, first, second, plain = server.requests
    assert first["response_format"]["json_schema"] == {
        "name": "answer",
        "strict": True,
        "schema": SCHEMA.body,
    }
    assert second == first and "response_format" not in plain and probe != first


@pytest.mark.parametrize(
    ("answer", "n_probes"),
    [
        (lambda request: "Hello!", 1),
        (lambda request: "", 1),
        (lambda request: '```json\n{"rubricate_probe": "kestrel-4471"}\n```', 1),
        (refusing("response_format is not supported"), 2),
        (refusing("Input should be 'text' or 'json_object'", 500), 3),
        (refusing("extra_forbidden", 422), 2),
        (refusing("No endpoints found that support response_format", 404), 2),
    ],
)
async def test_where_a_schema_is_ignored_or_refused_plain_text_is_asked(answer: Any, n_probes: int) -> None:
    """A silent 200, an empty reply, a 400, 404, 422 or 500: all later calls go without the schema."""
    async with FakeServer(answer) as server, HttpChat(Endpoint(server.base_url)) as chat:
        for _ in range(3):
            await chat.ask(asked(schema=SCHEMA))
        assert chat.dialects["m"] == Dialect(structured=False)
        assert chat.counts.probes == n_probes
    assert all("response_format" not in request for request in server.requests[n_probes:])


async def test_a_schema_on_which_the_server_hangs_is_found_out() -> None:
    """If the same question goes through without the schema, and not with it, the silence was its doing."""
    async with (
        FakeServer(obedient, faults=["hang", None, "hang"]) as server,
        HttpChat(Endpoint(server.base_url), timeout_s=0.2) as chat,
    ):
        assert (await chat.ask(asked(schema=SCHEMA))).text == "Hello!"
        assert chat.dialects["m"].structured is False
        assert chat.counts.probes == 3


async def test_a_cold_start_is_no_verdict_on_schemas() -> None:
    """A first silence, while the model is still being loaded, does not cost it the schema."""
    async with (
        FakeServer(obedient, faults=["hang"]) as server,
        HttpChat(Endpoint(server.base_url), timeout_s=0.2) as chat,
    ):
        assert (await chat.ask(asked(schema=SCHEMA))).text == '{"a": "yes"}'
        assert chat.dialects["m"] == Dialect(structured=True)


@pytest.mark.parametrize(
    ("faults", "kind"), [(["503"], Unavailable), (["reset"], Unavailable), (["hang", "hang"], ChatTimeout)]
)
async def test_an_outage_is_no_verdict_on_schemas(faults: list[str], kind: type[ChatError]) -> None:
    """A probe that the line broke says nothing: the call fails, and the next one probes again."""
    async with (
        FakeServer(obedient, faults=faults) as server,
        HttpChat(Endpoint(server.base_url), timeout_s=0.2) as chat,
    ):
        with pytest.raises(kind):
            await chat.ask(asked(schema=SCHEMA))
        assert chat.dialects["m"].structured is None
        assert (await chat.ask(asked(schema=SCHEMA))).text == '{"a": "yes"}'


@pytest.mark.parametrize("faults", [["500"], ["wrong_type"], ["length"], ["hang"]])
async def test_one_bad_moment_does_not_cost_a_model_its_schemas(faults: list[str]) -> None:
    """What may have been chance is tried once more with the schema before it is given up."""
    async with (
        FakeServer(obedient, faults=faults) as server,
        HttpChat(Endpoint(server.base_url), timeout_s=0.3) as chat,
    ):
        assert (await chat.ask(asked(schema=SCHEMA))).text == '{"a": "yes"}'
        assert chat.dialects["m"].structured is True


async def test_a_probe_that_is_lost_is_sent_again() -> None:
    """After the waits that were given: a lost first question does not hold a run up until it times out."""
    async with (
        FakeServer(obedient, faults=["hang", "hang"]) as server,
        HttpChat(Endpoint(server.base_url), timeout_s=30, probe_again_s=(0.02, 0.02)) as chat,
    ):
        async with asyncio.timeout(5):
            assert (await chat.ask(asked(schema=SCHEMA))).text == '{"a": "yes"}'
        assert chat.counts.probes == 3


async def test_many_at_once_share_one_probe() -> None:
    """Single-flight per model, also when whoever asked first is cancelled."""
    async with (
        FakeServer(obedient, latency_s=0.05) as server,
        HttpChat(Endpoint(server.base_url)) as chat,
    ):
        calls = [asyncio.create_task(chat.ask(asked(schema=SCHEMA))) for _ in range(20)]
        await server.until(lambda server: server.n_requests == 1)
        calls[0].cancel()
        replies = await asyncio.gather(*calls[1:])
        await chat.ask(asked("other", schema=SCHEMA))
        assert {reply.text for reply in replies} == {'{"a": "yes"}'}
        assert chat.counts.probes == 2
    assert server.n_requests == 19 + 1 + 2


async def test_a_failed_probe_fails_all_who_waited_for_it_at_once() -> None:
    """Twenty callers of a hanging endpoint wait for one probe and its control, not for twenty."""
    async with (
        FakeServer(obedient, faults=["hang"] * 2) as server,
        HttpChat(Endpoint(server.base_url), timeout_s=0.2) as chat,
    ):
        calls = [chat.ask(asked(schema=SCHEMA)) for _ in range(20)]
        replies = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(reply) for reply in replies} == {ChatTimeout}
        assert server.n_requests == 2


async def test_closing_ends_a_probe_in_flight() -> None:
    """No task outlives the chat."""
    async with FakeServer(faults=["hang"]) as server:
        async with HttpChat(Endpoint(server.base_url)) as chat:
            call = asyncio.create_task(chat.ask(asked(schema=SCHEMA)))
            await server.until(lambda server: server.n_requests == 1)
        with pytest.raises(asyncio.CancelledError):
            await call
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_limit_is_renamed_and_sampling_left_out_where_refused() -> None:
    """A reasoning model's refusals are learnt once, one after the other, and hold for every later call."""
    refuses = {
        "max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. "
        "Use 'max_completion_tokens' instead.",
        "temperature": "Unsupported value: 'temperature' does not support 0.0 with this model.",
        "top_p": "Unsupported parameter: 'top_p' is not supported with this model.",
    }
    async with (
        FakeServer(lambda request: "yes", refuses=refuses) as server,
        HttpChat(Endpoint(server.base_url)) as chat,
    ):
        request = asked(temperature=0.0, top_p=0.9, max_tokens=50)
        await chat.ask(request)
        assert (server.n_requests, chat.counts.resent) == (4, 3)
        await asyncio.gather(*(chat.ask(request) for _ in range(10)))
        assert server.n_requests == 14
        assert chat.dialects["m"] == Dialect(refused=("max_tokens", "temperature", "top_p"))
    assert set(server.requests[-1]) == {"model", "messages", "max_completion_tokens"}


async def test_what_is_learnt_at_once_adds_up() -> None:
    """Calls in flight that are refused different fields all go through, and both refusals are kept."""
    refuses = {"temperature": "temperature is not supported", "top_p": "top_p is not supported"}
    async with (
        FakeServer(lambda request: "yes", refuses=refuses, latency_s=0.01) as server,
        HttpChat(Endpoint(server.base_url)) as chat,
    ):
        one, other = asked(temperature=0.0), asked(top_p=0.5)
        await asyncio.gather(*(chat.ask(request) for request in [one, other] * 10))
        assert chat.dialects["m"].refused == ("temperature", "top_p")


async def test_a_refusal_that_outlives_the_field_is_not_believed() -> None:
    """If the call fails without the field as well, the field was not the reason and stays."""

    def always(request: dict[str, Any]) -> Raw:
        return Raw(error_body("temperature and the rest of this are not supported"), 400)

    async with FakeServer(always) as server, HttpChat(Endpoint(server.base_url)) as chat:
        with pytest.raises(BadRequest):
            await chat.ask(asked(temperature=0.5))
        assert chat.dialects["m"] == Dialect()


async def test_one_refused_schema_does_not_cost_the_others_theirs() -> None:
    """A schema that the model cannot take goes out as plain text; others are still sent."""

    def picky(request: dict[str, Any]) -> str | Raw:
        if "answer" in json.dumps(request.get("response_format")):
            return Raw(
                error_body("Invalid schema for response_format 'answer'", None, "response_format"), 400
            )
        return obedient(request)

    other = Schema("other", SCHEMA.body)
    async with FakeServer(picky) as server, HttpChat(Endpoint(server.base_url)) as chat:
        assert (await chat.ask(asked(schema=SCHEMA))).text == "Hello!"
        assert (await chat.ask(asked(schema=other))).text == '{"a": "yes"}'
        assert chat.dialects["m"] == Dialect(structured=True, refused_schemas=("answer",))


async def test_a_remembered_dialect_spares_the_probe() -> None:
    """What one session learnt the next one knows, by endpoint and model."""
    store = MemoryDialects()
    async with FakeServer(obedient, refuses={"top_p": "top_p is not supported"}) as server:
        for _ in range(2):
            async with HttpChat(Endpoint(server.base_url), store) as chat:
                await chat.ask(asked(schema=SCHEMA, top_p=0.5))
    assert server.n_requests == 1 + 2 + 1
    assert await store.get(server.base_url, "m") == Dialect(structured=True, refused=("top_p",))


class Diary(MemoryDialects):
    """A store that keeps everything it was ever told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Dialect] = []

    async def put(self, base_url: str, model: str, dialect: Dialect) -> None:
        self.told.append(dialect)
        await super().put(base_url, model, dialect)


async def test_a_probe_that_is_resent_is_not_taken_for_honoured() -> None:
    """What the probe learns on its way (another name of the limit) says nothing about schemas."""
    store = Diary()
    refuses = {"max_tokens": "max_tokens is not supported"}
    async with (
        FakeServer(lambda request: "Hello!", refuses=refuses) as server,
        HttpChat(Endpoint(server.base_url), store) as chat,
    ):
        await chat.ask(asked(schema=SCHEMA))
    assert store.told == [Dialect(None, ("max_tokens",)), Dialect(False, ("max_tokens",))]


async def test_a_real_engine_honours_schemas(llama_endpoint: LlamaEndpoint) -> None:
    """llama.cpp with random weights passes the probe, and its replies follow the schema of the call."""
    schema = Schema(
        "verdict",
        {
            "type": "object",
            "properties": {"verdict": {"type": "string", "enum": ["met", "unmet"]}},
            "required": ["verdict"],
            "additionalProperties": False,
        },
    )
    async with HttpChat(Endpoint(llama_endpoint.base_url)) as chat:
        reply = await chat.ask(asked(llama_endpoint.model, schema=schema, temperature=1.0, max_tokens=200))
        assert chat.dialects[llama_endpoint.model] == Dialect(structured=True)
    assert json.loads(reply.text)["verdict"] in ("met", "unmet")
    assert reply.finish_reason == "stop" and reply.usage.prompt_tokens > 0


@pytest.mark.parametrize(
    ("refusal", "refused"),
    [
        (Refusal("Unsupported value", frozenset({"unsupported_value"}), "temperature"), ("temperature",)),
        (
            Refusal("litellm.UnsupportedParamsError: gpt-9 models don't support temperature=0.0"),
            ("temperature",),
        ),
        (Refusal("`temperature` and `top_p` cannot both be specified for this model"), ("top_p",)),
        (Refusal("Unrecognized request argument supplied: max_tokens"), ("max_tokens",)),
        (Refusal("temperature must be between 0 and 2"), None),
        (Refusal("max_tokens is too large: 99999. This model supports at most 16384"), None),
        (Refusal("Unsupported parameter: 'logit_bias'"), None),
        (Refusal("the temperature outside is not supported here", param="messages"), None),
    ],
)
def test_a_value_out_of_range_is_no_refused_field(refusal: Refusal, refused: tuple[str, ...] | None) -> None:
    """Only a refusal of a field that was sent teaches; a wrong value is the request's own fault."""
    sent = {"model": "m", "messages": (), "temperature": 0.0, "top_p": 0.5, "max_tokens": 9}
    taught = Dialect().taught(sent, refusal)
    assert (taught and taught.refused) == refused
