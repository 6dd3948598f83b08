"""How a reward model is trained: the paper's hyperparameters, and what a small machine changes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from rubricate.domain.conversation import Prompt
from rubricate.reward_model.pairs import PreferencePair
from rubricate.reward_model.texts import LONGEST, TextForm, encoded


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The hyperparameters; defaults are those of table 7 of Chasing the Tail, the rest as in TRL.

    head_learning_rate  of the scalar head, which starts from chance; None: as the rest
    accumulation        batches of `batch_size` pairs that make one step
    warmup              share of the steps
    center              weight of the squared sum of both rewards, which keeps them around 0 (arXiv
                        2312.09244, equation 2)
    margin              subtract the gap of gold scores inside the loss (Llama 2, arXiv 2307.09288,
                        equation 2)
    freeze_layers       layers that stay as they are, counted from the input, the embeddings with them
    lora_rank           train adapters of this rank instead; 0 trains the weights. They are merged at the end
    checkpointing       recompute activations instead of keeping them: less memory, more time
    """

    learning_rate: float = 1e-5
    head_learning_rate: float | None = None
    batch_size: int = 4
    accumulation: int = 4
    epochs: float = 10.0
    max_length: int = LONGEST
    prompt_share: float = 0.25
    response_cut: Literal["start", "end"] = "end"
    warmup: float = 0.1
    schedule: str = "cosine"
    weight_decay: float = 0.0
    center: float | None = None
    margin: bool = False
    bf16: bool = False
    freeze_layers: int = 0
    lora_rank: int = 0
    checkpointing: bool = False

    def __post_init__(self) -> None:
        for name in ("learning_rate", "batch_size", "accumulation", "epochs", "max_length"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is above 0")
        for name in ("weight_decay", "freeze_layers", "lora_rank"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is at least 0")
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup is {self.warmup}; it is a share between 0 and 1")
        if self.lora_rank and self.freeze_layers:
            raise ValueError("lora_rank and freeze_layers: adapters leave all layers as they are; give one")
        if self.head_learning_rate is not None and not self.head_learning_rate > 0:
            raise ValueError(f"head_learning_rate is {self.head_learning_rate}; it is above 0")


class Tokens(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pairs as token ids. `cut` counts the texts that were too long, `alike` the pairs that are one text
    after the cut: they teach nothing and are left out."""

    chosen: list[list[int]]
    rejected: list[list[int]]
    margins: list[float]
    cut: int
    alike: int

    @property
    def total(self) -> int:
        """Tokens that one epoch reads."""
        return sum(map(len, self.chosen)) + sum(map(len, self.rejected))


def tokens_of(tokenizer: Any, form: TextForm, pairs: Sequence[PreferencePair]) -> Tokens:
    """The tokens of pairs, in their order. A text that is in many pairs is read once.

    Raises:
        ValueError: the chat template does not take a prompt.
    """
    known: dict[tuple[str, str], tuple[list[int], bool]] = {}

    def ids(prompt: Prompt, text_key: str, text: str) -> tuple[list[int], bool]:
        if (prompt.key, text_key) not in known:
            known[prompt.key, text_key] = encoded(tokenizer, form, prompt, text)
        return known[prompt.key, text_key]

    chosen, rejected, margins, cut, alike = [], [], [], 0, 0
    for pair in pairs:
        (one, is_one_cut), (two, is_two_cut) = (
            ids(pair.prompt, side.text_key, side.text) for side in (pair.chosen, pair.rejected)
        )
        if one == two:
            alike += 1
            continue
        cut += is_one_cut + is_two_cut
        chosen.append(one)
        rejected.append(two)
        margins.append(pair.gap or 0.0)
    return Tokens(chosen, rejected, margins, cut, alike)


def steps_of(recipe: Recipe, n_pairs: int, n_devices: int = 1) -> int:
    """Steps of the optimiser, as the trainer counts them: the last, smaller batch of an epoch is one too."""
    batches = math.ceil(n_pairs / (recipe.batch_size * n_devices))
    return math.ceil(max(1, math.ceil(batches / recipe.accumulation)) * recipe.epochs)
