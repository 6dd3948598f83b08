"""Pairs are counted without listing one: the same numbers as one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rubricate.evaluation.audit.measures.counting import Layout, booked

SCORES = st.one_of(st.just(float("nan")), st.integers(0, 3).map(float))
PROMPT = st.lists(st.tuples(st.integers(0, 3), SCORES), min_size=1, max_size=12)


@given(st.lists(PROMPT, min_size=1, max_size=6))
def test_it_counts_what_a_loop_counts(prompts):
    """Each pair on its worse response: all, correct, tied, unjudged; whatever ties and gaps there are."""
    expected = np.zeros((4, sum(map(len, prompts))))
    at = 0
    for prompt in prompts:
        for gold, proxy in prompt:
            for better, its_proxy in prompt:
                if better > gold:
                    kind = 3 if np.isnan(proxy + its_proxy) else 1 if its_proxy > proxy else 2
                    expected[0, at] += 1
                    if kind != 2 or its_proxy == proxy:
                        expected[kind, at] += 1
            at += 1
    gold = np.array([gold for prompt in prompts for gold, _ in prompt], dtype=float)
    proxy = np.array([proxy for prompt in prompts for _, proxy in prompt])
    found = booked(Layout(np.array([len(prompt) for prompt in prompts])), gold, proxy)
    assert np.array_equal(np.array(found), expected)


def test_a_large_prompt_is_counted_exactly():
    """1,000 responses in reverse: not one pair of 499,500 is right; in order: all are."""
    gold = np.arange(1000.0)
    layout = Layout(np.array([1000]))
    assert booked(layout, gold, -gold).correct.sum() == 0
    assert booked(layout, gold, gold).correct.sum() == 499_500
