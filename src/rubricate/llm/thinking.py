"""Reasoning that a model wrote in front of its answer, taken off. One pure function for every reply."""

from __future__ import annotations

import re

_TAG = re.compile(r"<(/?)(?:think|thinking|reasoning)\s*>", re.IGNORECASE)
_SPACE = re.compile(r"\s*")
_ANSWER_BEGINS = ("{", "[", "```")


def strip_thinking(text: str) -> str:
    """The text without the reasoning at its start; as it came when it starts with none.

    Takes off leading `<think>`, `<thinking>` and `<reasoning>` blocks, and the part before a closing tag
    that was never opened, since some chat templates open the block in the prompt. A block that never
    closes leaves "": the model did not come to its answer. Idempotent.

    Replies quote hostile text, so an unopened closing tag counts only where it cannot stand inside a JSON
    string of the answer: not when the text begins as JSON or as a fence, and, after a first brace, only
    at the start of a line.
    """
    start = 0
    while (end := _thinking_end(text, start)) is not None:
        start = _SPACE.match(text, end).end()  # type: ignore[union-attr]  # matches anywhere
    return text[start:]


def _thinking_end(text: str, start: int) -> int | None:
    """Where the reasoning that begins at `start` ends; the end of the text if never, None without any."""
    tag = _TAG.search(text, start)
    if tag is None:
        return None
    is_opening, before = not tag.group(1), text[start : tag.start()]
    if is_opening:
        return _last_close(text, tag.end(), len(text)) if not before.strip() else None
    if before.lstrip().startswith(_ANSWER_BEGINS):
        return None
    starts_line = not before.rpartition("\n")[2].strip()
    return _last_close(text, tag.end(), tag.end()) if starts_line or "{" not in before else None


def _last_close(text: str, start: int, default: int) -> int:
    """The end of the last closing tag before the next block opens: reasoning may quote closing tags too."""
    end = None
    for tag in _TAG.finditer(text, start):
        if tag.group(1):
            end = tag.end()
        elif end is not None:
            break
    return default if end is None else end
