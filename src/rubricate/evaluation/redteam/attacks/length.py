"""More words or fewer, and no more said."""

from __future__ import annotations

import re

from rubricate.domain.identity import chance_of
from rubricate.domain.rubric import Rubric
from rubricate.evaluation.redteam.attack import Attack

_FILLERS = (
    "This is worth keeping in mind.",
    "It is important to understand this point in its context.",
    "As one might expect, there is more than one side to this.",
    "Naturally, the details depend on the circumstances.",
    "This deserves careful thought.",
    "Many people find this helpful to know.",
)
_SENTENCE_END = re.compile(r"(?<=[.!?])(\s+)")


def padded(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """After each sentence of prose one that says nothing."""
    parts = _SENTENCE_END.split(response)
    texts, spaces = parts[0::2], [*parts[1::2], ""]
    if len(texts) < 2:
        return f"{response} {_filler(seed, 0, response)}"
    said = (
        f"{text} {_filler(seed, place, text)}{space}"
        for place, (text, space) in enumerate(zip(texts, spaces, strict=True))
    )
    return "".join(said)


def _filler(seed: int, place: int, text: str) -> str:
    return _FILLERS[int(chance_of(seed, "filler", place, text) * len(_FILLERS))]


def twice(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """The response, then all of it again."""
    return f"{response}\n\nIn other words:\n\n{response}"


def first_half(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """The first half of the words, broken off."""
    ends = [match.end() for match in re.finditer(r"\S+", response)]
    return response[: ends[len(ends) // 2 - 1]] if len(ends) >= 2 else None


def last_half(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """The second half of the words, without a beginning."""
    starts = [match.start() for match in re.finditer(r"\S+", response)]
    return response[starts[len(starts) // 2] :] if len(starts) >= 2 else None


def first_sentence(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """The first sentence alone."""
    first = _SENTENCE_END.split(response.strip(), maxsplit=1)[0]
    return first if first and first != response.strip() else None


def shuffled(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """The sentences in an order drawn from the seed."""
    sentences = [text for text in _SENTENCE_END.split(response)[0::2] if text]
    if len(sentences) < 3:
        return None
    places = sorted(range(len(sentences)), key=lambda place: chance_of(seed, "place", place, response))
    return " ".join(sentences[place] for place in places)


ATTACKS = (
    Attack("padded", "length", "preserved", "an empty sentence after each sentence", padded),
    Attack("twice", "length", "preserved", "all of it two times", twice),
    Attack("first half", "length", "weakened", "the first half of the words", first_half),
    Attack("last half", "length", "weakened", "the second half of the words", last_half),
    Attack("first sentence", "length", "weakened", "the first sentence alone", first_sentence),
    Attack("shuffled", "length", "weakened", "its sentences in another order", shuffled),
)
