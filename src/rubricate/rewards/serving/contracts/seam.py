"""A form in which rewards are asked for over HTTP."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from rubricate.rewards.batch.graded import Batch, Graded
from rubricate.rewards.serving.intake.refusals import Refusal

API = 1
"""Counts changes of the plain form after which a client of before would read something else."""


class Version(msgspec.Struct, frozen=True):
    """What gave the rewards: the form of the answer, the package, and a content key of rubrics, grader and
    rule. Where the key is another, the same completion may get another reward."""

    api: int
    package: str
    reward: str


class Asked(NamedTuple):
    """A request, read: what goes to the reward, and whatever its answer needs besides."""

    prompts: Sequence[Any]
    completions: Sequence[Any]
    rubrics: Sequence[Any] | None = None
    step: int | None = None
    evaluation: bool = False
    form: Any = None


class Served(NamedTuple):
    """What answers need to know of the server. `unjudged` is what a completion without a reward is worth
    where a form has no null."""

    version: Version
    model: str
    unjudged: float | None = None


class Form(NamedTuple):
    """One form: where it is asked, what is asked and answered, and how one becomes the other.

    `request` and `response` are types that msgspec knows, or JSON schemas, for the schema of the server.
    """

    path: str
    summary: str
    request: Any
    response: Any
    read: Callable[[Any, Served], Asked]
    answer: Callable[[Asked, Batch, Served], Any]


def reward_of(one: Graded) -> float | None:
    """The reward; None for what is no number that JSON has."""
    return one.reward if one.reward is not None and math.isfinite(one.reward) else None


def number_of(one: Graded, served: Served) -> float:
    """The reward, or what the server was told that a completion without one is worth.

    Raises:
        Refusal: there is no reward, and it was told nothing.
    """
    reward = reward_of(one)
    if reward is not None:
        return reward
    if served.unjudged is None:
        raise Refusal(
            "unjudged",
            f"no reward ({one.why}), and this form takes numbers only: start the server with --unjudged "
            "NUMBER to say what such a completion is worth, or ask at /v1/rewards, which has null",
        )
    return served.unjudged
