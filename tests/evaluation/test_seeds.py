"""Models of several seeds on one benchmark: means, and two kinds of intervals, by hand."""

from __future__ import annotations

import pytest

from rubricate.domain.intervals import mean_of_few
from rubricate.evaluation.benchmarks.figures.outcomes import Unit
from rubricate.evaluation.benchmarks.figures.seeds import over_seeds


def units(*credits):
    """Two contests of prompt p, then one of q."""
    outcome = {1.0: "won", 0.5: "tied", 0.0: "lost"}
    return [
        Unit(prompt, ("all",), outcome[credit], credit) for prompt, credit in zip("ppq", credits, strict=True)
    ]


def test_students_interval():
    """0.5, 0.6, 0.7: mean 0.6, standard error 0.1 / sqrt(3), times 4.303."""
    found = mean_of_few([0.5, 0.6, 0.7])
    assert (found.value, found.n) == (pytest.approx(0.6), 3)
    assert found.high - 0.6 == pytest.approx(4.303 * 0.1 / 3**0.5) == 0.6 - found.low
    assert mean_of_few([]) is None and mean_of_few([0.5]).low is None


def test_a_row():
    """Seeds win 2/3 and 1/3 of three contests, the longer one 1/3, chance (with a tie) 1/2."""
    (row,) = over_seeds(
        [units(1.0, 1.0, 0.0), units(1.0, 0.0, 0.0)], units(0.0, 0.0, 1.0), units(1.0, 0.0, 0.5)
    )
    assert (row.n, row.prompts, row.unjudged) == (3, 2, 0.0)
    assert row.seeds == pytest.approx((2 / 3, 1 / 3))
    assert row.won.value == pytest.approx(1 / 2) == row.random.value and row.won.n == 2
    assert row.longer.value == pytest.approx(1 / 3)
    assert row.ahead.value == pytest.approx(1 / 6) == row.ahead_by_seed.value
    assert row.by_seed.n == 2 and row.by_seed.high - 0.5 == pytest.approx(12.706 / 6)
