"""The reliability plot: dots where the bins are, whiskers with them, and nothing of a name that could act."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from rubricate.evaluation.agreement.calibration import calibration
from rubricate.report.reliability import reliability


def found(name: str = "grader"):
    probability = np.array([0.25] * 30 + [0.75] * 30)
    truth = np.array(([True] * 6 + [False] * 24) + ([True] * 24 + [False] * 6))
    return calibration(name, "as stated", probability, truth, np.arange(60) % 6, 6)


def test_a_dot_a_bin():
    """Two bins in use: two dots, at their mean probability and share, each with its count."""
    drawn = ElementTree.fromstring(str(reliability("Reliability", [found()])))
    dots = [
        path
        for path in drawn.iter("{http://www.w3.org/2000/svg}path")
        if "stroke-linecap" in path.get("style", "")
    ]
    places = [tuple(float(n) for n in dot.get("d")[1:].removesuffix("h0").split()) for dot in dots]
    assert places == [
        (58 + 0.25 * 552, round(378 - 0.2 * 334, 1)),
        (58 + 0.75 * 552, round(378 - 0.8 * 334, 1)),
    ]
    assert [dot[0].text for dot in dots] == ["n = 30", "n = 30"]


def test_names_are_text():
    """A model's name is escaped and short."""
    drawn = str(reliability("Reliability", [found("</svg><script>alert(1)</script>")]))
    assert "<script" not in drawn
    ElementTree.fromstring(drawn)
