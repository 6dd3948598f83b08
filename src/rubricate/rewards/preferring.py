"""Any reward as a judge of pairs: which of two completions it scores higher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rubricate.errors import DataError
from rubricate.rewards.batch.texts import BATCH
from rubricate.rewards.seam import Reward


def preferred(reward: Reward, prompts: Sequence[Any], pairs: Sequence[Sequence[Any]]) -> list[int]:
    """For each prompt the place, 0 or 1, of the better of two completions, -1 where they tie or one is not
    judged: what a judge of pairs gives. By the score of an evaluation: no option is on.

    Raises:
        DataError: as `Reward.grade`; also when a pair is none.
    """
    if any(len(pair) != 2 for pair in pairs) or len(pairs) != len(prompts):
        raise DataError(BATCH, f"{len(prompts)} prompts need as many pairs of completions")
    twice = [prompt for prompt in prompts for _ in range(2)]
    scores = reward.grade(twice, [text for pair in pairs for text in pair], evaluation=True).scores
    return [_better(*scores[at : at + 2]) for at in range(0, len(scores), 2)]


def _better(first: float | None, second: float | None) -> int:
    if first is None or second is None or first == second:
        return -1
    return 0 if first > second else 1
