"""Who says how good held-out answers really are: a second reward, a judge of pairs, or any function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol

from rubricate.domain.conversation import Response
from rubricate.errors import AccountError, ChatError, DataError, SettingsError
from rubricate.llm.thinking import strip_thinking
from rubricate.rewards.door import Door
from rubricate.rewards.seam import Reward
from rubricate.steps.asking import gathered
from rubricate.steps.roles import Judge
from rubricate.training.monitors.live.held_out import HeldOut, Watch

WORTH = {"first": 1.0, "tie": 0.5, "second": 0.0}


class Told(NamedTuple):
    """What gold says of one answer; None, and why."""

    value: float | None
    why: str | None = None


class Gold(Protocol):
    """Answers to the held-out prompts, one for each and in their order -> what each is worth."""

    def of(self, held_out: HeldOut, answers: Sequence[str]) -> list[Told]:
        """One value for each answer."""
        ...


class RewardGold:
    """Gold by a reward of its own: another grader or a panel, another rubric, a learned model."""

    def __init__(self, reward: Reward):
        self.reward = reward

    def of(self, held_out: HeldOut, answers: Sequence[str]) -> list[Told]:
        """The scores as an evaluation sees them, by the rubrics of the held-out prompts if they have any."""
        batch = self.reward.grade(held_out.given, list(answers), held_out.rubrics, evaluation=True)
        return [Told(one.reward if one.score is None else one.score, one.why) for one in batch.graded]


class JudgeGold:
    """Gold by a judge that holds each answer against the reference of its prompt, in both orders: 1 for a
    win, a half for a tie, 0 for a loss, None where an order has no answer. The mean is a win rate.

    `opening` gives the judge on the loop that asks it. Equal texts tie without asking.
    """

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[Judge]]):
        self._door = Door(opening)

    def of(self, held_out: HeldOut, answers: Sequence[str]) -> list[Told]:
        """One comparison for each prompt.

        Raises:
            DataError: a prompt without a reference.
        """
        for number, one in enumerate(held_out.prompts, start=1):
            if one.reference is None:
                raise DataError(
                    "the held-out prompts", "a judge needs a reference for each", field=f"row {number}"
                )
        return self._door.wait(lambda judge: _judged(judge, held_out.prompts, answers))

    def close(self) -> None:
        """Closes the judge; the next question opens it again."""
        self._door.close()


class FunctionGold:
    """Gold by a function of prompts (as trainers hand them over) and answers."""

    def __init__(self, function: Callable[[Sequence[Any], Sequence[str]], Sequence[float | None]]):
        self.function = function

    def of(self, held_out: HeldOut, answers: Sequence[str]) -> list[Told]:
        """What it says.

        Raises:
            DataError: not one value for each answer.
        """
        values = list(self.function(held_out.given, list(answers)))
        if len(values) != len(answers):
            raise DataError("gold", f"{len(values)} values for {len(answers)} answers; it is one for each")
        return [_number(value) for value in values]


def gold_of(given: Any) -> Gold:
    """The gold that somebody gave.

    Raises:
        SettingsError: it is none.
    """
    if hasattr(given, "of"):
        return given  # type: ignore[no-any-return]
    if hasattr(given, "grade"):
        return RewardGold(given)
    if callable(given):
        return FunctionGold(given)
    raise SettingsError(
        f"gold is a reward, a JudgeGold, or a function of prompts and answers, not {type(given).__name__}"
    )


async def _judged(judge: Judge, prompts: Sequence[Watch], answers: Sequence[str]) -> list[Told]:
    async def one(asked: Watch, text: str) -> Told:
        said = strip_thinking(text)
        if not said.strip():
            return Told(None, "the answer is empty")
        if said == asked.reference:
            return Told(0.5)
        try:
            found = await judge.compare(asked.prompt, Response(said), Response(asked.reference or ""))
        except AccountError:
            raise
        except ChatError as failure:
            return Told(None, str(failure))
        return Told(WORTH.get(found.winner), found.reason)

    return await gathered(one(asked, text) for asked, text in zip(prompts, answers, strict=True))


def _number(value: float | None) -> Told:
    if value is None:
        return Told(None, "the function gave None")
    number = float(value)
    return Told(number) if number == number and abs(number) != float("inf") else Told(None, f"it is {number}")
