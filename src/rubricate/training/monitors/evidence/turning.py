"""Has a curve turned? Readings on held-out prompts, step by step -> the first step at which it is shown.

At every step that was read the last `SUSTAINED` readings together are held against the best one before them.
The question is asked again at every step, and the best is the luckiest of many, so both are paid for: with k
the number of the look, counted from 1, and c the number of steps that could have been the best, the curve has
turned when the chance of such a fall is below

    error / (k (k + 1) c)

The chances of all looks and of all bests add up to at most `error`. So a curve that never falls is said to
turn with probability `error` at most, in a training of any length, stopped at any time, however its readings
depend on each other: Bonferroni within a look, and a sum that telescopes over looks. A curve that rises keeps
it all the more. The verdict at a step depends on nothing that comes after it.

The chance of a fall: where two readings hold values of one set of prompts, Student's t of the differences,
prompt by prompt, yet never below 2^-m with m the number of prompts whose values differ (that is what a sign
test gives at best, so a handful of prompts raises no alarm). Else the errors of the readings, as if each had
prompts of its own; of equal prompts, whose answers go together, that overstates the error, and errs on the
quiet side. Student's t is no exact law of shares; what it comes to is measured in docs/monitor.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from rubricate.domain.intervals import Estimate
from rubricate.training.monitors.evidence.student import two_sided, upper_tail
from rubricate.training.monitors.series.points import Reading

ERROR = 0.05
"""How often at most a curve that never falls is said to have turned."""

SUSTAINED = 2
"""Readings in a row, each below the best: one alone may be a bad draw."""

_LARGE = 10**6

Series = Sequence[tuple[int, Reading]]


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mean of some readings less an earlier one: with its 95% interval, not adjusted for anything, and
    the chance of so low a one if nothing had changed."""

    change: Estimate
    chance: float
    is_paired: bool


class Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A curve that has turned.

    best          the step of its best reading, of `top`
    first, last   the steps, from first to last, that the best is not shown to beat: where the top may be
    told_at       the step at which it was first shown, by readings at `by`
    fall          what was shown there; `allowed` is the chance that it had to stay below
    """

    best: int
    top: Reading
    first: int
    last: int
    told_at: int
    by: tuple[int, ...]
    fall: Change
    allowed: float


def turned(series: Series, error: float = ERROR, sustained: int = SUSTAINED) -> Turn | None:
    """The first step at which the curve is shown to have turned, or None.

    `series` holds steps in ascending order with their readings. Readings without a number of prompts, an
    interval or values have no error, and nothing can be shown by them: they are passed over. O(n) tests.

    Source: the two ways of paying are Bonferroni's inequality with the weights 1 / (k (k + 1)); 2^-m is the
    sign test's smallest probability; the rest is docs/monitor.md.
    """
    usable = [(step, reading) for step, reading in series if _can_be_tested(reading)]
    for look, at in enumerate(range(sustained, len(usable)), start=1):
        before, window = usable[: at - sustained + 1], usable[at - sustained + 1 : at + 1]
        place = best_of(before)
        step, top = before[place]
        if any(reading.value >= top.value for _, reading in window):
            continue
        fall = change([reading for _, reading in window], top)
        allowed = error / (look * (look + 1) * len(before))
        if fall is not None and fall.chance < allowed:
            first, last = _where(usable[: at + 1], place)
            by = tuple(step for step, _ in window)
            return Turn(step, top, first, last, by[-1], by, fall, allowed)
    return None


def best_of(series: Series) -> int:
    """The place of the highest reading, the earliest of equal ones."""
    return max(range(len(series)), key=lambda place: (series[place][1].value, -place))


def change(later: Sequence[Reading], earlier: Reading) -> Change | None:
    """The mean of the later readings less the earlier one; None where there is no error to hold it to."""
    together = [reading for reading in (*later, earlier) if reading.values]
    is_one_set = len({(reading.held_out, len(reading.values)) for reading in together}) == 1
    if len(together) == len(later) + 1 and is_one_set:
        return _paired(later, earlier)
    errors = [reading.error for reading in (*later, earlier)]
    known = [error for error in errors if error is not None]
    if len(known) < len(errors):
        return None
    value = sum(reading.value for reading in later) / len(later) - earlier.value
    variance = sum(error * error for error in known[:-1]) / len(later) ** 2 + known[-1] ** 2
    spread = math.sqrt(variance)
    n = min((reading.n for reading in (*later, earlier) if reading.n is not None), default=0)
    reach = 1.959963984540054 * spread
    chance = upper_tail(-value / spread, n - 1 if n > 1 else _LARGE)
    return Change(Estimate(value, n, value - reach, value + reach), chance, False)


def _paired(later: Sequence[Reading], earlier: Reading) -> Change | None:
    differences = []
    for place, start in enumerate(earlier.values):
        ends = [reading.values[place] for reading in later]
        known = [end for end in ends if end is not None]
        if start is not None and len(known) == len(ends):
            differences.append(math.fsum(known) / len(known) - start)
    n = len(differences)
    if n < 2:
        return None
    value = math.fsum(differences) / n
    variance = math.fsum((each - value) ** 2 for each in differences) / (n - 1)
    reach = two_sided(n - 1) * math.sqrt(variance / n)
    moved = sum(abs(each) > 1e-12 for each in differences)
    chance = max(_chance(differences), 0.5**moved) if moved else 1.0
    return Change(Estimate(value, n, value - reach, value + reach), chance, True)


def _chance(differences: Sequence[float]) -> float:
    """Student's t of the differences with one of the largest size added on either side: near 0 and near 1 the
    differences of shares are rare and skewed, and their own spread promises too much."""
    largest = max(abs(each) for each in differences)
    n = len(differences) + 2
    middle = math.fsum(differences) / n
    squares = math.fsum((each - middle) ** 2 for each in (*differences, largest, -largest))
    return upper_tail(-middle / math.sqrt(squares / (n - 1) / n), n - 1)


def _can_be_tested(reading: Reading) -> bool:
    return reading.error is not None or sum(value is not None for value in reading.values) > 1


def _where(series: Series, best: int) -> tuple[int, int]:
    """The first and the last step in a row around the best that it is not shown to beat, each held against it
    alone with 95% confidence."""
    top, low, high = series[best][1], best, best
    while low > 0 and not _is_below(series[low - 1][1], top):
        low -= 1
    while high + 1 < len(series) and not _is_below(series[high + 1][1], top):
        high += 1
    return series[low][0], series[high][0]


def _is_below(reading: Reading, top: Reading) -> bool:
    found = change([reading], top)
    return found is not None and found.change.high is not None and found.change.high < 0
