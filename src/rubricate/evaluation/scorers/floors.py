"""What costs nothing and reads nothing: the floors that every figure stands beside."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from rubricate.domain.identity import chance_of
from rubricate.evaluation.benchmarks.cases import Case
from rubricate.evaluation.scorers.marks import Item, Mark


@dataclass
class Longer:
    """The longer text is better: characters as the score."""

    batch_size: int = 1_000
    in_flight: int = 1
    name: str = "longer wins"

    async def score(self, items: Sequence[Item]) -> Sequence[Mark]:
        """Lengths in characters."""
        return [Mark(float(len(item.text))) for item in items]


@dataclass
class Random:
    """A number drawn from the seed and the content: the same in every run, and never a tie."""

    seed: int = 0
    batch_size: int = 1_000
    in_flight: int = 1
    name: str = "random"

    async def score(self, items: Sequence[Item]) -> Sequence[Mark]:
        """Numbers in [0, 1)."""
        return [Mark(chance_of(self.seed, item.prompt.key, item.text)) for item in items]


def better_generator(cases: Sequence[Case]) -> list[tuple[float | None, ...]] | None:
    """Scores of a system that reads nothing but the generator's name and knows its average grade.

    One tuple for each case, one score for each response. None where the file has no grades of generators.
    What it gets is what a system could get that recognises who wrote: shown, so that nobody mistakes that for
    reading.
    """
    grades: dict[str, list[float]] = defaultdict(list)
    for case in cases:
        for generator, gold in zip(case.generators, case.gold, strict=False):
            if generator is not None and gold is not None:
                grades[generator].append(gold)
    if not grades:
        return None
    average = {name: math.fsum(values) / len(values) for name, values in grades.items()}
    return [
        tuple(average.get(name) if name is not None else None for name in case.generators) for case in cases
    ]
