"""A reward model checkpoint as a scorer: see `reward_model.scoring`, which loads and asks it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from rubricate.evaluation.scorers.marks import Item, Mark
from rubricate.reward_model.scoring import RewardModel, load

_AT_ONCE = 32
"""Batches of the model that it gets at a time, so that it can sort texts by their length."""


@dataclass
class CheckpointScorer:
    """A reward model, asked in a thread."""

    model: RewardModel
    batch_size: int
    in_flight: int = 1

    @property
    def name(self) -> str:
        """The model's."""
        return self.model.name

    @property
    def n_cut(self) -> int:
        """How many texts were longer than the model reads, and cut."""
        return self.model.n_cut

    async def score(self, items: Sequence[Item]) -> Sequence[Mark]:
        """Logits."""
        asked = [(item.prompt, item.text) for item in items]
        return [Mark(score.value, score.why) for score in await asyncio.to_thread(self.model.scores, asked)]


def checkpoint_scorer(
    name: str, *, batch_size: int = 8, max_length: int | None = None, bf16: bool = False
) -> CheckpointScorer:
    """The scorer of a checkpoint in a folder, or of one on the hub; on a GPU where there is one.

    Raises:
        SettingsError: torch or transformers is missing, there is no such checkpoint, or it has several
            outputs.
        DataError: its card cannot be read.
    """
    said = f"--scorer checkpoint:{name}"
    model = load(name, batch_size=batch_size, max_length=max_length, bf16=bf16, said=said)
    return CheckpointScorer(model, batch_size * _AT_ONCE)
