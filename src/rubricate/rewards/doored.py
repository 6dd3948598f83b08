"""What every reward of a trainer does alike: batches are read, counted, and graded behind a door."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from rubricate.rewards.batch.graded import Batch
from rubricate.rewards.batch.texts import must_match
from rubricate.rewards.door import Door
from rubricate.rewards.measures.tally import Tally
from rubricate.rewards.options import Options
from rubricate.rewards.preferring import preferred

Opened = TypeVar("Opened")
Row = TypeVar("Row")

PLAIN = Options()


class DooredReward(ABC, Generic[Opened, Row]):
    """Prompts and completions -> a `Batch`, in input order, by what `opening` gives.

    A batch is read as rows in the thread of whoever calls, so that mistakes are told there, and graded on the
    one loop of the door: `score` and `grade` wait for it from anywhere, also from within a running loop,
    `ascore` and `agrade` are awaited on any loop. Pickles without what is open.
    """

    def __init__(
        self,
        opening: Callable[[], AbstractAsyncContextManager[Opened]],
        *,
        options: Options = PLAIN,
        max_chars: int,
    ):
        self.options, self.max_chars = options, max_chars
        self._door = Door(opening)
        self._steps = 0
        self.totals = Tally()
        """All batches that were graded for training, added up."""

    def score(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        rubrics: Sequence[Any] | None = None,
        *,
        step: int | None = None,
    ) -> list[float | None]:
        """The rewards; see `grade`."""
        return self.grade(prompts, completions, rubrics, step=step).rewards

    async def ascore(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        rubrics: Sequence[Any] | None = None,
        *,
        step: int | None = None,
    ) -> list[float | None]:
        """The rewards; see `grade`."""
        return (await self.agrade(prompts, completions, rubrics, step=step)).rewards

    def grade(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        rubrics: Sequence[Any] | None = None,
        *,
        step: int | None = None,
        evaluation: bool = False,
    ) -> Batch:
        """All that is known of a batch; completions of one prompt are compared with each other.

        Prompts and completions are texts or lists of messages, one prompt for each completion. `rubrics` are
        those of a dataset column; where a row has none, the given ones hold. `step` is what options are drawn
        for; without it batches are counted, and where rubrics change they belong to the latest change. With
        `evaluation` no option is on and `totals` stay as they are; rubrics that change are those of `step`,
        without it the latest, with all that ever counted. A learned model has neither options nor rubrics:
        it looks at no column, and its reward and score are one number.

        Raises:
            DataError: lengths that differ, a single text in place of a list, a rubric that is none, and under
                unseen='fail' a prompt without a rubric.
            AccountError, RunStopped: nothing can be asked any more. Any other failure of a model is None.
            SettingsError: on opening, what the panel or the model lacks.
        """
        rows, at = self._begin(prompts, completions, rubrics, step, evaluation)
        return self._door.wait(lambda opened: self._graded(opened, rows, at, evaluation))

    async def agrade(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        rubrics: Sequence[Any] | None = None,
        *,
        step: int | None = None,
        evaluation: bool = False,
    ) -> Batch:
        """As `grade`, awaited."""
        rows, at = self._begin(prompts, completions, rubrics, step, evaluation)
        return await self._door.through(lambda opened: self._graded(opened, rows, at, evaluation))

    def prefer(self, prompts: Sequence[Any], pairs: Sequence[Sequence[Any]]) -> list[int]:
        """For each prompt the place, 0 or 1, of the better of two completions, -1 where they tie or one is
        not judged: what a judge of pairs gives. By the human score: no option is on.

        Raises:
            DataError: as `grade`; also when a pair is none.
        """
        return preferred(self, prompts, pairs)

    def close(self) -> None:
        """Closes what is open; the next batch opens it again."""
        self._door.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        column: Sequence[Any] | None,
        step: int | None,
        evaluation: bool,
    ) -> tuple[list[Row], int | None]:
        must_match(prompts, completions, column)
        if not evaluation and (step is not None or self._counts()):
            step = self._steps if step is None else step
            self._steps = step + 1
        return self._rows(prompts, completions, column), step

    def _counts(self) -> bool:
        """Whether batches that name no step are counted."""
        return True

    @abstractmethod
    def _rows(
        self, prompts: Sequence[Any], completions: Sequence[Any], column: Sequence[Any] | None
    ) -> list[Row]:
        """The batch, read."""

    @abstractmethod
    async def _graded(self, opened: Opened, rows: Sequence[Row], step: int | None, evaluation: bool) -> Batch:
        """The batch, graded. On the door's loop to the end, so that no two threads add to the totals."""
