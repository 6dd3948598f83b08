"""Points of a training -> what there is to say of it. Pure: the same points give the same findings."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rubricate.training.monitors.evidence.turning import best_of
from rubricate.training.monitors.rules.findings import Finding
from rubricate.training.monitors.rules.levels import level_findings
from rubricate.training.monitors.rules.limits import Limits
from rubricate.training.monitors.rules.turns import gap_findings, gold_findings, kl_findings
from rubricate.training.monitors.series.points import GAP, GOLD, Point, Reading

_NO_ERROR = (
    "gold comes without an interval and without a number of prompts, so that nothing can be shown by it; say "
    "how many there are"
)
_NO_SHARE = (
    "gold is no share between 0 and 1, so that a number of prompts says nothing of its error; give its "
    "interval (low and high), or a row for each answer"
)


class Watched(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A training as the monitor sees it: its points by step, what there is to say, and the best step by gold.

    `best` is the step of the highest reading so far, `top` that reading: the luckiest of many, so a little
    too high. `predicted_kl` is where gold was to turn. `notes` are about what was read; they are no findings.
    """

    points: tuple[Point, ...]
    findings: tuple[Finding, ...]
    best: int | None = None
    top: Reading | None = None
    predicted_kl: float | None = None
    notes: tuple[str, ...] = ()

    def holding(self, kinds: Sequence[str]) -> list[Finding]:
        """The findings of these kinds that hold now."""
        return [finding for finding in self.findings if finding.holds and finding.kind in kinds]


def watch(points: Sequence[Point], limits: Limits | None = None, notes: Sequence[str] = ()) -> Watched:
    """What there is to say of the points, which stand in ascending order of steps, one for each.

    Findings come in the order of `findings.KINDS`. Gold and the gap are tested step by step
    (`turning.turned`), each with the error of `limits`; all other findings hold a level or a change of the
    last third of the steps, with its 95% interval, against a limit.
    """
    limits = limits or Limits()
    gold = series_of(points, GOLD)
    findings = [
        *gold_findings(points, gold, limits),
        *gap_findings(series_of(points, GAP), limits),
        *kl_findings(points, limits),
        *level_findings(points, limits),
    ]
    lacks_error = bool(gold) and not any(reading.error or reading.values for _, reading in gold)
    has_n = any(reading.n is not None for _, reading in gold)
    best = gold[best_of(gold)] if gold else None
    return Watched(
        points=tuple(points),
        findings=tuple(findings),
        best=best[0] if best else None,
        top=best[1] if best else None,
        predicted_kl=limits.predicted_kl,
        notes=(*notes, _NO_SHARE if has_n else _NO_ERROR) if lacks_error else tuple(notes),
    )


def series_of(points: Sequence[Point], name: str) -> list[tuple[int, Reading]]:
    """The readings of one name by step; a bare figure is a reading of nobody knows how many prompts."""
    found = list[tuple[int, Reading]]()
    for point in points:
        if name in point.readings:
            found.append((point.step, point.readings[name]))
        elif name in point.figures:
            found.append((point.step, Reading(point.figures[name])))
    return found
