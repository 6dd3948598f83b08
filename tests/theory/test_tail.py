"""Laws of the tail: the damage ratio, where the curve turns, and how much of the tail that betrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.theory import maps, tail, uniform

shares = st.floats(0.01, 0.78)


@given(st.floats(0.01, 0.99), st.floats(-1.5, 2).map(lambda decade: 10.0**decade))
def test_the_damage_ratio_is_that_of_the_two_reversals(c, beta):
    """Exactly e^{(1-c)/beta}, tail over low end."""
    above, below = maps.reversal_cost(1 - c, 1.0, beta), maps.reversal_cost(0.0, c, beta)
    assert above / below == pytest.approx(tail.damage_ratio(c, beta), rel=1e-9)


@pytest.mark.parametrize(
    ("c", "win_rate", "kl"),
    [
        (0.05, 0.963, 2.98),
        (0.10, 0.925, 2.29),
        (0.20, 0.851, 1.59),
        (0.25, 0.813, 1.37),
        (0.40, 0.703, 0.87),
        (0.50, 0.632, 0.58),
    ],
)
def test_the_peaks(c, win_rate, kl):
    """The table of peaks, to the digit."""
    peak = tail.peak_of_top_wrong(c)
    assert (round(float(peak.win_rate), 3), round(float(peak.kl), 2)) == (win_rate, kl)


@given(shares)
def test_a_peak_is_the_highest_point_of_its_curve(c):
    """On a fine grid nothing is higher, and the peak lies on the curve."""
    peak = tail.peak_of_top_wrong(c)
    curve = maps.top_wrong(c).win_rate(np.geomspace(1e-4, 1e4, 2_000))
    assert curve.max() <= peak.win_rate + 1e-12
    assert maps.top_wrong(c).win_rate(peak.beta) == pytest.approx(peak.win_rate, abs=1e-12)
    assert uniform.kl(peak.beta) == pytest.approx(peak.kl, rel=1e-9)


@given(st.floats(-9, np.log10(0.79)).map(lambda decade: 10.0**decade))
def test_from_the_share_to_the_peak_and_back(c):
    """The inversion is exact to 1e-10."""
    assert tail.tail_share(tail.peak_of_top_wrong(c).kl) == pytest.approx(c, rel=1e-10)


def test_small_tails():
    """c / beta = 2.674 with e^s = s^2 + 2s + 2, win rate 1 - 0.747 c, KL = log(2.674 / c) - 1."""
    s, c = tail.PEAK_TILT, 1e-7
    peak = tail.peak_of_top_wrong(c)
    assert np.exp(s) == pytest.approx(s * s + 2 * s + 2, rel=1e-14)
    assert c / peak.beta == pytest.approx(s, rel=1e-6)
    assert (1 - peak.win_rate) / c == pytest.approx(0.747, abs=1e-3)
    assert peak.kl == pytest.approx(np.log(s / c) - 1, rel=1e-9)


@pytest.mark.parametrize(
    ("kl", "error"), [(2.25, 1e-4), (1.5, 1e-3), (1.15, 0.01), (0.84, 0.04), (0.58, 0.10)]
)
def test_how_good_the_rule_of_thumb_is(kl, error):
    """0.984 e^{-KL} is too high by less than 0.01%, 0.1%, 1%, 4%, 10% from these KL on."""
    above = np.linspace(kl, 12, 200)
    excess = tail.tail_share_rule(above) / tail.tail_share(above) - 1
    assert excess.min() > -1e-9 and excess.max() < error


def test_later_peaks_mean_smaller_tails():
    """The estimate falls from 0.794 to 0."""
    found = tail.tail_share(np.geomspace(1e-6, 600, 500))
    assert np.all(np.diff(found) < 0) and found[0] == pytest.approx(tail.NO_PEAK_FROM, rel=1e-3)
    assert found[-1] > 0


def test_above_the_last_share_the_curve_only_falls():
    """With the top 80% reversed there is no peak to find, and asking for one is a mistake."""
    assert np.all(np.diff(maps.top_wrong(0.80).win_rate(np.geomspace(1e3, 1e-3, 300))) < 0)
    with pytest.raises(ValueError, match="no peak"):
        tail.peak_of_top_wrong(0.80)


@given(st.floats(0.01, 1))
def test_ties_and_noise_have_no_peak(c):
    """Their curve only rises, so that a turn is a sign of reversal: to 1 - c/2 for both."""
    path = np.geomspace(1e4, 1e-7, 400)
    for block_map in (maps.top_tied(c), maps.top_shuffled(c)):
        assert np.all(np.diff(block_map.win_rate(path)) > -1e-12)
        assert block_map.win_rate(1e-9) == pytest.approx(tail.tie_plateau(c)[0], abs=1e-6)
    assert maps.top_tied(c).kl(1e-9) == pytest.approx(tail.tie_plateau(c)[1], abs=1e-6)


def test_a_quarter_tied():
    """Win rate at most 0.875 at a KL of at most 1.386."""
    win_rate, kl = tail.tie_plateau(0.25)
    assert (round(float(win_rate), 3), round(float(kl), 3)) == (0.875, 1.386)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: tail.damage_ratio(0, 1),
        lambda: tail.damage_ratio(0.5, 0),
        lambda: tail.tail_share(0),
        lambda: tail.tail_share(np.nan),
        lambda: tail.tail_share_rule(-1),
        lambda: tail.tie_plateau(0),
        lambda: tail.peak_of_top_wrong(0),
    ],
)
def test_out_of_range_is_a_mistake(mistake):
    """Nothing is clipped in silence."""
    with pytest.raises(ValueError):
        mistake()
