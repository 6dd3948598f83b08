"""Pools that the tests of the audit share, small enough to count by hand."""

from __future__ import annotations

import numpy as np

from rubricate.evaluation.scored import ScoredPool, grouped

FOUR_GOLD = [1.0, 2.0, 3.0, 4.0]
FOUR_PROXY = [1.0, 3.0, 3.0, 2.0]
"""Against FOUR_GOLD: of six pairs three right, one tied, two wrong."""


def a_pool(*prompts: tuple[list[float], list[float]], **columns) -> ScoredPool:
    """A pool of prompts, each as its gold and its proxy `r`; columns as for `grouped`, end to end."""
    sizes = [len(gold) for gold, _ in prompts]
    return grouped(
        [f"p{place}" for place in range(len(prompts))],
        np.repeat(np.arange(len(prompts)), sizes),
        gold=np.concatenate([gold for gold, _ in prompts]),
        proxies={"r": np.concatenate([proxy for _, proxy in prompts])},
        **columns,
    )


def four(**columns) -> ScoredPool:
    """One prompt with FOUR_GOLD and FOUR_PROXY."""
    return a_pool((FOUR_GOLD, FOUR_PROXY), **columns)


def a_noisy_pool(seed: int = 0, n_prompts: int = 30, size: int = 8) -> ScoredPool:
    """A proxy that follows the gold with noise, rounds it, and is silent now and then."""
    rng = np.random.default_rng(seed)
    n = n_prompts * size
    gold = rng.integers(0, 6, n) / 2
    proxy = np.round(gold + rng.normal(size=n), 1)
    proxy[rng.random(n) < 0.1] = np.nan
    return grouped(
        [f"p{place}" for place in range(n_prompts)],
        np.repeat(np.arange(n_prompts), size),
        gold=gold,
        proxies={"r": proxy},
        lengths=rng.integers(80, 200, n),
        sources=rng.integers(0, 3, n),
        source_names=["a", "b", "c"],
    )
