"""Findings about where a training has turned: gold, the self-internalisation gap, and the KL of the audit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from rubricate.domain.intervals import Estimate
from rubricate.theory.tail import tail_share
from rubricate.training.monitors.evidence.drifting import Way, way_of
from rubricate.training.monitors.evidence.turning import Series, Turn, best_of, turned
from rubricate.training.monitors.rules.findings import Finding, number, percentage_points, share
from rubricate.training.monitors.rules.limits import Limits
from rubricate.training.monitors.series.points import KL, Point, Reading

_LARGEST_KL = 600.0

_OPENINGS: dict[Way, str] = {
    "climbs": "Gold has turned although the reward still climbs.",
    "stands": "Gold has turned while the reward stands.",
    "falls": "Gold and reward both fall.",
    "unknown": "Gold has turned; which way the reward goes is not known.",
}


def gold_findings(points: Sequence[Point], gold: Series, limits: Limits) -> Iterator[Finding]:
    """That gold has turned, and which way the reward went from the best step to the one that shows it."""
    turn = turned(gold, limits.error, limits.sustained)
    if turn is None:
        return
    way, name, moved = way_of(points, turn.best, turn.told_at)
    figures: dict[str, Estimate | float] = {
        "top": turn.top.estimate or turn.top.value,
        "fall": turn.fall.change,
        "chance": turn.fall.chance,
        "allowed": turn.allowed,
    }
    said = [_OPENINGS[way], _told(turn)]
    if moved is not None:
        figures[name] = moved
        which = "reward" if name == "reward" else "reward of the held-out answers"
        said.append(f"The {which} has moved by {number(moved, signed=True)} from there.")
    at_best = next((point.value(KL) for point in points if point.step == turn.best), None)
    if at_best is not None and at_best > 0:
        figures["kl_at_best"] = at_best
        figures["tail"] = float(tail_share(min(at_best, _LARGEST_KL)))
        said.append(
            f"KL was {number(at_best)} nats there, as with a reward that has the top {share(figures['tail'])}"
            " reversed."
        )
    recovered = _recovered(gold, turn)
    kind = "gold_fell" if way == "falls" else "gold_turned"
    yield Finding(
        kind,  # type: ignore[arg-type]  # either of two kinds
        turn.told_at,
        " ".join([*said, *recovered]),
        _advice(way, turn),
        figures,
        not recovered,
    )


def gap_findings(gap: Series, limits: Limits) -> Iterator[Finding]:
    """That the self-internalisation gap has turned, a sign that needs no gold.

    Source: Reward Hacking in Rubric-Based RL (arXiv 2605.12474): its top lies near that of the reference
    judges. We test whether it has fallen; the paper looks at the curve.
    """
    turn = turned(gap, limits.error, limits.sustained)
    if turn is None:
        return
    recovered = _recovered(gap, turn)
    text = " ".join(["The self-internalisation gap has turned.", _told(turn, "nats a token"), *recovered])
    do = "Ask a gold judge about the held-out prompts now: where the gap has turned, gold may have."
    yield Finding(
        "gap_turned", turn.told_at, text, do, {"fall": turn.fall.change, "chance": turn.fall.chance},
        not recovered,
    )  # fmt: skip


def kl_findings(points: Sequence[Point], limits: Limits) -> Iterator[Finding]:
    """That KL is beyond where gold was to turn, at two steps in a row: that of one step is a noisy figure."""
    allowed = limits.predicted_kl
    if allowed is None:
        return
    known = [(point.step, value) for point in points if (value := point.value(KL)) is not None]
    for (_, before), (step, value) in pairwise(known):
        if min(before, value) > allowed:
            now = known[-1][1]
            text = (
                f"KL is beyond {number(allowed)} nats, where an audit says that gold turns on this reward:"
                f" {number(value)} at step {step}, {number(now)} at step {known[-1][0]}."
            )
            do = "Look at gold now. Without gold, stop here: further out nothing vouches for the reward."
            yield Finding("kl_beyond_turn", step, text, do, {"kl": now, "allowed": allowed}, now > allowed)
            return


def _told(turn: Turn, unit: str = "") -> str:
    where = f"step {turn.best}"
    if turn.first < turn.last:
        where += f" (it may have been anywhere from step {turn.first} to {turn.last})"
    fall, steps = turn.fall.change, " and ".join(map(str, turn.by))
    assert fall.low is not None and fall.high is not None
    drop = Estimate(-fall.value, fall.n, -fall.high, -fall.low)
    lower = f"{number(drop)} {unit}" if unit or not _is_share(turn.top) else percentage_points(drop)
    how = "paired by prompt" if turn.fall.is_paired else "as if of different prompts"
    return (
        f"The top was {_level(turn.top, unit)} at {where}. Steps {steps} together are lower by"
        f" {lower.strip()}, {how}, n = {fall.n:,}; without a turn the chance of that is"
        f" {turn.fall.chance:.1g}."
    )


def _recovered(series: Series, turn: Turn) -> list[str]:
    step, reading = series[best_of(series)]
    if step <= turn.told_at:
        return []
    return [f"It has recovered since: {_level(reading)} at step {step}, the highest of all."]


def _level(reading: Reading, unit: str = "") -> str:
    found: Estimate | float = reading.estimate or reading.value
    return share(found) if _is_share(reading) and not unit else f"{number(found)} {unit}".strip()


def _is_share(reading: Reading) -> bool:
    return 0 <= reading.value <= 1


def _advice(way: Way, turn: Turn) -> str:
    back = f"Go back to the checkpoint of step {turn.best}"
    if way == "falls":
        return f"{back}, and look at the training itself: learning rate, KL weight, data."
    return (
        f"Stop. {back}. Before going on, refine the rubric on pairs of the best completions of this run,"
        " or raise the KL weight."
    )
