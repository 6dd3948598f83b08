"""Bradley-Terry with ties: closed forms, and what is said where there is no fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rubricate.evaluation.bradley_terry import Votes, strengths


def votes(*rows: tuple[int, int, float, float, float]) -> Votes:
    """Rows of a, b, wins of a, wins of b, ties."""
    columns = np.array(rows, dtype=float).T
    return Votes(columns[0].astype(np.int64), columns[1].astype(np.int64), *columns[2:])


def test_two_items_in_closed_form():
    """3 wins, 1 loss, 2 ties without a prior: a ratio of 3, and nu = 2 / sqrt(3 * 1)."""
    fit = strengths(2, votes((0, 1, 3, 1, 2)), prior=0)
    assert fit.log[0] - fit.log[1] == pytest.approx(np.log(3))
    assert fit.tie == pytest.approx(2 / np.sqrt(3))


def test_the_stranger_in_closed_form():
    """One win and no loss: p solves (1 + 1/2) = p / (p + q) + p / (p + 1) with q = 1 / p."""
    fit = strengths(2, votes((0, 1, 1, 0, 0)))
    p = np.exp(fit.log[0])
    assert fit.log[1] == pytest.approx(-fit.log[0])
    assert p / (p + 1 / p) + p / (p + 1) == pytest.approx(1.5)
    assert fit.is_separated.all()


def test_a_ring_is_even_and_not_separated():
    """Each beats the next: all alike."""
    fit = strengths(3, votes((0, 1, 1, 0, 0), (1, 2, 1, 0, 0), (2, 0, 1, 0, 0)))
    assert fit.log == pytest.approx([0, 0, 0])
    assert not fit.is_separated.any()


def test_parts_that_no_verdict_links():
    """Two pairs and one item alone."""
    fit = strengths(5, votes((3, 4, 1, 0, 0), (1, 0, 1, 1, 0)))
    assert fit.component.tolist() == [0, 0, 2, 3, 3]
    assert fit.is_separated.tolist() == [False, False, False, True, True]


def test_ties_alone_are_equals():
    """No winner: no difference."""
    assert strengths(2, votes((0, 1, 0, 0, 4))).log == pytest.approx([0, 0])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=6, max_size=6))
def test_the_fit_cannot_be_bettered(counts):
    """The penalised likelihood falls in every direction from the fit: its slope is 0."""
    pairs = [(a, b) for a in range(4) for b in range(a + 1, 4)]
    rows = [(a, b, *map(float, count)) for (a, b), count in zip(pairs, counts, strict=True) if sum(count)]
    if not rows or all(row[2] + row[3] == 0 for row in rows):  # ties alone: nu runs off
        return
    given = votes(*rows)
    fit = strengths(4, given)

    def likelihood(log: np.ndarray, tie: float) -> float:
        power = np.exp(log)
        both = np.sqrt(power[given.a] * power[given.b])
        whole = np.log(power[given.a] + power[given.b] + tie * both)
        value = given.wins_a @ (log[given.a] - whole) + given.wins_b @ (log[given.b] - whole)
        value += given.ties @ (np.log(max(tie, 1e-300)) + np.log(both) - whole)
        return float(value + np.sum(0.5 * log - np.log1p(power)))

    best = likelihood(fit.log, fit.tie)
    for step in (*np.eye(4) * 0.01, *np.eye(4) * -0.01):
        assert likelihood(fit.log + step, fit.tie) <= best
    if fit.tie:
        assert max(likelihood(fit.log, fit.tie * factor) for factor in (0.99, 1.01)) <= best
