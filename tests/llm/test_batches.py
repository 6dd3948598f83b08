"""Answers through batch endpoints, against a real server on a socket."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rubricate.domain.conversation import Message
from rubricate.errors import (
    AccountError,
    BadAnswer,
    BadRequest,
    ChatTimeout,
    RateLimited,
    RunStopped,
    ServerFault,
    Unavailable,
)
from rubricate.llm.batches.facts import BatchFacts, Kept
from rubricate.llm.batches.parts import Limits
from rubricate.llm.batches.rows import Fault, lost_of, outcome_of, read_row
from rubricate.llm.chat import Reply, Request, Schema
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.ledger import LedgerChat
from rubricate.llm.retry import RetryChat
from rubricate.llm.sqlite.ledger import SqliteLedger
from rubricate.world.batches import Answer
from tests.batch_server import NO_ANSWER, BatchServer, asked, by_batch, until
from tests.fake_server import completion

HERE = Endpoint("http://127.0.0.1:1", "sk-secret-0123")


@pytest.fixture
async def ledger(tmp_path: Path):
    async with SqliteLedger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


async def answers(chat: Any, requests: list[Request]) -> list[Any]:
    """Replies and errors in the order of asking."""
    return await asyncio.gather(*(chat.ask(request) for request in requests), return_exceptions=True)


def retried(chat: Any, tries: int = 5) -> RetryChat:
    return RetryChat(chat, tries=tries, base_s=0.01, cap_s=0.02)


class TestGathering:
    async def test_one_batch_a_model_and_every_answer_to_its_question(self, ledger):
        """What is asked at a time is one batch for each model; answers find their questions by content."""
        requests = [asked(n, model) for n in range(20) for model in ("one", "two")]
        async with BatchServer() as server, by_batch(server, ledger) as chat:
            replies = await answers(chat, requests)
            assert [reply.text for reply in replies] == [f"answer to question {n // 2}" for n in range(40)]
            assert server.n_submitted == chat.n_submitted == 2
            assert {(body["model"]) for body in server.bodies} == {"one", "two"}

    async def test_equal_questions_are_asked_once(self, ledger):
        """Requests of one key share a row; draws are rows of their own."""
        async with BatchServer() as server, by_batch(server, ledger) as chat:
            replies = await answers(chat, [asked(1), asked(1), asked(1, draw=1)])
        assert len(server.bodies) == 2 and len({reply.text for reply in replies}) == 1

    @pytest.mark.parametrize(
        ("limits", "n_batches"), [(Limits(requests=4), 3), (Limits(n_bytes=400), 5), (Limits(n_bytes=1), 10)]
    )
    async def test_a_file_is_never_larger_than_the_limits(self, ledger, limits, n_batches):
        """Ten questions of some 190 bytes a row: 4 + 4 + 2 by number, two by two in 400 bytes, and one by one
        where not even one fits."""
        async with BatchServer() as server, by_batch(server, ledger, limits=limits) as chat:
            assert all(
                isinstance(reply, Reply) for reply in await answers(chat, [asked(n) for n in range(10)])
            )
        files = [
            len(text.splitlines()) for name, text in server.batches._files.items() if b'"method"' in text
        ]
        assert len(files) == server.n_submitted == n_batches
        assert max(files) == {3: 4, 5: 2, 10: 1}[n_batches]

    async def test_text_that_no_json_can_carry_fails_alone(self, ledger):
        """Half of a surrogate pair is that question's own fault."""
        broken = Request("m", (Message("user", "\ud800"),))
        async with BatchServer() as server, by_batch(server, ledger) as chat:
            first, second = await answers(chat, [asked(1), broken])
        assert isinstance(first, Reply) and isinstance(second, BadRequest | UnicodeEncodeError)

    async def test_who_is_gone_is_not_asked_for(self, ledger):
        """A question whose asker was cancelled before the submission is left out."""
        async with BatchServer() as server, by_batch(server, ledger) as chat:
            gone = asyncio.create_task(chat.ask(asked("gone")))
            await asyncio.sleep(0.01)
            gone.cancel()
            await chat.ask(asked(1))
        assert [body["messages"][0]["content"] for body in server.bodies] == ["question 1"]

    async def test_a_reply_that_nobody_waits_for_is_kept(self, ledger):
        """It was paid: a question whose asker was cancelled later is in the ledger all the same."""
        async with BatchServer(turnaround_s=0.3) as server, by_batch(server, ledger) as chat:
            gone = asyncio.create_task(chat.ask(asked("gone")))
            stays = asyncio.create_task(chat.ask(asked(1)))
            await until(lambda: server.n_submitted)
            gone.cancel()
            await stays
            await until(lambda: not chat._tasks)
        assert (await ledger.reply(asked("gone").key)).text == "answer to question gone"

    async def test_only_what_a_single_call_would_send(self, ledger):
        """The body of a row is the body of a call."""
        request = asked(1, temperature=0.5, max_tokens=7, draw=3)
        async with BatchServer() as server, by_batch(server, ledger) as chat:
            await chat.ask(request)
        messages = [{"role": "user", "content": "question 1"}]
        assert server.bodies == [{"model": "m", "messages": messages, "temperature": 0.5, "max_tokens": 7}]
        (line,) = server.batches._files["file-1"].splitlines()
        row = json.loads(line)
        assert (row["custom_id"], row["method"], row["url"]) == (request.key, "POST", "/v1/chat/completions")

    async def test_the_provider_hears_plain_names(self, ledger):
        """A prefix is taken off what is sent, and stays part of the question's key."""
        async with BatchServer() as server, by_batch(server, ledger, unprefixed="openai/") as chat:
            await LedgerChat(chat, ledger).ask(asked(1, "openai/gpt-4.1"))
        assert server.bodies[0]["model"] == "gpt-4.1"
        assert await ledger.reply(asked(1, "openai/gpt-4.1").key) is not None


