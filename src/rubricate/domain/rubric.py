"""Criteria and rubrics. A rubric that exists is valid: it checked itself when it was made."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Literal

import msgspec

from rubricate.domain.identity import key_of

Kind = Literal["rule", "principle", "pitfall"]


class Criterion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One binary statement about a response, with a weight and a kind.

    rule       explicit and hard ("at most 200 words"); met is good, the weight positive
    principle  implicit quality ("explains why"); met is good, the weight positive
    pitfall    met means that the bad thing happened; the weight negative

    The proposer gives weights of 1 to 3 (chasing-the-tail, appendix B); other dialects may bring others.
    """

    id: str
    text: str
    weight: float = 1
    kind: Kind = "principle"

    def __post_init__(self) -> None:
        if not self.id.strip():
            raise ValueError("a criterion needs an id")
        if not self.text.strip():
            raise ValueError(f"criterion {self.id} has no text")
        if not math.isfinite(self.weight) or self.weight == 0:
            raise ValueError(
                f"criterion {self.id}: the weight is {self.weight}, and must be finite and not 0"
            )
        if (self.weight < 0) != (self.kind == "pitfall"):
            raise ValueError(
                f"criterion {self.id}: a {self.kind} of weight {self.weight:g}; "
                "only a pitfall has a negative weight, and always has"
            )
        # A whole number would be written as 3, read back as 3.0 and written anew as 3.0.
        msgspec.structs.force_setattr(self, "weight", float(self.weight))

    @property
    def key(self) -> str:
        """Content key of the text: what a verdict is about. Weight, kind and id leave verdicts valid."""
        return key_of("criterion", self.text)


class Lineage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a rubric comes from: who wrote it, in which round, from which rubric and which pair."""

    proposer: str
    round: int = 0
    parent: str | None = None
    pair: tuple[str, str] | None = None


class Rubric(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """The criteria of one prompt: at least one with a positive weight, ids unique, texts unique.

    `version` is 0 for the first rubric and counts accepted refinements.
    """

    criteria: tuple[Criterion, ...]
    version: int = 0
    lineage: Lineage | None = None

    def __post_init__(self) -> None:
        if not any(criterion.weight > 0 for criterion in self.criteria):
            raise ValueError("a rubric needs at least one criterion with a positive weight")
        for name, values in (
            ("id", [criterion.id for criterion in self.criteria]),
            ("text", [criterion.text for criterion in self.criteria]),
        ):
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise ValueError(f"two criteria have the {name} {twice!r}")

    @cached_property
    def key(self) -> str:
        """Content key of texts, weights and kinds in order; ids, version and lineage do not count."""
        return key_of("rubric", [(c.text, float(c.weight), c.kind) for c in self.criteria])

    @cached_property
    def total_weight(self) -> float:
        """Sum of the positive weights: the denominator of every score."""
        return math.fsum(criterion.weight for criterion in self.criteria if criterion.weight > 0)

    @cached_property
    def total_absolute_weight(self) -> float:
        """Sum of all weights, those of pitfalls by their absolute value: what coverage is a share of."""
        return math.fsum(abs(criterion.weight) for criterion in self.criteria)


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the difference between two rubrics."""

    how: Literal["kept", "added", "dropped", "reweighted"]
    text: str
    weight_before: float | None = None
    weight_after: float | None = None


def changes_between(before: Rubric, after: Rubric) -> tuple[Change, ...]:
    """How `after` differs from `before`, by criterion text: first the lines of `after` in its order,
    then what was dropped, in the order of `before`."""
    weight_before = {criterion.text: criterion.weight for criterion in before.criteria}
    weight_after = {criterion.text: criterion.weight for criterion in after.criteria}
    lines = []
    for text, weight in weight_after.items():
        old = weight_before.get(text)
        how: Literal["kept", "added", "reweighted"]
        how = "added" if old is None else "kept" if old == weight else "reweighted"
        lines.append(Change(how, text, old, weight))
    lines += [Change("dropped", text, old) for text, old in weight_before.items() if text not in weight_after]
    return tuple(lines)
