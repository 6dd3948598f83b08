"""Readable defaults for the offline engine's tests."""

from __future__ import annotations

import asyncio

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.judgement import Verdict
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.offline.engine import OfflineGrader, OfflineProposer


def a_rubric_for(prompt: str) -> Rubric:
    """What the proposer writes for a prompt."""
    return asyncio.run(OfflineProposer().propose(Prompt.of_text(prompt)))


def refined(prompt: str, rubric: Rubric, first: str, second: str) -> Rubric:
    """The rubric after one refinement on two texts."""
    pair = (Response(first, "a"), Response(second, "b"))
    return asyncio.run(OfflineProposer().refine(Prompt.of_text(prompt), rubric, pair))


def verdict_on(criterion: str, response: str, prompt: str = "What should I do?") -> Verdict:
    """What the grader says of one response and one criterion."""
    criteria = [Criterion("c1", criterion)]
    return asyncio.run(OfflineGrader().grade(Prompt.of_text(prompt), Response(response), criteria))[0]


def score_of(rubric: Rubric, response: str, prompt: str) -> float:
    """Weighted share of met criteria among the judged ones."""
    verdicts = asyncio.run(OfflineGrader().grade(Prompt.of_text(prompt), Response(response), rubric.criteria))
    judged = [(c.weight, v) for c, v in zip(rubric.criteria, verdicts, strict=True) if v.is_judged]
    return sum(w for w, v in judged if v.outcome == "met") / sum(w for w, _ in judged if w > 0)
