"""The server over real sockets: it speaks the dialect, and every fault is what its name says."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from rubricate.domain.conversation import Message, Prompt
from rubricate.domain.rubric import Criterion
from rubricate.errors import (
    AccountError,
    BadAnswer,
    ChatError,
    ChatTimeout,
    RateLimited,
    ReplyError,
    RunError,
    ServerFault,
    SettingsError,
    Unavailable,
)
from rubricate.llm.chat import Reply, Request
from rubricate.llm.dialect import Dialect, MemoryDialects
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.http import HttpChat
from rubricate.llm.listing import listed_models
from rubricate.runs.refinement import Rules, refine_prompt
from rubricate.steps.asking import Manner, told
from rubricate.steps.crew import Crew, ModelGrader, ModelJudge, ModelProposer, RecallingGrader
from rubricate.steps.grade import question, read_verdicts, verdict_schema
from rubricate.world.dials import Dials, ServerDials, dials_of, known_dials
from rubricate.world.faults import LINE_FAULTS, ODD_FAULTS, Said, spoil
from rubricate.world.server import WorldServer
from rubricate.world.world import World, WorldChat, n_tokens

CRITERIA = [Criterion("a", "The response says something about the mulch."), Criterion("b", "It rests.")]


def grading(world: World, n: int = 0) -> Request:
    """A grading question of two criteria."""
    prompt = Prompt.of_text(world.prompts(1)[0])
    response = world.pool(prompt.text, [f"good-{n}"]).responses[0]
    return Request("g", told(question(prompt, response, CRITERIA)), 0.0, schema=verdict_schema(len(CRITERIA)))


@asynccontextmanager
async def client(
    server: WorldServer, timeout_s: float = 5.0, api_key: str | None = None
) -> AsyncIterator[HttpChat]:
    """Our HTTP chat, which is told beforehand to ask in words, so that no probe is among the calls."""
    endpoint, known = Endpoint(server.base_url, api_key), MemoryDialects()
    for model in ("g", "great-1"):
        await known.put(endpoint.base_url, model, Dialect(structured=False))
    async with HttpChat(endpoint, known, timeout_s=timeout_s) as chat:
        yield chat


async def ask(server: WorldServer, request: Request, timeout_s: float = 5.0) -> Reply:
    async with client(server, timeout_s) as chat:
        return await chat.ask(request)


def faulty(*faults: str, seed: int = 0, **server: float) -> World:
    return World(Dials(faults=dict.fromkeys(faults, 1.0), server=ServerDials(**server)), seed)  # type: ignore[arg-type]


async def test_a_schema_is_honoured_and_records_are_the_same_as_within_the_process(world: World) -> None:
    """Our HTTP chat probes the server and finds its schemas honoured; the record of a prompt is byte for byte
    that of the world within the process."""

    def crew(chat: Any) -> Crew:
        grader = RecallingGrader(ModelGrader(chat, Manner("g")), {})
        return Crew(ModelProposer(chat, chat, Manner("p")), grader, ModelJudge(chat, Manner("j")))

    pool = world.pool(world.prompts(1)[0], [f"great-{n}" for n in range(6)])
    async with WorldServer(world) as server, HttpChat(Endpoint(server.base_url)) as http:
        far = await refine_prompt(pool, crew(http), Rules())
        assert {dialect.structured for dialect in http.dialects.values()} == {True}
    near = await refine_prompt(pool, crew(WorldChat(world)), Rules())
    assert msgspec.json.encode(far) == msgspec.json.encode(near)
    assert far.rounds


async def test_models_are_listed_and_any_name_is_answered(world: World) -> None:
    """The listing names some models; others are answered as well."""
    async with WorldServer(world, models=("one", "two")) as server:
        assert await listed_models(Endpoint(server.base_url), 5) == ("one", "two")
        assert (await ask(server, grading(world))).model == "g"


async def test_usage_is_counted_and_a_limit_on_tokens_cuts(world: World) -> None:
    """Usage is that of the world's tokens; an answer longer than its limit is cut there, and says so."""
    prompt = world.prompts(1)[0]
    async with WorldServer(world) as server:
        whole = await ask(server, Request("great-1", told(prompt)))
        cut = await ask(server, Request("great-1", told(prompt), max_tokens=7))
    assert whole.finish_reason == "stop" and whole.usage.completion_tokens == n_tokens(whole.text) > 50
    assert whole.usage.prompt_tokens == n_tokens(prompt) + 4
    assert (cut.finish_reason, cut.usage.completion_tokens) == ("length", 7)
    assert whole.text.startswith(cut.text)


