"""Points of several seeds -> curves with intervals, where they turn, and what lies between two of them.

Each seed has a world, a taught model, rubrics and prompts of its own. So the mean of one seed over its
prompts is one independent value, whose scatter holds everything: the draw of prompts, of answers, of rubrics
and of the training. Intervals are Student's, over seeds. With one seed there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from rubricate.domain.intervals import Estimate, mean_of_few
from rubricate.rehearsal.ascent.measuring import Point
from rubricate.rehearsal.plan import REWARDS

Runs = Mapping[tuple[str, int], Sequence[Point]]
"""The points of each finished run, by reward and seed."""

FIELDS = ("great_wins", "start_wins", "gold", "kl", "tokens", "advice")


class Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the gold win rate of one run is highest, and what is lost from there to the last step.

    step, kl   of the peak of the smoothed curve
    lost       win rate at the peak less that at the end, without the luck that made the peak: the step is
               chosen on one half of the prompts, the loss is taken on the other, both ways
    """

    step: float
    kl: float
    lost: float


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One reward at one step, over seeds; on held-out prompts but for `asked_*`, `pay`, `ties` and `flat`."""

    reward: str
    step: int
    great_wins: Estimate
    start_wins: Estimate
    gold: Estimate
    kl: Estimate
    tokens: Estimate
    advice: Estimate
    asked_gold: Estimate
    asked_kl: Estimate
    pay: Estimate | None
    ties: Estimate
    flat: Estimate


def rows_of(runs: Runs) -> list[Row]:
    """A row for each reward and step that all of its runs have, in the order of the tables."""
    rows = []
    for reward in REWARDS:
        by_step: dict[int, list[Point]] = {}
        n = sum(name == reward for name, _ in runs)
        for (name, _), points in runs.items():
            for point in points if name == reward else ():
                by_step.setdefault(point.step, []).append(point)
        rows += [_row(reward, step, points) for step, points in sorted(by_step.items()) if len(points) == n]
    return rows


def _row(reward: str, step: int, points: Sequence[Point]) -> Row:
    def over(value: Callable[[Point], float]) -> Estimate:
        found = mean_of_few([value(point) for point in points])
        assert found is not None
        return found

    paid = [[pay for pay in point.pay if pay is not None] for point in points]
    return Row(
        reward=reward,
        step=step,
        **{field: over(lambda point, field=field: _mean(getattr(point.held_out, field))) for field in FIELDS},  # type: ignore[misc]
        asked_gold=over(lambda point: _mean(point.asked.gold)),
        asked_kl=over(lambda point: _mean(point.asked.kl)),
        pay=mean_of_few([_mean(values) for values in paid]) if all(paid) else None,
        ties=over(lambda point: point.ties),
        flat=over(lambda point: point.flat),
    )


def turn_of(points: Sequence[Point]) -> Turn:
    """Where one run turns on held-out prompts; the curve is smoothed over three neighbouring points."""
    wins = np.array([point.held_out.great_wins for point in points])
    kl = [_mean(point.held_out.kl) for point in points]
    top = int(np.argmax(smoothed(wins.mean(axis=1))))
    halves = wins[:, ::2], wins[:, 1::2]
    losses = []
    for chosen, judged in (halves, halves[::-1]):
        if not chosen.shape[1] or not judged.shape[1]:
            chosen = judged = wins
        curve = smoothed(judged.mean(axis=1))
        losses.append(curve[int(np.argmax(smoothed(chosen.mean(axis=1))))] - curve[-1])
    return Turn(float(points[top].step), kl[top], float(np.mean(losses)))


def smoothed(values: np.ndarray) -> np.ndarray:
    """Each value with its neighbours, of equal weight; the first and the last with their only one."""
    padded = np.concatenate([values[:1] * np.nan, values, values[:1] * np.nan])
    found: np.ndarray = np.nanmean(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)
    return found


class Comparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One reward less another, paired by seed. Positive is in favour of the first, but for `lost`."""

    one: str
    other: str
    step: Estimate
    kl: Estimate
    lost: Estimate
    last: Estimate
    peak: Estimate


class Standing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One reward over its seeds: where it turns, what it loses, where it stands at best and at the end."""

    reward: str
    step: Estimate
    kl: Estimate
    lost: Estimate
    last: Estimate
    peak: Estimate


def standings_of(runs: Runs) -> list[Standing]:
    """One for each reward that has runs."""
    found = []
    for reward in REWARDS:
        numbers = [_numbers(points) for (name, _), points in sorted(runs.items()) if name == reward]
        if numbers:
            found.append(Standing(reward=reward, **_over_seeds(numbers)))
    return found


def compared(runs: Runs, one: str, other: str) -> Comparison | None:
    """The paired difference over the seeds that have both; None without any."""
    seeds = [seed for name, seed in runs if name == one and (other, seed) in runs]
    pairs = [(_numbers(runs[one, seed]), _numbers(runs[other, seed])) for seed in sorted(seeds)]
    if not pairs:
        return None
    differences = [{name: first[name] - second[name] for name in first} for first, second in pairs]
    return Comparison(one=one, other=other, **_over_seeds(differences))


def _numbers(points: Sequence[Point]) -> dict[str, float]:
    turn = turn_of(points)
    curve = smoothed(np.array([_mean(point.held_out.great_wins) for point in points]))
    ends = {"last": float(curve[-1]), "peak": float(curve.max())}
    return {"step": turn.step, "kl": turn.kl, "lost": turn.lost, **ends}


def _over_seeds(numbers: Sequence[Mapping[str, float]]) -> dict[str, Estimate]:
    found = {name: mean_of_few([each[name] for each in numbers]) for name in numbers[0]}
    return {name: estimate for name, estimate in found.items() if estimate is not None}


def verdict(difference: Estimate) -> str:
    """What an interval allows to say of a difference: yes above zero, no below, else unclear."""
    if difference.low is not None and difference.low > 0:
        return "yes"
    return "no" if difference.high is not None and difference.high < 0 else "unclear"


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
