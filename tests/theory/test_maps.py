"""Laws of the maps of Figure 2: closed forms against integrals, and against the tables that were printed."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quadrature import QUANTILES, integrated, tilted

from rubricate.theory import best_of_n, maps, uniform
from rubricate.theory.maps import Block, BlockMap

MAPS = {
    "correct": maps.correct(),
    "reversed": maps.reversed_order(),
    "top 10": maps.top_wrong(0.10),
    "top 25": maps.top_wrong(0.25),
    "top 50": maps.top_wrong(0.50),
    "worst 50": maps.worst_wrong(0.50),
    "worst 90": maps.worst_wrong(0.90),
    "tied 25": maps.top_tied(0.25),
    "tied within": maps.within(0.3, 0.6, "tied"),
    "three": BlockMap((Block(0, 0.2, "reversed"), Block(0.2, 0.7, "tied"), Block(0.7, 1, "reversed"))),
}
PRINTED = ("correct", "reversed", "top 10", "top 25", "top 50", "worst 50", "worst 90")

TABLE = """
.25  .377  .699 .301 .698 .685 .614 .676 .453
.5   .243  .774 .226 .771 .746 .631 .756 .472
1    .136  .865 .135 .858 .804 .617 .858 .563
1.5  .082  .918 .082 .904 .812 .581 .917 .700
2    .050  .950 .050 .923 .797 .550 .950 .843
3    .018  .982 .018 .918 .768 .518 .982 .978
4    .0067 .993 .007 .907 .757 .507 .993 .993
"""
"""KL, beta, and the win rate of each of PRINTED, to the digits given."""

shares = st.floats(0.01, 0.99)
betas = st.floats(-3, 3).map(lambda decade: 10.0**decade)
orders = st.sampled_from(["kept", "reversed", "shuffled", "tied"])


@st.composite
def block_maps(draw: st.DrawFn, among: st.SearchStrategy[str] = orders) -> BlockMap:
    edges = [0.0, *sorted(draw(st.sets(shares, max_size=4))), 1.0]
    return BlockMap(tuple(Block(a, b, draw(among)) for a, b in pairwise(edges)))


@pytest.mark.parametrize("row", TABLE.split("\n")[1:-1])
def test_the_win_rates_at_fixed_kl(row):
    """The table of Figure 2a, to the digit."""
    kl, beta, *win_rates = row.split()
    at = uniform.beta_at(float(kl))
    assert abs(float(at) - float(beta)) <= 0.5 * 10.0 ** -len(beta[1:])
    found = [f"{float(MAPS[name].win_rate(at)):.3f}"[1:] for name in PRINTED]
    assert found == win_rates


@pytest.mark.parametrize(
    ("share", "printed"),
    [
        (0.1, [0.563, 0.843, 0.978]),
        (0.2, [0.742, 0.938, 0.982]),
        (0.3, [0.817, 0.949, 0.982]),
        (0.4, [0.847, 0.950, 0.982]),
        (0.5, [0.858, 0.950, 0.982]),
    ],
)
def test_the_lower_envelope_at_fixed_kl(share, printed):
    """The table of Figure 2b at KL 1, 2 and 3, to the digit."""
    found = maps.only_top_right(share).win_rate(uniform.beta_at([1, 2, 3]))
    assert [round(float(value), 3) for value in found] == printed


@pytest.mark.parametrize("beta", [3.0, 0.3, 0.03])
@pytest.mark.parametrize("name", MAPS)
def test_the_closed_form_is_the_integral(name, beta):
    """Win rate and KL of every kind of block, over 200,000 quantiles."""
    win_rate, kl = tilted(MAPS[name].proxy(QUANTILES), beta)
    assert MAPS[name].win_rate(beta) == pytest.approx(win_rate, abs=2e-6)
    assert MAPS[name].kl(beta) == pytest.approx(kl, abs=1e-4 if "tied" in name or name == "three" else 1e-6)


@pytest.mark.parametrize("n", [1, 2, 7, 64])
@pytest.mark.parametrize("name", [name for name in MAPS if "tied" not in name and name != "three"])
def test_best_of_n_is_the_integral(name, n):
    """Of the density n f^(n-1)."""
    win_rate, kl = integrated(MAPS[name].proxy(QUANTILES) ** (n - 1.0))
    assert MAPS[name].win_rate_of_best(n) == pytest.approx(win_rate, abs=1e-6)
    assert MAPS[name].kl_of_best(n) == pytest.approx(kl, abs=1e-6)
    assert best_of_n.kl_bound(n) == pytest.approx(kl, abs=1e-6)


def test_best_of_n_with_ties_is_the_choice_of_a_block():
    """Top quarter tied, n = 3: in with chance 1 - (3/4)^3, worth 7/8 there; below, best of the rest."""
    tied, n = maps.top_tied(0.25), 3
    inside = 1 - 0.75**n
    assert tied.win_rate_of_best(n) == pytest.approx(inside * 7 / 8 + 0.75 ** (n + 1) * n / (n + 1))
    assert tied.kl_of_best(n) < best_of_n.kl_bound(n)
    assert tied.kl_of_best(10_000) == pytest.approx(np.log(4))


def test_best_of_n_over_optimises():
    """Top tenth reversed: .882 at n = 8, .921 at 16, .915 at 64, .904 at 256; correct: n / (n+1)."""
    found = maps.top_wrong(0.1).win_rate_of_best([8, 16, 64, 256])
    assert [round(float(value), 3) for value in found] == [0.882, 0.921, 0.915, 0.904]
    assert maps.correct().win_rate_of_best([1, 2, 4, 8]) == pytest.approx([1 / 2, 2 / 3, 4 / 5, 8 / 9])


def test_the_tilt_is_a_little_better_than_best_of_n_at_equal_kl():
    """.6759, .8040, .8897, .9413 where best-of-n has .6667, .8000, .8889, .9412."""
    at_equal_kl = uniform.win_rate(uniform.beta_at(best_of_n.kl_bound([2, 4, 8, 16])))
    assert [round(float(value), 4) for value in at_equal_kl] == [0.6759, 0.8040, 0.8897, 0.9413]


@given(block_maps(st.sampled_from(["kept", "reversed", "shuffled"])), betas)
def test_kl_is_the_same_for_every_measure_preserving_map(block_map, beta):
    """Theorem 1 (i): however wrong the ranking, the price is the same."""
    assert block_map.kl(beta) == pytest.approx(uniform.kl(beta), rel=1e-10)


@given(block_maps(), betas)
def test_no_map_beats_the_correct_one_or_loses_to_the_reversed_one(block_map, beta):
    """At equal KL; ties spend less, so they are compared at the beta that spends as much."""
    equal = uniform.beta_at(np.maximum(block_map.kl(beta), 0))
    best = uniform.win_rate(equal)
    assert 1 - best - 1e-7 <= block_map.win_rate(beta) <= best + 1e-7


@given(block_maps(st.sampled_from(["kept", "reversed", "shuffled", "tied"])), shares, betas)
def test_the_envelope_lies_below_all_that_is_right_on_the_top(below, c, beta):
    """Squeezed below 1 - c, any measure-preserving map loses no more than the reversal there."""
    squeezed = tuple(
        Block(
            block.start * (1 - c), block.end * (1 - c), "shuffled" if block.order == "tied" else block.order
        )
        for block in below.blocks
        if block.start * (1 - c) < block.end * (1 - c)  # a block of one rounding step has no width any more
    )
    block_map = BlockMap((*squeezed, Block(1 - c, 1.0)))
    assert maps.only_top_right(c).win_rate(beta) <= block_map.win_rate(beta) + 1e-12


@given(shares, shares, betas)
def test_the_envelope_rises_with_what_is_right(a, b, beta):
    """More of the top right, never less won."""
    low, high = sorted((a, b))
    lower, upper = (maps.only_top_right(share).win_rate(beta) for share in (low, high))
    assert lower <= upper + 1e-12


@given(shares, betas)
def test_ties_are_a_plateau(c, beta):
    """With the top c tied, never a win rate above 1 - c/2 nor a KL above -log c; both are reached."""
    tied = maps.top_tied(c)
    assert 0.5 - 1e-12 <= tied.win_rate(beta) <= 1 - c / 2 + 1e-12
    assert 0 <= tied.kl(beta) <= -np.log(c) + 1e-12
    assert tied.win_rate(1e-300) == pytest.approx(1 - c / 2, abs=1e-12)
    assert tied.kl(1e-300) == pytest.approx(-np.log(c), abs=1e-12)


@given(shares, betas)
def test_reversing_the_order_mirrors_the_win_rate(c, beta):
    """A shuffle stands half way between a block and its reversal."""
    wrong, noisy = maps.top_wrong(c).win_rate(beta), maps.top_shuffled(c).win_rate(beta)
    assert uniform.win_rate(beta) + wrong == pytest.approx(2 * noisy, abs=1e-12)
    assert maps.reversed_order().win_rate(beta) == pytest.approx(1 - uniform.win_rate(beta), abs=1e-15)


def test_the_limits():
    """Without penalty: top c wrong tends to 1 - c, worst c wrong to 1. With nothing but penalty: 1/2."""
    assert maps.top_wrong(0.3).win_rate(1e-9) == pytest.approx(0.7, abs=1e-8)
    assert maps.worst_wrong(0.9).win_rate(1e-9) == pytest.approx(1.0, abs=1e-8)
    for block_map in MAPS.values():
        assert (block_map.win_rate(np.inf), block_map.kl(np.inf)) == (pytest.approx(0.5, abs=1e-15), 0)


@given(shares, shares, st.floats(-2, 2).map(lambda decade: 10.0**decade))
def test_the_cost_of_a_reversal_is_the_difference_it_makes(a, b, beta):
    """And the formula printed for it, where that does not overflow."""
    start, end = sorted((a, b + 0.01))
    end = min(end, 1.0)
    cost = maps.reversal_cost(start, end, beta) if start < end else 0.0
    lost = uniform.win_rate(beta) - maps.within(start, end, "reversed").win_rate(beta) if start < end else 0.0
    assert cost == pytest.approx(lost, abs=1e-14)


def test_the_cost_of_a_reversal_is_the_printed_formula():
    """lambda / (e^lambda - 1) e^(lambda a) [(w/lambda - 2/lambda^2) e^(lambda w) + w/lambda + 2/lambda^2]."""
    for x, a, b in ((2.0, 0.1, 0.4), (5.0, 0.75, 1.0), (10.0, 0.0, 0.25)):
        w = b - a
        inner = (w / x - 2 / x**2) * np.exp(x * w) + w / x + 2 / x**2
        assert maps.reversal_cost(a, b, 1 / x) == pytest.approx(x / np.expm1(x) * np.exp(x * a) * inner)


def test_a_map_moves_what_it_says():
    """f(u) of each of the paper's maps at one point of each block; a shuffle has no one value."""
    u = np.array([0.1, 0.9])
    assert maps.top_wrong(0.25).proxy(u) == pytest.approx([0.1, 0.85])
    assert maps.worst_wrong(0.5).proxy(u) == pytest.approx([0.4, 0.9])
    assert maps.top_tied(0.25).proxy(u) == pytest.approx([0.1, 0.75])
    assert maps.reversed_order().proxy(u) == pytest.approx([0.9, 0.1])
    with pytest.raises(ValueError, match="expectation"):
        maps.top_shuffled(0.25).proxy(u)


@pytest.mark.parametrize(
    "blocks",
    [
        (),
        (Block(0, 0.5),),
        (Block(0, 0.5), Block(0.6, 1)),
        (Block(0, 1), Block(1, 1)),
        (Block(0.5, 1), Block(0, 0.5)),
    ],
)
def test_blocks_partition_the_quantiles(blocks):
    """No gap, no overlap, nothing left out, nothing empty."""
    with pytest.raises(ValueError, match="partition"):
        BlockMap(blocks)


def test_shares_and_betas_have_their_range():
    """A share outside of (0, 1] and a beta of 0 are mistakes."""
    for make in (maps.top_wrong, maps.top_tied, maps.top_shuffled):
        with pytest.raises(ValueError, match="share"):
            make(1.5)
    with pytest.raises(ValueError, match="1e-300"):
        maps.correct().win_rate(0)
