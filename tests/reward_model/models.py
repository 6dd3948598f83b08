"""Tiny random models of both kinds, with tokenizers of their own, and pairs that can be told apart."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from rubricate.domain.conversation import Prompt, Response
from rubricate.reward_model.pairs import PreferencePair

GOOD, BAD = ["sun", "rain", "wind", "snow"], ["mud", "dust", "fog", "ash"]
PLAIN = list("abcdefghijklmnop")
TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
    "<{{ m['role'] }}> {{ m['content'] }} </s> {% endfor %}"
)


def _tokenizer(*special: str) -> Any:
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = [*special, "<user>", "<assistant>", *GOOD, *BAD, *PLAIN]
    vocabulary = {word: number for number, word in enumerate(words)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    given: dict[str, str] = {"unk_token": "[UNK]"}
    if "[CLS]" in special:
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B [SEP]",
            special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
        )
        given |= {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    else:
        given |= {"eos_token": "</s>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, **given)


def an_encoder(folder: Path, *, layers: int = 2) -> str:
    """A BERT whose tokenizer ends no text (as BERT's), with 64 positions."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    torch.manual_seed(1)
    tokenizer = _tokenizer("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=0,
    )
    transformers.BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def a_decoder(folder: Path, *, template: str | None = None) -> str:
    """A Llama for the next word, without a padding token."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    torch.manual_seed(1)
    tokenizer = _tokenizer("[UNK]", "</s>")
    tokenizer.chat_template = template
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def separable(n: int, *, length: int = 6, seed: int = 0) -> list[PreferencePair]:
    """Pairs of one prompt each: the preferred response has a good word among plain ones, the other a bad one,
    at some place; both are equally long."""
    chance = random.Random(seed)
    pairs = []
    for number in range(n):
        prompt = Prompt.of_text(" ".join(chance.choices(PLAIN, k=4)) + f" {number}")
        sides = []
        for words in (GOOD, BAD):
            text = chance.choices(PLAIN, k=length)
            text[chance.randrange(length)] = chance.choice(words)
            sides.append(Response(" ".join(text), "policy" if number % 2 else "great"))
        pairs.append(PreferencePair(prompt, sides[0], sides[1], gap=0.5))
    return pairs