async def test_samples_of_one_prompt_are_its_draws_in_any_order(world: World) -> None:
    """Asking the same question three times at once gives three texts: the draws 0, 1 and 2 of the world."""
    prompt = Prompt.of_text(world.prompts(1)[0])
    request = Request("great-1", prompt.messages, 1.0)
    async with WorldServer(world) as server:
        said = {reply.text for reply in await asyncio.gather(*(ask(server, request) for _ in range(3)))}
    assert said == {world.answer("great-1", prompt.messages, draw=draw) for draw in range(3)}


async def test_another_key_is_refused(world: World) -> None:
    """With a key set, a call with another one is refused, and the key is not told."""
    async with WorldServer(world, api_key="sk-right") as server:
        with pytest.raises(AccountError) as refused:
            await ask(server, grading(world))
        assert "sk-" not in str(refused.value)
        async with client(server, api_key="sk-right") as chat:
            assert (await chat.ask(grading(world))).text


STATUSES: list[tuple[str, type[ChatError]]] = [
    ("429", RateLimited),
    ("500", ServerFault),
    ("502", Unavailable),
    ("503", Unavailable),
    ("reset", Unavailable),
    ("cut_body", Unavailable),
    ("wrong_type", BadAnswer),
    ("bad_utf8", BadAnswer),
    ("huge", BadAnswer),
    ("no_choices", BadAnswer),
]


@pytest.mark.parametrize(("fault", "error"), STATUSES)
async def test_faults_of_the_line(fault: str, error: type[ChatError]) -> None:
    """Each such fault is what our HTTP chat knows by that name."""
    world = faulty(fault)
    async with WorldServer(world) as server:
        with pytest.raises(error):
            await ask(server, grading(world))
        assert server.fates == {fault: 1}


async def test_a_wait_is_asked_for() -> None:
    """`429/2` asks for a wait of two seconds, `429` for none."""
    for fault, wait in (("429/2", 2.0), ("429", None)):
        world = faulty(fault)
        async with WorldServer(world) as server:
            with pytest.raises(RateLimited) as limited:
                await ask(server, grading(world))
        assert limited.value.retry_after_s == wait


@pytest.mark.parametrize("fault", ["hang", "drip"])
async def test_some_answers_never_come(fault: str) -> None:
    """A call that hangs, or drips slower than the client's patience, times out; the server still stops."""
    world = faulty(fault)
    async with WorldServer(world) as server:
        with pytest.raises(ChatTimeout):
            await ask(server, grading(world), timeout_s=0.2)


async def verdicts_under(fault: str) -> tuple[str, ...] | str:
    world = faulty(fault)
    async with WorldServer(world) as server:
        reply = await ask(server, grading(world))
    try:
        return tuple(verdict.outcome for verdict in read_verdicts(reply, len(CRITERIA), "g"))
    except ReplyError as problem:
        return problem.problem


async def test_odd_answers_are_odd_in_their_own_way() -> None:
    """An odd answer is read as well as it can be: between words whole, cut not at all, a missing or doubled
    verdict as none."""
    unreadable = {"empty", "null", "refusal", "length", "cut_json", "wrong_ids"}
    said = {
        name: await verdicts_under(name)
        for name in [*sorted(unreadable), "prose", "doubled_ids", "missing_ids"]
    }
    assert {name for name, verdicts in said.items() if isinstance(verdicts, str)} == unreadable
    good = tuple(v.outcome for v in read_verdicts(await WorldChat(World()).ask(grading(World())), 2, "g"))
    assert said["prose"] == good
    assert said["doubled_ids"] == ("unjudged", good[1])
    assert said["missing_ids"] == (good[0], "unjudged")
    assert set(unreadable | {"prose", "doubled_ids", "missing_ids"}) | {f for f, _ in STATUSES} >= set(
        ODD_FAULTS
    )


