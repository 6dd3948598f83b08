"""The reliability plot: what share of criteria is met where a grader's probability says so much."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from rubricate.evaluation.agreement.calibration import Calibration
from rubricate.report.lines import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, Chart, Curve, figure

_COLOURS = ("orange", "blue", "brown", "sky", "grey")
_TICKS = [tenth / 5 for tenth in range(6)]
_DOT = (5.0, 13.0)
"""Diameters of the dots of the emptiest and of the fullest bin, in pixels."""


def reliability(title: str, calibrations: Sequence[Calibration]) -> Markup:
    """An SVG file: for each grader a dot per bin at its mean probability and share of true labels, the
    whisker its 95% interval, the size growing with the bin's count; the diagonal is perfect calibration.

    At most five graders are drawn, in their order.
    """
    curves = [Curve("calibrated", [0, 1], [0, 1], "ink", "2 5")]
    extra = []
    for found, colour in zip(calibrations, _COLOURS, strict=False):
        x = [cell.mean_probability for cell in found.bins]
        y = [cell.met.value for cell in found.bins]
        curves.append(Curve(_name(found.grader), x, y, colour))
        fullest = max(cell.n for cell in found.bins)
        for cell in found.bins:
            extra.append(_whisker(cell.mean_probability, cell.met.low, cell.met.high, colour))
            size = _DOT[0] + (_DOT[1] - _DOT[0]) * (cell.n / fullest) ** 0.5
            extra.append(_dot(cell.mean_probability, cell.met.value, size, colour, f"n = {cell.n:,}"))
    x_axis = Axis("probability of “met”, as the grader says", 0, 1, _TICKS)
    y_axis = Axis("share that is met, by the labels", 0, 1, _TICKS)
    drawn = str(figure(Chart(title, x_axis, y_axis, curves)))
    return Markup(drawn.replace("</svg>", "".join(extra) + "</svg>"))  # noqa: S704 - numbers only, added to `figure`


def _name(grader: str) -> str:
    name = grader.rsplit("/", 1)[-1]
    return name if len(name) <= 16 else f"{name[:15]}…"


def _whisker(x: float, low: float | None, high: float | None, colour: str) -> str:
    if low is None or high is None:
        return ""
    (left, bottom), (_, top) = _place(x, low), _place(x, high)
    return f'<path class="{colour}" fill="none" d="M{left:.1f} {bottom:.1f}V{top:.1f}"/>'


def _dot(x: float, y: float, size: float, colour: str, title: str) -> str:
    left, top = _place(x, y)
    style = f"stroke-width:{size:.1f};stroke-linecap:round"
    return f'<path class="{colour}" style="{style}" d="M{left:.1f} {top:.1f}h0"><title>{title}</title></path>'


def _place(x: float, y: float) -> tuple[float, float]:
    return LEFT + x * (WIDTH - RIGHT - LEFT), HEIGHT - BOTTOM - y * (HEIGHT - BOTTOM - TOP)
