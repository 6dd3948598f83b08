from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from rubricate.domain.conversation import Message
from rubricate.errors import (
    AccountError,
    BadAnswer,
    BadRequest,
    ChatError,
    ChatTimeout,
    RateLimited,
    RunStopped,
    ServerFault,
    Unavailable,
)
from rubricate.llm.chat import Request
from rubricate.llm.circuit import CircuitChat
from rubricate.llm.scripted import ScriptedChat

ASKED = Request("m", (Message("user", "Is it so?"),))


async def outcomes(
    plan: Sequence[Exception | None], **settings: int
) -> tuple[CircuitChat, ScriptedChat, list[str]]:
    """What the caller met, call by call, when the endpoint did this (None: it answered)."""
    left = list(plan)

    def answer(request: Request) -> str:
        if (failure := left.pop(0)) is not None:
            raise failure
        return "yes"

    inner = ScriptedChat(answer)
    chat, met = CircuitChat(inner, "verifier", **settings), []
    for _ in plan:
        try:
            await chat.ask(ASKED)
        except (ChatError, RunStopped) as failure:
            met.append(type(failure).__name__)
        else:
            met.append("reply")
    return chat, inner, met


async def test_a_wrong_key_stops_everything_at_once() -> None:
    """The first AccountError opens the circuit: one line, the same for all, and nothing more is asked."""
    chat, inner, met = await outcomes([None, AccountError("http://x refused the key"), None, None])
    assert met == ["reply", "RunStopped", "RunStopped", "RunStopped"]
    assert len(inner.requests) == 2
    with pytest.raises(RunStopped, match="verifier: http://x refused the key") as caught:
        await chat.ask(ASKED)
    assert "\n" not in str(caught.value)


async def test_calls_in_flight_are_told_the_first_reason() -> None:
    """Whatever the calls that were under way meet later, everybody reads one and the same line."""
    ready = asyncio.Event()
    failures = [AccountError("no credit"), AccountError("no key"), Unavailable("x")]

    async def answer(request: Request) -> str:
        await ready.wait()
        raise failures.pop(0)

    chat = CircuitChat(ScriptedChat(answer), "verifier")
    calls = [asyncio.create_task(chat.ask(ASKED)) for _ in range(3)]
    await asyncio.sleep(0)
    ready.set()
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert [repr(end) for end in ends] == ["RunStopped('verifier: no credit')"] * 3


async def test_the_cause_is_kept() -> None:
    """The first RunStopped is raised from the AccountError that it stands for."""

    def answer(request: Request) -> str:
        raise AccountError("x")

    with pytest.raises(RunStopped) as caught:
        await CircuitChat(ScriptedChat(answer), "verifier").ask(ASKED)
    assert isinstance(caught.value.__cause__, AccountError)


@pytest.mark.parametrize("failure", [Unavailable("x"), ChatTimeout("x"), RateLimited("x")])
async def test_an_endpoint_that_stays_down_stops_the_run(failure: ChatError) -> None:
    """After five calls in a row that were lost for good the line says that the same command resumes."""
    chat, inner, met = await outcomes([None, *[failure] * 7])
    assert met[1:] == [type(failure).__name__] * 4 + ["RunStopped"] * 3
    assert len(inner.requests) == 6
    assert chat.why_open is not None and "the same command resumes" in chat.why_open


async def test_an_endpoint_that_was_never_there_stops_the_run_at_once() -> None:
    """A wrong address has one line even for a run of one prompt; silence alone may be a slow model."""
    _, inner, met = await outcomes([Unavailable("x")] * 3)
    assert met == ["RunStopped"] * 3 and len(inner.requests) == 1
    _, inner, met = await outcomes([ChatTimeout("x")] * 3)
    assert met == ["ChatTimeout"] * 3


async def test_an_answer_in_between_starts_the_count_again() -> None:
    """Four lost, one answered, four lost: the endpoint lives."""
    chat, _, met = await outcomes([None, *[Unavailable("x")] * 4, None, *[Unavailable("x")] * 4])
    assert "RunStopped" not in met and chat.why_open is None


async def test_what_concerns_one_question_never_stops_the_run() -> None:
    """A prompt that is too long, a 500 and an odd body say nothing of the others, nor of an outage."""
    own_faults = [BadRequest("x"), ServerFault("x"), BadAnswer("x")] * 10
    chat, inner, met = await outcomes(own_faults)
    assert len(inner.requests) == 30 and "RunStopped" not in met
    mixed = [None, *[Unavailable("x"), BadRequest("x")] * 2, Unavailable("x")]
    chat, _, met = await outcomes(mixed, outage_calls=3)
    assert met[-1] == "RunStopped" and chat.why_open is not None


@pytest.mark.parametrize("failure", [ServerFault("a 500"), BadAnswer("a web page")])
async def test_an_endpoint_that_never_answers_well_stops_the_run(failure: ChatError) -> None:
    """Many calls in a row that came to nothing but 500s or odd bodies: one line; one answer between them and
    the count begins anew."""
    chat, inner, met = await outcomes([failure] * 30, odd_calls=10)
    assert (
        met == ["ServerFault" if isinstance(failure, ServerFault) else "BadAnswer"] * 9 + ["RunStopped"] * 21
    )
    assert len(inner.requests) == 10
    assert chat.why_open is not None and "10 calls in a row failed for good" in chat.why_open
    _, _, met = await outcomes([*[failure] * 9, None, *[failure] * 9], odd_calls=10)
    assert "RunStopped" not in met


async def test_a_stopped_run_passes_and_a_bug_crashes() -> None:
    """What the circuit does not know it does not touch."""
    for failure in (RunStopped("budget"), ZeroDivisionError()):

        def answer(request: Request, failure: Exception = failure) -> str:
            raise failure

        chat = CircuitChat(ScriptedChat(answer), "verifier")
        with pytest.raises(type(failure)):
            await chat.ask(ASKED)
        assert chat.why_open is None
