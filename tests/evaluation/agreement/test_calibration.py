"""Brier score, its parts, and the calibration error: by hand, and as laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.evaluation.agreement.calibration import calibration

PAIRS = st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.integers(0, 4)), min_size=1, max_size=60)


def of(probability, truth, prompts=None, bins=10):
    places = np.zeros(len(truth), dtype=np.intp) if prompts is None else np.asarray(prompts, dtype=np.intp)
    return calibration(
        "g", "as stated", np.asarray(probability, float), np.asarray(truth, bool), places, 5, bins
    )


def test_four_forecasts_by_hand():
    """.8 .8 .2 .2 against true, false, false, false. Brier (.04 + .64 + .04 + .04) / 4 = .19; in the bin of
    .8 half is true (gap .3), in that of .2 none (gap .2): reliability (2 * .09 + 2 * .04) / 4 = .065; base
    .25: resolution (2 * .0625 + 2 * .0625) / 4 = .0625; uncertainty .1875; ECE
    (2 * .3 + 2 * .2) / 4 = .25."""
    found = of([0.8, 0.8, 0.2, 0.2], [True, False, False, False])
    assert found.brier.value == pytest.approx(0.19)
    assert found.reliability == pytest.approx(0.065)
    assert found.resolution == pytest.approx(0.0625)
    assert found.uncertainty == pytest.approx(0.1875)
    assert found.within == pytest.approx(0)
    assert found.ece.value == pytest.approx(0.25)
    assert [(cell.n, cell.mean_probability, cell.met.value) for cell in found.bins] == [
        (2, pytest.approx(0.2), 0.0),
        (2, pytest.approx(0.8), 0.5),
    ]


@given(PAIRS)
def test_the_parts_make_the_whole(pairs):
    """Brier = reliability - resolution + uncertainty + what bins leave over, whatever the forecasts."""
    probability, truth, prompts = zip(*pairs, strict=True)
    found = of(probability, truth, prompts)
    parts = found.reliability - found.resolution + found.uncertainty + found.within
    assert parts == pytest.approx(found.brier.value)
    assert sum(cell.n for cell in found.bins) == found.n == len(pairs)
    assert 0 <= found.ece.value <= 1


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_certainty_that_is_right_is_perfect(truth):
    """Probabilities of 0 and 1 that all hold: no error of any kind; 1 belongs to the last bin."""
    found = of([float(label) for label in truth], truth)
    assert found.brier.value == found.ece.value == found.reliability == 0
    assert found.resolution == pytest.approx(found.uncertainty)


def test_one_forecast_in_a_bin_leaves_nothing_within():
    """With equal forecasts in each bin the decomposition of Murphy is exact."""
    found = of([0.05, 0.05, 0.55, 0.55, 0.95], [False, True, True, False, True])
    assert found.within == pytest.approx(0)


def test_bins_are_as_many_as_said():
    """Two bins: below one half, and from it on."""
    found = of([0.1, 0.49, 0.5, 1.0], [False, True, True, True], bins=2)
    assert [(cell.low, cell.high, cell.n) for cell in found.bins] == [(0, 0.5, 2), (0.5, 1, 2)]


def test_nothing_gives_nothing():
    """No forecast, no calibration."""
    assert of([], []) is None
