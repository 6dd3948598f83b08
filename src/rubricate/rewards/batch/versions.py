"""Rubrics that change while a policy is trained on them: what a reward asks of whoever keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from rubricate.domain.conversation import Prompt
from rubricate.domain.judgement import Verdict
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.rewards.batch.graded import Batch


class Seen(NamedTuple):
    """What was said of a completion, in this life of the training or an earlier one."""

    prompt: Prompt
    text: str
    said: Mapping[Criterion, Verdict]


class Versions(Protocol):
    """Keeps the rubrics of each prompt by step. `training.online.rubrics.OnlineRubrics` is one.

    Pickles without what is open; all its methods are called on the loop of the reward.
    """

    def bind(self, rule: str, floor: float, options: object) -> None:
        """Told once, by the reward: what rewards are made with, beside rubrics and verdicts."""
        ...

    def open(self, grader: str) -> None:
        """Called before each batch, with the name of the grader: takes up what other processes wrote.

        Raises:
            SettingsError: what is kept was made with other settings.
        """
        ...

    def seen(self, n: int) -> Iterator[Seen]:
        """What was graded latest, oldest first, with some `n` verdicts in all."""
        ...

    def first(self, prompt: Prompt) -> Rubric | None:
        """The rubric that this prompt began with, where it is known."""
        ...

    def at(self, prompt: Prompt, first: Rubric, step: int | None, *, evaluation: bool = False) -> Rubric:
        """The rubric of a prompt at a step (None: now) that began with `first`; for an evaluation with all
        criteria that were ever paid for.

        Raises:
            DataError: the prompt began with another rubric.
        """
        ...

    def now(self) -> int:
        """The step to which a batch belongs that comes without one: the latest from which rubrics changed."""
        ...

    def saw(self, batch: Batch) -> None:
        """Told of each batch of the training, before anybody gets its rewards."""
        ...

    def news(self) -> dict[str, float]:
        """The figures of what was changed since they were asked for last."""
        ...

    def close(self) -> None:
        """Lets go of what is open; the next batch opens anew."""
        ...
