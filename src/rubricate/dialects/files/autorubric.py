"""autorubric: one YAML (or JSON) file a rubric, with signed weights and options; and its JSON datasets.

Fields (autorubric 1.6.1, types.py and rubric.py): a rubric is a list of criteria or an object with
`criteria`, `sections` (lists of `{criteria}`) or `rubric`, and may have `guidelines`; a criterion is
`{name, requirement, weight, options, scale_type, aggregation}`, of weight 10 unless given; an option
`{label, value in [0, 1], na}`. A dataset (dataset.py) is `{prompt, rubric, items[{prompt, rubric,
submission, ...}]}`. Other keys of a rubric's object are passed over there, and so carry our id and prompt.
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
from rubricate.dialects.levels import Level, Ordinal, boundaries, is_boundary, joined
from rubricate.dialects.losses import unsaid
from rubricate.dialects.seam import LEVELS, Dialect, Entry, Loss, Row, Taken, Written
from rubricate.domain.rubric import Rubric

_WEIGHT = 10.0
_LISTS = ("rubric", "sections", "criteria")
_OF_CRITERION = ("name", "requirement", "weight", "options", "scale_type")


def _knows(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    if isinstance(value.get("items"), list) and "rubric" in value:
        return True
    given = next((value[key] for key in _LISTS if key in value), None)
    if isinstance(given, Mapping):
        given = next((given[key] for key in _LISTS[1:] if key in given), None)
    first = given[0] if isinstance(given, list) and given else None
    if isinstance(first, Mapping) and isinstance(first.get("criteria"), list) and first["criteria"]:
        first = first["criteria"][0]
    return isinstance(first, Mapping) and "requirement" in first


def _read(row: Row) -> Iterator[Taken]:
    value = object_of(row, row.value)
    if not isinstance(value.get("items"), list):
        losses = list(left_over(value, (*BESIDE, *_LISTS)))
        rubric = _rubric(row, value, "", losses)
        if rubric is not None:
            yield Taken(entry_of(row, value, rubric), losses)
        return
    shared = value.get("rubric")
    seen = set[tuple[str, str]]()
    for place, given in enumerate(value["items"]):
        within = f"items[{place}]."
        item = object_of(row, given, f"items[{place}]")
        losses = list(left_over(item, ("prompt", "rubric", "id"), within))
        own = item.get("rubric") is not None
        if not own and shared is None:
            raise row.error("missing, here and in the dataset", f"{within}rubric")
        rubric = _rubric(row, {"rubric": item["rubric"] if own else shared}, within if own else "", losses)
        prompt = item.get("prompt") if item.get("prompt") is not None else value.get("prompt")
        beside = {"id": item.get("id"), "prompt": prompt}
        if rubric is None:
            continue
        entry = entry_of(row, beside, rubric)
        if prompt is not None and item.get("id") is None and entry.prompt is not None:
            entry = _named_by_content(entry)
        if (entry.name, rubric.key) not in seen:
            seen.add((entry.name, rubric.key))
            yield Taken(entry, losses)


def _named_by_content(entry: Entry) -> Entry:
    """Items have no ids: a prompt of a dataset is named by what it says."""
    assert entry.prompt is not None
    prompt = type(entry.prompt).of_text(entry.prompt.text)
    return Entry(prompt.id, prompt, entry.rubric)


def _rubric(row: Row, value: Mapping[str, Any], within: str, losses: list[Loss]) -> Rubric | None:
    drafts = [
        draft
        for field, item in _criteria(row, value, within, losses)
        for draft in _drafts(row, item, field, losses)
    ]
    return rubric_of(row, drafts, losses, f"{within}criteria")


def _criteria(
    row: Row, value: Mapping[str, Any], within: str, losses: list[Loss]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    key = next((key for key in _LISTS if key in value), None)
    if key is None:
        raise row.error("missing; a rubric needs criteria, sections or rubric", f"{within}criteria")
    given, field = value[key], f"{within}{key}"
    if key == "rubric" and isinstance(given, Mapping):
        losses += left_over(given, _LISTS[1:], f"{field}.")
        yield from _criteria(row, {k: v for k, v in given.items() if k != "rubric"}, f"{field}.", losses)
        return
    for place, entry in enumerate(list_of(row, given, field)):
        item = object_of(row, entry, f"{field}[{place}]")
        if "criteria" not in item:
            yield f"{field}[{place}]", item
            continue
        losses += left_over(item, ("criteria",), f"{field}[{place}].")
        inner = f"{field}[{place}].criteria"
        for n, criterion in enumerate(list_of(row, item["criteria"], inner)):
            yield f"{inner}[{n}]", object_of(row, criterion, f"{inner}[{n}]")


def _drafts(row: Row, item: Mapping[str, Any], field: str, losses: list[Loss]) -> Iterator[Draft]:
    text = text_of(row, item.get("requirement"), f"{field}.requirement")
    weight = number_of(row, item.get("weight", _WEIGHT), f"{field}.weight")
    name = item.get("name")
    name = None if name is None else text_of(row, name, f"{field}.name")
    losses += left_over(item, _OF_CRITERION, f"{field}.")
    if item.get("options") is None:
        yield Draft(text, weight, field, name)
        return
    if item.get("scale_type") == "nominal":
        losses.append(Loss("options without an order are put in the order of their values", field))
    levels = _levels(row, item["options"], f"{field}.options", losses)
    low, high = levels[0].value, levels[-1].value
    if (low, high) != (0.0, 1.0):
        losses.append(Loss("values of options are stretched to [0, 1], and the weight with them", field))
        weight *= high - low
        inner = tuple(Level(one.label, (one.value - low) / (high - low)) for one in levels[1:-1])
        levels = (levels[0]._replace(value=0.0), *inner, levels[-1]._replace(value=1.0))
    losses.append(Loss(LEVELS, field))
    stem = name if name is not None else f"level {field.rpartition('[')[2].rstrip(']')}"
    try:
        parts = boundaries(Ordinal(stem, text, weight, levels))
    except ValueError as problem:
        raise row.error(str(problem), f"{field}.options") from None
    for id, said, part in parts:
        yield Draft(said, part, field, id)


def _levels(row: Row, given: Any, field: str, losses: list[Loss]) -> tuple[Level, ...]:
    """The options by value; those of one value are one level."""
    by_value: dict[float, list[str]] = {}
    values = list[float]()
    for place, entry in enumerate(list_of(row, given, field)):
        option = object_of(row, entry, f"{field}[{place}]")
        label = text_of(row, option.get("label"), f"{field}[{place}].label")
        if option.get("na"):
            losses.append(Loss("an option for what cannot be judged is left out", f"{field}[{place}]"))
            continue
        value = number_of(row, option.get("value"), f"{field}[{place}].value")
        if not 0 <= value <= 1:
            raise row.error("a value is between 0 and 1", f"{field}[{place}].value")
        if value in by_value:
            losses.append(Loss("options of one value become one level", f"{field}[{place}]"))
        values.append(value)
        by_value.setdefault(value, []).append(label)
    if len(by_value) < 2:
        raise row.error("two options of different values are needed", field)
    if values != sorted(values):
        losses.append(Loss("options are put in the order of their values", field))
    return tuple(Level(" / ".join(by_value[value]), value) for value in sorted(by_value))


def _write(entry: Entry) -> Written:
    criteria, losses = list[dict[str, Any]](), list[Loss]()
    for part in joined(entry.rubric.criteria):
        name = part.name if isinstance(part, Ordinal) else part.id
        value: dict[str, Any] = {"name": name, "weight": as_number(part.weight), "requirement": part.text}
        if isinstance(part, Ordinal):
            value["scale_type"] = "ordinal"
            value["options"] = [{"label": one.label, "value": as_number(one.value)} for one in part.levels]
        elif is_boundary(part):
            losses.append(Loss(LEVELS, part.id))
        criteria.append(value)
    losses += unsaid(entry.rubric, ids=True)
    return Written({**beside(entry), "criteria": criteria}, losses)


AUTORUBRIC = Dialect(
    "autorubric", "rubrics of autorubric, one YAML each", "yaml", _knows, _read, _write, levels=True
)
