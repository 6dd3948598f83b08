"""Our questions, read as a model would read them: by the opening words of the template and by the frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from rubricate.domain.conversation import Message, Prompt
from rubricate.steps.asking import template

Kind = Literal["propose", "refine", "grade", "compare", "sample"]
_KINDS: tuple[Kind, ...] = ("propose", "refine", "grade", "compare")
_FRAME = re.compile(r"<(prompt|response|rubric|criteria)-([0-9a-f]+)>\n(.*?)\n</\1-\2>", re.DOTALL)
_CRITERION = re.compile(r"(c\d+): (.*)")
_LISTED = re.compile(r"- \[(rule|principle|pitfall), weight (\d)(?:, must-have|, veto)?\] (.*)")
_PITFALL_WANTED = '"pitfall"'


@dataclass(frozen=True)
class Listed:
    """One line of the rubric that a refiner is shown."""

    kind: str
    weight: int
    text: str


@dataclass(frozen=True)
class Question:
    """What a request asks: which step it is of, and what stands in its frames.

    `responses` has two entries for refine and compare, one for grade. `criteria` are (id, text). A question
    that is none of ours is a prompt to be answered: kind `sample`.
    """

    kind: Kind
    prompt: str
    responses: tuple[str, ...] = ()
    rubric: tuple[Listed, ...] = ()
    criteria: tuple[tuple[str, str], ...] = ()
    with_pitfalls: bool = False


def question_of(messages: Sequence[Message]) -> Question:
    """What the messages ask."""
    kind = next(
        (kind for kind in _KINDS if any(m.content.startswith(_opening(kind)) for m in messages)), None
    )
    text = "\n".join(message.content for message in messages)
    frames = [(found[1], found[3]) for found in _FRAME.finditer(text)] if kind else []
    prompt = next((inside for name, inside in frames if name == "prompt"), None)
    responses = tuple(inside for name, inside in frames if name == "response")
    if (
        kind is None
        or prompt is None
        or len(responses) != {"refine": 2, "compare": 2, "grade": 1}.get(kind, 0)
    ):
        return Question("sample", Prompt("", tuple(messages)).text)
    lines = [line for name, inside in frames if name in ("rubric", "criteria") for line in inside.split("\n")]
    return Question(
        kind,
        prompt,
        responses,
        tuple(
            Listed(found[1], int(found[2]), found[3]) for line in lines if (found := _LISTED.fullmatch(line))
        ),
        tuple((found[1], found[2]) for line in lines if (found := _CRITERION.fullmatch(line))),
        _PITFALL_WANTED in _outside_frames(text),
    )


@cache
def _opening(kind: Kind) -> str:
    return template(kind).partition("{{")[0].rstrip()


def _outside_frames(text: str) -> str:
    return _FRAME.sub("", text)
