"""Whatever can be measured: it gives a response a mark, or says which of two is better.

A scorer sees a prompt and texts, nothing else: no generator, no place in a file, no grade. Items are asked in
the order of their content keys, so that no order of a file reaches it either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.identity import key_of
from rubricate.domain.judgement import Preference, Verdict
from rubricate.domain.rubric import Rubric
from rubricate.steps.asking import gathered


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text to be marked as a response to a prompt; `rubric` is the benchmark's own, if it has one."""

    prompt: Prompt
    text: str
    rubric: Rubric | None = None

    @property
    def key(self) -> str:
        """Content key: equal items get one mark."""
        return key_of("item", self.prompt.key, self.text, self.rubric.key if self.rubric else None)


class Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a scorer gives to an item: a score, or None and `why` not.

    Of a grader also the rubric, its verdicts in order, and `points`: the score before it is clipped to [0,
    1].
    """

    score: float | None
    why: str | None = None
    points: float | None = None
    rubric: Rubric | None = None
    verdicts: tuple[Verdict, ...] = ()


class Scorer(Protocol):
    """Gives marks. At most `batch_size` items at a time, at most `in_flight` times at once."""

    batch_size: int
    in_flight: int

    @property
    def name(self) -> str:
        """What is measured, for the table."""
        ...

    async def score(self, items: Sequence[Item]) -> Sequence[Mark]:
        """One mark for each item, in their order."""
        ...


class Comparer(Protocol):
    """Says which of two texts is better, having seen both orders."""

    in_flight: int

    @property
    def name(self) -> str:
        """What is measured, for the table."""
        ...

    async def compare(self, prompt: Prompt, first: Response, second: Response) -> Preference:
        """The preference; unjudged where no answer could be had."""
        ...


Marks = dict[str, Mark]
"""Marks by the key of their item."""


async def marks_of(
    items: Iterable[Item], scorer: Scorer, done: Callable[[int, int], None] = lambda n, total: None
) -> Marks:
    """The mark of every item, each different one asked once, in order of content keys.

    `done` is told after each batch how many items are marked, of how many.

    Raises:
        RunStopped: the budget is spent or the endpoint is gone.
        RunError: the scorer cannot be used at all.
    """
    by_key = {item.key: item for item in items}
    waiting = [by_key[key] for key in sorted(by_key)]
    batches = [waiting[at : at + scorer.batch_size] for at in range(0, len(waiting), scorer.batch_size)]
    slots, marks = asyncio.Semaphore(scorer.in_flight), Marks()

    async def ask(batch: list[Item]) -> None:
        async with slots:
            found = await scorer.score(batch)
        marks.update(zip((item.key for item in batch), found, strict=True))
        done(len(marks), len(waiting))

    await gathered(ask(batch) for batch in batches)
    return marks


Duel = tuple[Prompt, str, str]
"""A prompt and two texts."""


def duel_key(duel: Duel) -> str:
    """Content key of a duel, whichever text is named first."""
    prompt, one, two = duel
    return key_of("duel", prompt.key, sorted((one, two)))


async def preferences_of(
    duels: Iterable[Duel], judge: Comparer, done: Callable[[int, int], None] = lambda n, total: None
) -> dict[str, tuple[str, Preference]]:
    """The preference for every different duel by its key, with the text that was put first.

    Which text is first follows from the content keys alone. Raises as `marks_of` does.
    """
    by_key = {duel_key(duel): duel for duel in duels}
    slots = asyncio.Semaphore(judge.in_flight)
    found: dict[str, tuple[str, Preference]] = {}

    async def ask(key: str, duel: Duel) -> None:
        prompt, *texts = duel
        first, second = sorted(texts, key=lambda text: key_of("side", prompt.key, text))
        async with slots:
            preference = await judge.compare(prompt, Response(first), Response(second))
        found[key] = (first, preference)
        done(len(found), len(by_key))

    await gathered(ask(key, by_key[key]) for key in sorted(by_key))
    return found
