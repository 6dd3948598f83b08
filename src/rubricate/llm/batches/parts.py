"""Questions -> input files, none of them larger than the provider takes."""

from __future__ import annotations

import asyncio
import copy
import tempfile
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from rubricate.errors import BadRequest, RubricateError, SettingsError
from rubricate.llm.batches.rows import row_of
from rubricate.llm.chat import Reply, Request
from rubricate.llm.dialect import Dialect

_BREATH = 500  # rows after which others get a turn


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one input file may hold. OpenAI takes 50,000 requests and 200 MB
    (https://platform.openai.com/docs/guides/batch), Azure 100,000 and 200 MB."""

    requests: int = 50_000
    n_bytes: int = 200_000_000

    def __post_init__(self) -> None:
        if self.requests < 1 or self.n_bytes < 1:
            raise SettingsError("a batch must be allowed to hold a request")


@dataclass(eq=False)
class Question:
    """A request that waits for its answer. `key` is that of the request as it was asked; `request` goes out.

    `dialect` is what refusals of this very question have taught, and is believed once the question went
    through with it; `sent` is the dialect in which it went out last, None when another process sent it.
    `waiters` counts who waits.
    """

    key: str
    request: Request
    future: asyncio.Future[Reply]
    dialect: Dialect | None = None
    sent: Dialect | None = None
    waiters: int = 0

    @property
    def is_wanted(self) -> bool:
        """Whether anyone still waits for it."""
        return self.waiters > 0 and not self.future.done()

    def fail(self, failure: BaseException) -> None:
        """Ends the waiting with an error, in a copy: a shared one would collect the traces of all who raise
        it. Who waits no more is not told."""
        if not self.is_wanted:
            self.future.cancel()
        elif isinstance(failure, RubricateError) and len(failure.args) == 1:
            self.future.set_exception(copy.copy(failure))
        else:
            self.future.set_exception(failure)


@dataclass(eq=False)
class Part:
    """The questions of one input file, which is gone once nobody holds the part."""

    questions: list[Question] = field(default_factory=list)
    n_bytes: int = 0

    def __post_init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rubricate-batch-", ignore_cleanup_errors=True)
        self.path = Path(self._folder.name) / "input.jsonl"

    def close(self) -> None:
        """Removes the file."""
        self._folder.cleanup()


async def parts_of(questions: Sequence[Question], known: Dialect, limits: Limits) -> AsyncGenerator[Part]:
    """The questions in as few files as the limits allow, in their order; who is gone is left out.

    A question whose text no JSON can carry fails by itself. One that is larger than a file may be goes
    alone: whether it is too much is for the provider to say.
    """
    place = 0
    while place < len(questions):
        part = Part()
        with part.path.open("wb") as file:
            while place < len(questions) and len(part.questions) < limits.requests:
                question = questions[place]
                if place % _BREATH == 0:
                    await asyncio.sleep(0)
                try:
                    dialect = known if question.dialect is None else known.merged(question.dialect)
                    row = row_of(question.key, dialect.fields(question.request))
                except BadRequest as failure:
                    question.fail(failure)
                    place += 1
                    continue
                if part.questions and part.n_bytes + len(row) > limits.n_bytes:
                    break
                place += 1
                if not question.is_wanted:
                    continue
                question.sent = dialect
                file.write(row)
                part.n_bytes += len(row)
                part.questions.append(question)
        if part.questions:
            yield part
        else:
            part.close()
