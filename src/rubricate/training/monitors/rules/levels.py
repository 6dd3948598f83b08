"""Findings about figures that a trainer logs: a level or a change, with its interval, against a limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rubricate.domain.intervals import Estimate
from rubricate.training.monitors.evidence.drifting import Drift, drift
from rubricate.training.monitors.rules.findings import Finding, Kind, number, share
from rubricate.training.monitors.rules.limits import Limits
from rubricate.training.monitors.series.points import (
    GOLD_UNJUDGED,
    LENGTH,
    NEVER_VARYING,
    REWARD,
    SUPPRESSED,
    TIES,
    UNJUDGED,
    ZERO_ADVANTAGE,
    Point,
)

_MUTE = ((NEVER_VARYING, "never vary within a group"), (SUPPRESSED, "vary and no reward follows them"))


def level_findings(points: Sequence[Point], limits: Limits) -> Iterator[Finding]:
    """What the last third of the steps says, in the order of `findings.KINDS`."""
    yield from _saturated(points, limits)
    ties = drift(points, TIES)
    if ties and _is_above(ties.late, limits.most_ties) and _is_above(ties.change, 0):
        yield _finding(
            points, "ties_climbing", TIES, ties,
            f"{share(ties.late)} of the pairs within a group tie, after {share(ties.early)} at the start.",
            "The rubric tells the best completions apart no more: refine it on tied pairs of this run.",
        )  # fmt: skip
    silent = drift(points, ZERO_ADVANTAGE)
    if silent and _is_above(silent.late, limits.most_silent):
        yield _finding(
            points, "zero_advantage", ZERO_ADVANTAGE, silent,
            f"{share(silent.late)} of the groups have no advantage, after {share(silent.early)} at the start:"
            " nothing is learnt from them.",
            "Leave such prompts out, sample more completions for each, or refine their rubrics.",
        )  # fmt: skip
    yield from _unjudged(points, limits, UNJUDGED, "completions get no reward")
    yield from _unjudged(points, limits, GOLD_UNJUDGED, "held-out answers are not judged by gold")
    yield from _length(points, limits)
    for name, what in _MUTE:
        mute = drift(points, name)
        if mute and _is_above(mute.late, limits.most_silent):
            yield _finding(
                points, "criteria_mute", name, mute,
                f"{share(mute.late)} of the criteria {what}, after {share(mute.early)} at the start.",
                "Split or sharpen these criteria, or leave them to evaluation.",
            )  # fmt: skip


def _saturated(points: Sequence[Point], limits: Limits) -> Iterator[Finding]:
    """Of rewards in [0, 1] only: the top of others is not known."""
    rewards = [value for point in points if (value := point.value(REWARD)) is not None]
    level = drift(points, REWARD)
    if level and all(0 <= value <= 1 for value in rewards) and _is_above(level.late, limits.saturated):
        yield _finding(
            points, "reward_saturated", REWARD, level,
            f"The reward is {number(level.late)} of at most 1: it has little left to tell apart.",
            "More training gains nothing by it. Refine the rubric on the best completions of this run.",
        )  # fmt: skip


def _unjudged(points: Sequence[Point], limits: Limits, name: str, what: str) -> Iterator[Finding]:
    """Many of them, or many more than there were. Where gold falls silent, its turn would not be seen."""
    quiet = drift(points, name)
    if quiet is None:
        return
    climbs = _is_above(quiet.change, 0) and quiet.change.value > limits.most_unjudged / 5
    if climbs or _is_above(quiet.late, limits.most_unjudged):
        yield _finding(
            points, "unjudged_climbing", name, quiet,
            f"{share(quiet.late)} of the {what}, after {share(quiet.early)} at the start.",
            "Read what is not judged, and why: the policy may have learnt to upset the grader.",
        )  # fmt: skip


def _length(points: Sequence[Point], limits: Limits) -> Iterator[Finding]:
    length = drift(points, LENGTH)
    if length is None or length.early.value <= 0:
        return
    by = length.change.value / length.early.value
    if abs(by) > limits.most_drift and (_is_above(length.change, 0) or _is_below(length.change, 0)):
        percent = f"{100 * by:+.0f}%".replace("-", "−")
        yield _finding(
            points, "length_drift", LENGTH, length,
            f"Completions have {number(length.late)} tokens, after {number(length.early)} at the start"
            f" ({percent}).",
            "See whether the reward pays for length: rubricate redteam, or the length figures of an audit.",
        )  # fmt: skip


def _finding(points: Sequence[Point], kind: Kind, name: str, found: Drift, text: str, do: str) -> Finding:
    step = max(point.step for point in points if point.value(name) is not None)
    figures: dict[str, Estimate | float] = {f"{name}_early": found.early, f"{name}_late": found.late}
    return Finding(kind, step, text, do, figures)


def _is_above(found: Estimate, limit: float) -> bool:
    return found.low is not None and found.low > limit


def _is_below(found: Estimate, limit: float) -> bool:
    return found.high is not None and found.high < limit
