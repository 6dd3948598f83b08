"""Laws of Theorem 1: its closed form at every strength, and the way back from KL to beta."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quadrature import QUANTILES, theorem_1, tilted

from rubricate.theory import stable, uniform

STRENGTHS = [1e-8, 1e-5, 1e-3, 0.1, 0.5, 0.999999, 1.0, 1.000001, 2.0, 5.0, 30.0, 300.0, 1e4, 1e8]

decades = st.floats(-8, 8)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_the_closed_form_is_the_printed_one(strength):
    """From 1e-8 to 1e8, where the printed form overflows or cancels; 60 digits decide."""
    beta = 1 / strength
    win_rate, kl = theorem_1(1 / beta)
    assert uniform.win_rate(beta) == pytest.approx(win_rate, rel=1e-14)
    assert uniform.kl(beta) == pytest.approx(kl, rel=1e-13)


@pytest.mark.parametrize("beta", [5.0, 0.5, 0.05, 0.005])
def test_the_closed_form_is_the_integral(beta):
    """Of the tilted density over 200,000 quantiles."""
    win_rate, kl = tilted(QUANTILES, beta)
    assert uniform.win_rate(beta) == pytest.approx(win_rate, abs=1e-7)
    assert uniform.kl(beta) == pytest.approx(kl, abs=1e-7)


def test_the_ends():
    """No penalty: the best response, infinitely far. All penalty: the base policy."""
    assert (uniform.win_rate(0), uniform.kl(0)) == (1, np.inf)
    assert (uniform.win_rate(np.inf), uniform.kl(np.inf)) == (0.5, 0)


def test_the_asymptotes():
    """Weak: KL = 1 / (24 beta^2), W = 1/2 + 1 / (12 beta). Strong: KL = -log(beta) - 1, W = 1 - beta."""
    assert uniform.kl(1e6) == pytest.approx(1e-12 / 24, rel=1e-10)
    assert uniform.win_rate(1e6) - 0.5 == pytest.approx(1e-6 / 12, rel=1e-8)
    assert uniform.kl(1e-6) == pytest.approx(np.log(1e6) - 1, rel=1e-14)
    assert 1 - uniform.win_rate(1e-6) == pytest.approx(1e-6, rel=1e-9)


@given(decades)
def test_kl_to_beta_and_back(decade):
    """The inverse is exact to 1e-10 over sixteen decades."""
    beta = 10.0**decade
    assert uniform.beta_at(uniform.kl(beta)) == pytest.approx(beta, rel=1e-10)


@given(st.floats(1e-18, 700))
def test_beta_to_kl_and_back(kl):
    """From 1e-18 nats, which is noise, to 700, which no pool can show."""
    assert uniform.kl(uniform.beta_at(kl)) == pytest.approx(kl, rel=1e-10)


def test_the_ends_of_the_inverse():
    """No KL: all penalty. Infinite KL: none."""
    assert list(uniform.beta_at([0, np.inf])) == [np.inf, 0]


@pytest.mark.parametrize("kl", [-1e-9, np.nan])
def test_no_beta_for_what_is_no_kl(kl):
    """Below zero there is nothing."""
    with pytest.raises(ValueError, match="at least 0"):
        uniform.beta_at(kl)


@given(decades, st.floats(1e-3, 3))
def test_less_penalty_more_of_both(decade, step):
    """KL and win rate rise as beta falls."""
    weak, strong = 10.0**decade, 10.0 ** (decade - step)
    assert uniform.kl(strong) > uniform.kl(weak)
    assert uniform.win_rate(strong) >= uniform.win_rate(weak)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_shapes_are_kept(shape):
    """A result for each beta, in its place."""
    betas = np.full(shape, 0.5)
    for function in (uniform.kl, uniform.win_rate, uniform.beta_at):
        assert np.shape(function(betas)) == shape


def test_the_slopes_are_those_of_the_curves():
    """d W / d lambda = Var[V] and d KL / d lambda = lambda Var[V], also where series and formula meet."""
    for x in (0.01, 0.9, 0.9999, 1.0001, 1.1, 8.0):
        step = 1e-5 * x
        up, down = x + step, x - step
        rise = (stable.lift(up) - stable.lift(down)) / (2 * step)
        climb = (stable.divergence(up) - stable.divergence(down)) / (2 * step)
        assert stable.variance(x) == pytest.approx(rise, rel=1e-6)
        assert x * stable.variance(x) == pytest.approx(climb, rel=1e-6)
