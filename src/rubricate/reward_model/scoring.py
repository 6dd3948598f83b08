"""A saved reward model -> scores of texts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from rubricate.domain.conversation import Prompt
from rubricate.errors import SettingsError, first_line
from rubricate.reward_model.cards import Card, read_card
from rubricate.reward_model.texts import TextForm, encoded, kind_for, room_of

LONGEST_ELSEWHERE = 4_096
"""Tokens that are read of a model that does not say how it was trained."""

Asked = tuple[Prompt, str]


class Score(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model says of a text: its logit, or None and `why` not."""

    value: float | None
    why: str | None = None


@dataclass
class RewardModel:
    """A sequence classifier of one output, with its tokenizer and the form of its texts.

    `n_cut` counts the texts that had to be cut. Not made for several threads at a time.
    """

    model: Any
    tokenizer: Any
    form: TextForm
    name: str
    card: Card | None = None
    batch_size: int = 8
    bf16: bool = False
    n_cut: int = field(default=0)

    def scores(self, asked: Sequence[Asked]) -> list[Score]:
        """One score for each prompt with its response, in their order.

        Texts go through the model sorted by length, so that little of it is padding; who stands in a batch
        beside whom changes a score by no more than the rounding of floats. What the model or its template
        cannot take has no score.
        """
        import torch

        found: list[Score | None] = [None] * len(asked)
        texts: dict[int, list[int]] = {}
        for place, (prompt, response) in enumerate(asked):
            try:
                text = encoded(self.tokenizer, self.form, prompt, response)
            except ValueError as problem:
                found[place] = Score(None, str(problem))
                continue
            self.n_cut += text.is_cut
            texts[place] = text.ids
        order = sorted(texts, key=lambda place: (-len(texts[place]), place))
        for at in range(0, len(order), self.batch_size):
            places = order[at : at + self.batch_size]
            with torch.inference_mode():
                logits = self._logits([texts[place] for place in places])
            finite = torch.isfinite(logits).tolist()
            for place, value, is_finite in zip(places, logits.tolist(), finite, strict=True):
                found[place] = Score(value) if is_finite else Score(None, f"the model gave {value}")
        return [score for score in found if score is not None]

    def _logits(self, texts: Sequence[list[int]]) -> Any:
        import torch

        device, pad = self.model.device, self.tokenizer.pad_token_id
        longest = max(map(len, texts))
        ids = torch.full((len(texts), longest), pad, dtype=torch.long)
        mask = torch.zeros((len(texts), longest), dtype=torch.long)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = torch.tensor(text, dtype=torch.long)
            mask[row, : len(text)] = 1
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.bf16):
            given = self.model(input_ids=ids.to(device), attention_mask=mask.to(device))
        return given.logits.float().reshape(len(texts), -1)[:, 0].cpu()


def load(
    name: str, *, batch_size: int = 8, max_length: int | None = None, bf16: bool = False, said: str = ""
) -> RewardModel:
    """The reward model in a folder, or one of the hub; on a GPU where there is one.

    With a card it reads texts as it was trained to. Without, by its chat template or plain, and what is too
    long loses its beginning. `max_length` shortens what it reads, `bf16` computes in bfloat16, which is twice
    as fast on many machines and rounds to some three digits. `said` is what the user wrote to name it.

    Raises:
        SettingsError: torch or transformers is missing, there is no such model, or it has several outputs.
        DataError: its card cannot be read.
    """
    said = said or name
    try:
        import torch
        import transformers
    except ModuleNotFoundError as missing:
        raise SettingsError(f"a checkpoint needs {missing.name}: pip install 'rubricate[train]'") from None
    card = read_card(Path(name))
    try:
        with quiet(transformers):
            tokenizer = transformers.AutoTokenizer.from_pretrained(name)
            model = transformers.AutoModelForSequenceClassification.from_pretrained(name)
    except (OSError, ValueError) as failure:
        raise SettingsError(f"{said}: cannot be loaded: {first_line(failure)}") from None
    outputs = model.config.num_labels
    if outputs != 1:
        raise SettingsError(f"{said}: a reward model has one output, this one {outputs}")
    padded(model, tokenizer, said)
    form = card.form if card is not None else _form_of_another(tokenizer)
    room = room_of(model.config, tokenizer, min(max_length or form.max_length, form.max_length))
    form = msgspec.structs.replace(form, max_length=room)
    model = model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    shown = Path(name).name if Path(name).is_dir() else name
    return RewardModel(model, tokenizer, form, f"checkpoint {shown}", card, batch_size, bf16)


def padded(model: Any, tokenizer: Any, said: str) -> None:
    """Gives tokenizer and model a padding token, where they have none: that which ends a text.

    Raises:
        SettingsError: the tokenizer has neither.
    """
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise SettingsError(f"{said}: its tokenizer has neither a padding token nor one that ends a text")
        tokenizer.pad_token = tokenizer.eos_token
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    config.pad_token_id = tokenizer.pad_token_id


def _form_of_another(tokenizer: Any) -> TextForm:
    kind = kind_for(tokenizer)
    return TextForm(
        "plain" if kind == "pair" else kind, LONGEST_ELSEWHERE, prompt_share=0.0, response_cut="start"
    )


@contextmanager
def quiet(transformers: Any) -> Iterator[None]:
    """Without bars, the reports of a new head, and what is told to authors of trainers."""
    logging = transformers.utils.logging
    before, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.set_verbosity(before)
        if had_bars:
            logging.enable_progress_bar()
