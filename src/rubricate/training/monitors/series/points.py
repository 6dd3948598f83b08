"""What is known of a training at one step: figures that a trainer logs, and readings on held-out prompts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from rubricate.domain.intervals import Estimate, mean, rate

REWARD, HELD_OUT_REWARD, GOLD, GAP = "reward", "held_out_reward", "gold", "gap"
KL, TOKEN_KL, LENGTH = "kl", "token_kl", "length"
TIES, ZERO_ADVANTAGE = "tie_share", "zero_advantage"
UNJUDGED, GOLD_UNJUDGED = "unjudged", "gold_unjudged"
NEVER_VARYING, SUPPRESSED = "never_varying", "suppressed"

FIGURES: dict[str, str] = {
    REWARD: "mean training reward",
    HELD_OUT_REWARD: "mean training reward of the held-out answers",
    GOLD: "gold: win rate or score on the held-out prompts",
    KL: "KL from the reference policy, nats a completion",
    TOKEN_KL: "KL from the reference policy, nats a token",
    TIES: "share of tied pairs within a group",
    ZERO_ADVANTAGE: "share of groups without advantage",
    UNJUDGED: "share of completions without a reward",
    LENGTH: "mean length of completions, tokens",
    NEVER_VARYING: "share of criteria that never vary within a group",
    SUPPRESSED: "share of criteria that vary and that no reward follows",
    GOLD_UNJUDGED: "share of held-out answers that gold does not judge",
    GAP: "self-internalisation gap, nats a token",
}
"""Every figure that the monitor knows, and what it is."""


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A mean over held-out prompts at one step.

    n          how many prompts it is a mean of, None where nobody says
    low, high  its 95% interval, None where there is none
    values     one value for each prompt of the set, in its order, None where the prompt was not judged
    held_out   the content key of the set; readings of one set are compared prompt by prompt
    """

    value: float
    n: int | None = None
    low: float | None = None
    high: float | None = None
    values: tuple[float | None, ...] = ()
    held_out: str = ""

    @property
    def error(self) -> float | None:
        """The standard error, or None where neither an interval nor a number of prompts gives one.

        Of a share of n prompts it is that of the share with one hit and one miss added, so that 0 of n and n
        of n keep one (Agresti and Caffo 2000, The American Statistician 54).
        """
        if self.low is not None and self.high is not None and self.high > self.low:
            return (self.high - self.low) / (2 * 1.959963984540054)
        if self.n is None or self.n < 1 or not 0 <= self.value <= 1:
            return None
        share = (self.value * self.n + 1) / (self.n + 2)
        return math.sqrt(share * (1 - share) / (self.n + 2))

    @property
    def estimate(self) -> Estimate | None:
        """The value with its interval, that of Wilson for a share of n; None where n is not known."""
        if self.n is None or self.n < 1:
            return None
        if self.low is not None and self.high is not None:
            return Estimate(self.value, self.n, self.low, self.high)
        if not 0 <= self.value <= 1:
            return Estimate(self.value, self.n, None, None)
        wilson = rate(min(self.n, round(self.value * self.n)), self.n)
        assert wilson is not None
        return Estimate(self.value, self.n, wilson.low, wilson.high)


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One step: `figures` by their names in `FIGURES`, `readings` by the same names."""

    step: int
    figures: dict[str, float] = {}
    readings: dict[str, Reading] = {}

    def value(self, name: str) -> float | None:
        """A figure by name; what was read on held-out prompts goes before what the trainer logged.

        KL is a completion's. Where a trainer logs that of a token, it is multiplied by the mean length.
        """
        if name in self.readings:
            return self.readings[name].value
        if name == KL and KL not in self.figures:
            token, length = self.figures.get(TOKEN_KL), self.figures.get(LENGTH)
            return None if token is None or length is None else token * length
        return self.figures.get(name)


def reading_of(
    values: Sequence[float | None], held_out: str = "", *, may_be_hits: bool = True
) -> Reading | None:
    """The mean of the values that are there, with its interval over prompts; None where there is none.

    Where all are 0 or 1, and may be hits, it is the Wilson interval, else that of `domain.intervals.mean`.
    """
    known = [value for value in values if value is not None]
    if not known:
        return None
    is_hits = may_be_hits and all(value in (0.0, 1.0) for value in known)
    found = rate(int(sum(known)), len(known)) if is_hits else mean(known)
    assert found is not None
    return Reading(found.value, found.n, found.low, found.high, tuple(values), held_out)


def merged(points: Sequence[Point]) -> tuple[list[Point], list[int]]:
    """One point for each step, in order of steps; and the steps that said something twice and differently.

    What comes later replaces what came earlier, figure by figure: a training that was resumed has walked some
    steps twice, and the later walk is the one that goes on.
    """
    by_step: dict[int, Point] = {}
    repeated: list[int] = []
    for point in points:
        known = by_step.get(point.step)
        if known is None:
            by_step[point.step] = point
            continue
        if _differ(known.figures, point.figures) or _differ(known.readings, point.readings):
            repeated.append(point.step)
        by_step[point.step] = Point(
            point.step, {**known.figures, **point.figures}, {**known.readings, **point.readings}
        )
    return [by_step[step] for step in sorted(by_step)], sorted(set(repeated))


def _differ(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    return any(one[name] != value for name, value in other.items() if name in one)
