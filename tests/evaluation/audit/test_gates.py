"""Gates: what they read, what they let through, and what they say."""

from __future__ import annotations

import pytest
from audit_cases import a_noisy_pool, a_pool, four

from rubricate.errors import SettingsError
from rubricate.evaluation.audit.auditing import audit
from rubricate.evaluation.audit.comparing import compared
from rubricate.evaluation.audit.gates import hold, metric_names, parse, settings_of


@pytest.mark.parametrize(
    ("text", "is_held"),
    [
        ("pair_accuracy>=0.5", True),
        ("pair_accuracy>0.5", False),
        ("pair_accuracy<=0.5", True),
        ("pair_accuracy<0.5", False),
        (" pair_accuracy_decided >= .6 ", True),
        ("r:regret<=1.5", True),
        ("gold:regret<=0", True),
        ("low(pair_accuracy)>=0.1", False),  # one prompt has no interval
    ],
)
def test_a_gate_holds_or_not(text, is_held):
    """Four responses: 0.5 exactly, 0.6 decided, a regret of 1.5."""
    (passed,) = hold(parse(text), audit(four()))
    assert passed.is_held == is_held


def test_the_line_says_by_how_much():
    """Value, limit, and what is missing."""
    (passed,) = hold(parse("pair_accuracy>=0.75"), audit(four()))
    assert passed.line == "r: pair_accuracy = 0.5, >= 0.75 is asked: it misses by 0.25"


def test_an_end_of_the_interval():
    """low(...) and high(...) are those of the estimate, with the name of a reward outside or inside."""
    found = audit(a_noisy_pool())
    ends = found.reward("r").estimates["pair_accuracy"]
    for text in (f"low(pair_accuracy)>={ends.low}", f"r:low(pair_accuracy)>={ends.low}",
                 f"low(r:pair_accuracy)>={ends.low}", f"high(pair_accuracy)<={ends.high}"):  # fmt: skip
        (passed,) = hold(parse(text), found)
        assert passed.is_held, text
    assert not hold(parse(f"low(pair_accuracy)>={ends.value}"), found)[0].is_held


def test_any_share_and_any_kl():
    """They are measured because a gate asks for them."""
    gates = [parse("tail_accuracy@37.5%>=0"), parse("win_rate@0.3>=0.5")]
    shares, kls = settings_of(gates)
    assert (shares, kls) == ([0.375], [0.3])
    found = audit(a_pool(([1, 2, 3, 4], [1, 2, 3, 4])), shares=shares, kls=kls)
    assert all(passed.is_held for gate in gates for passed in hold(gate, found))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tail_acuracy@25%>=0.6", "did you mean tail_accuracy@25%"),
        ("regrett<1", "did you mean regret"),
        ("tail_accuracy@250%>=0.6", "at most 100%"),
        ("pair_accuracy=0.6", "are wanted"),
        ("pair_accuracy>=high", "is not a number"),
        ("pair_accuracy>=nan", "is not a number"),
        ("mid(pair_accuracy)>=0.6", "low(...) and high(...)"),
        ("low(pair_accuracy>=0.6", "are wanted"),
        ("", "are wanted"),
    ],
)
def test_a_wrong_gate_is_told(text, said):
    """With the nearest metric where there is one."""
    with pytest.raises(SettingsError) as mistake:
        parse(text)
    assert said in str(mistake.value)


def test_an_unknown_reward_is_told():
    """All names are given."""
    with pytest.raises(SettingsError, match="there are r, random, gold"):
        hold(parse("s:regret<1"), audit(four()))


def test_every_metric_has_a_name():
    """What an audit measures can be gated, and what can be gated is measured somewhere."""
    measured = {
        metric
        for pool in (a_noisy_pool(), a_noisy_pool(1, 4, 70))
        for reward in audit(pool).rewards
        for metric in reward.estimates
    }
    assert measured == set(metric_names())


def test_a_comparison_is_paired():
    """A proxy less itself is 0 with no width; gold less the proxy is what the two differ by."""
    pool = a_noisy_pool()
    found = audit(pool.with_proxies({"r": pool.proxies["r"], "s": pool.proxies["r"]}))
    for metric, difference in compared(found, "r", "s").items():
        assert difference is None or (difference.value, difference.low in (0, None)) == (0, True), metric
    apart = compared(found, "gold", "r")
    numbers = {name: found.reward(name).estimates for name in ("gold", "r")}
    for metric in ("pair_accuracy", "regret", "best_of_gold@4", "win_rate@0.5"):
        expected = numbers["gold"][metric].value - numbers["r"][metric].value
        assert apart[metric].value == pytest.approx(expected), metric
    with pytest.raises(SettingsError, match="did you mean gold"):
        compared(found, "gild", "r")
