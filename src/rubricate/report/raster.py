"""Line charts as PNG, for slides and papers: the marks of `lines`, drawn by matplotlib.

matplotlib is the extra `plots`; it is imported when a picture is drawn, and by nothing else.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from rubricate.report.lines import HEIGHT, PAPER, WIDTH, Chart, Label, Stroke, colour_of, marks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DPI, _SCALE = 200, 0.72
"""Dots per inch; points per pixel at 100 pixels an inch."""

_SIZES = {"title": 15}
_ALIGNED = {"title": "left", "name": "left", "on": "left", "tick": "right"}
_WIDTHS = {"rule": 1.0, "lead": 1.0, "curve": 2.25, "bar": 6.0}
_OPACITY = {"bar": 0.28}


def png(chart: Chart) -> bytes:
    """The chart as a PNG in the colours of daylight, 1520 x 860 pixels.

    Raises: ModuleNotFoundError without matplotlib.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    picture = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=_DPI, facecolor=PAPER["page"][0])
    FigureCanvasAgg(picture)
    axes = picture.add_axes((0.0, 0.0, 1.0, 1.0), xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    axes.set_axis_off()
    for mark in marks(chart):
        if isinstance(mark, Stroke):
            _stroke(axes, mark)
        else:
            _label(axes, mark)
    content = BytesIO()
    picture.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def _stroke(axes: Axes, mark: Stroke) -> None:
    across, down = zip(*mark.points, strict=True)
    width = _WIDTHS[mark.kind] * _SCALE
    # matplotlib counts dashes in line widths, SVG in pixels.
    dashes = [float(length) * _SCALE / width for length in mark.dashes.split()]
    style = (0, tuple(dashes)) if dashes else "solid"
    colour = colour_of(mark.colour) if mark.colour else PAPER["line"][0]
    alpha = _OPACITY.get(mark.kind, 1.0)
    axes.plot(
        across, down, color=colour, linewidth=width, linestyle=style, alpha=alpha, solid_joinstyle="round"
    )


def _label(axes: Axes, mark: Label) -> None:
    from matplotlib.patheffects import withStroke

    colour = "ink" if mark.kind == "title" else mark.colour
    text = axes.text(
        mark.x,
        mark.y,
        mark.text,
        color=colour_of(colour) if colour else PAPER["soft"][0],
        fontsize=_SIZES.get(mark.kind, 13) * _SCALE,
        fontweight="bold" if mark.kind in ("title", "on") else "normal",
        horizontalalignment=_ALIGNED.get(mark.kind, "center"),
        verticalalignment="baseline",
        rotation=90 if mark.is_turned else 0,
    )
    if mark.is_turned:
        text.set_horizontalalignment("right")
        text.set_verticalalignment("center")
    if mark.kind == "on":
        text.set_path_effects([withStroke(linewidth=5 * _SCALE, foreground=PAPER["page"][0])])
