"""One system trained from several seeds -> a row for each subset: its mean, and how far that is certain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec

from rubricate.domain.intervals import Estimate, mean_of_few
from rubricate.evaluation import resampling
from rubricate.evaluation.benchmarks.cases import ALL
from rubricate.evaluation.benchmarks.figures.outcomes import Unit


class SeedRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One subset. All shares are credited: a tie is worth a half, a verdict that is missing nothing.

    seeds     the share won by the model of each seed, in their order
    won       their mean, with the interval over prompts; `n` of it counts prompts
    by_seed   their mean, with the interval over seeds (Student's, `n` seeds)
    longer    what the longer response gets, `random` what chance gets
    ahead     `won` less `longer` on the same prompts, paired, with the interval over prompts
    ahead_by_seed   the same with the interval over seeds
    unjudged  the share of contests that a model left open, over all seeds
    """

    group: str
    n: int
    prompts: int
    seeds: tuple[float, ...]
    won: Estimate
    by_seed: Estimate
    longer: Estimate
    random: Estimate
    ahead: Estimate
    ahead_by_seed: Estimate
    unjudged: float = 0.0


def over_seeds(
    models: Sequence[Sequence[Unit]], longer: Sequence[Unit], random: Sequence[Unit]
) -> tuple[SeedRow, ...]:
    """A row for each group, `all` first, then by name. All lists hold the same contests in one order."""
    by_group: dict[str, list[int]] = defaultdict(list)
    for place, unit in enumerate(longer):
        for group in unit.groups:
            by_group[group].append(place)
    names = sorted(by_group, key=lambda group: (group != ALL, group))
    return tuple(_row(group, by_group[group], models, longer, random) for group in names)


def _row(
    group: str,
    places: Sequence[int],
    models: Sequence[Sequence[Unit]],
    longer: Sequence[Unit],
    random: Sequence[Unit],
) -> SeedRow:
    sizes = _sums(longer, places, lambda unit: 1.0)
    prompts = list(sizes)
    counts = [sizes[prompt] for prompt in prompts]
    n = len(places)

    def credits(units: Sequence[Unit]) -> list[float]:
        found = _sums(units, places, lambda unit: unit.credit)
        return [found[prompt] for prompt in prompts]

    by_model = [credits(units) for units in models]
    mean = [sum(values) / len(values) for values in zip(*by_model, strict=True)]
    floor, chance = credits(longer), credits(random)
    shares = [sum(values) / n for values in by_model]
    won, longest = resampling.ratio(mean, counts), resampling.ratio(floor, counts)
    drawn, ahead = resampling.ratio(chance, counts), resampling.difference(mean, counts, floor, counts)
    by_seed = mean_of_few(shares)
    ahead_by_seed = mean_of_few([share - sum(floor) / n for share in shares])
    assert won and longest and drawn and ahead and by_seed and ahead_by_seed, "a group has a contest"
    silent = sum(units[place].outcome == "unjudged" for units in models for place in places)
    return SeedRow(
        group=group,
        n=n,
        prompts=len(prompts),
        seeds=tuple(shares),
        won=won,
        by_seed=by_seed,
        longer=longest,
        random=drawn,
        ahead=ahead,
        ahead_by_seed=ahead_by_seed,
        unjudged=silent / (n * len(models)),
    )


def _sums(units: Sequence[Unit], places: Sequence[int], value: Callable[[Unit], float]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for place in places:
        unit = units[place]
        sums[unit.prompt] = sums.get(unit.prompt, 0.0) + value(unit)
    return sums
