"""The language of the world for a small model: one token a phrase, and bytes for whatever else there may be.

A sentence of advice is five or six tokens (the beginning, the verb, the thing, the condition, sometimes the
reason, the stop), a mention in passing three. So a model of half a million parameters learns in a minute what
would take hours letter by letter, and an answer costs some sixty steps. It stays text: every text of any kind
goes in and comes out unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from rubricate.rehearsal.extras import needed
from rubricate.world import vocabulary

PAD, END = "<|pad|>", "<|end|>"
_SLOT = re.compile(r"\{\w*\}")

CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'].strip() + eos_token }}"
    "{% else %}{{ message['content'] }}{% endif %}{% endfor %}"
)
"""A prompt is followed by a blank and the answer, and the answer by the end."""


def phrases() -> list[str]:
    """All phrases that are one token, in alphabetical order. Those within a text begin with the blank before
    them; those that open a text stand there without it as well."""
    whole = {*vocabulary.CONTEXTS, *vocabulary.FILLER, vocabulary.FLATTERY, ". How?"}
    whole |= {sentence for style in vocabulary.STYLES.values() for sentence in style}
    whole |= set(_pieces(vocabulary.ADVICE))
    for form in vocabulary.PASSING:
        before, _, after = form.partition("the {thing}")
        whole |= {before.strip(), after.strip()}
    openings = set(_pieces(vocabulary.ASKING))
    for field in vocabulary.FIELDS:
        whole |= {f"the {thing}" for thing in field.things}
        whole |= {*field.subjects, *_pieces(field.tasks), *field.conditions, *field.reasons}
        whole |= {*field.verbs, *(verb[0].upper() + verb[1:] for verb in field.verbs)}
    inside = {f" {phrase}" if phrase[0].isalnum() else phrase for phrase in whole if phrase}
    return sorted({*inside, *openings, "?"})


def _pieces(forms: Iterable[str]) -> Iterator[str]:
    """What stands between the slots of some forms."""
    for form in forms:
        yield from (piece.strip() for piece in _SLOT.split(form) if piece.strip())


def new_tokenizer() -> Any:
    """A fast tokenizer of `transformers` for this language; the same on every machine.

    Raises:
        SettingsError: the libraries of the extra `train` are not installed.
    """
    with needed():
        from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: n for n, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([PAD, END])
    tokenizer.add_tokens([AddedToken(phrase, normalized=False) for phrase in phrases()])
    made: Any = PreTrainedTokenizerFast
    return made(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
