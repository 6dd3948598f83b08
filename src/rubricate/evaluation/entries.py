"""Files of criteria and what was said of them -> entries: label files, verdict files, scores of a run.

One entry is one response with its criteria, as in the public label files:
`{id, prompt_id, prompt, generator, response, criteria: [{criterion, weight, label, ...}]}`. Of a criterion
`label` is the truth and `verdict` what a grader said; `kind`, `type`, `probability`, `votes: [met, asked]`,
`by`, `reason` and `veto` may stand beside them. A row may carry `draw` (0, 1, ...) and a gold score (`gold`
or `reference_score`). The scores.jsonl of a run is read with the rubrics.jsonl beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from rubricate.domain.conversation import Message, Prompt
from rubricate.domain.rubric import Kind
from rubricate.errors import DataError
from rubricate.runs.folder import RUBRICS, SCORES
from rubricate.runs.rows import Row, rows_of

_SAID = {
    "met": True,
    "yes": True,
    "true": True,
    "unmet": False,
    "no": False,
    "false": False,
    "unjudged": None,
}
_KINDS = ("rule", "principle", "pitfall")
_GOLD = ("gold", "reference_score")


class Stated(msgspec.Struct, frozen=True):
    """A criterion of an entry, and what the file says of it: true, false, or None for undecided.

    `has_label` and `has_verdict` tell None from not being in the file at all.
    """

    text: str
    weight: float = 1.0
    kind: Kind | None = None
    type: str | None = None
    label: bool | None = None
    verdict: bool | None = None
    probability: float | None = None
    by: str = ""
    reason: str = ""
    veto: bool = False
    has_label: bool = False
    has_verdict: bool = False


class Entry(msgspec.Struct, frozen=True):
    """One response with its criteria; `place` is where it stands in its file, for messages."""

    id: str | None
    prompt_id: str
    prompt: Prompt
    response: str
    criteria: tuple[Stated, ...]
    generator: str | None = None
    gold: float | None = None
    draw: int = 0
    place: str = ""


def read_entries(source: str) -> list[Entry]:
    """The entries of a file or of a run folder, in its order. Holds all of them.

    Raises:
        DataError: missing, malformed, without an entry, or with a response twice; names line and field.
    """
    path = Path(source)
    scores = path / SCORES if path.is_dir() and (path / SCORES).is_file() else path
    if path.is_dir() and scores == path:
        raise DataError(
            path, f"a folder without {SCORES}: give a file of criteria or the folder of a finished run"
        )
    entries, seen = list[Entry](), dict[tuple[Any, ...], str]()
    for row, entry in _run_entries(scores) if scores.name == SCORES else _plain_entries(source):
        for key in _names(entry):
            if key in seen:
                raise row.error(
                    f"the same response as in {seen[key]}, again", "id" if key[0] == "id" else "response"
                )
            seen[key] = entry.place
        entries.append(entry)
    if not entries:
        raise DataError(source, "there is no row in it")
    return entries


def first_draws(entries: list[Entry], source: str) -> list[Entry]:
    """The entries, each about a response of its own.

    Raises:
        DataError: a row is a further draw; several draws are given as verdicts, and settled by `--save`.
    """
    later = next((entry for entry in entries if entry.draw > 0), None)
    if later is not None:
        problem = "a further draw of a response; one row a response is needed here (draws go into --verdicts)"
        raise DataError(source, f"{later.place}: {problem}", field="draw")
    return entries


def trusted(entries: Sequence[Entry], source: str) -> list[Entry]:
    """The entries with their verdicts taken for labels: so one grader is measured against another.

    Raises:
        DataError: they carry no verdicts.
    """
    if not any(stated.has_verdict for entry in entries for stated in entry.criteria):
        raise DataError(source, "carries no verdicts that could be taken for labels")
    return [
        msgspec.structs.replace(entry, criteria=tuple(map(_trusted, entry.criteria))) for entry in entries
    ]


def _trusted(stated: Stated) -> Stated:
    return msgspec.structs.replace(
        stated, label=stated.verdict, has_label=True, verdict=None, has_verdict=False, probability=None
    )


def _names(entry: Entry) -> Iterator[tuple[Any, ...]]:
    """What must not come twice: the id where there is one, else the response itself, each draw apart."""
    if entry.id is not None:
        yield ("id", entry.id, entry.draw)
    else:
        yield ("response", entry.prompt_id, entry.generator, entry.response, entry.draw)


def _plain_entries(source: str) -> Iterator[tuple[Row, Entry]]:
    for row in rows_of(source):
        yield row, _entry(row, row.value)


def _run_entries(scores: Path) -> Iterator[tuple[Row, Entry]]:
    """The rows of scores.jsonl, with the criteria of the rubrics beside it."""
    beside = scores.with_name(RUBRICS)
    if not beside.is_file():
        raise DataError(scores, f"needs {RUBRICS} of the same run beside it, for the texts of the criteria")
    rubrics = {str(row.value.get("id")): row.value for row in rows_of(str(beside)) if _is_object(row)}
    for row in rows_of(str(scores)):
        if not _is_object(row):
            continue
        rubric, verdicts = rubrics.get(str(row.value.get("id"))), row.value.get("verdicts")
        if rubric is None:
            raise row.error(f"{RUBRICS} has no rubric of this prompt", "id")
        if not isinstance(verdicts, Mapping):
            raise row.error("an object of verdicts by criterion id is needed", "verdicts")
        criteria = [
            {**given, "verdict": verdicts.get(str(given.get("id")))}
            for given in rubric.get("rubrics") or []
            if isinstance(given, Mapping)
        ]
        known = {str(given.get("id")) for given in criteria}
        if unknown := next((name for name in verdicts if name not in known), None):
            raise row.error(f"{RUBRICS} has no criterion of this id", f"verdicts.{unknown}")
        value = {**row.value, "id": None, "prompt_id": row.value.get("id"), "prompt": rubric.get("prompt")}
        yield row, _entry(row, {**value, "criteria": criteria})


def _is_object(row: Row) -> bool:
    if not isinstance(row.value, Mapping):
        raise row.error("a row is an object")
    return True


def _entry(row: Row, value: Any) -> Entry:
    if not isinstance(value, Mapping):
        raise row.error("a row is an object with a prompt, a response and criteria")
    prompt = _prompt(row, value)
    given = value.get("criteria")
    if not isinstance(given, list) or not given:
        raise row.error("a list of criteria is needed", "criteria")
    criteria = tuple(_stated(row, item, f"criteria[{place}]") for place, item in enumerate(given))
    labels = dict[str, bool | None]()
    for place, stated in enumerate(criteria):
        if stated.has_label and labels.setdefault(stated.text, stated.label) is not stated.label:
            raise row.error("the same criterion as above with another label", f"criteria[{place}].label")
    return Entry(
        id=_text(row, value, "id"),
        prompt_id=_text(row, value, "prompt_id") or prompt.id,
        prompt=prompt,
        response=_needed_text(row, value.get("response"), "response"),
        criteria=criteria,
        generator=_text(row, value, "generator"),
        gold=_number(row, value, next((name for name in _GOLD if value.get(name) is not None), "gold"), ""),
        draw=_draw(row, value.get("draw", 0)),
        place=f"line {row.line}" if row.line is not None else f"row {row.number}",
    )


def _prompt(row: Row, value: Mapping[str, Any]) -> Prompt:
    given, id = value.get("prompt"), _text(row, value, "prompt_id")
    if isinstance(given, list) and given:
        try:
            messages = tuple(msgspec.convert(given, list[Message]))
        except msgspec.ValidationError as problem:
            raise row.error(f"not a list of messages: {problem}", "prompt") from None
        return Prompt(id, messages) if id else Prompt(Prompt.of_text(messages[-1].content).id, messages)
    return Prompt.of_text(_needed_text(row, given, "prompt"), id)


def _stated(row: Row, item: Any, field: str) -> Stated:
    if not isinstance(item, Mapping):
        raise row.error("a criterion is an object", field)
    text = _needed_text(row, item.get("criterion"), f"{field}.criterion")
    if not text.strip():
        raise row.error("a text is needed, and this one is empty", f"{field}.criterion")
    weight = _number(row, item, "weight", f"{field}.")
    weight = 1.0 if weight is None else weight
    if weight == 0:
        raise row.error("a weight of 0 says nothing: leave the criterion out", f"{field}.weight")
    kind = item.get("kind")
    if kind is not None and (kind not in _KINDS or (kind == "pitfall") != (weight < 0)):
        told = (
            "only a pitfall has a negative weight"
            if kind in _KINDS
            else f"one of {', '.join(_KINDS)} is needed"
        )
        raise row.error(told, f"{field}.kind")
    probability = _number(row, item, "probability", f"{field}.")
    if probability is not None and not 0 <= probability <= 1:
        raise row.error(f"{probability:g} is not between 0 and 1", f"{field}.probability")
    if probability is None:
        probability = _vote_share(row, item.get("votes"), f"{field}.votes")
    return Stated(
        text=text,
        weight=weight,
        kind="pitfall" if kind is None and weight < 0 else kind,
        type=_text(row, item, "type"),
        label=_said(row, item.get("label"), f"{field}.label"),
        verdict=_said(row, item.get("verdict"), f"{field}.verdict"),
        probability=probability,
        by=_text(row, item, "by") or "",
        reason=_text(row, item, "reason") or "",
        veto=item.get("veto") is True,
        has_label="label" in item,
        has_verdict="verdict" in item,
    )


def _vote_share(row: Row, votes: Any, field: str) -> float | None:
    """Our own form of votes, `[met, asked]`. Public files count labellers in a number of this name."""
    if not isinstance(votes, list):
        return None
    if len(votes) != 2 or not all(isinstance(n, int) for n in votes) or not 0 <= votes[0] <= votes[1]:
        raise row.error("votes are [met, asked]", field)
    return votes[0] / votes[1] if votes[1] else None


def _said(row: Row, given: Any, field: str) -> bool | None:
    if given is None or isinstance(given, bool):
        return given
    if isinstance(given, str) and given.strip().casefold() in _SAID:
        return _SAID[given.strip().casefold()]
    raise row.error(f"true, false or null is needed, not {given!r:.60}", field)


def _text(row: Row, value: Mapping[str, Any], name: str) -> str | None:
    given = value.get(name)
    if given is None or given == "":
        return None
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise row.error("a text is needed", name)
    return str(given)


def _needed_text(row: Row, given: Any, field: str) -> str:
    if not isinstance(given, str):
        raise row.error("a text is needed" if given is not None else "missing; a text is needed", field)
    return given


def _number(row: Row, value: Mapping[str, Any], name: str, within: str) -> float | None:
    given = value.get(name)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise row.error("a number is needed", f"{within}{name}")
    if not math.isfinite(given):
        raise row.error(f"a finite number is needed, not {given}", f"{within}{name}")
    return float(given)


def _draw(row: Row, given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise row.error("a draw is a whole number from 0 on", "draw")
    return given
