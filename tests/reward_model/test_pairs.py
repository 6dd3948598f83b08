"""Which pairs are trained on: sources with exact counts, gaps, caps, balance, and nothing lost in silence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.conversation import Prompt, Response
from rubricate.reward_model.pairs import (
    Choice,
    PreferencePair,
    chosen_pairs,
    data_key,
    held_out,
    source_of,
)


def a_pair(prompt="p", chosen="good", rejected="bad", by=("a", "a"), gap=None, unit=""):
    return PreferencePair(
        Prompt.of_text(prompt), Response(chosen, by[0]), Response(rejected, by[1]), gap, unit
    )


class TestSources:
    def test_who_wrote_what(self):
        names = ["qwen*"]
        assert source_of(a_pair(by=("qwen-8b", "qwen-4b")), names) == "on-policy"
        assert source_of(a_pair(by=("gemini", "gemini")), names) == "off-policy"
        assert source_of(a_pair(by=("gemini", "qwen-8b")), names) == "across"
        assert source_of(a_pair(by=(None, "qwen-8b")), names) == "unknown"
        assert source_of(a_pair(by=("qwen-8b", "qwen-8b")), []) == "unknown"

    def test_table_6(self):
        """Three prompts with one pair of each source: 3 on-policy, 3 off-policy, 6 of both; pairs of one
        response each are counted and take no part."""
        pairs = [
            a_pair(f"p{n}", f"good {by}", f"bad {by}", by=by)
            for n in range(3)
            for by in (("policy", "policy"), ("great", "great"), ("great", "policy"))
        ]
        found = {
            source: chosen_pairs(pairs, Choice(source=source, policy=("policy",), per_prompt=1))
            for source in ("on", "off", "mixed")
        }
        assert found["on"].sources == {"on-policy": 3}
        assert found["off"].sources == {"off-policy": 3}
        assert found["mixed"].sources == {"off-policy": 3, "on-policy": 3}
        assert found["mixed"].dropped == {"one response of the policy, the other not": 3}
        assert found["on"].dropped == {
            "no response of the policy": 3,
            "one response of the policy, the other not": 3,
        }
        both = {pair.key for name in ("on", "off") for pair in found[name].pairs}
        assert {pair.key for pair in found["mixed"].pairs} == both

    def test_a_number_of_mixed_pairs_is_half_of_each(self):
        pairs = [a_pair(f"p{n}", by=(who, who)) for n in range(20) for who in ("policy", "great")]
        pairs = [
            a_pair(p.prompt.text, f"{p.chosen.generator} good", p.rejected.text, by=(p.chosen.generator,) * 2)
            for p in pairs
        ]
        chosen = chosen_pairs(pairs, Choice(source="mixed", policy=("policy",), most=10))
        assert chosen.sources == {"off-policy": 5, "on-policy": 5}
        assert chosen.dropped == {"more than wanted in all": 30}

    def test_a_source_needs_names(self):
        with pytest.raises(ValueError, match="needs the names"):
            Choice(source="on")
        with pytest.raises(ValueError, match="all, on, off or mixed"):
            Choice(source="both")


class TestChoice:
    def test_gaps(self):
        pairs = [a_pair("p", "x1", gap=0.5), a_pair("p", "x2", gap=0.49), a_pair("p", "x3")]
        chosen = chosen_pairs(pairs, Choice(min_gap=0.5))
        assert [pair.chosen.text for pair in chosen.pairs] == ["x1"]
        assert chosen.dropped == {"a gap below 0.5": 1, "no gold scores, so no gap": 1}
        assert len(chosen_pairs(pairs, Choice()).pairs) == 3

    def test_preferred_both_ways_is_no_preference(self):
        pairs = [a_pair("p", "x", "y"), a_pair("p", "y", "x"), a_pair("p", "x", "z"), a_pair("p", "x", "z")]
        chosen = chosen_pairs(pairs, Choice())
        assert [(pair.chosen.text, pair.rejected.text) for pair in chosen.pairs] == [("x", "z")]
        assert chosen.dropped == {"comes again": 1, "preferred one way and the other": 2}

    def test_balanced_in_length(self):
        """Four longer, two shorter, one even: two and two and the even one."""
        pairs = [a_pair(f"l{n}", "longer", "bad") for n in range(4)]
        pairs += [a_pair(f"s{n}", "ab", "long") for n in range(2)]
        pairs += [a_pair("e", "abc", "bad")]
        chosen = chosen_pairs(pairs, Choice(balance_length=True))
        longer = [len(pair.chosen.text) - len(pair.rejected.text) for pair in chosen.pairs]
        assert sorted(longer) == [-2, -2, 0, 3, 3]
        assert chosen.dropped == {"more of this length than of the other": 2}

    def test_a_cap_keeps_the_rarer_length(self):
        """Of nine longer and one shorter of a prompt, the cap of two keeps the shorter and one other."""
        pairs = [a_pair("p", f"longer {n}", "bad") for n in range(9)] + [a_pair("p", "ab", "long")]
        chosen = chosen_pairs(pairs, Choice(per_prompt=2, balance_length=True))
        assert sorted(len(p.chosen.text) > len(p.rejected.text) for p in chosen.pairs) == [False, True]

    def test_other_seeds_draw_other_pairs_and_order_is_of_content(self):
        pairs = [a_pair(f"p{n}") for n in range(40)]
        one, two = (chosen_pairs(pairs, Choice(most=10, seed=seed)).pairs for seed in (0, 1))
        assert data_key(one) != data_key(two)
        assert chosen_pairs(pairs[::-1], Choice(most=10)).pairs == one


pairs_of_any_kind = st.builds(
    a_pair,
    prompt=st.sampled_from(["p", "q", "r"]),
    chosen=st.text("ab", min_size=1, max_size=4),
    rejected=st.text("cd", min_size=1, max_size=4),
    by=st.tuples(*[st.sampled_from(["policy", "great", None])] * 2),
    gap=st.sampled_from([None, 0.1, 0.6]),
)


@given(
    st.lists(pairs_of_any_kind, max_size=30),
    st.sampled_from(["all", "on", "off", "mixed"]),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, 1, 4]),
    st.booleans(),
)
def test_nothing_is_lost_in_silence(pairs, source, gap, per_prompt, most, balance):
    """Every pair is among the chosen ones or counted; caps hold, sources are those that were asked for."""
    choice = Choice(source, ("policy",), gap, per_prompt, most, balance)
    chosen = chosen_pairs(pairs, choice)
    assert len(chosen.pairs) + sum(chosen.dropped.values()) == len(pairs)
    assert sum(chosen.sources.values()) == len(chosen.pairs)
    assert len({pair.key for pair in chosen.pairs}) == len(chosen.pairs)
    assert most is None or len(chosen.pairs) <= most
    if balance and most is None:
        longer = sum(len(p.chosen.text) > len(p.rejected.text) for p in chosen.pairs)
        shorter = sum(len(p.chosen.text) < len(p.rejected.text) for p in chosen.pairs)
        assert longer == shorter or source == "mixed"


@given(st.lists(pairs_of_any_kind, max_size=30), st.floats(0, 0.99))
def test_no_prompt_is_on_both_sides(pairs, share):
    train, beside = held_out(pairs, share)
    assert not {p.prompt.key for p in train} & {p.prompt.key for p in beside}
    assert len(train) + len(beside) == len(pairs)


def test_a_unit_is_held_out_as_one():
    """Prompts that a file calls one (an article that is left out) stay together."""
    pairs = [a_pair(f"p{n}", unit="article") for n in range(20)]
    assert [] in held_out(pairs, 0.5)
