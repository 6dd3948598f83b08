"""What trainers, servers and monitors ask for a reward: a rubric with a grader, or a learned model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from rubricate.rewards.batch.graded import Batch


class Reward(Protocol):
    """Prompts and completions -> a `Batch` with one entry for each completion, in input order.

    What is said of `RubricReward.grade` holds for every reward: texts that cannot be judged get None with its
    reason and never a number, lengths that differ are a `DataError`, `close` ends what is open and the next
    batch opens anew.
    """

    def grade(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        rubrics: Sequence[Any] | None = None,
        *,
        step: int | None = None,
        evaluation: bool = False,
    ) -> Batch:
        """The batch, waited for."""
        ...

    async def agrade(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        rubrics: Sequence[Any] | None = None,
        *,
        step: int | None = None,
        evaluation: bool = False,
    ) -> Batch:
        """The batch, awaited on any loop."""
        ...

    def close(self) -> None:
        """Closes what is open."""
        ...
