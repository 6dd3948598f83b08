"""The scored pool: columns in one order, prompt after prompt."""

from __future__ import annotations

import numpy as np
import pytest

from rubricate.evaluation.scored import grouped


def a_pool(**columns):
    """Rows a, b, a, c of prompts a, b, c, and d without a row."""
    given = {"gold": [1, 2, 3, 4], "proxies": {"r": [5, 6, np.nan, 8]}, **columns}
    return grouped(["a", "b", "c", "d"], [0, 1, 0, 2], **given)


def test_rows_are_put_together_by_prompt():
    """Prompts in order of the names, rows of a prompt in their order; a prompt without rows is left out."""
    pool = a_pool(lengths=[10, 20, 30, 40], sources=[0, 1, -1, 0], weights=[1, 2, 3, 4])
    assert list(pool.prompts) == ["a", "b", "c"]
    assert pool.sizes.tolist() == [2, 1, 1]
    assert pool.starts.tolist() == [0, 2, 3]
    assert pool.prompt_of.tolist() == [0, 0, 1, 2]
    assert pool.gold.tolist() == [1, 3, 2, 4]
    assert np.isnan(pool.proxies["r"][1]) and pool.proxies["r"][2] == 6
    assert pool.lengths.tolist() == [10, 30, 20, 40]
    assert pool.sources.tolist() == [0, -1, 1, 0]
    assert pool.weights is not None and pool.weights.tolist() == [1, 3, 2, 4]


def test_a_part_of_a_pool_is_a_pool():
    """A prompt whose last response is masked away is gone."""
    part = a_pool().only(np.array([False, True, False, True]))
    assert (list(part.prompts), part.sizes.tolist(), part.gold.tolist()) == (["a", "c"], [1, 1], [3.0, 4.0])


def test_columns_of_another_length_are_refused():
    """A column that is not of this pool would shift every score by a row."""
    with pytest.raises(ValueError, match="all columns"):
        a_pool().with_proxies({"r": np.zeros(3)})
