"""Criteria and rubrics. A rubric that exists is valid: it checked itself when it was made."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Literal

import msgspec

from rubricate.domain.identity import key_of

Kind = Literal["rule", "principle", "pitfall"]

HEAVIEST = 1e300
"""What the weights of a rubric add up to at most: far enough below the largest number that no rule, which
multiplies and adds them, gets beyond it."""


class Criterion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One binary statement about a response, with a weight and a kind.

    rule       explicit and hard ("at most 200 words"); met is good, the weight positive
    principle  implicit quality ("explains why"); met is good, the weight positive
    pitfall    met means that the bad thing happened; the weight negative

    The proposer gives weights of 1 to 3 (chasing-the-tail, appendix B); other dialects may bring others.

    `decisive` makes a must-have of a good statement and a veto of a pitfall: when it fails (unmet; for a
    pitfall, met), the score is 0 whatever else is met. `tags` are labels of the dialect it came from and
    weigh nothing. Both are unset, and leave the written criterion and all keys as they are, unless given.
    """

    id: str
    text: str
    weight: float = 1
    kind: Kind = "principle"
    decisive: bool | msgspec.UnsetType = msgspec.UNSET
    tags: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET

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
        # One way to say "no": equal criteria are equal, and none writes a field that says nothing.
        if not self.decisive:
            msgspec.structs.force_setattr(self, "decisive", msgspec.UNSET)
        if not self.tags:
            msgspec.structs.force_setattr(self, "tags", msgspec.UNSET)

    @property
    def key(self) -> str:
        """Content key of the text: what a verdict is about. All else leaves verdicts valid."""
        return key_of("criterion", self.text)

    @property
    def is_decisive(self) -> bool:
        """Whether it is a must-have or a veto."""
        return self.decisive is True


class Lineage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a rubric comes from: who wrote it, in which round, from which rubric and which pair."""

    proposer: str
    round: int = 0
    parent: str | None = None
    pair: tuple[str, str] | None = None


class Rubric(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """The criteria of one prompt: at least one with a positive weight, ids unique, texts unique, weights that
    can be added.

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
        if sum(abs(criterion.weight) for criterion in self.criteria) > HEAVIEST:
            raise ValueError(f"the weights add up to more than {HEAVIEST:g}; only their proportions count")

    @cached_property
    def key(self) -> str:
        """Content key of texts, weights, kinds and what is decisive, in order; ids, tags, version and lineage
        do not count."""
        return key_of(
            "rubric",
            [
                (c.text, float(c.weight), c.kind, *(("decisive",) if c.is_decisive else ()))
                for c in self.criteria
            ],
        )

    @cached_property
    def total_weight(self) -> float:
        """Sum of the positive weights: the denominator of every score."""
        return math.fsum(criterion.weight for criterion in self.criteria if criterion.weight > 0)

    @cached_property
    def has_decisive(self) -> bool:
        """Whether a must-have or a veto is among the criteria."""
        return any(criterion.is_decisive for criterion in self.criteria)

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


def with_decisive(before: Rubric, after: Rubric) -> Rubric:
    """`after`, which a model wrote, with the must-haves and vetoes of `before`.

    What a person made decisive stays so: a criterion of the same text and sign is decisive again, and one
    that was left out comes back at the end. Tags come along where the text stays. Without anything decisive
    or tagged in `before` it is `after` itself.
    """
    old = {(_plain(c.text), c.weight > 0): c for c in before.criteria if c.is_decisive or c.tags}
    if not old:
        return after
    criteria = []
    for criterion in after.criteria:
        known = old.pop((_plain(criterion.text), criterion.weight > 0), None)
        if known is not None:
            criterion = msgspec.structs.replace(criterion, decisive=known.decisive, tags=known.tags)
        criteria.append(criterion)
    texts = {_plain(criterion.text) for criterion in criteria}
    ids = {criterion.id for criterion in criteria}
    for known in old.values():
        if known.is_decisive and _plain(known.text) not in texts:
            number = next(n for n in range(len(criteria) + 1, 2 * len(criteria) + 2) if f"c{n}" not in ids)
            ids.add(f"c{number}")
            criteria.append(msgspec.structs.replace(known, id=f"c{number}"))
    return Rubric(tuple(criteria), after.version, after.lineage)


def _plain(text: str) -> str:
    return " ".join(text.split())
