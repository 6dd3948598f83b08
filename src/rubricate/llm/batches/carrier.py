"""One batch from its file to its last answer: submitted once, looked after, taken, and found again.

The order of writing is what makes it safe to be killed anywhere: the batch is kept as `submitting`, with the
questions placed in it, before it is submitted; its id is kept before anything waits on it; what it has failed
to answer is owed again only when the ledger says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from rubricate.errors import (
    AccountError,
    BadAnswer,
    ChatError,
    ChatTimeout,
    RubricateError,
    ServerFault,
    Unavailable,
)
from rubricate.llm.batches.facts import BatchFacts, Kept
from rubricate.llm.batches.parts import Part, Question
from rubricate.llm.batches.rows import Crowded, Row, cancelled, lost_of, outcome_of, read_row, refusal_of
from rubricate.llm.batches.waits import Waits, in_words
from rubricate.llm.batches.wire import ENDED, Batch, BatchWire, Gone
from rubricate.llm.chat import Reply
from rubricate.llm.dialect import Dialect
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.http import HttpChat
from rubricate.llm.ledger import Ledger

_GROWTH = 1.5


class Watch:
    """One batch that is waited for, and who waits for which of its rows.

    `spare` holds rows that came before anyone asked for them; `lost` what could not be answered.
    """

    def __init__(self, kept: Kept, questions: Iterable[Question] = ()):
        self.kept = kept
        self.asked = {question.key: question for question in questions}
        self.seen: set[str] = set()
        self.spare: dict[str, Row] = {}
        self.lost: list[tuple[Question, RubricateError | None]] = []
        self.n_answered = 0


class Carrier:
    """Carries batches to one server and back.

    `owed` is told of every question that has to go into another batch; `say` of what happens to batches.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        ledger: Ledger,
        http: HttpChat,
        wire: BatchWire,
        *,
        waits: Waits,
        window: str,
        owed: Callable[[Question], None],
        say: Callable[[str], None],
        now: Callable[[], float],
    ):
        self._endpoint, self._ledger, self._http, self._wire = endpoint, ledger, http, wire
        self._waits, self._window, self._owed, self._say, self._now = waits, window, owed, say, now
        self.facts = BatchFacts(ledger, endpoint.base_url)
        self.watches: dict[str, Watch] = {}
        self.n_submitted = 0

    async def carry(self, model: str, part: Part) -> None:
        """Uploads and submits a part, and gives every question its answer.

        Raises:
            Crowded: there is no room for it in the provider's queue; its questions are owed.
            ChatError: the batch as a whole failed.
        """
        keys = [question.key for question in part.questions]
        key = await self.facts.new_key(keys)
        try:
            file_id = await self._waits.patiently(
                lambda: self._wire.upload(part.path, f"rubricate-{key}.jsonl", model)
            )
            watch = Watch(Kept(key, model, "submitting", file_id, len(keys), self._now()), part.questions)
            self.watches[key] = watch
            await self.facts.keep(watch.kept)
            await self.facts.place(keys, key)
            await self._submitted(watch)
        except Gone as failure:
            self.watches.pop(key, None)
            raise AccountError(
                f"{failure}. Is this an endpoint with batches? Else use api.mode=interactive"
            ) from None
        except BaseException:
            self.watches.pop(key, None)
            raise
        finally:
            part.close()
        await self._followed(watch, is_ours=True)

    async def resume(self, watch: Watch) -> None:
        """Goes on with a batch that an earlier session, or an earlier asking, has submitted or tried to.

        Raises:
            ChatError: as `carry`.
        """
        await asyncio.sleep(self._waits.linger_s)  # so that most of its questions have been asked again
        kept = watch.kept
        try:
            if not kept.id:
                age_s = max(0.0, self._now() - kept.at)
                batch = await self._found(kept, max(0.0, self._waits.settle_s - age_s))
                if batch is None:
                    await self._given_up(watch)
                    return
                await self._known_as(watch, batch)
            self._say(f"batch {watch.kept.id}: {_questions(kept.n)} to {kept.model}: taken up again")
        except BaseException:
            self.watches.pop(kept.key, None)
            raise
        await self._followed(watch, is_ours=False)

    async def join(self, watch: Watch, question: Question) -> bool:
        """Lets a question wait for its row; False when the batch has had its say on it."""
        row = watch.spare.pop(question.key, None)
        if row is not None:
            await self._settled(watch, question, row)
        elif question.key in watch.seen:
            return False
        else:
            watch.asked[question.key] = question
        return True

    async def _submitted(self, watch: Watch) -> None:
        """Submits a batch once: when no answer comes, it is looked for before it is submitted again."""
        kept, waited_s, pause_s = watch.kept, 0.0, self._waits.first_pause_s
        while True:
            try:
                batch = await self._wire.submit(kept.file_id, kept.key, self._window, kept.model)
                break
            except ChatError as failure:
                found = None
                if isinstance(failure, Unavailable | ChatTimeout | ServerFault | BadAnswer):
                    found = await self._found(kept, self._waits.settle_s)
                if found is not None:
                    batch = found
                    break
                if not failure.retryable or isinstance(failure, Crowded):
                    await self.facts.free(watch.asked)  # it was refused in words: there is no such batch
                    raise
                if waited_s + pause_s > self._waits.patience_s:
                    raise
            await asyncio.sleep(pause_s)
            waited_s, pause_s = waited_s + pause_s, pause_s * 2
        await self._known_as(watch, batch)
        self.n_submitted += 1
        self._say(f"batch {batch.id}: {_questions(kept.n)} to {kept.model} submitted")

    async def _known_as(self, watch: Watch, batch: Batch) -> None:
        watch.kept = msgspec.structs.replace(watch.kept, stage="submitted", id=batch.id)
        await self.facts.keep(watch.kept)

    async def _found(self, kept: Kept, for_s: float) -> Batch | None:
        """The batch, by its content key or its file; looked for again for a while: a listing may lag."""
        pause_s, waited_s = self._waits.first_pause_s, 0.0
        while True:
            batch = await self._waits.patiently(lambda: self._wire.find(kept.key, kept.file_id, kept.model))
            if batch is not None or waited_s >= for_s:
                return batch
            await asyncio.sleep(min(pause_s, for_s - waited_s))
            waited_s, pause_s = waited_s + pause_s, pause_s * 2

    async def _followed(self, watch: Watch, *, is_ours: bool) -> None:
        """Looks after a batch until it has ended, and takes what it has."""
        kept = watch.kept
        try:
            batch = await self._ended(kept)
            for file_id in (batch.output_file_id, batch.error_file_id):
                if file_id:
                    await self._taken(watch, file_id)
            n_lost = len(watch.lost) + len(watch.asked)
            self._say(
                f"batch {kept.id}: {batch.status} after {in_words(self._now() - kept.at)}, "
                f"{_questions(watch.n_answered)} answered, {n_lost:,} not"
            )
            await self._concluded(watch, batch)
        except Gone as failure:
            if is_ours:
                raise AccountError(f"{failure}, though it was made a moment ago") from None
            self._say(f"batch {kept.id} is not there any more: its questions are asked again")
            await self._given_up(watch)
        except ChatError:
            _take_back(watch)
            raise
        finally:
            self.watches.pop(kept.key, None)

    async def _ended(self, kept: Kept) -> Batch:
        pause_s = self._waits.poll_s
        while True:
            batch = await self._waits.patiently(lambda: self._wire.look(kept.id, kept.model))
            if batch.status in ENDED:
                return batch
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * _GROWTH, max(self._waits.longest_poll_s, self._waits.poll_s))

    async def _taken(self, watch: Watch, file_id: str) -> None:
        """Gives every row of a file to who waits for it. A file that broke off is read again from its start;
        of rows with the same id the first one counts."""

        async def read() -> None:
            async for line in self._wire.lines(file_id, watch.kept.model):
                row = read_row(line)
                if row is None or row.custom_id in watch.seen:
                    continue
                watch.seen.add(row.custom_id)
                question = watch.asked.get(row.custom_id)
                if question is None or not question.is_wanted:
                    watch.spare[row.custom_id] = row
                else:
                    await self._settled(watch, question, row)

        await self._waits.patiently(read)

    async def _settled(self, watch: Watch, question: Question, row: Row) -> None:
        """One row for one question: a reply goes to who waits, anything else is noted as lost."""
        watch.asked.pop(question.key, None)
        outcome = outcome_of(row, self._endpoint, watch.kept.model)
        if isinstance(outcome, Reply):
            watch.n_answered += 1
            if question.dialect is not None:
                await self._http.learn(question.request.model, question.dialect)
            if not question.future.done():
                question.future.set_result(outcome)
            return
        taught = await self._taught(question, row)
        if taught is not None:
            question.dialect = taught
        watch.lost.append((question, outcome if taught is None else None))
        if watch.kept.key not in self.watches:  # a late one, when the others have been told already
            await self._parted(watch)

    async def _taught(self, question: Question, row: Row) -> Dialect | None:
        """What the refusal of a field by this row teaches, on top of what is known; None if nothing."""
        refusal = refusal_of(row, self._endpoint)
        if refusal is None:
            return None
        known = await self._http.dialect(msgspec.structs.replace(question.request, schema=None))
        sent = question.sent or Dialect(structured=known.structured)
        taught = sent.taught(sent.fields(question.request), refusal)
        return None if taught is None else known.merged(taught)

    async def _concluded(self, watch: Watch, batch: Batch) -> None:
        """What becomes of the questions without a row, and of the rows without a question."""
        kept = watch.kept
        where = f"{self._endpoint.base_url}, model {kept.model!r}"
        failure: RubricateError
        if batch.status == "cancelled":
            failure = cancelled(self._endpoint)
        elif batch.status == "expired":
            failure = Unavailable(f"{where}: the batch expired before this question was answered")
        elif batch.status == "failed":
            failure = lost_of(batch.faults, self._endpoint, kept.model)
        else:
            failure = BadAnswer(f"{where}: the batch is completed, without a row for this question")
        await self._put_by(watch)
        if isinstance(failure, Crowded):
            _take_back(watch)
            await self.facts.free(watch.asked)
            raise failure
        watch.lost += [(question, failure) for question in watch.asked.values()]
        watch.asked.clear()
        await self._parted(watch)

    async def _put_by(self, watch: Watch) -> None:
        """Answers that nobody has asked for, but that were paid, go into the ledger: those to questions that
        are known to be in this batch."""

        async def put(key: str, reply: Reply) -> None:
            if await self.facts.batch_of(key) == watch.kept.key:
                await self._ledger.keep_reply(key, reply, watch.kept.model)

        outcomes = {key: outcome_of(row, self._endpoint, "") for key, row in watch.spare.items()}
        replies = [(key, reply) for key, reply in outcomes.items() if isinstance(reply, Reply)]
        await asyncio.gather(*(put(key, reply) for key, reply in replies))

    async def _given_up(self, watch: Watch) -> None:
        """A batch that never was, or is no more: its questions are owed."""
        watch.lost += [(question, None) for question in watch.asked.values()]
        watch.asked.clear()
        await self._parted(watch)
        self.watches.pop(watch.kept.key, None)

    async def _parted(self, watch: Watch) -> None:
        """The lost questions are not in this batch any more, and the ledger knows it before anyone else."""
        lost, watch.lost = watch.lost, []
        await self.facts.free([question.key for question, _ in lost])
        for question, failure in lost:
            if failure is not None:
                question.fail(failure)
            elif question.is_wanted:
                self._owed(question)


def _questions(n: int) -> str:
    return "1 question" if n == 1 else f"{n:,} questions"


def _take_back(watch: Watch) -> None:
    """What was lost waits again, for the same end as the others."""
    watch.asked |= {question.key: question for question, _ in watch.lost}
    watch.lost.clear()
