"""All rules through the audit, and what the last line may say."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from pools import a_pool, a_world, an_entry

from rubricate.domain.intervals import Estimate
from rubricate.errors import DataError, SettingsError
from rubricate.evaluation.aggregation.comparison import (
    METRIC,
    RuleAccount,
    closing_of,
    compared,
    is_beyond,
)
from rubricate.evaluation.aggregation.graded import graded_pool
from rubricate.evaluation.aggregation.scores import BASE, NAMES, all_scores, scores_under


def by_rule(comparison):
    return {account.rule: account for account in comparison.rules}


def test_every_rule_is_there_and_beside_the_baselines():
    """Eight rules and two fits' worth of names, and what cannot be had says why."""
    found = by_rule(compared(a_pool(*a_world(20)), "x"))
    assert set(found) == {*NAMES, "random", "longer", "gold"}
    assert found["probability_weighted"].metrics == {}
    assert found["probability_weighted"].note == "no verdict has a probability or votes"
    assert found["gold"].metrics[METRIC].value == 1
    assert found[BASE].differences == {}


def test_a_better_rule_is_found_and_said():
    """Where rules tell and principles are coins, the fits are beyond the interval, and are named."""
    comparison = compared(a_pool(*a_world(50)), "x", "pair_accuracy_half")
    assert {"item_response", "fitted_preferences", "fitted_gold"} <= set(comparison.beyond)
    assert comparison.best in comparison.beyond
    assert "beyond its interval against the weighted mean in pair_accuracy_half" in comparison.closing


def test_equal_rules_differ_by_nothing():
    """Equal weights and no rule: unweighted and rules first are the weighted mean, every difference is 0 with
    an interval that says so, and none is called better."""
    chance = np.random.default_rng(1)
    entries = [
        an_entry(prompt, f"m{place}", "".join(chance.choice(["+", "-"], 4)), float(chance.normal()))
        for prompt in range(8)
        for place in range(5)
    ]
    comparison = compared(a_pool(*entries), "x")
    found = by_rule(comparison)
    for rule in ("unweighted", "rules_first", "critical_veto"):
        assert found[rule].note == "the same scores as the weighted mean here"
        assert found[rule].differences[METRIC].value == 0
        assert not is_beyond(found[rule].differences[METRIC])
    assert found["geometric"].differences["pair_accuracy_half"].value == 0


def account(rule, value, difference=None):
    estimates = {METRIC: Estimate(value, 10, value - 0.1, value + 0.1)}
    return RuleAccount(rule, False, "", estimates, {METRIC: difference} if difference else {}, {})


def test_no_difference_beyond_its_interval_is_said_in_these_words():
    """The highest is named elsewhere; here nothing is called better."""
    inside = account("unweighted", 0.7, Estimate(0.1, 10, -0.05, 0.25))
    told = closing_of(METRIC, [account(BASE, 0.6), inside], "unweighted", [])
    assert told.startswith(
        "no difference is beyond its interval: of 1 rules none is shown to be better or worse"
    )


def test_beyond_means_without_zero():
    """An end at 0 is not beyond, and no interval is no difference."""
    assert is_beyond(Estimate(0.1, 5, 0.01, 0.2))
    assert is_beyond(Estimate(-0.1, 5, -0.2, -0.01))
    assert not is_beyond(Estimate(0.1, 5, 0.0, 0.2))
    assert not is_beyond(Estimate(0.1, 1, None, None))
    assert not is_beyond(None)


def test_the_same_responses_have_scores_under_every_rule():
    """A response below the floor has none anywhere, so all rules are measured on the same pairs."""
    entries = a_world(14)
    silent = tuple(msgspec.structs.replace(c, verdict=None) for c in entries[5].criteria)
    entries[5] = msgspec.structs.replace(entries[5], criteria=silent)
    for found in all_scores(a_pool(*entries)):
        if found.scores is not None:
            assert np.flatnonzero(np.isnan(found.scores)).tolist() == [5]


def test_probabilities_are_used_where_there_are_some():
    """They break ties that verdicts leave."""
    entries = []
    for prompt in range(3):
        for place, chance in enumerate((0.9, 0.7, 0.2)):
            entry = an_entry(prompt, f"m{place}", "+" if chance > 0.5 else "-", chance)
            sure = tuple(msgspec.structs.replace(c, probability=chance) for c in entry.criteria)
            entries.append(msgspec.structs.replace(entry, criteria=sure))
    found = by_rule(compared(a_pool(*entries), "x"))
    assert found["probability_weighted"].metrics["pair_accuracy"].value == 1
    assert found[BASE].metrics["pair_accuracy"].value == pytest.approx(2 / 3)


class TestBadInput:
    def test_no_gold(self):
        with pytest.raises(DataError, match="gold: empty in every row"):
            compared(a_pool(an_entry(1, "a", "+"), an_entry(1, "b", "-")), "verdicts.jsonl")

    def test_one_response_per_prompt(self):
        with pytest.raises(DataError, match="prompt_id: each prompt has one response with gold"):
            compared(a_pool(an_entry(1, "a", "+", 1.0), an_entry(2, "b", "-", 0.0)), "verdicts.jsonl")

    def test_gold_that_never_differs(self):
        with pytest.raises(DataError, match="the same gold"):
            compared(a_pool(an_entry(1, "a", "+", 1.0), an_entry(1, "b", "-", 1.0)), "verdicts.jsonl")

    def test_gold_for_some_is_used_and_counted(self):
        """What has none takes no part, and a note says how much."""
        entries = a_world(12)
        entries[:8] = [msgspec.structs.replace(entry, gold=None) for entry in entries[:8]]
        comparison = compared(a_pool(*entries), "x")
        assert (comparison.prompts, comparison.responses) == (11, 88)
        assert any("gold is missing for 8 of 96 responses" in note for note in comparison.notes)

    def test_all_ties(self):
        """Verdicts that never differ rank nothing: said in a note, no rule is called better."""
        entries = [an_entry(prompt, f"m{n}", "++", float(n)) for prompt in range(12) for n in range(8)]
        comparison = compared(a_pool(*entries), "x")
        assert comparison.closing.startswith("no difference is beyond its interval")
        assert any(
            "weighted_mean gives all responses of each prompt the same score" in n for n in comparison.notes
        )

    def test_too_few_responses_for_the_tail(self):
        """The best quarter of three responses is one: nothing is said of it, but what can be measured is."""
        comparison = compared(a_pool(*a_world(10, 3)), "x")
        assert comparison.best is None
        assert "--metric tail_accuracy_half@50%" in comparison.closing

    def test_neither_verdict_nor_label(self):
        entry = an_entry(1, "a", "+")
        bare = [msgspec.structs.replace(c, has_verdict=False, verdict=None) for c in entry.criteria]
        with pytest.raises(DataError, match="neither a verdict nor a label"):
            graded_pool([msgspec.structs.replace(entry, criteria=tuple(bare))], "x")

    def test_a_rubric_that_is_none(self):
        """Pitfalls only: the row is named."""
        entry = an_entry(1, "a", "+", weights=[-1.0], kinds=["pitfall"])
        with pytest.raises(DataError, match=r"line 1: a rubric needs at least one criterion with a positive"):
            graded_pool([entry], "x")

    def test_unknown_names(self):
        pool = a_pool(*a_world(10))
        with pytest.raises(SettingsError, match="no rule 'best'; there are weighted_mean"):
            scores_under("best", pool)
        with pytest.raises(SettingsError, match="no metric 'accuracy' with a difference; there are"):
            compared(pool, "x", "accuracy")