def row(status: int | None = None, body: Any = None, error: dict[str, Any] | None = None) -> Any:
    response = None if status is None else {"status_code": status, "request_id": "r", "body": body}
    text = json.dumps({"id": "x", "custom_id": "k", "response": response, "error": error})
    return read_row(text.encode())


class TestRows:
    @pytest.mark.parametrize(
        ("given", "kind"),
        [
            (row(429, {"error": {"message": "slow down"}}), RateLimited),
            (row(500, {"error": {"message": "oops"}}), ServerFault),
            (row(503, {"error": {"message": "later"}}), Unavailable),
            (row(400, {"error": {"message": "too long"}}), BadRequest),
            (row(401, {"error": {"message": "key"}}), AccountError),
            (row(404, {"error": {"message": "no model", "code": "model_not_found"}}), AccountError),
            (row(200, {"choices": []}), BadAnswer),
            (row(200, "words"), BadAnswer),
            (row(error={"code": "batch_expired", "message": "x"}), Unavailable),
            (row(error={"code": "batch_cancelled", "message": "x"}), RunStopped),
            (row(error={"code": "request_timeout", "message": "x"}), ChatTimeout),
            (row(error={"code": "strange", "message": "x"}), ServerFault),
            (row(), BadAnswer),
        ],
    )
    def test_a_row_is_the_error_that_a_single_call_would_be(self, given, kind):
        """By status, or by OpenAI's code of a row that has none."""
        assert type(outcome_of(given, HERE, "m")) is kind

    @pytest.mark.parametrize("line", [b"{", b"[]", b'{"custom_id": 5}', b"\xff", b"[" * 5000])
    def test_a_line_that_is_no_row_is_none(self, line):
        """And is no answer to anybody."""
        assert read_row(line) is None

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            (Fault("token_limit_exceeded", "too many"), RateLimited),
            (
                Fault(None, "Enqueued token limit reached for gpt-4.1. Limit: 90,000 enqueued tokens."),
                RateLimited,
            ),
            (Fault("billing_hard_limit_reached", "no money"), AccountError),
            (Fault("mismatched_model", "two models", 3), AccountError),
            (Fault(), AccountError),
        ],
    )
    def test_a_batch_that_failed_waits_for_room_or_stops_the_run(self, fault, kind):
        """What is wrong with a whole batch is no single question's fault."""
        failure = lost_of([fault], HERE, "m")
        assert isinstance(failure, kind) and "sk-secret" not in str(failure)


