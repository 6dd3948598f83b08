"""What trainers hand over, read: prompts and completions, plain or as messages. What is no text says why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rubricate.domain.conversation import Message, Prompt, derived_id
from rubricate.errors import DataError
from rubricate.llm.thinking import strip_thinking

BATCH = "the trainer's batch"

MAX_CHARS = 200_000
"""Longer texts are not graded: some 50,000 tokens, more than most graders read, and each costs money."""

_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


class Unreadable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that cannot be graded, and why. It gets no reward and costs nothing."""

    why: str


def must_match(prompts: Any, completions: Any, rubrics: Any = None) -> None:
    """The lists of a batch go together: one prompt for each completion, and one rubric where there are some.

    Raises:
        DataError: lengths that differ, or a single text in place of a list.
    """
    for name, values in (("prompts", prompts), ("completions", completions), ("rubrics", rubrics or [])):
        if isinstance(values, str | bytes) or not isinstance(values, Sequence):
            kind = "a single text" if isinstance(values, str | bytes) else type(values).__name__
            raise DataError(BATCH, f"{name} are a list with one entry for each completion, not {kind}")
    if len(prompts) != len(completions):
        raise DataError(
            BATCH, f"{len(prompts)} prompts and {len(completions)} completions: give one for each"
        )
    if rubrics is not None and len(rubrics) != len(completions):
        raise DataError(
            BATCH, f"{len(rubrics)} rubrics for {len(completions)} completions: give one for each"
        )


def prompt_of(given: Any, max_chars: int = MAX_CHARS) -> Prompt | Unreadable:
    """The prompt that a trainer gives: a text, a message, or a list of messages with text contents."""
    if isinstance(given, Prompt):
        return given
    turns = _turns(given, "user")
    if isinstance(turns, Unreadable):
        return Unreadable(f"the prompt {turns.why}")
    whole = "".join(turn.content for turn in turns)
    why = _unfit(whole, max_chars)
    return Unreadable(f"the prompt {why}") if why else Prompt(derived_id(turns), turns)


def completion_of(given: Any, max_chars: int = MAX_CHARS) -> str | Unreadable:
    """The text of a completion without its reasoning: a text as it is, else what the last message that says
    something says. Tool calls and their results are no part of it.

    Reasoning that never ends leaves nothing, and nothing is not graded.
    """
    turns = _turns(given, "assistant")
    if isinstance(turns, Unreadable):
        return Unreadable(f"the completion {turns.why}")
    said = [turn.content for turn in turns if turn.role == "assistant" and turn.content.strip()]
    whole = said[-1] if said else ""
    why = _unfit(whole, max_chars)
    if why is None:
        whole = strip_thinking(whole)
        why = None if whole.strip() else "is empty behind its reasoning"
    return Unreadable(f"the completion {why}") if why else whole


def texts_of(
    prompts: Sequence[Any], completions: Sequence[Any], max_chars: int = MAX_CHARS
) -> list[tuple[Prompt, str] | Unreadable]:
    """Each completion with its prompt, or why one of the two is no text."""
    known: dict[int, Prompt | Unreadable] = {}
    texts: list[tuple[Prompt, str] | Unreadable] = []
    for asked, said in zip(prompts, completions, strict=True):
        if id(asked) not in known:  # trainers repeat one object for all completions of a group
            known[id(asked)] = prompt_of(asked, max_chars)
        prompt, text = known[id(asked)], completion_of(said, max_chars)
        if isinstance(prompt, Unreadable):
            texts.append(prompt)
        else:
            texts.append(text if isinstance(text, Unreadable) else (prompt, text))
    return texts


def _unfit(text: str, max_chars: int) -> str | None:
    if not text.strip():
        return "is empty"
    if len(text) > max_chars:
        return f"has more than {max_chars:,} characters"
    return "holds half a character, which no UTF-8 can carry" if _HALF_CHARACTER.search(text) else None


def _turns(given: Any, role: str) -> tuple[Message, ...] | Unreadable:
    if isinstance(given, str):
        return (Message(role, given),)
    if isinstance(given, Mapping):
        given = [given]
    if not isinstance(given, Sequence) or isinstance(given, bytes | bytearray):
        return Unreadable(f"is no text and no list of messages, but {type(given).__name__}")
    turns = []
    for entry in given:
        if isinstance(entry, Message):
            turns.append(entry)
            continue
        told = _told(entry, "content")
        if told is _ABSENT:
            return Unreadable(f"has a message that is {type(entry).__name__}")
        content = _content(told)
        if content is None:
            return Unreadable("has a message whose content is not text alone")
        said_by = _told(entry, "role")
        turns.append(Message(said_by if isinstance(said_by, str) and said_by else role, content))
    return tuple(turns)


_ABSENT = object()


def _told(entry: Any, name: str) -> Any:
    """A field of a message, which is a mapping or one of the records that libraries make of it."""
    if isinstance(entry, Mapping):
        return entry.get(name)
    return getattr(entry, name, _ABSENT)


def _content(given: Any) -> str | None:
    """The text of a message, also of one in parts; "" where a model only called tools."""
    if given is None:
        return ""
    if isinstance(given, str):
        return given
    if not isinstance(given, Sequence) or isinstance(given, bytes | bytearray):
        return None
    parts = [_told(part, "text") for part in given]
    return "".join(map(str, parts)) if all(isinstance(part, str) for part in parts) else None
