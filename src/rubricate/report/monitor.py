"""A training as it was watched -> one page that loads nothing: findings first, then every figure drawn."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rubricate.report import words
from rubricate.report.lines import STYLE, Axis, Chart, Curve, lines
from rubricate.report.page import policy_of, shown
from rubricate.runs.writing import replacing
from rubricate.training.monitors.rules.findings import MEANINGS
from rubricate.training.monitors.rules.watching import Watched
from rubricate.training.monitors.series.points import (
    FIGURES,
    GAP,
    GOLD,
    GOLD_UNJUDGED,
    HELD_OUT_REWARD,
    KL,
    LENGTH,
    NEVER_VARYING,
    REWARD,
    SUPPRESSED,
    TIES,
    UNJUDGED,
    ZERO_ADVANTAGE,
    Point,
)

_NAMES = {
    REWARD: "reward",
    HELD_OUT_REWARD: "reward, held out",
    GOLD: "gold",
    KL: "KL",
    TIES: "tied pairs",
    ZERO_ADVANTAGE: "no advantage",
    UNJUDGED: "no reward",
    LENGTH: "length",
    NEVER_VARYING: "never vary",
    SUPPRESSED: "suppressed",
    GOLD_UNJUDGED: "gold silent",
    GAP: "gap",
}
_LOOKS = {
    REWARD: ("orange", ""),
    HELD_OUT_REWARD: ("brown", "7 4"),
    GOLD: ("blue", ""),
    TIES: ("orange", ""),
    ZERO_ADVANTAGE: ("blue", ""),
    UNJUDGED: ("ink", ""),
    NEVER_VARYING: ("grey", "2 5"),
    SUPPRESSED: ("sky", "7 4"),
    GOLD_UNJUDGED: ("brown", "7 4"),
}
_LARGE = ("Reward and gold, by steps", "Reward and gold, by KL")
_ALONG_KL = "KL from the reference policy, nats"
_SMALL = (
    ".small{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(24rem,100%),1fr));gap:1rem 2rem}"
    ".small svg{width:100%;height:auto}"
)
_WORTH = (REWARD, HELD_OUT_REWARD, GOLD)
_SHARES = (TIES, ZERO_ADVANTAGE, UNJUDGED, NEVER_VARYING, SUPPRESSED, GOLD_UNJUDGED)


def monitor_page(watched: Watched, title: str) -> str:
    """The page as text; what was watched alike gives equal pages. Names and notes are not trusted."""
    environment = Environment(
        loader=PackageLoader("rubricate", "report"),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (files("rubricate.report") / "page.css").read_text(encoding="utf-8") + STYLE + _SMALL
    there = [name for name in FIGURES if any(point.value(name) is not None for point in watched.points)]
    charts = [(chart.title in _LARGE, lines(chart)) for chart in charts_of(watched)]
    return environment.get_template("monitor.html").render(
        watched=watched,
        title=title,
        meanings=MEANINGS,
        figures={name: FIGURES[name] for name in there},
        large=[drawn for is_large, drawn in charts if is_large],
        small=[drawn for is_large, drawn in charts if not is_large],
        rows=[
            (point.step, point.step == watched.best, [_cell(point, name) for name in there])
            for point in watched.points
        ],
        style=Markup(style),  # noqa: S704 - a file of this package and our own style
        policy=policy_of(style, ""),
    )


def page_writer(path: Path, title: str) -> Callable[[Watched, Path], None]:
    """What a monitor in a trainer calls whenever it has seen something new: the page, written anew."""

    def write(watched: Watched, journal: Path) -> None:
        with replacing(path) as draft:
            draft.write_text(monitor_page(watched, title), encoding="utf-8")

    return write


def charts_of(watched: Watched) -> list[Chart]:
    """Reward and gold against step and against KL, shares, then what is left, one to a chart."""
    points = watched.points
    charts = [
        _chart(_LARGE[0], points, _WORTH, "step", _step, watched.best),
        _chart(_LARGE[1], points, _WORTH, _ALONG_KL, _kl_along(points), watched.best),
        _chart("Shares", points, _SHARES, "step", _step),
        *(_chart(FIGURES[name], points, (name,), "step", _step) for name in (KL, LENGTH, GAP)),
    ]
    return [chart for chart in charts if chart is not None]


def _step(point: Point) -> float | None:
    return float(point.step)


def _kl_along(points: Sequence[Point]) -> Callable[[Point], float | None]:
    """KL where it was logged, between two such steps on the straight line between them: gold is rarely read
    at the steps that are logged. At step 0 it is 0."""
    known = [(point.step, value) for point in points if (value := point.value(KL)) is not None]
    if known and known[0][0] > 0:
        known.insert(0, (0, 0.0))
    steps = [step for step, _ in known]

    def along(point: Point) -> float | None:
        after = bisect_left(steps, point.step)
        if after == len(steps):
            return None
        if steps[after] == point.step:
            return known[after][1]
        if after == 0:
            return None
        (start, low), (end, high) = known[after - 1], known[after]
        return low + (high - low) * (point.step - start) / (end - start)

    return along


def _chart(
    title: str,
    points: Sequence[Point],
    names: Sequence[str],
    label: str,
    along: Callable[[Point], float | None],
    best: int | None = None,
) -> Chart | None:
    """Curves of these figures, and the best step by gold; None where fewer than two points have one."""
    curves, least, most, far = list[Curve](), math.inf, -math.inf, list[float]()
    for name in names:
        found = [
            (x, y, point)
            for point in points
            if (x := along(point)) is not None and (y := point.value(name)) is not None
        ]
        if len(found) < 2:
            continue
        found.sort(key=lambda each: each[0])
        bars = [
            (x, estimate.low, estimate.high)
            for x, _, point in found
            if name in point.readings
            and (estimate := point.readings[name].estimate) is not None
            and estimate.low is not None
            and estimate.high is not None
        ]
        xs, ys = [x for x, _, _ in found], [y for _, y, _ in found]
        colour, dashes = _LOOKS.get(name, ("blue", ""))
        curves.append(Curve(_NAMES[name], xs, ys, colour, dashes, bars=bars))
        ends = [end for _, low, high in bars for end in (low, high)]
        least, most = min(least, *ys, *ends), max(most, *ys, *ends)
        far += xs
    if not curves or min(far) == max(far):
        return None
    x_axis = _axis(label, min(far), max(far))
    y_axis = _axis(
        _NAMES[names[0]] if len(names) == 1 else "mean", min(least, 0.0), most if most > least else least + 1
    )
    at_best = next((along(point) for point in points if point.step == best), None)
    if at_best is not None:
        upright = [at_best, at_best], [y_axis.low, y_axis.high]
        curves.insert(0, Curve(f"best: step {best}", *upright, "grey", "2 5"))
    return Chart(title, x_axis, y_axis, curves)


def _axis(label: str, low: float, high: float) -> Axis:
    """An axis from a round number to a round number, with four to nine of them written on it."""
    size = 10 ** math.floor(math.log10((high - low) or 1.0))
    part = next(size * share for share in (2.0, 1.0, 0.5, 0.2) if (high - low) / (size * share) >= 4)
    first, last = math.floor(low / part + 1e-9), math.ceil(high / part - 1e-9)
    ticks = [round(part * place, 10) for place in range(first, last + 1)]
    return Axis(label, ticks[0], ticks[-1], ticks, [words.number(tick) for tick in ticks])


def _cell(point: Point, name: str) -> str:
    value = point.value(name)
    if value is None:
        return ""
    reading = point.readings.get(name)
    estimate = reading.estimate if reading is not None else None
    if estimate is None or estimate.low is None or estimate.high is None:
        return words.number(value)
    return f"{words.number(value)} [{words.number(estimate.low)}, {words.number(estimate.high)}]"
