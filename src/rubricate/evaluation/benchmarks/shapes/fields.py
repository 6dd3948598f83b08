"""Fields of a row, typed, with an error that names file, line and field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rubricate.domain.conversation import Message, Prompt
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.runs.rows import Row


def text_of(row: Row, name: str, value: Any = None, *, within: Mapping[str, Any] | None = None) -> str:
    """The text in a field; of `value` where that is given."""
    given = value if value is not None else (row.value if within is None else within).get(name)
    if not isinstance(given, str):
        raise row.error(f"a text is needed, not {said(given)}", name)
    return given


def id_of(row: Row, *names: str) -> str:
    """The id of a row, from the first of these fields that it has; else its place in the file."""
    for name in names:
        given = row.value.get(name)
        if isinstance(given, str | int) and not isinstance(given, bool) and given != "":
            return str(given)
    return f"row {row.line or row.number or 0}"


def prompt_of(row: Row, name: str = "prompt") -> Prompt:
    """The prompt in a field, a text or a list of messages; its id is derived from its content, so that no
    name of the file's is ever shown."""
    given = row.value.get(name)
    if isinstance(given, str):
        return Prompt.of_text(given)
    return conversation(row, name, given)


def conversation(row: Row, name: str, given: Any) -> Prompt:
    """The prompt that a list of messages is."""
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise row.error(f"a text or a list of messages is needed, not {said(given)}", name)
    messages = []
    for place, turn in enumerate(given):
        is_turn = isinstance(turn, Mapping) and isinstance(turn.get("content"), str)
        if not is_turn or not isinstance(turn.get("role"), str):
            raise row.error('a message is an object with "role" and "content"', f"{name}[{place}]")
        messages.append(Message(turn["role"], turn["content"]))
    if len(messages) == 1 and messages[0].role == "user":
        return Prompt.of_text(messages[0].content)
    return Prompt("", tuple(messages))


def answer_of(row: Row, name: str) -> tuple[Prompt | None, str]:
    """The answer in a field: a text, or a conversation whose last turn it is, then with what came before."""
    given = row.value.get(name)
    if isinstance(given, str):
        return None, given
    whole = conversation(row, name, given)
    if whole.messages[-1].role != "assistant":
        raise row.error("the last turn is not the assistant's", name)
    before = [{"role": m.role, "content": m.content} for m in whole.messages[:-1]]
    return (conversation(row, name, before) if before else None), whole.messages[-1].content


def texts_of(row: Row, name: str) -> tuple[str, ...]:
    """The texts of a list that is not empty."""
    given = row.value.get(name)
    if not is_list(given) or not given:
        raise row.error(f"a list of texts is needed, not {said(given)}", name)
    return tuple(text_of(row, f"{name}[{place}]", item) for place, item in enumerate(given))


def number_of(row: Row, name: str, given: Any) -> float | None:
    """The finite number in a field; None for null.

    Raises:
        DataError: it is no number, or not a finite one.
    """
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise row.error(f"a number is needed, not {said(given)}", name)
    if not math.isfinite(given):
        raise row.error("a finite number is needed", name)
    return float(given)


def rubric_of(row: Row, name: str, weight: str) -> Rubric:
    """The rubric in a list of `{criterion, <weight>}`; negative weights make pitfalls, a weight of 0 leaves
    its criterion out, and a criterion that comes twice adds up."""
    given = row.value.get(name)
    if not is_list(given) or not given:
        raise row.error(f"a list of criteria is needed, not {said(given)}", name)
    points: dict[str, float] = {}
    for place, entry in enumerate(given):
        field = f"{name}[{place}]"
        if not isinstance(entry, Mapping):
            raise row.error("a criterion is an object", field)
        text = text_of(row, f"{field}.criterion", entry.get("criterion"))
        worth = number_of(row, f"{field}.{weight}", entry.get(weight))
        if worth is None:
            raise row.error("missing; a criterion needs points", f"{field}.{weight}")
        points[text] = points.get(text, 0.0) + worth
    try:
        return Rubric(
            tuple(
                Criterion(f"c{number}", text, worth, "pitfall" if worth < 0 else "principle")
                for number, (text, worth) in enumerate(points.items(), 1)
                if worth != 0
            )
        )
    except ValueError as problem:
        raise row.error(str(problem), name) from None


def is_list(value: Any) -> bool:
    """Whether it is a list, also one that Parquet gave as an array."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def said(value: Any) -> str:
    """What a value is, in a word."""
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, Mapping) else type(value).__name__)
