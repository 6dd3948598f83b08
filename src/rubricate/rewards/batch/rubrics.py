"""Where the rubric of a prompt comes from: the batch itself, what was given before, or a proposer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, Protocol

from rubricate.domain.conversation import Prompt
from rubricate.domain.rubric import Rubric
from rubricate.errors import AccountError, ChatError, DataError, ReplyError
from rubricate.rewards.batch.once import Once
from rubricate.rewards.batch.texts import BATCH, Unreadable
from rubricate.rewards.batch.versions import Versions
from rubricate.steps.roles import Proposer

Unseen = Literal["make", "skip", "fail"]
"""What happens to a prompt without a rubric: one is made by the proposer, its completions get None, or the
whole call fails."""

_REMEMBERED = 50_000


FIELDS = ("rubric", "rubrics", "criteria")
"""Where a row of a trainer's data may have its rubric; the first of them that is there is read."""


def rubric_under(about: Mapping[str, Any]) -> Any:
    """What a row holds as its rubric, unread; None where it has none."""
    return next((about[name] for name in FIELDS if about.get(name) is not None), None)


class Given(Protocol):
    """Rubrics that are there already, such as those of a file (`runs.rubric_files`)."""

    def of(self, prompt: Prompt) -> Rubric | None:
        """The rubric of a prompt, or None."""
        ...


class NoRubrics:
    """Nothing is given."""

    def of(self, prompt: Prompt) -> Rubric | None:
        """None."""
        return None


def only_rubrics(value: Any) -> Rubric:
    """A column that holds rubrics as they are. `settings.reward` has the reader of all other forms."""
    if isinstance(value, Rubric):
        return value
    raise ValueError(f"holds {type(value).__name__} and no Rubric")


class Rubrics:
    """Finds rubrics. What was made is kept: a prompt's rubric is made once, however often it is asked for."""

    def __init__(self, given: Given, unseen: Unseen, read: Callable[[Any], Rubric] = only_rubrics):
        self._given, self.unseen, self._read = given, unseen, read
        self._made: Once[Rubric] = Once(_REMEMBERED)

    def __getstate__(self) -> dict[str, Any]:
        return {"given": self._given, "unseen": self.unseen, "read": self._read}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # as if it were made here

    def in_column(self, value: Any, row: int) -> Rubric | None:
        """The rubric in a row of a dataset column; None where the row has none.

        Raises:
            DataError: the value is no rubric.
        """
        if value is None or value in ("", []):
            return None
        try:
            return self._read(value)
        except (ValueError, DataError) as problem:
            reason = problem.problem if isinstance(problem, DataError) else str(problem)
            raise DataError(BATCH, f"row {row}: {reason}", field="rubric") from None

    async def of(
        self, prompt: Prompt, proposer: Proposer | None, versions: Versions | None = None
    ) -> Rubric | Unreadable:
        """The rubric of a prompt by what is given, else what it began with, else by the policy for unseen
        prompts.

        Raises:
            DataError: there is none, and the policy is to fail.
            AccountError, RunStopped: nothing can be asked any more.
        """
        found = self._given.of(prompt)
        if found is None and versions is not None:
            found = versions.first(prompt)
        if found is not None:
            return found
        if self.unseen == "fail":
            raise DataError(
                BATCH,
                f"there is no rubric for the prompt {_begin(prompt.text)!r}; give it one, or choose "
                "unseen='make' (a proposer writes it) or unseen='skip' (its completions get None)",
            )
        if self.unseen == "skip" or proposer is None:
            return Unreadable("there is no rubric for the prompt")
        try:
            return await self._made.of(prompt.key, partial(_proposed, proposer, prompt))
        except AccountError:
            raise
        except (ReplyError, ChatError) as failure:
            return Unreadable(f"no rubric could be made for the prompt: {failure}")


async def _proposed(proposer: Proposer, prompt: Prompt) -> Rubric:
    return await proposer.propose(prompt)


def _begin(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