@pytest.mark.parametrize("n_criteria", [1, 2])
@pytest.mark.parametrize("fault", sorted(ODD_FAULTS))
def test_every_odd_answer_differs_from_the_good_one(fault: str, n_criteria: int) -> None:
    """In the form that our prompts ask for today, whatever the number of criteria."""
    text = msgspec.json.encode({f"c{number}": "met" for number in range(1, n_criteria + 1)}).decode()
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}

    def said() -> Said:
        return Said({"choices": [msgspec.convert(choice, dict)]})

    good, odd = said(), Said(msgspec.json.decode(said().encoded()))
    spoil(fault, odd)
    assert (odd.encoded(), odd.content_type) != (good.encoded(), good.content_type)
    if fault.endswith("_ids"):
        is_last_there = f'"c{n_criteria}":' in odd.content
        assert is_last_there == (fault == "doubled_ids") and odd.content.endswith("}")
        assert ('"c1":"met","c1":"unmet"' in odd.content) == (fault == "doubled_ids")


async def test_a_rate_is_limited_and_the_wait_is_told() -> None:
    """Beyond a second's worth of calls each gets a 429 with the wait until the next is let in; after it, it
    is. A limit on tokens lets the call through that goes beyond it, and makes the next one wait."""
    world = World(Dials(server=ServerDials(requests_per_minute=300)))
    async with WorldServer(world) as server, client(server) as chat:
        outcomes = [await told_of(chat, grading(world, n)) for n in range(9)]
        waits = [outcome for outcome in outcomes if isinstance(outcome, float)]
        assert 2 <= len(waits) <= 4 and all(0 < wait <= 0.2 for wait in waits)
        await asyncio.sleep(waits[-1])
        assert (await chat.ask(grading(world))).text
    world = World(Dials(server=ServerDials(tokens_per_minute=600)))
    async with WorldServer(world) as server, client(server) as chat:
        assert (await chat.ask(grading(world))).text
        wait_s = await told_of(chat, grading(world))
        assert isinstance(wait_s, float) and wait_s > 10


async def told_of(chat: HttpChat, request: Request) -> str | float:
    """The text of a reply, or the wait that was asked for."""
    try:
        return (await chat.ask(request)).text
    except RateLimited as limited:
        assert limited.retry_after_s is not None
        return limited.retry_after_s


async def fates(world: World, order: Sequence[int]) -> tuple[Counter[str], dict[int, list[str]]]:
    """What befell questions asked in this order, each twice."""
    found: dict[int, list[str]] = {n: [] for n in order}
    requests = {n: grading(world, n) for n in order}
    async with WorldServer(world) as server, client(server) as chat:
        for n in [*order, *order]:
            try:
                found[n].append((await chat.ask(requests[n])).text)
            except ChatError as error:
                found[n].append(type(error).__name__)
        return server.fates, found


async def test_fates_come_by_content_and_never_by_order() -> None:
    """A fault comes as often as its dial says; what befalls a question at its first or second asking does not
    depend on the order of the questions, and the second asking has a fate of its own."""
    world = World(Dials(faults={"503": 0.2, "429/1": 0.2}), seed=3)
    counted, found = await fates(world, range(100))
    assert (await fates(world, range(99, -1, -1)))[1] == found
    assert 20 <= counted["503"] <= 60 and 20 <= counted["429/1"] <= 60
    assert sum(first != second for first, second in found.values()) > 20


async def test_latency_is_what_the_dial_says() -> None:
    """With a median of 50 ms and no spread, and 1 ms a token, an answer takes that long, and others do not
    wait for it."""
    world = World(Dials(server=ServerDials(latency_s=0.05, latency_spread=0, token_s=0.001)))
    async with WorldServer(world) as server, client(server) as chat:
        started = time.monotonic()
        replies = await asyncio.gather(*(chat.ask(grading(world, n)) for n in range(20)))
        took = time.monotonic() - started
    least = 0.05 + 0.001 * max(reply.usage.completion_tokens for reply in replies)
    assert least <= took < 10 * least


