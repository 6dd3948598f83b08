"""Readable graded pools: one text of marks per response."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rubricate.domain.conversation import Prompt
from rubricate.evaluation.aggregation.graded import GradedPool, graded_pool
from rubricate.evaluation.entries import Entry, Stated

SAID = {"+": True, "-": False, "?": None}


def an_entry(
    prompt: int,
    name: str,
    marks: str,
    gold: float | None = None,
    weights: Sequence[float] | None = None,
    kinds: Sequence[str] | None = None,
) -> Entry:
    """A response with a verdict a letter on criteria of its prompt."""
    criteria = tuple(
        Stated(
            text=f"Criterion {place} of prompt {prompt}.",
            weight=weights[place] if weights else 1.0,
            kind=kinds[place] if kinds else None,
            verdict=SAID[mark],
            has_verdict=True,
        )
        for place, mark in enumerate(marks)
    )
    return Entry(
        None,
        f"p{prompt}",
        Prompt.of_text(f"Ask {prompt}."),
        f"{name} says so",
        criteria,
        name,
        gold,
        0,
        "line 1",
    )


def a_pool(*entries: Entry) -> GradedPool:
    """The pool of these."""
    return graded_pool(entries, "verdicts.jsonl")


def a_world(n_prompts: int = 30, n_responses: int = 8, seed: int = 0) -> list[Entry]:
    """Six criteria a prompt: the first three tell of quality (rules), the last three are coins (principles),
    all of equal weight. So a fit has something to find, and the weighted mean has something to lose."""
    chance = np.random.default_rng(seed)
    entries = []
    for prompt in range(n_prompts):
        for response in range(n_responses):
            quality = chance.normal()
            telling = chance.random(3) < 1 / (1 + np.exp(-3 * (quality - np.array([-0.5, 0.0, 0.5]))))
            marks = "".join("+" if met else "-" for met in (*telling, *(chance.random(3) < 0.5)))
            kinds = ["rule"] * 3 + ["principle"] * 3
            entries.append(an_entry(prompt, f"m{response}", marks, float(quality), kinds=kinds))
    return entries
