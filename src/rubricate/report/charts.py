"""Inline SVG, two kilobytes a chart: shares of a whole, and means before and after with their intervals.

Charts hold numbers and our own labels only, never a model's text, and no style attributes: colours come
from the classes of the page's one style sheet, which the page's security policy allows by its hash. Every
chart stands beside a table with the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from rubricate.domain.intervals import Estimate

WIDTH = 640
BAR = 22
GAP = 2

COLUMN, PLOT, LEFT, TOP, BOTTOM = 92, 170, 52, 14, 40


class Part(NamedTuple):
    """One part of a whole: its label, its size, and the colour class of the page that paints it."""

    label: str
    size: float
    colour: str


class Move(NamedTuple):
    """A mean before and after, under a label."""

    label: str
    before: Estimate
    after: Estimate


def shares(title: str, parts: Sequence[Part]) -> Markup:
    """A bar divided into its parts, in their order; parts of no size are left out. Empty for nothing."""
    shown = [part for part in parts if part.size > 0]
    whole = sum(part.size for part in shown)
    if not whole:
        return Markup("")
    room = WIDTH - GAP * (len(shown) - 1)
    widths = [max(2.0, room * part.size / whole) for part in shown]
    scale = room / sum(widths)
    marks, x = [], 0.0
    for part, width in zip(shown, widths, strict=True):
        marks.append(
            f'<rect class="{part.colour}" x="{x:.1f}" y="0" width="{width * scale:.1f}" height="{BAR}">'
            f"<title>{escape(part.label)}</title></rect>"
        )
        x += width * scale + GAP
    return _svg(title, WIDTH, BAR, "".join(marks), "bar")


def moves(
    title: str, moves: Sequence[Move], tick: Callable[[float], str], top: float | None = None
) -> Markup:
    """A column per move: a hollow mark before, a full one after, each with its 95% interval.

    The axis starts at 0 and ends at `top`, or at a round number above the highest interval.
    """
    if not moves:
        return Markup("")
    highest = max(_high(end) for move in moves for end in (move.before, move.after))
    top = top if top is not None else _round_up(highest)
    width, height = LEFT + COLUMN * len(moves) + 8, TOP + PLOT + BOTTOM

    def y(value: float) -> float:
        return TOP + PLOT * (1 - min(value, top) / top)

    marks = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        line = y(share * top)
        marks.append(f'<path class="rule" d="M{LEFT} {line:.1f}H{width - 8}"/>')
        marks.append(f'<text class="tick" x="{LEFT - 8}" y="{line + 4:.1f}">{tick(share * top)}</text>')
    for place, move in enumerate(moves):
        middle = LEFT + COLUMN * (place + 0.5)
        marks.append(_move(move, middle, y))
        marks.append(
            f'<text class="label" x="{middle:.0f}" y="{TOP + PLOT + 18}">{escape(move.label)}</text>'
        )
        marks.append(f'<text class="note" x="{middle:.0f}" y="{TOP + PLOT + 33}">n = {move.after.n:,}</text>')
    return _svg(title, width, height, "".join(marks), "plot")


def _move(move: Move, middle: float, y: Callable[[float], float]) -> str:
    left, right = middle - 16, middle + 16
    start, end = y(move.before.value), y(move.after.value)
    return (
        f'<path class="link" d="M{left:.0f} {start:.1f}L{right:.0f} {end:.1f}"/>'
        + _whisker(move.before, left, y)
        + _whisker(move.after, right, y)
        + f'<circle class="before" cx="{left:.0f}" cy="{start:.1f}" r="5"/>'
        + f'<circle class="after" cx="{right:.0f}" cy="{end:.1f}" r="5"/>'
    )


def _whisker(estimate: Estimate, x: float, y: Callable[[float], float]) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    high, low = y(estimate.high), y(estimate.low)
    ends = f"M{x - 4:.0f} {high:.1f}h8M{x - 4:.0f} {low:.1f}h8"
    return f'<path class="whisker" d="M{x:.0f} {high:.1f}V{low:.1f}{ends}"/>'


def _high(estimate: Estimate) -> float:
    return estimate.value if estimate.high is None else estimate.high


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 8 times a power of ten: numbers whose quarters are short."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 8, 10, 20) if step * power >= value)


def _svg(title: str, width: int, height: int, marks: str, kind: str) -> Markup:
    label = escape(title)
    box = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    stretch = ' preserveAspectRatio="none"' if kind == "bar" else ""
    return Markup(  # noqa: S704 - numbers and our own labels, escaped above
        f'<svg class="{kind}" role="img" aria-label="{label}" {box}{stretch}>{marks}</svg>'
    )
