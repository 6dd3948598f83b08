"""The three roles that a step can be played by: a model behind a `Chat`, or the offline engine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Protocol, cast

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.judgement import Preference, Verdict
from rubricate.domain.rubric import Criterion, Rubric


class Proposer(Protocol):
    """Writes rubrics."""

    @property
    def name(self) -> str:
        """Who writes: goes into the lineage of every rubric."""
        ...

    async def propose(self, prompt: Prompt) -> Rubric:
        """The first rubric, from the prompt alone.

        Raises:
            ReplyError: no valid rubric could be read, not even on asking again.
            ChatError: the call failed for good.
        """
        ...

    async def refine(self, prompt: Prompt, rubric: Rubric, pair: tuple[Response, Response]) -> Rubric:
        """The whole new rubric, meant to tell the two responses apart. Raises as `propose` does."""
        ...


class Grader(Protocol):
    """Gives verdicts."""

    @property
    def name(self) -> str:
        """Who grades and how (model, template, parameters): part of the key of every verdict."""
        ...

    async def grade(
        self, prompt: Prompt, response: Response, criteria: Sequence[Criterion]
    ) -> tuple[Verdict, ...]:
        """One verdict per criterion, in order; what cannot be judged is `unjudged`, never a number.

        Raises:
            ChatError: no answer could be had at all after all patience; the prompt is owed again.
        """
        ...


class Knowing(Grader, Protocol):
    """A grader that can say what it knows before it asks anybody."""

    async def known(
        self, prompt: Prompt, response: Response, criteria: Sequence[Criterion]
    ) -> tuple[Verdict | None, ...]:
        """The verdicts that `grade` would give without asking a model, in order; None for all others. Costs
        nothing and counts as nothing."""
        ...


async def known_to(
    grader: Grader, prompt: Prompt, response: Response, criteria: Sequence[Criterion]
) -> tuple[Verdict | None, ...]:
    """What a grader knows for free; one that cannot say knows nothing."""
    if _can_tell(type(grader)):
        return await cast(Knowing, grader).known(prompt, response, criteria)
    return (None,) * len(criteria)


@cache
def _can_tell(kind: type[Grader]) -> bool:
    """Whether graders of this kind are `Knowing`; isinstance of a protocol takes longer than the rest."""
    return hasattr(kind, "known")


class Judge(Protocol):
    """Compares two responses."""

    @property
    def name(self) -> str:
        """Who judges."""
        ...

    async def compare(self, prompt: Prompt, first: Response, second: Response) -> Preference:
        """Which of the two is better, asked in both orders."""
        ...
