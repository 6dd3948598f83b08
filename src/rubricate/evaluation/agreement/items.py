"""Entries -> items: every criterion of every response with its label, its prompt and the groups it is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from rubricate.domain.checks import is_decidable
from rubricate.evaluation.agreement.measures import MET, UNJUDGED, UNMET, Marks
from rubricate.evaluation.entries import Entry, Stated

LENGTHS = (8, 12, 20)
"""Ends of the bins of a criterion's length, in words; a last bin takes what is longer."""

_MOST_WEIGHTS = 8
_MOST_TYPES = 40


@dataclass(frozen=True)
class Items:
    """All items in the order of their file, as columns.

    `truth` is met, unmet, or not judged where there is no label; `prompts` the number of an item's prompt,
    `cases` the number of its entry. `groups` holds, by the name of a breakdown, the group of each item.
    """

    entries: Sequence[Entry]
    texts: Sequence[str]
    truth: Marks
    prompts: NDArray[np.intp]
    cases: NDArray[np.intp]
    n_prompts: int
    groups: dict[str, Sequence[str]]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def n_labelled(self) -> int:
        """Items with a label."""
        return int((self.truth != UNJUDGED).sum())


def mark_of(said: bool | None) -> int:
    """True, false or None as a mark."""
    return UNJUDGED if said is None else MET if said else UNMET


def items_of(entries: Sequence[Entry]) -> Items:
    """The items of entries, with their groups by kind, weight, length of the criterion, whether a program can
    decide it, and type where the file states types."""
    stated = [criterion for entry in entries for criterion in entry.criteria]
    number_of: dict[str, int] = {}
    by_entry = [number_of.setdefault(entry.prompt_id, len(number_of)) for entry in entries]
    sizes = [len(entry.criteria) for entry in entries]
    decidable = cache(is_decidable)
    groups: dict[str, Sequence[str]] = {
        "kind": [criterion.kind or "not stated" for criterion in stated],
        "weight": _weights(stated),
        "length": [length_of(criterion.text) for criterion in stated],
        "decided by": ["a program can" if decidable(criterion.text) else "a model" for criterion in stated],
    }
    types = {criterion.type for criterion in stated}
    if len(types) > 1 and len(types) <= _MOST_TYPES:
        groups["type"] = [criterion.type or "not stated" for criterion in stated]
    return Items(
        entries=entries,
        texts=[criterion.text for criterion in stated],
        truth=np.array([mark_of(criterion.label) for criterion in stated], dtype=np.int8),
        prompts=np.repeat(np.array(by_entry, dtype=np.intp), sizes),
        cases=np.repeat(np.arange(len(entries), dtype=np.intp), sizes),
        n_prompts=len(number_of),
        groups=groups,
    )


def length_of(text: str) -> str:
    """The bin of a criterion's length in words."""
    n, low = len(text.split()), 1
    for high in LENGTHS:
        if n <= high:
            return f"{low} to {high} words"
        low = high + 1
    return f"over {LENGTHS[-1]} words"


def _weights(stated: Sequence[Stated]) -> list[str]:
    """The weight itself, or a third of all weights where there are many different ones."""
    values = [criterion.weight for criterion in stated]
    if len(set(values)) <= _MOST_WEIGHTS:
        return [f"{value:g}" for value in values]
    low, high = np.quantile(np.abs(values), [1 / 3, 2 / 3])
    names = (f"up to {low:g}", f"{low:g} to {high:g}", f"over {high:g}")
    return [names[int(abs(value) > low) + int(abs(value) > high)] for value in values]
