"""JSON out of a model's reply: strict where it can be, tolerant where that is safe, honest in between.

The ladder: the finish reason first (a cut reply is never repaired into a shorter valid one), then the one
JSON value of the reply as it stands, with raw control characters allowed inside strings (vLLM lets them
through, components.md), then json_repair at its strictest, marked as repaired. Two different values are no
answer: one of them may have come from the text that was to be judged.
"""

from __future__ import annotations

import json
import re
from typing import Any

from rubricate.errors import ReplyError
from rubricate.llm.chat import Reply

_QUOTED = 200
_LONGEST_REPAIR = 50_000  # the longest rubric on offer has 40,000 characters; a repair holds up the loop
_MOST_PROSE_BRACKETS = 1000  # each costs a pass over the text: json counts the lines up to its error


class Twice:
    """Stands for the value of a key that an object had more than once; equal to nothing."""


def json_of(reply: Reply) -> tuple[Any, bool]:
    """The JSON value of a reply, and whether it had to be repaired.

    Objects come as dicts; a key that came twice has the value `Twice()`.

    Raises:
        ReplyError: cut off, withheld, refused, empty, without JSON, or with several different values.
    """
    text = complete_text(reply)
    try:
        values = _values_in(text)
        agree = all(type(value) is type(values[0]) and value == values[0] for value in values)
    except RecursionError:
        raise ReplyError("the JSON of the reply is nested too deeply", text) from None
    if not values:
        return _repaired(text), True
    if not agree:
        raise ReplyError(f"the reply holds {len(values)} different JSON values", text)
    return values[0], False


def complete_text(reply: Reply) -> str:
    """The text of a reply that came to its own end.

    Raises:
        ReplyError: it was cut off, withheld or refused, or is empty.
    """
    if reply.finish_reason == "length":
        raise ReplyError(
            "the reply was cut off at the token limit: raise api.max_tokens, or the context of the model",
            reply.text,
        )
    if reply.finish_reason in ("content_filter", "refusal"):
        raise ReplyError(f"the model gave no answer ({reply.finish_reason})", reply.text)
    if not reply.text.strip():
        raise ReplyError("the reply is empty", reply.text)
    return reply.text


def _values_in(text: str) -> list[Any]:
    """The objects and arrays of the text that are JSON, outermost ones only, in order.

    Brackets of prose ("[1]" counts as JSON, "[see above]" does not) are passed over; but where something
    that begins like JSON breaks off, nothing is taken, lest a part of it pass for the whole.
    """
    values, at, n_passed_over = [], 0, 0
    while (at := _next_open(text, at)) >= 0:
        try:
            value, at = _DECODER.raw_decode(text, at)
        except ValueError:
            n_passed_over += 1
            if _LIKE_JSON.match(text, at) or n_passed_over > _MOST_PROSE_BRACKETS:
                return []
            at += 1
            continue
        values.append(value)
    return [value for value in values if _holds_objects(value)] or values


def _holds_objects(value: Any) -> bool:
    return bool(value) and (isinstance(value, dict) or isinstance(value[0], dict))


def _next_open(text: str, start: int) -> int:
    found = _OPEN.search(text, start)
    return found.start() if found else -1


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        seen[key] = Twice() if key in seen else value
    return seen


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(strict=False, object_pairs_hook=_once, parse_constant=_no_constant)
_OPEN = re.compile(r"[\[{]")
_LIKE_JSON = re.compile(r"""\{\s*(?:["'}]|\w+\s*:)|\[\s*[\[{"']""")


def _repaired(text: str) -> Any:
    """The one value from the first bracket to the last of its kind, mended.

    It is put inside an array, where json_repair at its strictest refuses a key that comes twice, and where
    a second value beside the first is seen; on its own it would keep the last of either.
    """
    from json_repair import repair_json

    start = _next_open(text, 0)
    if start < 0:
        raise ReplyError(f"there is no JSON in the reply: {text[:_QUOTED]!r}", text)
    piece = text[start : text.rfind("}" if text[start] == "{" else "]") + 1]
    if not (piece and _is_closed(text[start:])):
        raise ReplyError("the JSON of the reply does not end", text)
    if len(piece) > _LONGEST_REPAIR:
        raise ReplyError(f"the JSON of the reply is broken, and too long to repair: {len(piece)}", text)
    try:
        values = repair_json(f"[{piece}]", return_objects=True, skip_json_loads=True, strict=True)
    except (ValueError, RecursionError):
        values = []
    if not isinstance(values, list) or len(values) != 1 or not isinstance(values[0], dict | list):
        raise ReplyError(f"the JSON of the reply cannot be read: {piece[:_QUOTED]!r}", text)
    return values[0]


def _is_closed(text: str) -> bool:
    """Whether as many brackets close as open, by count alone: broken quotes leave nothing better."""
    return text.count("{") <= text.count("}") and text.count("[") <= text.count("]")
