"""Line charts as inline SVG: a few curves over one axis, each named where it ends or where it rises.

As in `charts`, colours are classes: `STYLE` paints them in light and in dark, for a page to add to its
style sheet; `figure` puts it into the picture itself, for a file that stands alone. Neighbouring colours
differ in lightness too, and curves that run close in dash as well, so that no name hangs on hue alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup, escape

WIDTH, HEIGHT = 760, 430
LEFT, RIGHT, TOP, BOTTOM = 58, 150, 44, 52
LINE = 17
"""Least distance between two names, in pixels."""

PAPER = {"page": ("#fdfdfc", "#12161b"), "line": ("#d9dcdf", "#333b44"), "soft": ("#59616b", "#a3acb6")}
COLOURS = {
    "ink": ("#1c2127", "#e5e8eb"),
    "grey": ("#6b737c", "#8f98a2"),
    "orange": ("#b5580a", "#f5ad74"),
    "brown": ("#8a3500", "#e07b3c"),
    "sky": ("#2676ad", "#a6d3f7"),
    "blue": ("#0b4f8c", "#5aa5e8"),
}
"""Colour classes, each in light and in dark; all readable as text on the paper (4.5 : 1)."""

_SCALE = ("#b5580a", "#a02a6b", "#25286f"), ("#ffc46b", "#f37fa8", "#7f8aff")
N_STEPS = 10
"""Colours of an ordered series, each darker than the one before in light, and less light in dark."""


class Axis(NamedTuple):
    """One axis: what it measures, from where to where, and the numbers written on it, or texts for them."""

    label: str
    low: float
    high: float
    ticks: Sequence[float]
    texts: Sequence[str] = ()


class Curve(NamedTuple):
    """A named line. `at`: the height at which the name stands beside the rising curve; None: at its end.

    `bars`: intervals, each as where it stands, its low and its high end.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dashes: str = ""
    at: float | None = None
    bars: Sequence[tuple[float, float, float]] = ()


class Chart(NamedTuple):
    """Curves in drawing order, the last on top."""

    title: str
    x: Axis
    y: Axis
    curves: Sequence[Curve]


class Stroke(NamedTuple):
    """A line through points in pixels; `kind` and `colour` are its classes, `name` what it stands for."""

    kind: str
    points: Sequence[tuple[float, float]]
    colour: str = ""
    dashes: str = ""
    name: str = ""


class Label(NamedTuple):
    """A line of text at a point in pixels: its baseline, and its start, middle or end by `kind`."""

    kind: str
    x: float
    y: float
    text: str
    colour: str = ""
    is_turned: bool = False


def lines(chart: Chart) -> Markup:
    """The chart; what leaves the axes is cut off, and a curve without a point within is left out."""
    drawn = "".join(_stroke(mark) if isinstance(mark, Stroke) else _label(mark) for mark in marks(chart))
    return Markup(  # noqa: S704 - numbers and our own labels, escaped below
        f'<svg class="lines" role="img" aria-label="{escape(chart.title)}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" xmlns="http://www.w3.org/2000/svg">{drawn}</svg>\n'
    )


def figure(chart: Chart) -> Markup:
    """The chart as the text of an SVG file: with its own colours, on its own paper, in light and in dark."""
    opening, rest = lines(chart).split(">", 1)
    paper = f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>'
    return Markup(f"{opening}><style>{STYLE}</style>{paper}{rest}")  # noqa: S704 - `lines` and our own style


def marks(chart: Chart) -> list[Stroke | Label]:
    """All that is to be drawn, in drawing order: the frame, the curves, their names."""
    drawn = [(curve, _visible(chart, curve)) for curve in chart.curves]
    drawn = [(curve, points) for curve, points in drawn if points]
    result = _frame(chart)
    result += [bar for curve, _ in drawn for bar in _bars(chart, curve)]
    result += [Stroke("curve", points, curve.colour, curve.dashes, curve.name) for curve, points in drawn]
    stands = [(curve, points, _stand(chart, curve)) for curve, points in drawn]
    for curve, _, stand in stands:
        if stand is not None:
            result.append(Label("on", stand[0] + 9, stand[1] + 4.5, curve.name, curve.colour))
    ending = [(curve, points[-1]) for curve, points, stand in stands if stand is None]
    for (curve, (x, y)), line in zip(ending, spread([end[1] for _, end in ending]), strict=True):
        result.append(Stroke("lead", [(x, y), (x + 14, line), (x + 24, line)], curve.colour))
        result.append(Label("name", x + 29, line + 4.5, curve.name, curve.colour))
    return result


def spread(wanted: Sequence[float], low: float = TOP, high: float = HEIGHT - BOTTOM) -> list[float]:
    """Heights as near to the wanted ones as their order and the line spacing allow; results in input order.

    From the top downwards each gives way to those above, of equals the last comes first; what leaves at
    the bottom pushes back up.
    """
    order = sorted(range(len(wanted)), key=lambda place: (round(wanted[place]), -place))
    heights, above = [0.0] * len(wanted), low - LINE
    for place in order:
        above = heights[place] = max(wanted[place], above + LINE)
    below = high + LINE
    for place in reversed(order):
        below = heights[place] = min(heights[place], below - LINE)
    return heights


def steps() -> list[str]:
    """The colour classes of an ordered series, from the first to the last of ten."""
    return [f"step{place}" for place in range(N_STEPS)]


