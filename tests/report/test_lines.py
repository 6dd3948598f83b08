"""Laws of the line charts: true to their numbers, named without overlap, readable in light and in dark."""

import xml.etree.ElementTree as Xml
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.report.lines import (
    BOTTOM,
    COLOURS,
    HEIGHT,
    LEFT,
    LINE,
    PAPER,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    Chart,
    Curve,
    Label,
    Stroke,
    colour_of,
    figure,
    lines,
    marks,
    spread,
    steps,
)

AXES = Axis("x", 0, 2, [0, 1, 2]), Axis("y", 0.5, 1.0, [0.5, 1.0])
RISING = Curve("rising", [0, 1, 2], [0.5, 0.75, 1.0], "ink")


def chart(*curves: Curve) -> Chart:
    return Chart("a chart", *AXES, curves)


def of_kind(drawn: Chart, kind: str) -> list:
    return [mark for mark in marks(drawn) if mark.kind == kind]


def luminance(colour: str) -> float:
    """As the web's accessibility rules (WCAG 2, relative luminance) define it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_points_stand_where_the_numbers_are():
    """From the lower left corner of the frame to the upper right one."""
    (stroke,) = of_kind(chart(RISING), "curve")
    assert stroke.points[0] == (LEFT, HEIGHT - BOTTOM)
    assert stroke.points[-1] == (WIDTH - RIGHT, TOP)
    assert stroke.points[1] == ((LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2)


def test_what_comes_from_below_begins_on_the_axis():
    """Cut off where the line to the first visible point crosses it."""
    (stroke,) = of_kind(chart(Curve("late", [0, 1, 2], [0.25, 0.75, 1.0], "ink")), "curve")
    x, y = stroke.points[0]
    assert (x, y) == (LEFT + (WIDTH - RIGHT - LEFT) / 4, HEIGHT - BOTTOM)


def test_a_curve_out_of_sight_is_left_out():
    """Neither line nor name."""
    drawn = marks(chart(RISING, Curve("low", [0, 2], [0.1, 0.2], "ink")))
    assert not any("low" in (getattr(mark, "name", ""), getattr(mark, "text", "")) for mark in drawn)


def test_every_curve_has_its_name_in_its_colour():
    """Beside the rising curve if asked for, else where it ends."""
    inline = Curve("beside", [0, 2], [0.5, 1.0], "blue", "7 4", at=0.75)
    drawn = chart(RISING, inline)
    (end,), (beside,) = of_kind(drawn, "name"), of_kind(drawn, "on")
    assert (end.text, end.colour) == ("rising", "ink") and end.x > WIDTH - RIGHT
    assert (beside.text, beside.colour) == ("beside", "blue")
    assert beside.x == pytest.approx((LEFT + WIDTH - RIGHT) / 2 + 9)


def test_a_height_that_is_never_reached_puts_the_name_at_the_end():
    """A name is never lost."""
    drawn = chart(Curve("flat", [0, 2], [0.6, 0.6], "ink", at=0.9))
    assert [label.text for label in of_kind(drawn, "name")] == ["flat"]


@given(st.lists(st.floats(TOP, HEIGHT - BOTTOM), min_size=1, max_size=15))
def test_names_never_overlap(wanted):
    """A line apart, within the frame, in the order of the curves."""
    heights = spread(wanted)
    assert all(below - above >= LINE - 1e-9 for above, below in pairwise(sorted(heights)))
    assert min(heights) >= TOP - 1e-9 and max(heights) <= HEIGHT - BOTTOM + 1e-9
    for one, other in pairwise(sorted(range(len(wanted)), key=wanted.__getitem__)):
        assert wanted[other] - wanted[one] < 1 or heights[one] < heights[other]


def test_names_with_room_stay_where_they_are():
    """And of equals, the curve on top comes first."""
    assert spread([100.0, 200.0]) == [100.0, 200.0]
    assert spread([100.0, 100.0]) == [100.0 + LINE, 100.0]


@pytest.mark.parametrize("theme", [0, 1])
def test_all_colours_are_readable_on_their_paper(theme):
    """4.5 : 1, the web's rule for text."""
    paper = luminance(PAPER["page"][theme])
    for name in (*COLOURS, *steps()):
        colour = luminance(colour_of(name, theme))
        dark, light = sorted((paper, colour))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, name


@pytest.mark.parametrize("theme", [0, 1])
def test_an_ordered_series_is_ordered_in_lightness(theme):
    """So that it reads without telling hues apart."""
    shades = [luminance(colour_of(name, theme)) for name in steps()]
    assert shades == sorted(shades, reverse=True)


def test_a_figure_stands_alone():
    """Well-formed, with its own colours for both themes, no script, nothing fetched; labels escaped."""
    text = figure(Chart("<b>", *AXES, [RISING]))
    picture = Xml.fromstring(text)
    assert picture.get("viewBox") == f"0 0 {WIDTH} {HEIGHT}" and picture.get("aria-label") == "<b>"
    assert "prefers-color-scheme:dark" in text and "<b>" not in text
    assert "<script" not in text and text.count("http") == 1  # the name space


def test_an_inline_chart_brings_no_style():
    """The page has its own, which its security policy knows."""
    assert "style" not in lines(chart(RISING))


def test_marks_are_strokes_and_labels():
    """Both renderers draw the same."""
    assert {type(mark) for mark in marks(chart(RISING))} == {Stroke, Label}