class TestFailures:
    async def test_failed_rows_are_asked_again_and_the_others_are_not(self, ledger):
        """Of 200 rows three in ten fail and one in ten is in no file: all get their answer, once."""
        async with (
            BatchServer(row_fails=0.3, row_lost=0.1) as server,
            by_batch(server, ledger) as chat,
        ):
            replies = await answers(LedgerChat(retried(chat, 20), ledger), [asked(n) for n in range(200)])
        assert [reply.text for reply in replies] == [f"answer to question {n}" for n in range(200)]
        assert server.batches.n_rows == 200 and not server.paid_twice
        assert server.n_submitted > 1

    async def test_of_an_expired_batch_what_is_done_is_taken(self, ledger):
        """All batches expire, every second row unanswered; only those are asked again: 30, 15, 7, 3, 1."""
        async with BatchServer(expires=1.0) as server, by_batch(server, ledger) as chat:
            replies = await answers(LedgerChat(retried(chat), ledger), [asked(n) for n in range(30)])
            states = Counter(batch["status"] for batch in server.batches.batches.values())
        assert all(isinstance(reply, Reply) for reply in replies)
        assert server.batches.n_rows == 30 and not server.paid_twice
        assert states == {"expired": 5}

    async def test_calls_to_the_endpoints_fail_and_nothing_is_doubled(self, ledger):
        """Every third call is a 503."""
        async with BatchServer(call_fails=0.33) as server, by_batch(server, ledger) as chat:
            replies = await answers(LedgerChat(retried(chat), ledger), [asked(n) for n in range(30)])
        assert all(isinstance(reply, Reply) for reply in replies) and not server.paid_twice

    async def test_a_submission_without_an_answer_is_looked_for(self, ledger):
        """The batch was made and the line broke: it is found by its key, not submitted again."""
        cuts = iter([True])

        async def cut(method: str, path: str) -> Answer | None:
            return NO_ANSWER if (method, path) == ("POST", "/batches") and next(cuts, False) else None

        async with BatchServer(after=cut) as server, by_batch(server, ledger) as chat:
            assert (await chat.ask(asked(1))).text == "answer to question 1"
        assert server.n_submitted == 1 and server.calls.count(("POST", "/batches")) == 1

    async def test_a_submission_that_never_arrived_is_made_again(self, ledger):
        """The line broke before the batch was made."""
        cuts = iter([True])

        async def cut(method: str, path: str) -> Answer | None:
            return NO_ANSWER if (method, path) == ("POST", "/batches") and next(cuts, False) else None

        async with BatchServer(before=cut) as server, by_batch(server, ledger) as chat:
            assert (await chat.ask(asked(1))).text == "answer to question 1"
        assert server.n_submitted == 1 and server.calls.count(("POST", "/batches")) == 2

    async def test_a_refused_field_teaches_the_dialect(self, ledger):
        """Rows that are refused for their temperature go without it into the next batch; the model is not
        offered it again, in this session or another."""

        def picky(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            if "temperature" in body:
                said = {"message": "Unsupported value: temperature", "code": "unsupported_value"}
                return 400, {"error": said | {"param": "temperature"}}
            return 200, completion("yes")

        async with BatchServer(picky) as server:
            async with by_batch(server, ledger, limits=Limits(requests=5)) as chat:
                replies = await answers(chat, [asked(n, temperature=0.0) for n in range(10)])
                assert {reply.text for reply in replies} == {"yes"}
                assert len(server.bodies) == 20
                await chat.ask(asked("late", temperature=0.0))
            async with by_batch(server, ledger) as chat:
                await chat.ask(asked("later", temperature=0.0))
        assert len(server.bodies) == 22
        assert not any("temperature" in body for body in server.bodies[10:])

    async def test_a_new_model_is_probed_over_the_ordinary_endpoint(self, ledger):
        """Before its first batch; the world follows schemas, so they are sent."""
        schema = Schema("yes", {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]})
        async with BatchServer() as server, by_batch(server, ledger) as chat:
            await answers(chat, [asked(n, schema=schema) for n in range(3)])
            n_single = server.n_calls
            await answers(chat, [asked(n, schema=schema) for n in range(3, 6)])
            assert 0 < n_single == server.n_calls
        assert len(server.bodies) == 6 and all("response_format" in body for body in server.bodies) is (
            chat._http.dialects["m"].structured is True
        )

    async def test_a_full_queue_is_waited_for(self, ledger):
        """Where batches of ours are pending, the next one waits until one has ended."""
        async with (
            BatchServer(queue_rows=10, turnaround_s=0.1) as server,
            by_batch(server, ledger, limits=Limits(requests=8)) as chat,
        ):
            replies = await answers(chat, [asked(n) for n in range(30)])
            states = Counter(batch["status"] for batch in server.batches.batches.values())
        assert all(isinstance(reply, Reply) for reply in replies) and not server.paid_twice
        assert states["completed"] == 4 and states["failed"] > 0

    async def test_a_batch_that_is_too_much_by_itself_is_split(self, ledger):
        """A queue of 150 rows takes 400 questions in quarters; what meets a full queue is asked again."""
        async with BatchServer(queue_rows=150) as server, by_batch(server, ledger) as chat:
            replies = await answers(retried(chat), [asked(n) for n in range(400)])
            done = [b["rows"] for b in server.batches.batches.values() if b["status"] == "completed"]
        assert all(isinstance(reply, Reply) for reply in replies) and not server.paid_twice
        assert max(done) == 100 and sum(done) == 400

    async def test_a_cancelled_batch_stops_the_run(self, ledger):
        """Somebody did not want it, so it is not asked again by itself; asked anew, it goes out anew."""
        async with BatchServer(turnaround_s=0.5) as server, by_batch(server, ledger) as chat:
            waiting = asyncio.create_task(chat.ask(asked(1)))
            await until(lambda: server.n_submitted)
            server.batches.batches["batch_1"]["status"] = "cancelled"
            with pytest.raises(RunStopped, match="cancelled"):
                await waiting
            assert (await chat.ask(asked(1))).text == "answer to question 1"
        assert server.n_submitted == 2

    async def test_a_refused_submission_stops_the_run_with_its_words(self, ledger):
        """An account that may not use batches is no question's fault."""

        async def refuse(method: str, path: str) -> Answer | None:
            told = b'{"error": {"message": "no batches for your plan"}}'
            return Answer(400, told) if (method, path) == ("POST", "/batches") else None

        async with BatchServer(before=refuse) as server, by_batch(server, ledger) as chat:
            with pytest.raises(AccountError, match="no batches for your plan"):
                await chat.ask(asked(1))
            assert await BatchFacts(ledger, server.base_url).batch_of(asked(1).key) is None

    async def test_rows_that_nobody_asked_for_are_not_kept(self, ledger):
        """A server cannot put answers into the ledger under keys that its batch was not asked for."""
        foreign = asked("foreign").key
        async with BatchServer() as server, by_batch(server, ledger) as chat:
            written = server.batches._written

            def more(rows: list[bytes]) -> str | None:
                extra = {"custom_id": foreign, "response": {"status_code": 200, "body": completion("poison")}}
                return written([*rows, json.dumps(extra).encode(), rows[0], b"{"]) if rows else None

            server.batches._written = more  # type: ignore[method-assign]
            await chat.ask(asked(1))
            await until(lambda: not chat._tasks)
        assert await ledger.reply(foreign) is None

    async def test_an_endpoint_without_batches_says_so(self, ledger):
        """By the listing, before anything is asked."""
        async with BatchServer(offered=0.0) as server, by_batch(server, ledger) as chat:
            assert not await chat.is_offered()
            with pytest.raises(AccountError, match="interactive"):
                await chat.ask(asked(1))
        async with BatchServer() as server, by_batch(server, ledger) as chat:
            assert await chat.is_offered()

    async def test_pending_counts_what_is_waited_for(self, ledger):
        """Batches, questions, and the age of the oldest."""
        async with BatchServer(turnaround_s=0.4) as server, by_batch(server, ledger) as chat:
            assert chat.pending[:2] == (0, 0)
            waiting = [asyncio.create_task(chat.ask(asked(n, f"m{n % 2}"))) for n in range(6)]
            await until(lambda: chat.pending.oldest_s > 0.1)
            batches, questions, age_s = chat.pending
            assert (batches, questions) == (2, 6) and 0 < age_s < 30
            await asyncio.gather(*waiting)
            await until(lambda: not chat._tasks)
            assert chat.pending[:2] == (0, 0)