def colour_of(name: str, theme: int = 0) -> str:
    """The colour of a class as #rrggbb; theme 0 is light, 1 dark."""
    if name in COLOURS:
        return COLOURS[name][theme]
    share = int(name.removeprefix("step")) / (N_STEPS - 1) * 2
    start, end = _SCALE[theme][int(share >= 1)], _SCALE[theme][1 + int(share >= 1)]
    mixed = (_mix(start, end, place, share % 1 if share < 2 else 1.0) for place in (1, 3, 5))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _mix(start: str, end: str, place: int, share: float) -> int:
    return round((1 - share) * int(start[place : place + 2], 16) + share * int(end[place : place + 2], 16))


def _frame(chart: Chart) -> list[Stroke | Label]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    result: list[Stroke | Label] = [Label("title", LEFT, 22, chart.title)]
    for tick, text in zip(
        chart.y.ticks, chart.y.texts or [f"{tick:.1f}" for tick in chart.y.ticks], strict=True
    ):
        _, y = _place(chart, chart.x.low, tick)
        result += [Stroke("rule", [(LEFT, y), (right, y)]), Label("tick", LEFT - 9, y + 4.5, text)]
    for tick, text in zip(
        chart.x.ticks, chart.x.texts or [f"{tick:g}" for tick in chart.x.ticks], strict=True
    ):
        x, _ = _place(chart, tick, chart.y.low)
        result += [
            Stroke("rule", [(x, bottom), (x, bottom + 5)]),
            Label("below", x, bottom + 20, text),
        ]
    result.append(Label("below", (LEFT + right) / 2, HEIGHT - 10, chart.x.label))
    result.append(Label("below", 16, (TOP + bottom) / 2, chart.y.label, is_turned=True))
    return result


def _bars(chart: Chart, curve: Curve) -> list[Stroke]:
    """The intervals of a curve, cut off at the axes."""
    inside = [
        (x, max(low, chart.y.low), min(high, chart.y.high))
        for x, low, high in curve.bars
        if chart.x.low <= x <= chart.x.high
    ]
    return [
        Stroke("bar", [_place(chart, x, low), _place(chart, x, high)], curve.colour)
        for x, low, high in inside
        if low < high
    ]


def _stand(chart: Chart, curve: Curve) -> tuple[float, float] | None:
    """Where the curve first rises to the height at which its name is to stand, in pixels."""
    if curve.at is None:
        return None
    for (x0, y0), (x1, y1) in pairwise(zip(curve.x, curve.y, strict=True)):
        if y0 <= curve.at < y1 and x1 <= chart.x.high:
            return _place(chart, x0 + (curve.at - y0) / (y1 - y0) * (x1 - x0), curve.at)
    return None


def _visible(chart: Chart, curve: Curve) -> list[tuple[float, float]]:
    """The points within the axes, in pixels, begun on the lower axis where the curve comes from below."""
    points, before = list[tuple[float, float]](), None
    for x, y in zip(curve.x, curve.y, strict=True):
        if chart.x.low <= x <= chart.x.high and chart.y.low <= y <= chart.y.high:
            if before is not None and before[1] < chart.y.low:
                share = (chart.y.low - before[1]) / (y - before[1])
                points.append(_place(chart, before[0] + share * (x - before[0]), chart.y.low))
            points.append(_place(chart, x, y))
        before = (x, y)
    return points


def _place(chart: Chart, x: float, y: float) -> tuple[float, float]:
    across = (x - chart.x.low) / (chart.x.high - chart.x.low)
    up = (y - chart.y.low) / (chart.y.high - chart.y.low)
    return LEFT + across * (WIDTH - RIGHT - LEFT), HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP)


def _stroke(mark: Stroke) -> str:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in mark.points)
    dashes = f' stroke-dasharray="{mark.dashes}"' if mark.dashes else ""
    title = f"<title>{escape(mark.name)}</title>" if mark.name else ""
    return f'<path class="{mark.kind} {mark.colour}"{dashes} d="M{path}">{title}</path>'


def _label(mark: Label) -> str:
    place = f'x="{mark.x:.1f}" y="{mark.y:.1f}"'
    if mark.is_turned:
        place = f'transform="translate({mark.x:.1f} {mark.y:.1f}) rotate(-90)"'
    return f'<text class="{mark.kind} {mark.colour}" {place}>{escape(mark.text)}</text>'


def _style() -> str:
    fonts = 'system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif'
    rules = [
        f".lines text{{font:13px {fonts};font-variant-numeric:tabular-nums}}",
        ".lines .title{font-size:15px;font-weight:600}.lines .tick{text-anchor:end}",
        ".lines .below{text-anchor:middle}.lines .rule{stroke-width:1}",
        ".lines .curve{fill:none;stroke-width:2.25;stroke-linejoin:round}.lines .lead{fill:none}",
        ".lines .bar{stroke-width:6;stroke-opacity:.28}",
        ".lines .on{stroke-width:5;stroke-linejoin:round;paint-order:stroke;font-weight:600}",
    ]
    return "".join([*rules, _theme(0), "@media screen and (prefers-color-scheme:dark){", _theme(1), "}"])


def _theme(theme: int) -> str:
    paper = {name: both[theme] for name, both in PAPER.items()}
    rules = [
        f".lines .paper{{fill:{paper['page']}}}.lines text{{fill:{paper['soft']}}}",
        f".lines .rule{{stroke:{paper['line']}}}.lines .title{{fill:{COLOURS['ink'][theme]}}}",
    ]
    for name in (*COLOURS, *steps()):
        colour = colour_of(name, theme)
        rules.append(f".lines path.{name}{{stroke:{colour}}}.lines text.{name}{{fill:{colour}}}")
    return "".join([*rules, f".lines .on{{stroke:{paper['page']}}}"])


STYLE = _style()
