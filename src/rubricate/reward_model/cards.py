"""`rubricate.json`: what a reward model was made from and what it is worth, beside the model."""

from __future__ import annotations

from pathlib import Path

import msgspec

from rubricate.domain.intervals import Estimate
from rubricate.errors import DataError
from rubricate.reward_model.texts import TextForm

CARD = "rubricate.json"
VERSION = 1


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What it was trained on. `dropped` counts by reason the pairs that took no part."""

    pairs: int
    prompts: int
    held_out_pairs: int
    held_out_prompts: int
    sources: dict[str, int] = {}
    dropped: dict[str, int] = {}
    cut_texts: int = 0


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The card of a trained model.

    `data` is the content key of the training pairs in order, `hyperparameters` what the trainer was given,
    `accuracy` the share of held-out pairs in which the chosen text scores higher, over prompts.
    """

    version: int = VERSION
    base_model: str
    form: TextForm
    data: str
    counts: Counts
    seed: int
    hyperparameters: dict[str, float | int | str | bool | None]
    accuracy: Estimate | None = None


def write_card(card: Card, folder: Path) -> None:
    """Puts the card beside the model."""
    content = msgspec.json.format(msgspec.json.encode(card), indent=1) + b"\n"
    (folder / CARD).write_bytes(content)


def read_card(folder: Path) -> Card | None:
    """The card beside a model; None where there is none, as with a model that was trained elsewhere.

    Raises:
        DataError: there is one, and it cannot be read.
    """
    path = folder / CARD
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Card)
    except (msgspec.DecodeError, ValueError) as problem:
        raise DataError(path, f"no card of a reward model: {problem}") from None
