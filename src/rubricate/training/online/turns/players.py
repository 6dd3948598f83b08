"""The crew of a refresh: a proposer whose duplicates are merged, and all of them counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.judgement import Preference, Verdict
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.steps.roles import Grader, Judge, Proposer
from rubricate.training.online.files.records import Learnt
from rubricate.training.online.turns.criteria import Merged, Retired, merged

Calls = Counter[str]
"""How often each role was asked: `proposals`, `gradings` (of one text each) and `comparisons` (in both
orders). An answer from the ledger counts like any other."""


@dataclass
class MergingProposer:
    """A proposer around another: what it writes anew and was there before is what was there before. `ids` are
    those that no new criterion may get."""

    inner: Proposer
    retired: Sequence[Retired]
    alike: float
    ids: Collection[str] = ()
    last: Merged | None = None

    @property
    def name(self) -> str:
        """The inner proposer's."""
        return self.inner.name

    async def propose(self, prompt: Prompt) -> Rubric:
        """The inner proposer's."""
        return await self.inner.propose(prompt)

    async def refine(self, prompt: Prompt, rubric: Rubric, pair: tuple[Response, Response]) -> Rubric:
        """The inner proposer's, merged; `last` tells what was."""
        proposed = await self.inner.refine(prompt, rubric, pair)
        self.last = merged(rubric, self.retired, proposed, self.alike, self.ids)
        return self.last.rubric


@dataclass(frozen=True)
class CountedProposer:
    """A proposer around another that is counted."""

    inner: Proposer
    calls: Calls

    @property
    def name(self) -> str:
        """The inner proposer's."""
        return self.inner.name

    async def propose(self, prompt: Prompt) -> Rubric:
        """The inner proposer's."""
        self.calls["proposals"] += 1
        return await self.inner.propose(prompt)

    async def refine(self, prompt: Prompt, rubric: Rubric, pair: tuple[Response, Response]) -> Rubric:
        """The inner proposer's."""
        self.calls["proposals"] += 1
        return await self.inner.refine(prompt, rubric, pair)


@dataclass(frozen=True)
class NotedGrader:
    """A grader around another that counts how many texts it was asked about, and notes what it said."""

    inner: Grader
    calls: Calls
    learnt: list[Learnt]

    @property
    def name(self) -> str:
        """The inner grader's."""
        return self.inner.name

    async def grade(
        self, prompt: Prompt, response: Response, criteria: Sequence[Criterion]
    ) -> tuple[Verdict, ...]:
        """The inner grader's verdicts."""
        self.calls["gradings"] += 1
        verdicts = await self.inner.grade(prompt, response, criteria)
        judged = {
            criterion.text: verdict
            for criterion, verdict in zip(criteria, verdicts, strict=True)
            if verdict.is_judged
        }
        if judged:
            self.learnt.append(Learnt(prompt.key, response.text, judged))
        return verdicts


@dataclass(frozen=True)
class CountedJudge:
    """A judge around another that is counted."""

    inner: Judge
    calls: Calls

    @property
    def name(self) -> str:
        """The inner judge's."""
        return self.inner.name

    async def compare(self, prompt: Prompt, first: Response, second: Response) -> Preference:
        """The inner judge's preference."""
        self.calls["comparisons"] += 1
        return await self.inner.compare(prompt, first, second)
