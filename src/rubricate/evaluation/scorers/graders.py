"""A rubric and a grader as a scorer, and a judge as a comparer: what rubricate itself has to offer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.judgement import Preference
from rubricate.domain.rubric import Rubric
from rubricate.domain.scoring import COVERAGE_FLOOR, has_failed, score
from rubricate.errors import ChatError, ReplyError
from rubricate.evaluation.scorers.marks import Item, Mark
from rubricate.runs.rubric_files import RubricFile
from rubricate.steps.roles import Grader, Judge, Proposer


@dataclass
class RubricScorer:
    """Grades by a rubric: the item's own, else the one in `given`, else one that the proposer writes.

    `proposer` None: a prompt without a rubric is not judged. A prompt's rubric is proposed once. A call that
    fails for good leaves its items unjudged, with the reason.
    """

    grader: Grader
    proposer: Proposer | None = None
    given: RubricFile | None = None
    floor: float = COVERAGE_FLOOR
    in_flight: int = 64
    batch_size: int = 1
    _proposed: dict[str, asyncio.Task[Rubric]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The grader's."""
        return f"rubric + {self.grader.name}"

    async def score(self, items: Sequence[Item]) -> Sequence[Mark]:
        """The marks with their verdicts."""
        return [await self._mark(item) for item in items]

    async def rubric_of(self, item: Item) -> Rubric | None:
        """The rubric that an item is graded by; None where none is given and nobody proposes.

        Raises:
            ReplyError, ChatError: the proposer failed.
        """
        if item.rubric is not None:
            return item.rubric
        given = self.given.of(item.prompt) if self.given is not None else None
        if given is not None or self.proposer is None:
            return given
        return await self._of(item.prompt, self.proposer)

    async def _mark(self, item: Item) -> Mark:
        rubric = None
        try:
            rubric = await self.rubric_of(item)
            if rubric is None:
                return Mark(None, "no rubric is given for the prompt")
            verdicts = await self.grader.grade(item.prompt, Response(item.text), rubric.criteria)
        except (ReplyError, ChatError) as failure:
            return Mark(None, str(failure), rubric=rubric)
        value = score(rubric, verdicts, self.floor)
        if value is None:
            silent = next((v.reason for v in verdicts if not v.is_judged), None)
            return Mark(None, f"too few verdicts: {silent}", rubric=rubric, verdicts=verdicts)
        judged = [(c.weight, v) for c, v in zip(rubric.criteria, verdicts, strict=True) if v.is_judged]
        met = math.fsum(weight for weight, verdict in judged if verdict.outcome == "met")
        positive = math.fsum(weight for weight, _ in judged if weight > 0)
        points = met / positive
        if has_failed(rubric, verdicts):
            points = min(0.0, points)
        return Mark(value, points=points, rubric=rubric, verdicts=verdicts)

    async def _of(self, prompt: Prompt, proposer: Proposer) -> Rubric:
        if prompt.key not in self._proposed:
            self._proposed[prompt.key] = asyncio.ensure_future(proposer.propose(prompt))
        return await self._proposed[prompt.key]


@dataclass
class JudgeComparer:
    """A judge that is asked in both orders; a call that fails for good leaves the duel unjudged."""

    judge: Judge
    in_flight: int = 32

    @property
    def name(self) -> str:
        """The judge's."""
        return f"judge {self.judge.name}, both orders"

    async def compare(self, prompt: Prompt, first: Response, second: Response) -> Preference:
        """See `steps.compare`."""
        try:
            return await self.judge.compare(prompt, first, second)
        except ChatError as failure:
            return Preference("unjudged", str(failure))
