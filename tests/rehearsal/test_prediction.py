"""The audit's word on a known law, and the course of a training beside it."""

from __future__ import annotations

import pytest

from rubricate.rehearsal.account.prediction import agreements, measured, predicted
from rubricate.rehearsal.ascent.runs import Row
from rubricate.theory import uniform
from tests.rehearsal.points import training

N = 4000


def pool() -> list[Row]:
    """One prompt, gold uniform; `refined` orders as gold does, `initial` the other way, `bt` not at all."""
    return [
        Row("p", "?", f"answer {n}", (n + 0.5) / N, bt=1.0, initial=-n / N, refined=n / N) for n in range(N)
    ]


@pytest.mark.parametrize(("kl", "win_rate"), [(0.5, 0.774), (1.0, 0.865), (2.0, 0.950), (3.0, 0.982)])
def test_a_perfect_reward_follows_the_closed_form(kl, win_rate):
    """Theorem 1 of the paper for the correct map: at KL 1 a win rate of 0.865, and so on; its mirror image
    for the reversed one."""
    assert uniform.win_rate(uniform.beta_at(kl)).item() == pytest.approx(win_rate, abs=6e-4)
    assert predicted(pool(), "refined").at(kl) == pytest.approx(win_rate, abs=4e-3)
    assert predicted(pool(), "initial").at(kl) == pytest.approx(1 - win_rate, abs=4e-3)


def test_a_reward_that_ties_all_goes_nowhere():
    course = predicted(pool(), "bt")
    assert course.at(0.0) == pytest.approx(0.5)
    assert course.at(0.25) is None


def test_a_course_keeps_to_rising_kl_and_ends_where_it_ends():
    """KL 0, 1, 2: between two steps a straight line in the root of KL, beyond the last nothing. At 1.5 it is
    (1.22474 - 1) / (1.41421 - 1) = 0.54259 of the way from 0.7 to 0.9."""
    course = measured(training([[0.5], [0.7], [0.9]]))
    assert course.kl == (0.0, 1.0, 2.0)
    assert course.at(1.5) == pytest.approx(0.7 + 0.2 * 0.54259, abs=1e-5)
    assert course.at(2.1) is None
    back = [*training([[0.5], [0.7], [0.9]]), *training([[0.5], [0.1]])]
    assert measured(back).kl == (0.0, 1.0, 2.0)


def test_what_came_less_what_was_said_at_equal_kl():
    """Training gives 0.7 at KL 1 where the perfect reward says 0.865 and the reversed one 0.135."""
    curve = [[0.5], [0.7]]
    runs = {
        ("refined", 0): training(curve, reward="refined"),
        ("initial", 0): training(curve),
        ("gold", 1): training(curve, reward="gold", seed=1),  # has no pool
    }
    found = {(each.reward, each.kl): each for each in agreements(runs, {0: pool()})}
    assert found["refined", 1.0].error.value == pytest.approx(0.7 - 0.865, abs=4e-3)
    assert found["initial", 1.0].error.value == pytest.approx(0.7 - 0.135, abs=4e-3)
    assert ("refined", 1.5) not in found
    assert {reward for reward, _ in found} == {"refined", "initial"}
