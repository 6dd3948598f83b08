"""verifiers: one TOML (or JSON) file a rubric, with choices from worst to best and no negative weight.

Fields (verifiers 0.4.0, v1/judges/rubric.py): a file has `criteria`, a list of `{name, text, weight >= 0,
choices}`; names are unique, a weight is 1 and the choices are `["no", "yes"]` unless given; the first
choice scores 0, the last 1, the rest evenly between. Other fields are passed over there, and so carry our
id and prompt.

A pitfall is asked with the choices `["yes", "no"]`: it did not happen is the better answer. With P the sum
of the positive weights and W that of the pitfalls, the score there is (P s + W) / (P + W) of our score s
before clipping: the order of responses is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rubricate.dialects.fields import (
    Draft,
    as_number,
    left_over,
    list_of,
    number_of,
    object_of,
    rubric_of,
    text_of,
)
from rubricate.dialects.files.standing import BESIDE, beside, entry_of
from rubricate.dialects.levels import Ordinal, boundaries, even_levels, is_boundary, joined
from rubricate.dialects.losses import unsaid
from rubricate.dialects.seam import LEVELS, Dialect, Entry, Loss, Row, Taken, Written

_YES, _NO = ["no", "yes"], ["yes", "no"]


def _knows(value: Any) -> bool:
    entries = value.get("criteria") if isinstance(value, Mapping) else None
    first = entries[0] if isinstance(entries, list) and entries else None
    return isinstance(first, Mapping) and "name" in first and "text" in first


def _read(row: Row) -> Iterator[Taken]:
    value = object_of(row, row.value)
    losses, drafts = list(left_over(value, (*BESIDE, "criteria"))), list[Draft]()
    names = set[str]()
    for place, given in enumerate(list_of(row, value.get("criteria"), "criteria")):
        field = f"criteria[{place}]"
        item = object_of(row, given, field)
        name = text_of(row, item.get("name"), f"{field}.name")
        if name in names:
            raise row.error(f"two criteria have the name {name!r}", f"{field}.name")
        names.add(name)
        text = text_of(row, item.get("text"), f"{field}.text")
        weight = number_of(row, item.get("weight", 1), f"{field}.weight")
        if weight < 0:
            raise row.error("a weight is 0 or more in this dialect", f"{field}.weight")
        choices = [
            text_of(row, choice, f"{field}.choices")
            for choice in list_of(row, item.get("choices", _YES), f"{field}.choices")
        ]
        losses += left_over(item, ("name", "text", "weight", "choices"), f"{field}.")
        if choices in (_YES, _NO):
            drafts.append(Draft(text, weight if choices == _YES else -weight, field, name))
            continue
        if len(choices) < 2:
            raise row.error("two choices or more are needed", f"{field}.choices")
        losses.append(Loss(LEVELS, field))
        try:
            parts = boundaries(Ordinal(name, text, weight, even_levels(choices)))
        except ValueError as problem:
            raise row.error(str(problem), f"{field}.choices") from None
        drafts += [Draft(said, part, field, id) for id, said, part in parts]
    rubric = rubric_of(row, drafts, losses, "criteria")
    if rubric is not None:
        yield Taken(entry_of(row, value, rubric), losses)


def _write(entry: Entry) -> Written:
    criteria, losses = list[dict[str, Any]](), list[Loss]()
    for part in _parts(entry):
        if isinstance(part, Ordinal):
            choices = [level.label for level in part.levels]
            criteria.append(_criterion(part.name, part.text, part.weight, choices))
            continue
        if is_boundary(part):
            losses.append(Loss(LEVELS, part.id))
        criteria.append(_criterion(part.id, part.text, abs(part.weight), _YES if part.weight > 0 else _NO))
    losses += unsaid(entry.rubric, ids=True)
    return Written({**beside(entry), "criteria": criteria}, losses)


def _parts(entry: Entry) -> Iterator[Any]:
    """The criteria, and ordinal ones where the choices here can say them."""
    place = 0
    for part in joined(entry.rubric.criteria, even=True):
        n = len(part.levels) - 1 if isinstance(part, Ordinal) else 1
        whole = entry.rubric.criteria[place : place + n]
        place += n
        labels = [level.label for level in part.levels] if isinstance(part, Ordinal) else []
        is_sayable = all(label.strip() for label in labels) and labels not in (_YES, _NO)
        if isinstance(part, Ordinal) and not (is_sayable and part.weight > 0):
            yield from whole
        else:
            yield part


def _criterion(name: str, text: str, weight: float, choices: list[str]) -> dict[str, Any]:
    value: dict[str, Any] = {"name": name, "text": text, "weight": as_number(weight)}
    return value if choices == _YES else {**value, "choices": choices}


VERIFIERS = Dialect(
    "verifiers", "rubric files of verifiers' judge, one TOML each", "toml", _knows, _read, _write, levels=True
)
