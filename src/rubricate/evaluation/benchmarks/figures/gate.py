"""A condition on a figure, for somebody's CI: `accuracy@hard>=0.6`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import msgspec

from rubricate.domain.intervals import Estimate
from rubricate.errors import SettingsError

_CONDITION = re.compile(r"\s*(?:([\w.-]+)\s*@\s*)?(.+?)\s*(>=|<=|>|<)\s*(-?\d*\.?\d+(?:[eE]-?\d+)?)\s*")
_HOLDS: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda value, limit: value >= limit,
    "<=": lambda value, limit: value <= limit,
    ">": lambda value, limit: value > limit,
    "<": lambda value, limit: value < limit,
}
Figures = Mapping[str, Mapping[str, "Estimate | float | None"]]
"""Figures by metric, then by group."""


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`metric@group OP limit`. `end` is value, low or high: which of the figure and its interval is
    compared."""

    said: str
    metric: str
    end: str
    group: str
    op: str
    limit: float


def condition(said: str, flag: str, metrics: Mapping[str, str], default: str) -> Condition:
    """Reads a condition. `metrics` says what each means; `default` is taken where none is named.

    Raises:
        SettingsError: it is no condition, or there is no such metric.
    """
    match = _CONDITION.fullmatch(said)
    if match is None:
        raise SettingsError(f"{flag} {said!r}: write METRIC@SUBSET>=NUMBER, such as {default}@all>=0.6")
    named, group, op, limit = match.groups()
    metric, _, end = (named or default).partition(".")
    if metric not in metrics or end not in ("", "low", "high"):
        raise SettingsError(
            f"{flag} {said!r}: there is no metric {named!r}; there are {', '.join(metrics)}, each also as "
            f"METRIC.low and METRIC.high (the ends of its interval)"
        )
    return Condition(said, metric, end or "value", group, op, float(limit))


def failure_of(condition: Condition, figures: Figures, flag: str) -> str | None:
    """Why the condition does not hold; None if it does. A figure that could not be had holds no condition.

    Raises:
        SettingsError: there is no such group.
    """
    of_metric = figures.get(condition.metric, {})
    if condition.group not in of_metric:
        names = ", ".join(of_metric) or "none"
        raise SettingsError(
            f"{flag} {condition.said!r}: {condition.metric} has no {condition.group!r}; there are {names}"
        )
    figure = of_metric[condition.group]
    value = getattr(figure, condition.end) if isinstance(figure, Estimate) else figure
    if value is None:
        return f"{condition.said}: could not be measured"
    if _HOLDS[condition.op](value, condition.limit):
        return None
    return f"{condition.said}: it is {value:.4f}"
