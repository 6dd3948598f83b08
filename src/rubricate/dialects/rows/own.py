"""Our own rows, the official code's JSON, and the published dataset: one tolerant reader, three writers.

`rubricate` says everything. `paper` is what the official scripts read and write (`criteria` of `criterion`,
`weight`, `local_id`), `dataset` the rows of JunkaiZ/Rubrics (`prompt`, `rubrics[{criterion, weight}]`,
`number_of_criteria`, `total_weight`); fields as in docs/files.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from rubricate.dialects.fields import as_number, id_of, is_plain, messages_of, said
from rubricate.dialects.losses import of_prompt, prompt_of, unsaid
from rubricate.dialects.seam import Dialect, Entry, Loss, Row, Taken, Written
from rubricate.domain.conversation import Message, Prompt, derived_id
from rubricate.domain.rubric import Criterion, Kind, Lineage, Rubric

IDS = ("prompt_id", "id", "task_id")
_TEXT = ("criterion", "description", "text")
_WEIGHT = ("weight", "points")
_LIST = ("criteria", "rubrics", "rubric")
_SUMS = ("number_of_criteria", "total_criteria", "total_weight", "state", "version", "lineage")
_OF_CRITERION = (*_TEXT, *_WEIGHT, "local_id", "id", "kind", "decisive", "tags")


def read(row: Row) -> Iterator[Taken]:
    """The entry of a row, or none if it has no criteria yet.

    A criterion is a text of weight 1, or an object; its weight may be written as a text.
    """
    if not isinstance(row.value, Mapping):
        raise row.error("a row is an object with criteria")
    losses = list[Loss]()
    rubric = _rubric_of(row, losses)
    if rubric is None:
        return
    id, prompt = id_of(row, row.value, IDS), _prompt_of(row)
    if id is None and prompt is None:
        raise row.error("missing; a rubric needs the id or the text of its prompt", "id")
    if prompt is not None and id is not None:
        prompt = Prompt(id, prompt.messages)
    known = (*IDS, *_LIST, *_SUMS, "prompt")
    losses += [Loss(f"the field {key!r} is not carried", key) for key in row.value if key not in known]
    yield Taken(Entry(id, prompt, rubric), losses)


def _prompt_of(row: Row) -> Prompt | None:
    """The prompt, where it is a text or plain messages; other rows are found by their id."""
    given = row.value.get("prompt")
    if isinstance(given, str):
        return Prompt.of_text(given)
    if not isinstance(given, list) or not given:
        return None
    turns = list[Message]()
    for turn in given:
        fits = isinstance(turn, Mapping) and isinstance(turn.get("role"), str)
        if not fits or not isinstance(turn.get("content"), str):
            return None
        turns.append(Message(turn["role"], turn["content"]))
    return Prompt(derived_id(tuple(turns)), tuple(turns))


def _rubric_of(row: Row, losses: list[Loss]) -> Rubric | None:
    name = next((key for key in _LIST if row.value.get(key) is not None), None)
    if name is None:
        raise row.error('missing; a row needs "criteria" or "rubrics"', "criteria")
    entries = row.value[name]
    if isinstance(entries, Mapping) and isinstance(entries.get("criteria"), list):
        name, entries = f"{name}.criteria", entries["criteria"]
    if not isinstance(entries, list):
        raise row.error("a list of criteria is needed", name)
    if not entries:
        return None
    criteria = tuple(
        _criterion_of(row, entry, place, f"{name}[{place}]", losses) for place, entry in enumerate(entries)
    )
    version = row.value.get("version", 0)
    if isinstance(version, bool) or not isinstance(version, int):
        raise row.error("a version is a whole number", "version")
    lineage = row.value.get("lineage")
    try:
        origin = None if lineage is None else msgspec.convert(lineage, Lineage)
        return Rubric(criteria, version, origin)
    except msgspec.ValidationError as problem:
        raise row.error(str(problem), "lineage") from None
    except ValueError as problem:
        raise row.error(str(problem), name) from None


def _criterion_of(row: Row, entry: Any, place: int, field: str, losses: list[Loss]) -> Criterion:
    if isinstance(entry, str):
        entry = {"criterion": entry, "weight": 1}
    if not isinstance(entry, Mapping):
        raise row.error("a criterion is a text or an object", field)
    text = next((entry[key] for key in _TEXT if isinstance(entry.get(key), str)), None)
    if text is None:
        raise row.error(f"a criterion needs one of {', '.join(_TEXT)}, a text", field)
    weight = _weight_of(row, entry, field)
    kind: Kind = entry.get("kind") or ("pitfall" if weight < 0 else "principle")
    if kind not in ("rule", "principle", "pitfall"):
        raise row.error("a kind is rule, principle or pitfall", f"{field}.kind")
    decisive = entry.get("decisive") or False
    if not isinstance(decisive, bool):
        raise row.error("true or false", f"{field}.decisive")
    tags = entry.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise row.error("a list of texts is needed", f"{field}.tags")
    id = next((entry[key] for key in ("local_id", "id") if entry.get(key) is not None), f"c{place + 1}")
    losses += [
        Loss(f"the field {key!r} of a criterion is not carried", f"{field}.{key}")
        for key, given in entry.items()
        if key not in _OF_CRITERION and given is not None
    ]
    try:
        return Criterion(str(id), text, weight, kind, decisive, tuple(tags))
    except ValueError as problem:
        raise row.error(str(problem), field) from None


def _weight_of(row: Row, entry: Mapping[str, Any], field: str) -> float:
    """The weight of a criterion; older official files write it as a text."""
    key = next((key for key in _WEIGHT if entry.get(key) is not None), None)
    if key is None:
        raise row.error("missing; a criterion needs a weight", f"{field}.weight")
    weight = entry[key]
    try:
        if isinstance(weight, bool) or not isinstance(weight, str | int | float):
            raise ValueError
        return float(weight)
    except (ValueError, OverflowError):
        raise row.error(f"a weight is a number, not {said(weight)}", f"{field}.{key}") from None


def own_criteria(rubric: Rubric) -> list[dict[str, Any]]:
    """The criteria as rubrics.jsonl has them."""
    return [
        {
            "id": c.id,
            "criterion": c.text,
            "weight": as_number(c.weight),
            "kind": c.kind,
            **({"decisive": True} if c.is_decisive else {}),
            **({"tags": list(c.tags)} if c.tags else {}),
        }
        for c in rubric.criteria
    ]


def paper_row(id: str, prompt: str, rubric: Rubric) -> dict[str, Any]:
    """A rubric as official code writes it."""
    return {
        "id": id,
        "prompt": prompt,
        "total_criteria": len(rubric.criteria),
        "criteria": [
            {"criterion": c.text, "weight": as_number(c.weight), "local_id": f"c{number}"}
            for number, c in enumerate(rubric.criteria, 1)
        ],
        "total_weight": as_number(rubric.total_weight),
    }


def _write_own(entry: Entry) -> Written:
    prompt, rubric = entry.prompt, entry.rubric
    value: dict[str, Any] = {"id": entry.name}
    if prompt is not None:
        value["prompt"] = prompt.text if is_plain(prompt) else messages_of(prompt)
    value |= {
        "rubrics": own_criteria(rubric),
        "number_of_criteria": len(rubric.criteria),
        "total_weight": as_number(rubric.total_weight),
        "version": rubric.version,
    }
    if rubric.lineage is not None:
        value["lineage"] = msgspec.to_builtins(rubric.lineage)
    return Written(value)


def _write_paper(entry: Entry) -> Written:
    prompt = prompt_of(entry, "paper")
    losses = [*of_prompt(entry, ids=True, turns=False), *unsaid(entry.rubric)]
    return Written(paper_row(entry.name, prompt.text, entry.rubric), losses)


def _write_dataset(entry: Entry) -> Written:
    rubric = entry.rubric
    value = {
        "prompt": prompt_of(entry, "dataset").text,
        "rubrics": [{"criterion": c.text, "weight": as_number(c.weight)} for c in rubric.criteria],
        "number_of_criteria": len(rubric.criteria),
        "total_weight": as_number(rubric.total_weight),
    }
    return Written(value, [*of_prompt(entry, ids=False, turns=False), *unsaid(rubric)])


def _is_own(value: Any) -> bool:
    return isinstance(value, Mapping) and ("version" in value or "kind" in _first_of(value))


def _is_paper(value: Any) -> bool:
    return isinstance(value, Mapping) and ("total_criteria" in value or "local_id" in _first_of(value))


def _is_dataset(value: Any) -> bool:
    return isinstance(value, Mapping) and any(value.get(key) is not None for key in _LIST)


def _first_of(value: Mapping[str, Any]) -> Mapping[str, Any]:
    entries = value.get("rubrics") or value.get("criteria")
    first = entries[0] if isinstance(entries, list) and entries else None
    return first if isinstance(first, Mapping) else {}


OWN = Dialect(
    "rubricate", "our own rows, as in rubrics.jsonl; says everything", "rows", _is_own, read, _write_own
)
PAPER = Dialect("paper", "the JSON of the official scripts", "rows", _is_paper, read, _write_paper)
DATASET = Dialect(
    "dataset", "the published dataset, JunkaiZ/Rubrics", "rows", _is_dataset, read, _write_dataset
)