class TestResuming:
    async def test_another_session_finds_the_batch(self, ledger):
        """Left while the batch is pending, and asked again: the same batch answers."""
        async with BatchServer(turnaround_s=0.3) as server:
            async with by_batch(server, ledger) as chat:
                waiting = [asyncio.create_task(chat.ask(asked(n))) for n in range(5)]
                await until(lambda: server.n_submitted)
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
            async with by_batch(server, ledger) as chat:
                replies = await answers(chat, [asked(n) for n in range(5)])
        assert [reply.text for reply in replies] == [f"answer to question {n}" for n in range(5)]
        assert server.n_submitted == 1 and not server.paid_twice

    async def test_what_is_not_asked_again_is_kept_all_the_same(self, ledger):
        """A resumed session that asks fewer questions leaves the other answers in the ledger."""
        async with BatchServer(turnaround_s=0.2) as server:
            async with by_batch(server, ledger) as chat:
                waiting = [asyncio.create_task(chat.ask(asked(n))) for n in range(5)]
                await until(lambda: server.n_submitted)
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
            async with by_batch(server, ledger) as chat:
                await LedgerChat(chat, ledger).ask(asked(0))
                await until(lambda: not chat._tasks)
        kept = [await ledger.reply(asked(n).key) for n in range(5)]
        assert [reply.text for reply in kept] == [f"answer to question {n}" for n in range(5)]

    async def test_a_batch_that_the_provider_has_forgotten_is_asked_again(self, ledger):
        """Results are deleted after a while, and accounts change."""
        async with BatchServer() as server:
            facts = BatchFacts(ledger, server.base_url)
            await facts.keep(Kept("0" * 32, "m", "submitted", "file-9", 1, 0.0, "batch_9"))
            await facts.place([asked(1).key], "0" * 32)
            async with by_batch(server, ledger) as chat:
                assert (await chat.ask(asked(1))).text == "answer to question 1"
        assert server.n_submitted == 1

    async def test_a_submission_in_doubt_is_found_by_its_file_too(self, ledger):
        """For servers that drop metadata: the input file tells which batch it is."""
        async with BatchServer() as server:
            async with by_batch(server, ledger) as chat:
                await chat.ask(asked(1))
            server.batches.batches["batch_1"]["metadata"] = None
            facts = BatchFacts(ledger, server.base_url)
            await facts.keep(Kept("0" * 32, "m", "submitting", "file-1", 1, 0.0))
            await facts.place([asked(1).key], "0" * 32)
            async with by_batch(server, ledger) as chat:
                assert (await chat.ask(asked(1))).text == "answer to question 1"
        assert server.n_submitted == 1

    async def test_facts_of_one_endpoint_say_nothing_of_another(self, ledger):
        """Batches live where they were submitted."""
        await BatchFacts(ledger, "http://a/v1").place([asked(1).key], "0" * 32)
        assert await BatchFacts(ledger, "http://b/v1").batch_of(asked(1).key) is None
        assert await BatchFacts(ledger, "http://a/v1").batch_of(asked(1).key) == "0" * 32

    async def test_a_download_that_breaks_off_is_read_again(self, ledger):
        """The connection is lost in the middle; the rows that came before are not given twice."""

        async def nothing() -> None:
            """Just breaks."""

        async with BatchServer() as server, by_batch(server, ledger) as chat:
            server.midway = nothing
            replies = await answers(chat, [asked(n) for n in range(10)])
        assert [reply.text for reply in replies] == [f"answer to question {n}" for n in range(10)]
        assert sum(path.endswith("/content") for _, path in server.calls) == 2
        assert server.n_submitted == 1 and not server.paid_twice
