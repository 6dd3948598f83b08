"""A chat that answers through a provider's batch endpoints: half the price, for those who can wait.

    ledger -> budget -> circuit -> retry -> batch

It stands where throttle and http stand else. What is asked is gathered until nothing more comes, written to a
file for each model, submitted, and looked after until the answers are there. A row that failed is the error
that the same answer to a single call would be; `retry` asks it again, and it goes into the next batch.

**Killed at any moment, nothing is paid twice.** Which batch a question is in is kept in the ledger before the
batch is submitted, and the provider keeps the batch's content key in its metadata. Who asks the same question
later, in whatever process, is told where it is and waits for that batch (docs/decisions/0019).
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, NamedTuple

import msgspec

from rubricate.errors import BadAnswer, BadRequest, ChatTimeout, ServerFault
from rubricate.llm.batches.carrier import Carrier, Watch
from rubricate.llm.batches.parts import Limits, Part, Question, parts_of
from rubricate.llm.batches.rows import Crowded
from rubricate.llm.batches.waits import Waits
from rubricate.llm.batches.wire import BatchWire
from rubricate.llm.chat import Reply, Request
from rubricate.llm.dialect import Dialect, probe
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.http import HttpChat
from rubricate.llm.ledger import Ledger

_WORTH_SPLITTING = 200


class Pending(NamedTuple):
    """Batches that are waited for, the questions in them, and the age of the oldest in seconds."""

    batches: int
    questions: int
    oldest_s: float


class BatchChat:
    """Answers through the batch endpoints of one server; an async context manager on the running loop.

    `http` is the way of single calls to the same server: it knows the dialects, and probes. `unprefixed` is
    taken off model names before they are sent. `window` is the completion window that is asked for, `say`
    hears of every batch that is submitted or ends, `now` is the time in seconds since 1970.

    A waiting question costs memory (its text, and the coroutines that wait for it) and no processor time.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        ledger: Ledger,
        http: HttpChat,
        *,
        waits: Waits | None = None,
        limits: Limits | None = None,
        window: str = "24h",
        unprefixed: str = "",
        timeout_s: float = 120.0,
        say: Callable[[str], None] = lambda line: None,
        now: Callable[[], float] = time.time,
    ):
        self._http, self._unprefixed = http, unprefixed
        self._waits, self._limits = waits or Waits(), limits or Limits()
        self._say, self._now = say, now
        self._wire = BatchWire(endpoint, timeout_s=timeout_s)
        self._carrier = Carrier(
            endpoint,
            ledger,
            http,
            self._wire,
            waits=self._waits,
            window=window,
            owed=self._gather,
            say=say,
            now=now,
        )
        self._gathering: defaultdict[str, list[Question]] = defaultdict(list)
        self._asked: dict[str, Question] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._unprobed: set[str] = set()

    async def __aenter__(self) -> BatchChat:
        await self._wire.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.pending.batches:
            batches, questions, _ = self.pending
            self._say(
                f"{batches} pending batch{'es' if batches > 1 else ''} of {questions:,} questions: the same "
                "questions, asked again, find their answers there"
            )
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._wire.__aexit__(kind, error, trace)

    @property
    def pending(self) -> Pending:
        """What is waited for."""
        waiting = [watch for watch in self._carrier.watches.values() if watch.asked]
        oldest = min((watch.kept.at for watch in waiting), default=self._now())
        n = sum(len(watch.asked) for watch in waiting)
        return Pending(len(waiting), n, max(0.0, self._now() - oldest))

    @property
    def n_submitted(self) -> int:
        """Batches that this chat has submitted."""
        return self._carrier.n_submitted

    async def is_offered(self) -> bool:
        """Whether the server has batch endpoints; raises the `ChatError` where it does not say."""
        return await self._wire.is_offered()

    async def ask(self, request: Request) -> Reply:
        """The reply, when its batch is done. Requests of one key that are asked at a time are asked once.

        Raises:
            ChatError: by its class the reason, as of a single call.
            RunStopped: the batch was cancelled where it ran.
        """
        key = request.key
        question, is_new = self._asked.get(key), False
        if question is None:
            is_new = True
            model = request.model.removeprefix(self._unprefixed)
            future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
            question = Question(key, msgspec.structs.replace(request, model=model), future)
            future.add_done_callback(lambda done: self._asked.pop(key, None))
            self._asked[key] = question
        question.waiters += 1
        try:
            if is_new:
                await self._take_up(question)
            return await asyncio.shield(question.future)
        finally:
            question.waiters -= 1

    async def _take_up(self, question: Question) -> None:
        """Finds the batch that the question is in already, or gathers it for the next."""
        carrier = self._carrier
        batch_key = await carrier.facts.batch_of(question.key)
        if batch_key is not None:
            kept = await carrier.facts.kept(batch_key)
            watch = carrier.watches.get(batch_key)
            if watch is None and kept is not None:
                watch = carrier.watches[batch_key] = Watch(kept, [question])
                self._spawn(self._resumed(watch), watch.asked)
                return
            if watch is not None and await carrier.join(watch, question):
                return
        self._gather(question)

    async def _resumed(self, watch: Watch) -> None:
        try:
            await self._carrier.resume(watch)
        except Crowded as failure:
            await self._crowded(watch.kept.model, list(watch.asked.values()), failure)
        finally:
            self._make_room()

    def _gather(self, question: Question) -> None:
        gathered = self._gathering[question.request.model]
        gathered.append(question)
        if len(gathered) == 1:
            self._spawn(self._lingered(question.request.model, gathered), gathered)

    async def _lingered(self, model: str, gathered: list[Question]) -> None:
        """Waits until nothing more comes; then sends."""
        n = 0
        while n < len(gathered):
            n = len(gathered)
            await asyncio.sleep(self._waits.linger_s)
        del self._gathering[model]
        await self._send(model, gathered)

    async def _send(self, model: str, questions: list[Question]) -> None:
        """Submits the questions in as many batches as they need, each looked after by a task of its own."""
        known = await self._dialect(model, questions)
        async for part in parts_of(questions, known, self._limits):
            self._spawn(self._carried(model, part), part.questions)

    async def _carried(self, model: str, part: Part) -> None:
        try:
            await self._carrier.carry(model, part)
        except Crowded as failure:
            await self._crowded(model, part.questions, failure)
        finally:
            self._make_room()

    async def _dialect(self, model: str, questions: list[Question]) -> Dialect:
        """What the model takes. One that is new is asked a small question over the ordinary endpoint with the
        fields that these questions have: a refused field would else cost a whole turnaround."""
        sample = next((q.request for q in questions if q.request.schema), questions[0].request)
        plain = msgspec.structs.replace(sample, schema=None)
        known = await self._http.dialect(plain)
        if sample.schema is None or known.structured is not None or model in self._unprobed:
            return known
        small = msgspec.structs.replace(probe(model), temperature=sample.temperature, top_p=sample.top_p)
        try:
            await self._waits.patiently(lambda: self._http.ask(small))
        except (BadRequest, BadAnswer, ServerFault, ChatTimeout) as failure:
            self._unprobed.add(model)
            self._say(
                f"{failure}: single calls are not answered well, so it is not known whether JSON schemas are "
                "followed, and none are sent"
            )
        return await self._http.dialect(plain)

    async def _crowded(self, model: str, questions: list[Question], failure: Crowded) -> None:
        """Waits for room in the provider's queue: until a batch of ours has ended, or, where there is none,
        for smaller batches to fit.

        Raises:
            Crowded: not even a small batch fits.
        """
        questions = [question for question in questions if question.is_wanted]
        self._say(f"{failure}: {len(questions):,} questions wait for room")
        if any(watch.kept.id for watch in self._carrier.watches.values()):
            await self._room.wait()
            await self._send(model, questions)
        elif len(questions) >= _WORTH_SPLITTING:
            await asyncio.sleep(self._waits.poll_s)
            middle = len(questions) // 2
            for half in (questions[:middle], questions[middle:]):
                self._spawn(self._send(model, half), half)
        else:
            raise failure

    def _make_room(self) -> None:
        """Wakes who waits for the end of a batch."""
        self._room.set()
        self._room = asyncio.Event()

    def _spawn(
        self, work: Coroutine[Any, Any, None], questions: list[Question] | dict[str, Question]
    ) -> None:
        """Does the work in the background; if it fails, so do the questions that it is about."""
        task = asyncio.create_task(work)
        self._tasks.add(task)

        def ended(done: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            failure = None if done.cancelled() else done.exception()
            if failure is not None:
                for question in questions.values() if isinstance(questions, dict) else questions:
                    question.fail(failure)

        task.add_done_callback(ended)
