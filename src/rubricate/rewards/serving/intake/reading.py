"""Bodies of requests -> records. What is not what it should be is refused, with the place."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from rubricate.rewards.serving.intake.refusals import Refusal

Record = TypeVar("Record")

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.S)
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$?\.?(?P<where>.*)`)?$", re.S)


def json_of(body: bytes) -> Any:
    """What the body says.

    Raises:
        Refusal: it is no JSON (NaN, a number or a nesting without end, bytes that are not UTF-8), or an
            object in it has a name twice, of which one reader takes the first and another the last.
    """
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError as problem:
        raise Refusal("invalid_json", f"the body is no JSON: {problem}") from None
    except UnicodeDecodeError:
        raise Refusal("invalid_json", "the body is no JSON: it is not UTF-8") from None
    except RecursionError:
        raise Refusal("invalid_json", "the body is nested too deeply") from None
    # Outside of strings a colon stands behind each name and nowhere else: the text has as many as the value
    # has names, unless some came twice.
    if _STRING.sub(b"", body).count(b":") != _n_names(value):
        raise Refusal("invalid_json", "an object of the body has a name twice")
    return value


def _n_names(value: Any) -> int:
    n, open_ = 0, [value]
    while open_:
        one = open_.pop()
        if isinstance(one, dict):
            n += len(one)
            open_.extend(one.values())
        elif isinstance(one, list):
            open_.extend(one)
    return n


def record_of(value: Any, kind: type[Record]) -> Record:
    """The value as a record.

    Raises:
        Refusal: it is none; names the field.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as problem:
        found = _PLACE.match(str(problem))
        assert found is not None, "the pattern takes any text"
        where = found["where"]
        message = f"{where}: {found['what']}" if where else found["what"]
        raise Refusal("invalid_request", message, field=where or None) from None
