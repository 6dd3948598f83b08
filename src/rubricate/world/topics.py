"""What is worth saying on a question: latent, weighted facets, fixed by the seed and the subject.

Prompts on one subject that differ only in their circumstances share their facets, so what is learnt on one
serves on the other; other subjects have others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

from rubricate.domain.identity import chance_of, key_of
from rubricate.world.reading import read
from rubricate.world.vocabulary import ASKING, CONTEXTS, FIELDS, Field

Tier = Literal["common", "telling", "rare", "idle", "pitfall"]

COMPOSITION: dict[Tier, int] = {"common": 6, "telling": 6, "rare": 6, "idle": 4, "pitfall": 3}
"""Facets of each tier on every subject: what all decent answers have, what good ones have, what only the
best have; what is said but worth nothing; and what does harm."""


@dataclass(frozen=True)
class Facet:
    """One piece of advice. `weight` is 1 to 3, 0 for the idle, negative for pitfalls."""

    advice: str
    thing: str
    reason: str
    tier: Tier
    weight: int


@dataclass(frozen=True)
class Topic:
    """A subject with its facets, in an order that says nothing of their worth."""

    phrase: str
    facets: tuple[Facet, ...]

    @property
    def best(self) -> int:
        """Sum of the positive weights."""
        return sum(facet.weight for facet in self.facets if facet.weight > 0)

    def gold(self, text: str) -> float:
        """Gold reward of any text, in [0, 1]: weight of the good advice that it gives, less that of the bad,
        over the weight of all good advice; never below 0. Style, length and idle advice count nothing."""
        given = read(text).advice
        return max(0, sum(facet.weight for facet in self.facets if facet.advice in given)) / self.best

    def facet(self, advice: str) -> Facet | None:
        """The facet that a piece of advice is, or None when the subject has none such."""
        return next((facet for facet in self.facets if facet.advice == advice), None)


@cache
def _subjects() -> dict[str, Field]:
    """Every subject as a question phrases it, with its walk of life."""
    return {
        task.format(subject): field for field in FIELDS for task in field.tasks for subject in field.subjects
    }


@lru_cache(maxsize=8_192)
def topic_of(seed: int, prompt_text: str) -> Topic | None:
    """The topic that a prompt asks about; None where the world knows nothing of it."""
    for phrase, field in _subjects().items():
        if phrase in prompt_text:
            return _topic(seed, phrase, field)
    return None


@lru_cache(maxsize=1_024)
def _topic(seed: int, phrase: str, field: Field) -> Topic:
    def picked(options: tuple[str, ...], *about: object) -> str:
        return options[int(chance_of(seed, phrase, *about) * len(options))]

    things = iter(sorted(field.things, key=lambda thing: key_of("thing", seed, phrase, thing)))
    facets = []
    for tier, n in COMPOSITION.items():
        for _ in range(n):
            thing = next(things)
            advice = (
                f"{picked(field.verbs, thing, 'verb')} the {thing} {picked(field.conditions, thing, 'when')}"
            )
            size = 1 + int(3 * chance_of(seed, phrase, thing, "weight"))
            weight = {"idle": 0, "pitfall": -size}.get(tier, size)
            facets.append(Facet(advice, thing, picked(field.reasons, thing, "why"), tier, weight))
    return Topic(phrase, tuple(sorted(facets, key=lambda facet: key_of("facet", seed, facet.advice))))


def prompt_texts(seed: int) -> Iterator[str]:
    """Prompts without end of different texts: first each subject once, in an order fixed by the seed."""
    seen, turn = set[str](), 0
    phrases = sorted(_subjects(), key=lambda phrase: key_of("subject", seed, phrase))
    while True:
        for phrase in phrases:
            text = _prompt(seed, phrase, turn)
            if text not in seen:
                seen.add(text)
                yield text
        turn += 1


def _prompt(seed: int, phrase: str, turn: int) -> str:
    """The question, and one more circumstance every few turns: so texts never run out."""
    asking = ASKING[int(chance_of(seed, phrase, turn, "asking") * len(ASKING))].format(phrase)
    wanted = sorted(CONTEXTS, key=lambda context: key_of("context", seed, phrase, turn, context))
    told = wanted[: 2 + turn // 200]
    return " ".join([asking, *told] if turn < 1200 else [asking, *told, f"This is my attempt number {turn}."])
