"""Prompt and response -> the tokens that a reward model reads: the same in training and in scoring.

What is too long is cut, never dropped. The prompt loses its beginning first, down to its share of the room;
then the response loses what the form says. Special tokens and the turns of a chat template stay whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from rubricate.domain.conversation import Message, Prompt

Kind = Literal["chat", "pair", "plain"]
LONGEST = 8_192
"""Tokens that are read at most where nothing else is said; Chasing the Tail, table 7."""

_ENDLESS = 1_000_000
"""From here on a tokenizer's limit is a way to say that it has none."""


class TextForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a prompt and a response become one sequence.

    kind          `chat`: the turns under the tokenizer's chat template. `pair`: the two segments of an
                  encoder, its separator between them. `plain`: prompt, empty line, response, and the token
                  that ends a text where the tokenizer has one
    max_length    tokens of the whole, special ones included
    prompt_share  share of `max_length` that a long prompt keeps where the response does not fit beside it
    response_cut  which end of the response goes where it alone is too long
    """

    kind: Kind
    max_length: int
    prompt_share: float = 0.25
    response_cut: Literal["start", "end"] = "end"

    def __post_init__(self) -> None:
        if self.max_length < 1:
            raise ValueError(f"a text has at least one token, and max_length is {self.max_length}")
        if not 0 <= self.prompt_share < 1:
            raise ValueError(f"prompt_share is {self.prompt_share}; it is a share below 1")


class Encoded(NamedTuple):
    """Tokens, and whether something had to be cut for them to fit."""

    ids: list[int]
    is_cut: bool


def kind_for(tokenizer: Any) -> Kind:
    """The form that fits a tokenizer: its chat template, else the two segments of an encoder, else plain."""
    if getattr(tokenizer, "chat_template", None) is not None:
        return "chat"
    separates = tokenizer.sep_token is not None and tokenizer.num_special_tokens_to_add(pair=True) > 0
    return "pair" if separates else "plain"


def room_of(model_config: Any, tokenizer: Any, asked: int | None = None) -> int:
    """Tokens that a model reads at most: what is asked for, and no more than its positions allow."""
    config = model_config.get_text_config() if hasattr(model_config, "get_text_config") else model_config
    known = [
        limit
        for limit in (getattr(config, "max_position_embeddings", None), tokenizer.model_max_length)
        if isinstance(limit, int) and 0 < limit < _ENDLESS
    ]
    return min([asked or LONGEST, *known])


def encoded(tokenizer: Any, form: TextForm, prompt: Prompt, response: str) -> Encoded:
    """The tokens of a prompt with a response, at most `form.max_length`.

    Raises:
        ValueError: the chat template does not take these messages.
    """
    turns, text = prompt.messages, response
    ids = _ids(tokenizer, form.kind, turns, text)
    if len(ids) <= form.max_length:
        return Encoded(ids, False)
    kept = int(form.prompt_share * form.max_length)
    while len(ids) > form.max_length:
        over = len(ids) - form.max_length
        turns, over = _without_beginning(tokenizer, turns, over, kept)
        if over:
            shorter = _cut(tokenizer, text, over, form.response_cut)
            if shorter == text:  # the template alone is longer than the room
                return Encoded(ids[-form.max_length :], True)
            text = shorter
        ids = _ids(tokenizer, form.kind, turns, text)
    return Encoded(ids, True)


def _ids(tokenizer: Any, kind: Kind, turns: Sequence[Message], response: str) -> list[int]:
    if kind == "chat":
        return _templated(tokenizer, turns, response)
    prompt = Prompt("", tuple(turns)).text
    if kind == "pair":
        given: list[int] = tokenizer(prompt, response, verbose=False)["input_ids"]
        return given
    given = tokenizer(f"{prompt}\n\n{response}", verbose=False)["input_ids"]
    end = tokenizer.eos_token_id
    return given if end is None or given[-1:] == [end] else [*given, end]


def _templated(tokenizer: Any, turns: Sequence[Message], response: str) -> list[int]:
    from jinja2 import TemplateError

    messages = [{"role": turn.role, "content": turn.content} for turn in turns]
    messages.append({"role": "assistant", "content": response})
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False)
    except TemplateError as problem:
        raise ValueError(f"the chat template does not take these messages: {problem}") from None
    given: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return given


def _without_beginning(
    tokenizer: Any, turns: Sequence[Message], over: int, kept: int
) -> tuple[tuple[Message, ...], int]:
    """The turns without `over` tokens at the beginning, but with `kept` of them in all; and how many tokens
    are still too many. A turn that loses all of its text stays as an empty one: templates count on roles."""
    counts = [_count(tokenizer, turn.content) for turn in turns]
    going = min(over, max(0, sum(counts) - kept))
    left, shorter = going, []
    for turn, n in zip(turns, counts, strict=True):
        gone = min(left, n)
        content = "" if gone == n else _cut(tokenizer, turn.content, gone, "start")
        shorter.append(Message(turn.role, content) if gone else turn)
        left -= gone
    return tuple(shorter), over - going


def _count(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _cut(tokenizer: Any, text: str, n: int, side: Literal["start", "end"]) -> str:
    """The text without `n` tokens at one end: cut between characters where the tokenizer knows them."""
    if not n or not text:
        return text
    if not tokenizer.is_fast:
        ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        kept: str = tokenizer.decode(ids[n:] if side == "start" else ids[:-n])
        return kept if len(kept) < len(text) else text[n:] if side == "start" else text[:-n]
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)[
        "offset_mapping"
    ]
    if n >= len(offsets):
        return ""
    # A token without width (half of a character) would cut nothing: one character goes in any case.
    if side == "start":
        return text[max(1, offsets[n][0]) :]
    return text[: min(len(text) - 1, offsets[len(offsets) - n - 1][1])]
