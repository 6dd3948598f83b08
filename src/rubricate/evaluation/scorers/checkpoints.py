"""A reward model checkpoint as a scorer: a sequence classifier of one output, in the format of
transformers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rubricate.errors import SettingsError
from rubricate.evaluation.scorers.marks import Item, Mark

_LONGEST = 4_096


@dataclass
class CheckpointScorer:
    """A model and its tokenizer. Texts longer than `max_length` tokens are cut, and counted in `n_cut`:
    from the left, so that the response stays."""

    model: Any
    tokenizer: Any
    name: str
    max_length: int
    batch_size: int = 8
    in_flight: int = 1
    n_cut: int = field(default=0)

    async def score(self, items: Sequence[Item]) -> Sequence[Mark]:
        """Logits, in a thread."""
        return await asyncio.to_thread(self._score, items)

    def _score(self, items: Sequence[Item]) -> list[Mark]:
        import torch

        texts = [self._text(item) for item in items]
        whole = self.tokenizer(texts, add_special_tokens=not self._has_template)
        self.n_cut += sum(len(ids) > self.max_length for ids in whole["input_ids"])
        batch = self.tokenizer(
            texts,
            return_tensors="pt",
            padding=True,
            truncation=True,
            max_length=self.max_length,
            add_special_tokens=not self._has_template,
        )
        with torch.no_grad():
            logits = self.model(**batch.to(self.model.device)).logits.float().reshape(len(items), -1)
        values = logits[:, 0].tolist()
        finite = torch.isfinite(logits[:, 0]).tolist()
        return [
            Mark(value) if is_finite else Mark(None, f"the model gave {value}")
            for value, is_finite in zip(values, finite, strict=True)
        ]

    @property
    def _has_template(self) -> bool:
        return getattr(self.tokenizer, "chat_template", None) is not None

    def _text(self, item: Item) -> str:
        if not self._has_template:
            return f"{item.prompt.text}\n\n{item.text}"
        turns = [{"role": m.role, "content": m.content} for m in item.prompt.messages]
        turns.append({"role": "assistant", "content": item.text})
        text: str = self.tokenizer.apply_chat_template(turns, tokenize=False)
        return text


def checkpoint_scorer(name: str, *, batch_size: int = 8, max_length: int | None = None) -> CheckpointScorer:
    """The scorer of a checkpoint in a folder, or of one on the hub; on a GPU where there is one.

    Raises:
        SettingsError: torch or transformers is missing, there is no such checkpoint, or it has several
        outputs.
    """
    try:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
    except ModuleNotFoundError as missing:
        raise SettingsError(f"a checkpoint needs {missing.name}: pip install 'rubricate[train]'") from None
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModelForSequenceClassification.from_pretrained(name)
    except (OSError, ValueError) as failure:
        why = str(failure).strip().splitlines()[0]
        raise SettingsError(f"--scorer checkpoint:{name}: cannot be loaded: {why}") from None
    outputs = model.config.num_labels
    if outputs != 1:
        raise SettingsError(f"--scorer checkpoint:{name}: a reward model has one output, this one {outputs}")
    tokenizer.truncation_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    model = model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    known = getattr(model.config, "max_position_embeddings", None) or _LONGEST
    longest = max_length or min(known, _LONGEST)
    shown = Path(name).name if Path(name).is_dir() else name
    return CheckpointScorer(model, tokenizer, f"checkpoint {shown}", longest, batch_size)
