"""The path of a reward on a pool, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from audit_cases import a_noisy_pool, a_pool, four

from rubricate.evaluation.audit.auditing import audit
from rubricate.evaluation.audit.measures.counting import Layout
from rubricate.evaluation.audit.measures.frontier import path_of
from rubricate.theory import maps, uniform
from rubricate.theory.tilt import tilted

U = (np.arange(400) + 0.5) / 400


def value(pool, metric, reward="r"):
    """The value of a metric."""
    found = audit(pool, kls=[1.0]).reward(reward).estimates[metric]
    return None if found is None else found.value


def test_two_responses():
    """With chance p for the better one, KL is log 2 - H(p) and the win rate p/2 + 1/4."""
    p = next(
        p for p in np.linspace(0.5, 1, 100_001) if np.log(2) + p * np.log(p) + (1 - p) * np.log1p(-p) >= 0.25
    )
    pool = a_pool(([0, 1], [3, 8]))
    assert value(pool, "win_rate@0.25") == pytest.approx(p / 2 + 0.25, abs=1e-3)
    assert value(pool, "gold_reward@0.25") == pytest.approx(p, abs=1e-3)
    assert value(pool, "win_rate@1") is None  # beyond log 2


def test_every_step_is_proposition_1():
    """A path holds what `tilted` gives, prompt by prompt, unjudged responses left out."""
    pool = a_noisy_pool()
    path = path_of(Layout(pool.sizes), pool.gold, pool.proxies["r"], None, ranks=False)
    first = slice(0, int(pool.sizes[0]))
    judged = ~np.isnan(pool.proxies["r"][first])
    for step in range(path.kl.shape[1]):
        alone = tilted(pool.gold[first][judged], pool.proxies["r"][first][judged], [0.0, np.inf])
        assert alone.kl[0, 1] - 1e-12 <= path.kl[0, step] <= alone.kl[0, 0] + 1e-12
    assert np.all(np.diff(path.means()[0]) >= -1e-12)
    assert path.means()[1][0] == pytest.approx(0.5)


def test_a_large_pool_is_theorem_1():
    """A correct proxy on 400 evenly spread responses: the closed form at each KL, to the grid."""
    for kl in (0.5, 1.0, 2.0):
        found = value(a_pool((U.tolist(), U.tolist())), f"win_rate@{kl:g}")
        assert found == pytest.approx(float(uniform.win_rate(uniform.beta_at(kl))), abs=2e-3)


@pytest.mark.parametrize("c", [0.1, 0.25, 0.5])
def test_a_reversed_top_is_found_again(c):
    """The path peaks where the closed form does, and the peak tells the share that is reversed."""
    proxy = maps.top_wrong(c).proxy(U)
    pool = a_pool((U.tolist(), proxy.tolist()), (U.tolist(), proxy.tolist()))
    found = audit(pool).reward("r").estimates
    assert found["misranked_tail"].value == pytest.approx(c, rel=0.06)
    beta = uniform.beta_at(found["peak_kl"].value)
    assert found["peak_win_rate"].value == pytest.approx(float(maps.top_wrong(c).win_rate(beta)), abs=3e-3)
    assert found["turn_kl"].value == pytest.approx(
        found["peak_kl"].value, abs=1e-9
    )  # gold is its own quantile
    assert found["fall"].value > 0.02


def test_a_correct_proxy_never_turns():
    """No peak before the end, nothing reversed."""
    found = audit(a_pool((U.tolist(), U.tolist()))).reward("r").estimates
    assert (found["misranked_tail"].value, found["fall"].value, found["turn_kl"]) == (0, 0, None)


def test_a_reversed_proxy_falls_from_the_start():
    """All of it is reversed."""
    assert value(a_pool((U.tolist(), (-U).tolist())), "misranked_tail") == 1


def test_ties_make_a_plateau():
    """Half of four tie as the best: KL ends at log 2, and no order of the gold could pass 1 - 0.5/2."""
    assert value(four(), "plateau_kl") == pytest.approx(np.log(2))
    assert value(four(), "plateau_ceiling") == pytest.approx(0.75)
    assert value(four(), "plateau_win_rate") == pytest.approx(0.5)  # 2 and 3 of 1 to 4


def test_the_path_keeps_under_a_factor_and_a_shift_and_the_rank_path_under_any_rising_map():
    """What depends on values and what on order alone."""
    pool = a_noisy_pool()
    scores = pool.proxies["r"]
    one = audit(pool).reward("r")
    moved = audit(pool.with_proxies({"r": 7 * scores - 3})).reward("r")
    bent = audit(pool.with_proxies({"r": np.exp(scores)})).reward("r")
    for metric in ("win_rate@0.5", "gold_reward@0.5", "peak_win_rate", "plateau_kl"):
        assert moved.estimates[metric].value == pytest.approx(one.estimates[metric].value, abs=1e-9)
    assert np.allclose(bent.ranks.kl, one.ranks.kl, equal_nan=True)
    assert bent.estimates["misranked_tail"] == one.estimates["misranked_tail"]
