"""The sizes of a rehearsal of training: all that shapes it besides the dials of the world.

Those of training are chosen for a small model; `docs/over-optimisation.md` says how.
"""

from __future__ import annotations

import msgspec

REWARDS = ("gold", "bt", "initial", "refined")
"""What GRPO is paid by, in the order of the tables: the truth; a Bradley-Terry model of off-policy pairs; the
rubric written from the prompt alone; the same rubric after the loop."""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All numbers.

    Questions: `subjects` of the world; of each, `asked` ways of asking for training and `held_out` ones that
    neither the lessons nor any reward ever sees. Answers have at most `budget` tokens.
    Lessons (SFT): `lessons` answers to each way of asking, from models of `abilities` in these shares, cut to
    whole sentences within the budget and read `epochs` times by a model of `layers` layers of `width`.
    Pairs (BT): `pairs` for each way of asking.
    GRPO: `steps` steps of `prompts` prompts with `rollouts` answers each.
    Measuring: at `marks` steps besides the first, on `samples` answers to each prompt. The starting policy
    gives `base` answers to each prompt of training, the starting pool, and `start` to each one held out.
    """

    subjects: int = 12
    asked: int = 2
    held_out: int = 2
    budget: int = 48

    abilities: tuple[tuple[str, int], ...] = (("great", 4), ("good", 4), ("fair", 4), ("weak", 4))
    lessons: int = 128
    epochs: int = 6
    width: int = 128
    layers: int = 2
    lesson_batch: int = 32
    lesson_rate: float = 3e-3

    pairs: int = 24
    pair_epochs: int = 3
    pair_rate: float = 3e-4

    steps: int = 100
    prompts: int = 4
    rollouts: int = 16
    learning_rate: float = 4e-4
    kl: float = 0.01

    marks: int = 12
    samples: int = 8
    base: int = 256
    start: int = 64


def quick() -> Plan:
    """Small enough to be through with all four rewards in about three minutes; too small to show anything."""
    return Plan(
        subjects=6,
        lessons=96,
        epochs=4,
        pairs=12,
        pair_epochs=2,
        steps=40,
        marks=6,
        samples=4,
        base=64,
        start=16,
    )
