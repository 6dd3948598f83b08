"""Laws of the charts: well-formed, small, true to their numbers, silent where there is nothing."""

import xml.etree.ElementTree as Xml

from rubricate.domain.intervals import Estimate
from rubricate.report.charts import PLOT, TOP, Move, Part, moves, shares

FIVE_MOVES = [
    Move(f"round {n}", Estimate(0.5, 120, 0.4, 0.6), Estimate(0.5 - 0.1 * n, 120, 0.3 - 0.1 * n, 0.6))
    for n in range(4)
]


def percent(value: float) -> str:
    return f"{value:.0%}"


def test_parts_share_the_width_in_proportion():
    """Three to one, with a gap; a part of no size is left out."""
    chart = Xml.fromstring(
        shares("states", [Part("a: 3", 3, "a"), Part("b: 0", 0, "b"), Part("c: 1", 1, "c")])
    )
    widths = [float(rect.get("width")) for rect in chart.iter("rect")]
    assert len(widths) == 2 and abs(widths[0] / widths[1] - 3) < 0.01
    assert chart.get("aria-label") == "states"


def test_marks_stand_where_the_numbers_are():
    """0 at the bottom, the top of the axis at the top, a half between; whiskers at both ends."""
    chart = Xml.fromstring(
        moves("ties", [Move("run", Estimate(1, 5, 0.5, 1), Estimate(0, 5, 0, 0.5))], percent, 1.0)
    )
    before, after = (float(mark.get("cy")) for mark in chart.iter("circle"))
    assert (before, after) == (TOP, TOP + PLOT)
    whiskers = [path.get("d") for path in chart.iter("path") if path.get("class") == "whisker"]
    assert len(whiskers) == 2 and f"{TOP + PLOT / 2:.1f}" in whiskers[0]


def test_an_axis_without_a_top_ends_above_the_highest_interval():
    """At a number whose quarters are short."""
    chart = moves("criteria", [Move("run", Estimate(8, 3, 6, 9.5), Estimate(12, 3, 9, 17))], "{:g}".format)
    assert [text.text for text in Xml.fromstring(chart).iter("text")][:5] == ["0", "5", "10", "15", "20"]


def test_one_value_has_no_whisker():
    """No interval, no line that looks like one."""
    chart = moves("ties", [Move("run", Estimate(1, 1, None, None), Estimate(0, 1, None, None))], percent, 1.0)
    assert "whisker" not in chart


def test_a_chart_takes_some_kilobytes():
    """Four rounds in less than five."""
    assert len(moves("ties", FIVE_MOVES, percent, 1.0)) < 5_000


def test_nothing_to_show_is_nothing():
    """No empty frame."""
    assert moves("ties", [], percent) == shares("states", [Part("a", 0, "a")]) == ""


def test_labels_are_escaped():
    """Charts hold our own labels, and trust even those no further than needed."""
    assert "<b>" not in shares("<b>", [Part("<b>", 1, "a")])
