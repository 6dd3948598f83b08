"""Fields of foreign rows -> texts, numbers, prompts and rubrics; every mistake is named by its field."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rubricate.dialects.seam import Loss, Row
from rubricate.domain.conversation import Message, Prompt
from rubricate.domain.rubric import Criterion, Kind, Rubric

_HALF = re.compile("[\ud800-\udfff]")


class Draft(NamedTuple):
    """A criterion as a foreign row says it; `weight` may still be 0."""

    text: str
    weight: float
    field: str
    id: str | None = None
    tags: tuple[str, ...] = ()


def object_of(row: Row, value: Any, field: str | None = None) -> Mapping[str, Any]:
    """An object."""
    if not isinstance(value, Mapping):
        raise row.error(f"an object is needed, not {said(value)}", field)
    return value


def list_of(row: Row, value: Any, field: str) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        raise row.error(f"a list is needed, not {said(value)}", field)
    return value


def text_of(row: Row, value: Any, field: str) -> str:
    """A text that is not blank and that UTF-8 can carry: JSON within a text may hide half a character."""
    if not isinstance(value, str) or not value.strip():
        raise row.error(f"a text is needed, not {said(value)}", field)
    if _HALF.search(value):
        raise row.error("half a character (a surrogate without its pair) is in the text", field)
    return value


def number_of(row: Row, value: Any, field: str) -> float:
    """A finite number, also from its text: older files write weights so."""
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        number = float(value)
    except (ValueError, OverflowError):
        raise row.error(f"a number is needed, not {said(value)}", field) from None
    if not math.isfinite(number):
        raise row.error("a finite number is needed", field)
    return number


def id_of(row: Row, value: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    """The first id that is given, as text; else the row's name, else None."""
    for key in keys:
        given = value.get(key)
        if given is None or given == "":
            continue
        if isinstance(given, bool) or not isinstance(given, str | int):
            raise row.error("an id is a text or a whole number", key)
        return str(given)
    return row.name or None


def prompt_of(row: Row, given: Any, field: str, id: str | None) -> Prompt:
    """A prompt of a text or of a list of messages; its id from the content if there is none."""
    if isinstance(given, str):
        return Prompt.of_text(text_of(row, given, field), id)
    if not isinstance(given, list) or not given:
        raise row.error(f"a prompt is a text or a list of messages, not {said(given)}", field)
    turns = tuple(_message(row, turn, f"{field}[{place}]") for place, turn in enumerate(given))
    derived = Prompt("", turns)
    return Prompt(id if id is not None else f"p-{derived.key[:12]}", turns)


def _message(row: Row, turn: Any, field: str) -> Message:
    turn = object_of(row, turn, field)
    if not isinstance(turn.get("role"), str) or not isinstance(turn.get("content"), str):
        raise row.error('a message is an object with "role" and "content", both texts', field)
    if _HALF.search(turn["content"]):
        raise row.error("half a character (a surrogate without its pair) is in the text", f"{field}.content")
    return Message(text_of(row, turn["role"], f"{field}.role"), turn["content"])


def messages_of(prompt: Prompt) -> list[dict[str, str]]:
    """The turns of a prompt as chat APIs write them."""
    return [{"role": message.role, "content": message.content} for message in prompt.messages]


def is_plain(prompt: Prompt) -> bool:
    """Whether a text alone says the prompt: one turn, the user's."""
    return len(prompt.messages) == 1 and prompt.messages[0].role == "user"


def left_over(value: Mapping[str, Any], known: Collection[str], within: str = "") -> Iterator[Loss]:
    """A loss for every field of a row that is given and not known."""
    for key, given in value.items():
        if key not in known and given is not None and given != [] and given != {}:
            yield Loss(f"the field {key!r} is not carried", f"{within}{key}")


def rubric_of(row: Row, drafts: Sequence[Draft], losses: list[Loss], field: str) -> Rubric | None:
    """The rubric of drafts, or None without any.

    A criterion of weight 0 is left out. One that comes twice counts once with both weights, as the sum would
    have it. Ids that are missing or taken are c1, c2, ... by place. All of this is said in `losses`.
    """
    if not drafts:
        return None
    by_text: dict[str, Draft] = {}
    for draft in drafts:
        if draft.weight == 0:
            losses.append(Loss("a criterion of weight 0 is left out", draft.field))
            continue
        known = by_text.get(draft.text)
        if known is not None:
            if (known.weight < 0) != (draft.weight < 0):
                raise row.error("the same criterion has a weight above and one below 0", draft.field)
            losses.append(Loss("a criterion that comes twice counts once, with both weights", draft.field))
            draft = known._replace(weight=known.weight + draft.weight)
        by_text[draft.text] = draft
    wanted = [draft.id for draft in by_text.values()]
    criteria, taken = list[Criterion](), set[str]()
    for place, draft in enumerate(by_text.values(), 1):
        id = draft.id if draft.id is not None and draft.id.strip() else None
        if id is None or id in taken:
            if id is not None:
                losses.append(Loss("a name that comes twice is replaced", draft.field))
            free = (f"c{n}" for n in range(place, place + 2 * len(by_text) + 1))
            id = next(name for name in free if name not in taken and name not in wanted)
        taken.add(id)
        kind: Kind = "pitfall" if draft.weight < 0 else "principle"
        try:
            criteria.append(Criterion(id, draft.text, draft.weight, kind, tags=draft.tags))
        except ValueError as problem:
            raise row.error(str(problem), draft.field) from None
    try:
        return Rubric(tuple(criteria))
    except ValueError as problem:
        raise row.error(str(problem), field) from None


def as_number(value: float) -> float | int:
    """A weight as it is written: whole where it is whole."""
    return int(value) if float(value).is_integer() else value


def said(value: Any) -> str:
    """A value in an error, cut short."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
