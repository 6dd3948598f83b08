"""Gates for somebody's CI: `tail_accuracy@25%>=0.6`, or `low(tail_accuracy@25%)>=0.5` for the interval's end.

A gate holds for every proxy, or with a name before a colon (`reward:regret<=0.1`) for that one alone.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from rubricate.domain.intervals import Estimate
from rubricate.errors import SettingsError
from rubricate.evaluation.audit.auditing import Audit, RewardAudit
from rubricate.evaluation.audit.measures.accuracy import BANDS, SHARES, TOPS, percent
from rubricate.evaluation.audit.measures.frontier import KLS

_GATE = re.compile(
    r"\s*(?:(?!(?:low|high)\s*\()(?P<reward>.+):)?\s*(?:(?P<bound>[a-z]+)\s*\()?"
    r"(?:(?P<inner>[^()<>=]+):)?\s*(?P<metric>[^()<>=\s]+)\s*(?P<closed>\))?\s*"
    r"(?P<sign>>=|<=|>|<)\s*(?P<limit>[^<>=\s]+)\s*"
)
_FORMS = ("accuracy", "accuracy_half", "accuracy_decided", "ties", "unjudged")
_DRAWS = (1, 2, 4, 8, 16, 32, 64)
_ANY_SHARE = tuple(f"tail_{form}" for form in _FORMS)
_ANY_KL = ("win_rate", "gold_reward")


class Gate(NamedTuple):
    """A limit on one metric. `bound` is value, low or high; `reward` None for all proxies."""

    text: str
    reward: str | None
    bound: str
    metric: str
    sign: str
    limit: float


class Passed(NamedTuple):
    """What became of a gate for one reward; `line` says by how much it failed, or that it held."""

    gate: Gate
    reward: str
    is_held: bool
    line: str


def metric_names() -> list[str]:
    """Every metric of an audit. `tail_...@C%` takes any share C, `win_rate@K` and `gold_reward@K` any KL."""
    names = [f"{stem}_{form}" for stem in ("pair", "length_matched") for form in _FORMS]
    names += [f"tail_{form}@{percent(share)}" for share in SHARES for form in _FORMS]
    edges = [percent(edge).rstrip("%") for edge in BANDS]
    names += [f"band_{form}@{low}-{high}%" for low, high in pairwise(edges) for form in _FORMS]
    names += [
        "tie_share",
        *(f"tie_share_top@{k}" for k in TOPS),
        *(f"tail_tie_share@{c}%" for c in (10, 25, 50)),
    ]
    names += ["unjudged", "kendall_tau", "length_correlation", "source_top_share"]
    names += ["best_gold", "regret", "regret_share"]
    names += [f"{name}@{kl:g}" for name in _ANY_KL for kl in KLS]
    names += ["peak_win_rate", "peak_kl", "peak_gold", "turn_kl", "fall", "misranked_tail"]
    names += ["plateau_win_rate", "plateau_kl", "plateau_ceiling"]
    return names + [f"best_of_{what}@{n}" for what in ("gold", "win_rate") for n in _DRAWS]


def parse(text: str) -> Gate:
    """A gate from its text.

    Raises:
        SettingsError: it is no comparison, or the metric is unknown (its nearest neighbour is named).
    """
    found = _GATE.fullmatch(text)
    if found is None or (found["bound"] is None) != (found["closed"] is None):
        raise SettingsError(
            f"--fail-under {text!r}: a metric, one of >= > <= <, and a number are wanted, such as "
            "'tail_accuracy@25%>=0.6' or 'low(tail_accuracy@25%)>=0.5'"
        )
    if found["bound"] not in (None, "low", "high"):
        raise SettingsError(
            f"--fail-under {text!r}: low(...) and high(...) are known, not {found['bound']}(...)"
        )
    try:
        limit = float(found["limit"])
    except ValueError:
        limit = math.nan
    if not math.isfinite(limit):
        raise SettingsError(f"--fail-under {text!r}: {found['limit']!r} is not a number")
    metric = _known(found["metric"], text)
    reward = found["reward"] or found["inner"]
    return Gate(text.strip(), reward, found["bound"] or "value", metric, found["sign"], limit)


def settings_of(gates: Sequence[Gate]) -> tuple[list[float], list[float]]:
    """The shares of the tail and the KLs that gates ask for, for `auditing.audit`."""
    shares, kls = list[float](), list[float]()
    for gate in gates:
        stem, _, at = gate.metric.partition("@")
        if stem in _ANY_SHARE:
            shares.append(float(at.rstrip("%")) / 100)
        elif stem in _ANY_KL:
            kls.append(float(at))
    return shares, kls


def hold(gate: Gate, audit: Audit) -> list[Passed]:
    """What becomes of a gate, for each proxy that it is about.

    Raises:
        SettingsError: it is about a reward that the audit has not, or there is no proxy.
    """
    if gate.reward is not None:
        rewards = [reward for reward in audit.rewards if reward.name == gate.reward]
    else:
        rewards = list(audit.proxies)
    if not rewards:
        names = ", ".join(reward.name for reward in audit.rewards)
        why = f"no such reward; there are {names}" if gate.reward else "the file has no proxy to hold it to"
        raise SettingsError(f"--fail-under {gate.text!r}: {why}")
    return [_held(gate, reward) for reward in rewards]


def _held(gate: Gate, reward: RewardAudit) -> Passed:
    shown = gate.metric if gate.bound == "value" else f"{gate.bound}({gate.metric})"
    value = _value(reward.estimates.get(gate.metric), gate.bound)
    limit = f"{gate.sign} {gate.limit:g}"
    if value is None:
        return Passed(gate, reward.name, False, f"{reward.name}: {shown} was not measured; {limit} is asked")
    is_held = {
        ">=": value >= gate.limit,
        ">": value > gate.limit,
        "<=": value <= gate.limit,
        "<": value < gate.limit,
    }[gate.sign]
    by = abs(value - gate.limit)
    line = f"{reward.name}: {shown} = {value:.4g}, {limit} is asked"
    return Passed(gate, reward.name, is_held, line if is_held else f"{line}: it misses by {by:.3g}")


def _value(estimate: Estimate | None, bound: str) -> float | None:
    if estimate is None:
        return None
    value: float | None = getattr(estimate, bound)
    return value


def _known(metric: str, text: str) -> str:
    names = metric_names()
    stem, at, place = metric.partition("@")
    if metric in names:
        return metric
    if stem in _ANY_SHARE and place.endswith("%"):
        share = _number(place[:-1])
        if share is not None and 0 < share <= 100:
            return f"{stem}@{percent(share / 100)}"
        raise SettingsError(f"--fail-under {text!r}: the top share is above 0% and at most 100%")
    if stem in _ANY_KL and at and (kl := _number(place)) is not None and kl > 0:
        return f"{stem}@{kl:g}"
    near = difflib.get_close_matches(metric, names, 1, cutoff=0.3)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise SettingsError(f"--fail-under {text!r}: no metric is called {metric}{hint}")


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
