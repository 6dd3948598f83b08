"""Scored pools -> the rows of DPO; pairs with a label come from `evaluation.judging`, through the command."""

from __future__ import annotations

from itertools import combinations
from typing import Literal

from rubricate.domain.conversation import Prompt, Response
from rubricate.errors import DataError
from rubricate.training.data.material import Example, Prepared, material_of, prepared

Which = Literal["extremes", "all"]


def scored_pairs_of(
    source: str,
    *,
    which: Which = "extremes",
    margin: float = 0.0,
    sample_size: int | None = None,
    seed: int = 0,
) -> Prepared:
    """Pairs of responses to one prompt whose worth differs by more than `margin`: the best and the worst, or
    all. Of equals the one with the smaller content key stands for them.

    Raises:
        DataError: the file is malformed, or no two responses have different scores.
    """
    found = prepared()
    for pool, worth in material_of(source, sample_size=sample_size, seed=seed):
        scored = [(value, one) for one in pool.responses if (value := worth[one.key]) is not None]
        for _ in range(len(pool.responses) - len(scored)):
            found.leave_out(pool.prompt.id, "a response without a score")
        ranked = sorted(scored, key=lambda entry: (-entry[0], entry[1].key))
        if which == "extremes":
            tail = [entry for entry in ranked if entry[0] == ranked[-1][0]]
            ranked = [ranked[0], tail[0]] if len(ranked) > 1 else []
        told = [(high, low) for high, low in combinations(ranked, 2) if high[0] - low[0] > margin]
        if not told:
            found.leave_out(pool.prompt.id, "no two responses differ in score by more than pairs.margin")
        found.rows += [pair_row(pool.prompt, high[1], low[1]) for high, low in told]
    if not found.rows:
        raise DataError(source, "no pair is left to learn from: no two responses of a prompt differ in score")
    return found


def pair_row(prompt: Prompt, chosen: Response, rejected: Response) -> Example:
    """The row of one preference."""
    return Example(prompt.id, prompt.messages, chosen=chosen.text, rejected=rejected.text)
