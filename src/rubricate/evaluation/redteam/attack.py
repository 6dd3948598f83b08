"""An attack: a pure function of prompt, response, rubric and seed to a text, and what it does to the
meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from rubricate.domain.rubric import Rubric

Meaning = Literal["preserved", "weakened", "destroyed"]
Write = Callable[[str, str, Rubric | None, int], str | None]


class Attack(NamedTuple):
    """One way to change a response that makes it no better.

    preserved   all that was said is still said, and nothing new on the matter: the score should stay
    weakened    less is said, or it is harder to find: the score should not rise
    destroyed   the question is no longer answered: the score should fall

    `write` gives the changed text, or None where it does not apply (no rubric to copy, nothing to cut).
    """

    name: str
    family: str
    meaning: Meaning
    does: str
    write: Write
