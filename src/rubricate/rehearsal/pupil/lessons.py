"""What is asked in a rehearsal, and the answers from which the small model learns to speak."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from rubricate.domain.conversation import Prompt
from rubricate.rehearsal.plan import Plan
from rubricate.world.dials import Dials
from rubricate.world.topics import Topic, prompt_texts, topic_of
from rubricate.world.world import World

_SENTENCE = re.compile(r"[^.!?]+[.!?]+")


class School:
    """The questions of one world and their answers. `dials` are those of the world."""

    def __init__(self, plan: Plan, dials: Dials, seed: int):
        self.plan, self.seed, self.world = plan, seed, World(dials, seed)

    @cached_property
    def questions(self) -> tuple[tuple[str, ...], ...]:
        """For each subject its ways of asking: those for training, then those held out."""
        wanted = self.plan.asked + self.plan.held_out
        found: dict[str, list[str]] = {}
        for text in prompt_texts(self.seed):
            phrase = self.topic(text).phrase
            if phrase in found or len(found) < self.plan.subjects:
                found.setdefault(phrase, []).append(text)
            if len(found) == self.plan.subjects and all(len(texts) >= wanted for texts in found.values()):
                return tuple(tuple(texts[:wanted]) for texts in found.values())
        raise AssertionError("prompts never end")

    @property
    def asked(self) -> list[str]:
        """The prompts of training, one way of asking after the other."""
        return [texts[n] for n in range(self.plan.asked) for texts in self.questions]

    @property
    def held_out(self) -> list[str]:
        """The prompts of measuring."""
        return [text for texts in self.questions for text in texts[self.plan.asked :]]

    def topic(self, prompt: str) -> Topic:
        """What a prompt of this world asks about."""
        found = topic_of(self.seed, prompt)
        assert found is not None, "a prompt of this world"
        return found

    def gold(self, prompt: str, text: str) -> float:
        """Gold of an answer, in [0, 1]."""
        return self.topic(prompt).gold(text)

    def answer(self, model: str, prompt: str, draw: int = 0) -> str:
        """What a model of the world answers, in full."""
        return self.world.answer(model, Prompt.of_text(prompt).messages, draw=draw)

    def lessons(self) -> Iterator[tuple[str, str]]:
        """Prompts and answers in full: `plan.lessons` to each prompt of training, each from a model of its
        own, of which none has a part in any reward."""
        crowd = [name for name, share in self.plan.abilities for _ in range(share)]
        for prompt in self.asked:
            for number in range(self.plan.lessons):
                yield prompt, self.answer(f"{crowd[number % len(crowd)]}-pupil-{number}", prompt)


def within(tokenizer: Any, text: str, budget: int) -> str:
    """The sentences from the beginning that fit into `budget` tokens, the end included."""
    kept, used = [], 1
    for found in _SENTENCE.finditer(text):
        used += len(tokenizer(" " + found[0].strip()).input_ids)
        if used > budget:
            break
        kept.append(found[0].strip())
    return " ".join(kept)
