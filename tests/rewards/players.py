"""A grader that counts, and does as it is told by the text that it grades."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.judgement import Verdict
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.errors import ChatError
from rubricate.rewards.panel import Panel, panel_of
from rubricate.rewards.reward import RubricReward
from tests.builders import a_rubric, marks

PROMPT = "How much paracetamol may an adult take in a day?"


@dataclass
class Player:
    """Marks by text, as in `marks`, for each criterion in the order in which a text was first asked about; an
    exception is raised."""

    said: dict[str, str | Exception]
    name: str = "player"
    asked: list[str] = field(default_factory=list)
    loops: set[int] = field(default_factory=set)
    first: dict[str, list[str]] = field(default_factory=dict)

    async def grade(
        self, prompt: Prompt, response: Response, criteria: Sequence[Criterion]
    ) -> tuple[Verdict, ...]:
        self.asked.append(response.text)
        self.loops.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0)
        said = self.said[response.text]
        if isinstance(said, Exception):
            raise said
        names = [criterion.text for criterion in criteria]
        known = self.first.setdefault(response.text, names)
        if not set(names) <= set(known):
            known = self.first[response.text] = names
        return marks("".join(said[known.index(name)] for name in names))


@dataclass
class Writer:
    """A proposer that writes one rubric, or fails."""

    rubric: Rubric | ChatError
    asked: list[str] = field(default_factory=list)
    name: str = "writer"

    async def propose(self, prompt: Prompt) -> Rubric:
        self.asked.append(prompt.text)
        await asyncio.sleep(0)
        if isinstance(self.rubric, ChatError):
            raise self.rubric
        return self.rubric

    async def refine(self, prompt: Prompt, rubric: Rubric, pair: tuple[Response, Response]) -> Rubric:
        raise AssertionError("nobody asked for it")


def a_reward(
    grader: Player, *, writer: Writer | None = None, second: Player | None = None, **how
) -> RubricReward:
    """A reward around a player."""
    opening: Callable = panel_of(grader, writer, second)
    return RubricReward(opening, **how)


def graded(said: dict[str, str], *criteria: str, **how):
    """The batch of these texts, one prompt, one rubric."""
    with a_reward(Player(said), **how) as reward:
        n = len(said)
        return reward.grade([PROMPT] * n, list(said), [a_rubric(*criteria)] * n)


__all__ = ["PROMPT", "Panel", "Player", "Writer", "a_reward", "graded"]
