"""What the monitor says: a kind, a step, the figures behind it, and what to do. Words for each kind."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from rubricate.domain.intervals import Estimate

Kind = Literal[
    "gold_turned", "gold_fell", "gap_turned", "kl_beyond_turn", "reward_saturated", "ties_climbing",
    "zero_advantage", "unjudged_climbing", "length_drift", "criteria_mute",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)

MEANINGS: dict[Kind, str] = {
    "gold_turned": "gold has turned, and the reward has not",
    "gold_fell": "gold has turned, and the reward falls with it",
    "gap_turned": "the self-internalisation gap has turned",
    "kl_beyond_turn": "the policy is further from its start than the audit allows",
    "reward_saturated": "the reward is at its top",
    "ties_climbing": "more and more pairs of a group tie",
    "zero_advantage": "most groups have no advantage",
    "unjudged_climbing": "more and more completions get no reward",
    "length_drift": "completions have changed their length",
    "criteria_mute": "most criteria say nothing within a group",
}


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that the monitor has to say.

    `step` is where it was first shown, `figures` are what it rests on, by name. `holds` is False where it was
    true then and is not any more.
    """

    kind: Kind
    step: int
    text: str
    do: str
    figures: dict[str, Estimate | float]
    holds: bool = True


def share(found: Estimate | float) -> str:
    """23.6% [20.1, 27.5]; the interval ends where shares do."""
    if isinstance(found, Estimate) and found.low is not None and found.high is not None:
        found = Estimate(found.value, found.n, max(0.0, found.low), min(1.0, found.high))
    return _written(found, 100, "%", ".1f")


def percentage_points(found: Estimate) -> str:
    """7.8 points [3.5, 12.1]."""
    return _written(found, 100, " points", ".1f")


def number(found: Estimate | float, *, signed: bool = False) -> str:
    """0.236 [0.201, 0.275]; 1,234."""
    largest = abs(found.value if isinstance(found, Estimate) else found)
    return _written(found, 1, "", ".3g" if largest < 1000 else ",.0f", "+" if signed else "")


def _written(found: Estimate | float, unit: float, suffix: str, form: str, sign: str = "") -> str:
    value = found.value if isinstance(found, Estimate) else found
    said = format(unit * value, sign + form) + suffix
    if isinstance(found, Estimate) and found.low is not None and found.high is not None:
        said += f" [{format(unit * found.low, form)}, {format(unit * found.high, form)}]"
    return said.replace("-", "−")
