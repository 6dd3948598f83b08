"""Prompts of another world. Nothing is known of their worth; runs can be rehearsed on them."""

from __future__ import annotations

from rubricate.domain.identity import chance_of, key_of
from rubricate.world.criteria import Claim
from rubricate.world.reading import read
from rubricate.world.vocabulary import FILLER

_N_WORDS = 6


def foreign_claims(seed: int, prompt_text: str) -> list[Claim]:
    """What a first rubric asks for: some longer words of the prompt, or a plain answer if it has none."""
    words = sorted(read(prompt_text).words, key=lambda word: key_of("word", seed, word))
    return [Claim("words", word) for word in words[:_N_WORDS]] or [Claim("words", "answer")]


def foreign_differences(seed: int, first: str, second: str) -> list[Claim]:
    """What a refiner finds in a pair: up to three longer words that only one of the two has."""
    words = read(first).words ^ read(second).words
    return [Claim("words", word) for word in sorted(words, key=lambda word: key_of("word", seed, word))[:3]]


def foreign_response(seed: int, prompt_text: str, model: str, draw: int) -> str:
    """An answer that takes up some words of the prompt, between filler."""
    about = (seed, model, prompt_text, draw)
    words = sorted(read(prompt_text).words, key=lambda word: key_of("said", *map(str, about), word))
    taken = words[: 1 + int(chance_of(*about, "words") * len(words))]
    filler = sorted(FILLER, key=lambda text: key_of("filler", *map(str, about), text))
    return " ".join([*filler[:3], *(f"As to {word}, it matters here." for word in taken), *filler[3:5]])