async def test_outage_expiry_and_removal() -> None:
    """The outage covers the first calls; a key expires, and a model is gone, after so many calls."""
    for dials, error in (
        (ServerDials(outage_s=30), Unavailable),
        (ServerDials(key_expires_after=1), AccountError),
        (ServerDials(model_gone_after=1), AccountError),
    ):
        world = World(Dials(server=dials))
        async with WorldServer(world) as server, client(server) as chat:
            if not dials.outage_s:
                assert (await chat.ask(grading(world))).text
            with pytest.raises(error):
                await chat.ask(grading(world))


async def raw(server: WorldServer, sent: bytes) -> bytes:
    """What the server sends back before it closes, or within a second."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", int(server.base_url.split(":")[2].split("/")[0])
    )
    writer.write(sent)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()


def posted(body: bytes, path: str = "/v1/chat/completions", more: str = "") -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def test_what_is_no_chat_request_is_refused_in_words(world: World) -> None:
    """Broken JSON, missing fields, streams and several choices get a 400 that says why; other paths a 404; a
    body without a length a 413."""
    message = {"role": "user", "content": "Hello"}
    async with WorldServer(world) as server:
        for body in (b"{", b"{}", b'{"model": 1, "messages": []}', b"\xff"):
            assert b" 400 " in (await raw(server, posted(body))).split(b"\r\n")[0]
        for extra in ({"stream": True}, {"n": 2}):
            asked = json.dumps({"model": "m", "messages": [message], **extra}).encode()
            assert b"one whole answer" in await raw(server, posted(asked))
        assert b" 404 " in await raw(server, posted(b"{}", "/v1/embeddings"))
        assert b" 413 " in await raw(
            server, b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: x\r\n\r\n"
        )
        assert b" 413 " in await raw(server, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        parts = {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]}
        expecting = posted(json.dumps(parts).encode(), more="Expect: 100-continue\r\n")
        answer = await raw(server, expecting)
        assert answer.startswith(b"HTTP/1.1 100 ") and b" 200 " in answer
        assert b'"ok"' in await raw(server, b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n")


async def test_a_taken_port_is_said(world: World) -> None:
    """A port in use is the user's matter, with a remedy."""
    async with WorldServer(world) as server:
        with pytest.raises(RunError, match="choose another with --port"):
            await WorldServer(world).start(int(server.base_url.split(":")[2].split("/")[0]))


def test_dials_are_read_from_words() -> None:
    """Every dial can be set by its name, and arrives; what is no dial, no fault or no chance is refused, with
    the nearest name."""
    for name, default in known_dials().items():
        group, _, dial = name.partition(".")
        value = 7 if isinstance(default, int) else 0.25
        assert getattr(getattr(dials_of([f"{name}={value}"]), group), dial) == value
    faults = dict.fromkeys(("503", "429/2", *LINE_FAULTS, *ODD_FAULTS), 0.01)
    assert dials_of([f"faults.{name}=0.01" for name in faults]).faults == faults
    for wrong, said in {
        "grader.sensitivty=1": "did you mean 'grader.sensitivity'",
        "faults.hangs=0.1": "did you mean 'hang'",
        "grader.sensitivity=2": "grader.sensitivity: ",
        "grader.sensitivity=nan": "grader.sensitivity",
        "grader.sensitivity=high": "grader.sensitivity: ",
        "grader.sensitivity": "write name=value",
        "faults.503=0.7 faults.500=0.7": "at most 1",
    }.items():
        with pytest.raises(SettingsError, match=said):
            dials_of(wrong.split())


def test_messages_of_a_system_and_a_user_are_a_prompt(world: World) -> None:
    """A prompt of several turns is answered by its subject, wherever it stands."""
    text = world.prompts(1)[0]
    said = world.answer("great-1", (Message("system", "Be brief."), Message("user", text)))
    assert "the " in said and said != world.answer("great-1", (Message("user", text),))
