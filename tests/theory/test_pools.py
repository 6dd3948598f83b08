"""Order within prompts: that of one sort over all keys."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rubricate.theory.pools import order_within


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8), st.integers(0, 1000))
def test_it_is_lexsort_with_the_prompt_last(sizes, seed):
    """Stable, by the last key first, whatever the sizes."""
    rng, n = np.random.default_rng(seed), sum(sizes)
    one, other = rng.integers(0, 3, n), rng.random(n).round(1)
    prompt = np.repeat(np.arange(len(sizes)), sizes)
    counts = np.array(sizes)
    assert np.array_equal(order_within(counts, one), np.lexsort((one, prompt)))
    assert np.array_equal(order_within(counts, other, one), np.lexsort((other, one, prompt)))
