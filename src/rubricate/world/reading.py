"""What a text says, as the models of the world can read it off: all that they ever know of a response."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from rubricate.domain.identity import key_of
from rubricate.world.vocabulary import FIELDS, FLATTERY, STYLES


@dataclass(frozen=True)
class Reading:
    """What one text says.

    `advice`: the pieces of advice that it gives; one that it warns against ("never ...") is not given.
    `things`: what it mentions, if only in passing. `words`: its longer words, for texts of another world.
    """

    key: str
    advice: frozenset[str]
    things: frozenset[str]
    styles: frozenset[str]
    words: frozenset[str]
    n_words: int
    flatters: bool


def _either(phrases: set[str]) -> str:
    return "|".join(
        re.escape(phrase) for phrase in sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    )


_VERBS = _either({verb for field in FIELDS for verb in field.verbs})
_THINGS = _either({thing for field in FIELDS for thing in field.things})
_CONDITIONS = _either({condition for field in FIELDS for condition in field.conditions})
_THING = re.compile(rf"\bthe ({_THINGS})\b")
_VERB_BEFORE = re.compile(rf"(\b(?:do not|don't|never|not) )?\b({_VERBS}) $")
_CONDITION_AFTER = re.compile(rf" ({_CONDITIONS})\b")
_LONGEST_VERB = 40
_LONG_WORD = re.compile(r"[^\W\d_]{5,}")


@lru_cache(maxsize=4_096)
def read(text: str) -> Reading:
    """What the text says. Letter case and white space do not matter. Linear in its length."""
    plain = " ".join(text.lower().split())
    advice, things = set(), set()
    for found in _THING.finditer(plain):
        things.add(found[1])
        verb = _VERB_BEFORE.search(plain[max(0, found.start() - _LONGEST_VERB) : found.start()])
        condition = _CONDITION_AFTER.match(plain, found.end())
        if verb and condition and not verb[1]:
            advice.add(f"{verb[2]} the {found[1]} {condition[1]}")
    styles = {name for name, sentences in STYLES.items() if any(said.lower() in plain for said in sentences)}
    return Reading(
        key=key_of("text", text),
        advice=frozenset(advice),
        things=frozenset(things),
        styles=frozenset(styles),
        words=frozenset(_LONG_WORD.findall(plain)),
        n_words=len(plain.split()),
        flatters=FLATTERY.lower() in plain,
    )
