"""JSON out of a model's reply: strict where it can be, tolerant where that is safe, honest in between.

The ladder: the finish reason first (a cut reply is never repaired into a shorter valid one), then the one
JSON value of the reply as it stands, then with raw control characters allowed inside strings (vLLM lets
them through, components.md), then json_repair, marked as repaired. Two different values are no answer:
one of them may have come from the text that was to be judged.
"""

from __future__ import annotations

import json
import re
from typing import Any

from rubricate.errors import ReplyError
from rubricate.llm.chat import Reply

_QUOTED = 200


class Twice:
    """Stands for the value of a key that an object had more than once; equal to nothing."""


def json_of(reply: Reply) -> tuple[Any, bool]:
    """The JSON value of a reply, and whether it had to be repaired.

    Objects come as dicts; a key that came twice has the value `Twice()`.

    Raises:
        ReplyError: cut off, withheld, refused, empty, without JSON, or with several different values.
    """
    text = complete_text(reply)
    values = _values_in(text)
    if not values:
        return _repaired(text), True
    first, *others = values
    if any(type(first) is not type(other) or first != other for other in others):
        raise ReplyError(f"the reply holds {len(values)} different JSON values", text)
    return first, False


def complete_text(reply: Reply) -> str:
    """The text of a reply that came to its own end.

    Raises:
        ReplyError: it was cut off, withheld or refused, or is empty.
    """
    if reply.finish_reason == "length":
        raise ReplyError("the reply was cut off at the token limit", reply.text)
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
    values, at = [], 0
    while (at := _next_open(text, at)) >= 0:
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            if _LIKE_JSON.match(text, at):
                return []
            at += 1
            continue
        values.append(value)
    return [value for value in values if _holds_objects(value)] or values


def _holds_objects(value: Any) -> bool:
    return bool(value) and (isinstance(value, dict) or isinstance(value[0], dict))


def _next_open(text: str, start: int) -> int:
    places = [place for place in (text.find("{", start), text.find("[", start)) if place >= 0]
    return min(places, default=-1)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        seen[key] = Twice() if key in seen else value
    return seen


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(strict=False, object_pairs_hook=_once, parse_constant=_no_constant)
_LIKE_JSON = re.compile(r'\{\s*["\'}]|\[\s*[\[{"\']')


def _repaired(text: str) -> Any:
    from json_repair import repair_json

    start = _next_open(text, 0)
    if start < 0:
        raise ReplyError(f"there is no JSON in the reply: {text[:_QUOTED]!r}", text)
    closing = "}" if text[start] == "{" else "]"
    end = text.rfind(closing)
    if end < start:
        raise ReplyError("the JSON of the reply does not end", text)
    value = repair_json(text[start : end + 1], return_objects=True, strict=False)
    if not isinstance(value, dict | list) or not value:
        raise ReplyError(f"the JSON of the reply cannot be read: {text[start : start + _QUOTED]!r}", text)
    return value
