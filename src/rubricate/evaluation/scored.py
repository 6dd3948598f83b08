"""A scored pool in columns: responses to prompts, what they are worth, and what rewards say of them.

One place a response in each column, prompt after prompt, so that a million responses are measured in
whole-array steps. Texts are not kept: an audit needs their lengths only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ScoredPool:
    """N responses to P prompts. All columns have one order: the responses of a prompt stand together."""

    prompts: Sequence[str]
    """What each prompt is called (its id, or its text), shape (P,); no two alike."""
    sizes: Indices
    """Responses per prompt, shape (P,), each at least 1, adding up to N."""
    gold: Floats
    """Gold score of each response, shape (N,), finite; NaN where there is none."""
    proxies: Mapping[str, Floats]
    """By name: the score that a reward gave to each response, shape (N,), finite; NaN where unjudged."""
    lengths: Floats
    """Characters of each response, shape (N,); NaN where there is no text."""
    sources: Indices
    """Who wrote each response, as a place in `source_names`, shape (N,); -1 where that is not known."""
    source_names: Sequence[str] = ()
    weights: Floats | None = None
    """Weight of each response under the base policy, shape (N,), positive; None means all alike."""
    notes: Sequence[str] = ()
    """What was left out or taken otherwise than it stood, one sentence each, with its count."""
    gold_name: str = "gold"
    """What the gold column is called in its file."""
    starts: Indices = field(init=False, repr=False)
    """Where each prompt begins, shape (P,)."""

    def __post_init__(self) -> None:
        n = len(self.gold)
        columns = [*self.proxies.values(), self.lengths, self.sources]
        columns += [] if self.weights is None else [self.weights]
        if any(len(column) != n for column in columns) or int(self.sizes.sum()) != n:
            raise ValueError(f"all columns must hold the {n} responses of the pool")
        if len(self.prompts) != len(self.sizes) or (len(self.sizes) and self.sizes.min() < 1):
            raise ValueError("every prompt has a name and at least one response")
        object.__setattr__(self, "starts", np.cumsum(self.sizes) - self.sizes)

    @property
    def n_prompts(self) -> int:
        return len(self.sizes)

    @property
    def n_responses(self) -> int:
        return len(self.gold)

    @property
    def prompt_of(self) -> Indices:
        """The place of each response's prompt, shape (N,), ascending."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def only(self, kept: Mask) -> ScoredPool:
        """The pool of the responses that a mask of shape (N,) keeps; prompts with none of them are gone."""
        sizes = np.add.reduceat(kept, self.starts, dtype=np.int64) if len(kept) else self.sizes
        stays = np.flatnonzero(sizes)
        return replace(
            self,
            prompts=[self.prompts[place] for place in stays.tolist()],
            sizes=sizes[stays],
            gold=self.gold[kept],
            proxies={name: scores[kept] for name, scores in self.proxies.items()},
            lengths=self.lengths[kept],
            sources=self.sources[kept],
            weights=None if self.weights is None else self.weights[kept],
        )

    def with_proxies(self, proxies: Mapping[str, Floats]) -> ScoredPool:
        """The pool with other rewards' scores in place of its own."""
        return replace(self, proxies=dict(proxies))


def grouped(
    prompts: Sequence[str],
    prompt_of: ArrayLike,
    *,
    gold: ArrayLike,
    proxies: Mapping[str, ArrayLike],
    lengths: ArrayLike | None = None,
    sources: ArrayLike | None = None,
    source_names: Sequence[str] = (),
    weights: ArrayLike | None = None,
    notes: Sequence[str] = (),
    gold_name: str = "gold",
) -> ScoredPool:
    """The pool of N rows in any order, as columns of shape (N,); `prompt_of` are places in `prompts`.

    Prompts keep the order of `prompts` (those without a row are left out), and responses of a prompt the
    order of their rows.
    """
    codes = np.asarray(prompt_of, dtype=np.int64)
    order = np.argsort(codes, kind="stable") if np.any(codes[1:] < codes[:-1]) else slice(None)
    sizes = np.bincount(codes, minlength=len(prompts)).astype(np.int64)
    there = np.flatnonzero(sizes)

    def column(values: ArrayLike) -> Floats:
        return np.asarray(values, dtype=float)[order]

    n = len(codes)
    return ScoredPool(
        prompts=[prompts[place] for place in there.tolist()],
        sizes=sizes[there],
        gold=column(gold),
        proxies={name: column(scores) for name, scores in proxies.items()},
        lengths=column(np.full(n, np.nan) if lengths is None else lengths),
        sources=np.asarray(np.full(n, -1) if sources is None else sources, dtype=np.int64)[order],
        source_names=tuple(source_names),
        weights=None if weights is None else column(weights),
        notes=tuple(notes),
        gold_name=gold_name,
    )
