"""How the models of the world word a criterion, and how they understand one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from rubricate.world.reading import Reading, read
from rubricate.world.vocabulary import STYLE_CRITERIA

_ASKS = (
    "The response tells the reader to {}.",
    "The response says plainly that one should {}.",
    "The response gives the advice to {}.",
)
_ASKS_NOT = (
    "The response does not tell the reader to {}.",
    "The response does not give the advice to {}.",
)
_MENTIONS = (
    "The response says something about the {}.",
    "The response does not leave out the {}.",
)
_DEALS_WITH = ("The response deals with {} and says what follows from it.",)
_NEGATED = re.compile(r"^the response does not (tell|give)\b")
_COMMON_WORDS = frozenset(["response", "deals", "follows", "reader"])


@dataclass(frozen=True)
class Claim:
    """What a criterion asks for.

    advice   the text gives the piece of advice `what`; with `negated`, it does not
    thing    the text mentions the thing `what`
    style    the text has the style `what`
    words    the text has at least half of the longer words of `what`: criteria of another world
    """

    about: Literal["advice", "thing", "style", "words"]
    what: str
    negated: bool = False

    def holds(self, reading: Reading) -> bool:
        """Whether it is true of a text."""
        if self.about == "advice":
            return (self.what in reading.advice) != self.negated
        if self.about == "thing":
            return self.what in reading.things
        if self.about == "style":
            return self.what in reading.styles
        words = self.what.split()
        return 2 * sum(word in reading.words for word in words) >= len(words) > 0


def forms_of(claim: Claim) -> tuple[str, ...]:
    """All wordings of a claim."""
    if claim.about == "style":
        return (STYLE_CRITERIA[claim.what],)
    if claim.about == "advice":
        return tuple(form.format(claim.what) for form in (_ASKS_NOT if claim.negated else _ASKS))
    return tuple(form.format(claim.what) for form in (_MENTIONS if claim.about == "thing" else _DEALS_WITH))


@lru_cache(maxsize=16_384)
def claim_of(criterion: str) -> Claim:
    """What a criterion asks for; any text is understood somehow.

    Wordings of our own are understood exactly. As a pitfall is met when the bad thing is there, it is worded
    like any other advice.
    """
    for style, text in STYLE_CRITERIA.items():
        if criterion == text:
            return Claim("style", style)
    said = read(criterion)
    if said.advice:
        return Claim("advice", min(said.advice), _NEGATED.match(criterion.lower()) is not None)
    if said.things:
        return Claim("thing", min(said.things))
    return Claim("words", " ".join(sorted(said.words - _COMMON_WORDS)))
