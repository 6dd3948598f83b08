"""Outcomes -> a row for each subset: accuracy with its interval over prompts, ties and unjudged beside it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from rubricate.domain.intervals import Clusters, Estimate
from rubricate.evaluation import resampling
from rubricate.evaluation.benchmarks.cases import ALL
from rubricate.evaluation.benchmarks.figures.outcomes import Unit


class Tally(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One subset under one system.

    `accuracy`  the share of all contests that was won: a tie and a verdict that is missing are not right
    `credited`  the same with a tie of k at the top as 1 / k
    `decided`   the share won of those won or lost; what is left unsaid leaves both sides
    `ahead`     accuracy less that of the longer response, both credited, on the same prompts

    `n` counts contests, `prompts` the prompts they come from, which are the units of all intervals.
    """

    group: str
    n: int
    prompts: int
    won: int
    tied: int
    lost: int
    unjudged: int
    accuracy: Estimate
    credited: Estimate
    decided: Estimate | None
    ahead: Estimate | None = None


def tallies(units: Sequence[Unit], longer: Sequence[Unit] | None = None) -> tuple[Tally, ...]:
    """A row for each group, `all` first, then by name. `longer` are the same contests as the longer response
    settles them."""
    by_group: dict[str, list[int]] = defaultdict(list)
    for place, unit in enumerate(units):
        for group in unit.groups:
            by_group[group].append(place)
    groups = sorted(by_group, key=lambda group: (group != ALL, group))
    return tuple(_tally(group, by_group[group], units, longer) for group in groups)


class _Prompt(NamedTuple):
    """The contests of one prompt: how many, how many won, how many decided, and the credit."""

    n: int
    won: int
    decided: int
    credit: float


def _tally(group: str, places: Sequence[int], units: Sequence[Unit], longer: Sequence[Unit] | None) -> Tally:
    counts = Counter(units[place].outcome for place in places)
    sums = list(_by_prompt(units, places).values())
    won, decided = Clusters(), Clusters()
    for prompt in sums:
        won.add(prompt.won, prompt.n)
        decided.add(prompt.won, prompt.decided)
    sizes, credits = [prompt.n for prompt in sums], [prompt.credit for prompt in sums]
    accuracy, credited = won.rate(), resampling.ratio(credits, sizes)
    assert accuracy is not None and credited is not None, "a group has a contest"
    ahead = None
    if longer is not None:
        floor = [prompt.credit for prompt in _by_prompt(longer, places).values()]
        ahead = resampling.difference(credits, sizes, floor, sizes)
    return Tally(
        group=group,
        n=len(places),
        prompts=len(sums),
        won=counts["won"],
        tied=counts["tied"],
        lost=counts["lost"],
        unjudged=counts["unjudged"],
        accuracy=accuracy,
        credited=credited,
        decided=decided.rate(),
        ahead=ahead,
    )


def _by_prompt(units: Sequence[Unit], places: Sequence[int]) -> Mapping[str, _Prompt]:
    sums: dict[str, _Prompt] = {}
    for place in places:
        unit = units[place]
        n, won, decided, credit = sums.get(unit.prompt, _Prompt(0, 0, 0, 0.0))
        is_decided = unit.outcome in ("won", "lost")
        sums[unit.prompt] = _Prompt(
            n + 1, won + (unit.outcome == "won"), decided + is_decided, credit + unit.credit
        )
    return sums
