"""Kinds -> figures: shares, what survives the gate, what moves the tail, and two runs side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from rubricate.domain.intervals import Estimate
from rubricate.evaluation.kinds.refinements import Refinement
from rubricate.evaluation.kinds.sorting import Sorted
from rubricate.evaluation.kinds.vocabulary import GROUPS, TYPES
from rubricate.evaluation.resampling import difference, ratio
from rubricate.evaluation.totals import share_over

ALL = "all"
Changes = Mapping[tuple[str, int], float | None]
"""Change of tail accuracy by prompt key and number of the round."""


class TypeRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One type of refinement; all intervals are over prompts.

    Over initial -> final: `marks` are differences of this type, `share` their share of all marks, as in the
    paper's table; `refined` the prompts that have it, `presence` their share of the refined prompts. Over
    proposals that the gate decided: `rounds` that have the type, `survived` the accepted share of these,
    `measured` those with a change of tail accuracy, `tail_change` its mean, and `tail_change_accepted` that
    of accepted ones.
    """

    name: str
    marks: int
    share: Estimate | None
    refined: int
    presence: Estimate | None
    rounds: int
    survived: Estimate | None
    measured: int
    tail_change: Estimate | None
    tail_change_accepted: Estimate | None


class GroupRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One capability group: its share of the criteria of the initial and of the final rubrics."""

    name: str
    initial: Estimate | None
    final: Estimate | None
    change: Estimate | None


class ContrastRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One type in two runs, over prompts that both refined: how much more of them have it in the first, and
    the first run's share of both runs' marks (the paper's great : good split)."""

    name: str
    presence_difference: Estimate | None
    split: Estimate | None


def type_rows(
    refinements: Sequence[Refinement], found: Sorted, changes: Changes, seed: int = 0
) -> tuple[TypeRow, ...]:
    """A row for all refinements together, then one for each type, in the order of the vocabulary.

    Unclassified refinements take no part. A difference with several types is a mark of each.
    """
    sorted_ones = [(each, types) for each in refinements if (types := found.types.get(each.key)) is not None]
    whole = [(each, types) for each, types in sorted_ones if each.decision == "whole"]
    rounds = [(each, types) for each, types in sorted_ones if each.decision != "whole"]

    def row(name: str) -> TypeRow:
        def has(types: tuple[tuple[str, ...], ...]) -> bool:
            return name == ALL or any(name in each for each in types)

        def marks(types: tuple[tuple[str, ...], ...]) -> int:
            return sum(len(each) if name == ALL else name in each for each in types)

        mine = [(each, types) for each, types in rounds if has(types)]
        measured = [
            (each, change)
            for each, _ in mine
            if (change := changes.get((each.prompt, each.number))) is not None
        ]
        accepted = [(each, change) for each, change in measured if each.decision == "accepted"]
        return TypeRow(
            name=name,
            marks=sum(marks(types) for _, types in whole),
            share=_ratio(whole, lambda pair: (marks(pair[1]), sum(map(len, pair[1]))), seed),
            refined=sum(has(types) for _, types in whole),
            presence=_ratio(whole, lambda pair: (has(pair[1]), 1), seed),
            rounds=len(mine),
            survived=_ratio(mine, lambda pair: (pair[0].decision == "accepted", 1), seed),
            measured=len(measured),
            tail_change=_mean(measured, seed),
            tail_change_accepted=_mean(accepted, seed),
        )

    return tuple(row(name) for name in (ALL, *TYPES))


def _ratio(
    items: Iterable[tuple[Refinement, object]],
    count: Callable[..., tuple[float, float]],
    seed: int,
) -> Estimate | None:
    return share_over(((item[0].prompt, *count(item)) for item in items), seed)


def _mean(changes: Sequence[tuple[Refinement, float]], seed: int) -> Estimate | None:
    """The mean over rounds, resampled by prompt."""
    prompts = sorted({each.prompt for each, _ in changes})
    sums, counts = dict.fromkeys(prompts, 0.0), dict.fromkeys(prompts, 0)
    for each, change in changes:
        sums[each.prompt] += change
        counts[each.prompt] += 1
    return ratio([sums[key] for key in prompts], [counts[key] for key in prompts], seed)


def group_rows(
    rubrics: Sequence[tuple[Sequence[str], Sequence[str]]], found: Sorted, seed: int = 0
) -> tuple[GroupRow, ...]:
    """A row for each group. `rubrics` are the criteria of each prompt's initial and final rubric; criteria
    without a group take no part."""
    counts = [
        tuple(Counter(name for text in texts if (name := found.groups.get(text))) for texts in pair)
        for pair in rubrics
    ]
    totals = [[pair[side].total() for pair in counts] for side in (0, 1)]

    def row(name: str) -> GroupRow:
        initial, final = ([pair[side][name] for pair in counts] for side in (0, 1))
        return GroupRow(
            name,
            _share(initial, totals[0], seed),
            _share(final, totals[1], seed),
            difference(final, totals[1], initial, totals[0], seed),
        )

    return tuple(row(name) for name in GROUPS)


def contrast_rows(
    one: tuple[Sequence[Refinement], Sorted], other: tuple[Sequence[Refinement], Sorted], seed: int = 0
) -> tuple[ContrastRow, ...]:
    """A row for each type; paired by the content of the prompt."""
    by_prompt = [_marks_by_prompt(*run) for run in (one, other)]
    prompts = sorted(set(by_prompt[0]) & set(by_prompt[1]))
    ones = [1] * len(prompts)

    def row(name: str) -> ContrastRow:
        first, second = ([run[key][name] for key in prompts] for run in by_prompt)
        return ContrastRow(
            name,
            difference([n > 0 for n in first], ones, [n > 0 for n in second], ones, seed),
            _share(first, [a + b for a, b in zip(first, second, strict=True)], seed),
        )

    return tuple(row(name) for name in TYPES)


def _marks_by_prompt(refinements: Sequence[Refinement], found: Sorted) -> dict[str, Counter[str]]:
    return {
        each.prompt: Counter(name for difference in types for name in difference)
        for each in refinements
        if each.decision == "whole" and (types := found.types.get(each.key)) is not None
    }


def _share(hits: Sequence[int], units: Sequence[int], seed: int) -> Estimate | None:
    """A share of units that come by prompt, one entry for each."""
    return share_over(
        ((str(place), *counts) for place, counts in enumerate(zip(hits, units, strict=True))), seed
    )
