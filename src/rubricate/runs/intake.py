"""Rows -> pools. The last place where a prompt or a response is a dict; whatever is left out is said.

Accepted rows: `{id, prompt, responses: [text | {generator, response}]}`, an object of such by id, and flat
rows `{prompt_id, prompt, response, generator}`: all shapes that the official workflow reads, and the one
that its sampler writes. Prompts may be texts or lists of messages. Memory holds one small entry a row; the
texts wait on disk until their prompt's turn.
"""

from __future__ import annotations

import sys
import tempfile
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import msgspec

from rubricate.domain.conversation import Message, Pool, Prompt, Response, SetAside, derived_id
from rubricate.domain.identity import chance_of
from rubricate.llm.thinking import strip_thinking
from rubricate.runs.rows import Row, rows_of

_PROMPT = ("prompt", "question", "instruction", "messages", "conversation")
_ID = ("prompt_id", "id", "task_id")  # a flat row may have an id of its own beside its prompt's
_TEXT = ("response", "text", "output", "completion", "answer")
_GENERATOR = ("generator", "model")
_GOLD = ("gold", "reference_score")
_ERROR_TEXT = "[ERROR:"  # what the official sampler writes in place of a response that failed

Messages = tuple[Message, ...]


class _Entry(msgspec.Struct, frozen=True):
    """What one row brings: a prompt and some responses."""

    id: str
    messages: tuple[Message, ...]
    responses: tuple[Response, ...]
    set_aside: tuple[SetAside, ...]


class Intake:
    """Pools on disk, in input order, each to be had by its place. Close it, or use it in a `with`."""

    def __init__(self, file: IO[bytes], starts: Sequence[int]):
        self._file, self._starts = file, starts

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, place: int) -> Pool:
        self._file.seek(self._starts[place])
        return _POOL.decode(self._file.readline())

    def __iter__(self) -> Iterator[Pool]:
        return (self[place] for place in range(len(self)))

    def __enter__(self) -> Intake:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write_to(self, path: Path) -> None:
        """Copies the pools, one JSON line each."""
        with path.open("wb") as target:
            for place in range(len(self)):
                self._file.seek(self._starts[place])
                target.write(self._file.readline())

    @classmethod
    def of_file(cls, path: Path) -> Intake:
        """The pools that `write_to` wrote."""
        file, starts, at = path.open("rb"), array("q"), 0
        for line in file:
            starts.append(at)
            at += len(line)
        return cls(file, starts)


_POOL = msgspec.json.Decoder(Pool)
_ENTRY = msgspec.json.Decoder(_Entry)


def read_pools(
    source: str, *, responses_per_prompt: int | None = None, sample_size: int | None = None, seed: int = 0
) -> Intake:
    """All pools of a file. Rows of one prompt are put together, wherever they stand.

    `responses_per_prompt` keeps the first N usable responses in file order (official key
    `workflow.initial_responses_per_prompt`). `sample_size` keeps that many prompts, drawn by the seed and
    the content (so the draw does not depend on the order of the file), in input order.

    Raises:
        DataError: a row is malformed; with file, line and field. Nothing was written by then.
    """
    with tempfile.TemporaryFile() as spool:
        entries = _Entries(spool)
        for row in rows_of(source):
            entries.add(entry_of(row))
        groups = entries.groups()
        if sample_size is not None and sample_size < len(groups):
            chance = partial(chance_of, seed, "sample")
            drawn = sorted(groups, key=lambda group: (chance(group.key), group.id))[:sample_size]
            kept = {group.id for group in drawn}
            groups = [group for group in groups if group.id in kept]
        file, starts = tempfile.TemporaryFile(), array("q")  # noqa: SIM115  (the Intake closes it)
        for group in groups:
            starts.append(file.tell())
            pool = _pool_of(group, entries, responses_per_prompt)
            file.write(msgspec.json.encode(pool) + b"\n")
    file.flush()
    return Intake(file, starts)


def read_prompts(source: str) -> list[tuple[str, Messages]]:
    """Id and messages of each prompt of a file, in order, each prompt once; responses are passed over.

    Raises:
        DataError: a row is malformed; with file, line and field.
    """
    found, names = dict[str, Messages](), Names()
    for row in rows_of(source):
        value = {"prompt": row.value} if isinstance(row.value, str) else row.value
        if isinstance(value, Mapping):
            value = {name: field for name, field in value.items() if name not in ("responses", *_TEXT)}
        entry = entry_of(row._replace(value=value))
        found[names.of(entry.id, Prompt(entry.id, entry.messages).key)] = entry.messages
    return list(found.items())


class Names:
    """Ids of prompts: who has an id first keeps it, another prompt of that id gets one of its own."""

    def __init__(self) -> None:
        self._key_by_id: dict[str, str] = {}

    def of(self, id: str, key: str) -> str:
        """The id of the prompt with this id in the file and this content key."""
        while self._key_by_id.setdefault(id, key) != key:
            id = f"{id}~{key[:8]}"
        return id


class _Group(msgspec.Struct):
    """The rows of one prompt."""

    id: str
    key: str
    rows: list[int]
    note: SetAside | None = None


class _Entries:
    """Entries on disk, and which of them belong to one prompt."""

    def __init__(self, spool: IO[bytes]):
        self._spool, self._names = spool, Names()
        self._groups: dict[str, _Group] = {}

    def add(self, entry: _Entry) -> None:
        key = Prompt(entry.id, entry.messages).key
        id = self._names.of(entry.id, key)
        group = self._groups.get(id)
        if group is None:
            group = self._groups[id] = _Group(id, key, [])
        if id != entry.id and group.note is None:
            why = "an earlier prompt has it; this one got an id of its own"
            group.note = SetAside(id, f"the id {entry.id}", why)
        group.rows.append(self._spool.tell())
        self._spool.write(msgspec.json.encode(entry) + b"\n")

    def groups(self) -> list[_Group]:
        return list(self._groups.values())

    def read(self, start: int) -> _Entry:
        self._spool.seek(start)
        return _ENTRY.decode(self._spool.readline())


def _pool_of(group: _Group, entries: _Entries, limit: int | None) -> Pool:
    rows = [entries.read(start) for start in group.rows]
    aside = [group.note] if group.note else []
    aside += [msgspec.structs.replace(note, prompt_id=group.id) for row in rows for note in row.set_aside]
    twins: dict[str, list[Response]] = {}
    for response in (response for row in rows for response in row.responses):
        twins.setdefault(response.text.strip(), []).append(response)
    responses = tuple(min(alike, key=_rank) for alike in twins.values())
    for kept, alike in zip(responses, twins.values(), strict=True):
        same = f"the same text as {kept.generator or 'another response'}"
        left = (response for response in alike if response is not kept)
        aside += [SetAside(group.id, response.generator or "a response", same) for response in left]
    if limit is not None and len(responses) > limit:
        why = f"beyond workflow.initial_responses_per_prompt={limit}"
        aside.append(SetAside(group.id, f"the last {len(responses) - limit} responses", why))
        responses = responses[:limit]
    return Pool(Prompt(group.id, rows[0].messages), responses, tuple(aside))


def _rank(response: Response) -> tuple[str, bool, float]:
    """Which of some equal texts stays: the same one in whatever order they came, with a score if it can."""
    return response.key, response.gold is None, response.gold or 0.0


def entry_of(row: Row) -> _Entry:
    """What a row says, with what it says wrongly named by field."""
    value = row.value
    if isinstance(value, list) and row.name is not None:
        value = {"id": row.name, "prompt": row.name, "responses": value}
    if not isinstance(value, Mapping):
        raise row.error(f"a row is an object with a prompt, not {_said(value)}")
    id, aside = _id_of(row, value), list[SetAside]()
    messages = _messages_of(row, value, id, aside)
    id = id if id is not None else derived_id(messages)
    if row.mended:
        aside.append(SetAside(id, "halves of surrogate pairs", "no file can hold them; each became a ?"))
    entries = value.get("responses")
    is_flat = entries is None
    if is_flat:
        entries = [value] if any(value.get(key) is not None for key in ("response", "error")) else []
    if not isinstance(entries, list):
        raise row.error(f"a list is needed, not {_said(entries)}", "responses")
    responses = []
    for place, entry in enumerate(entries):
        taken = _response_of(row, entry, place, id, flat=is_flat)
        if isinstance(taken, Response):
            responses.append(taken)
        else:
            aside.append(taken)
    return _Entry(id, messages, tuple(responses), tuple(aside))


def _id_of(row: Row, value: Mapping[str, Any]) -> str | None:
    """The id as text: 1 and "1" are one id. A missing or empty one is derived from the content later."""
    for key in _ID:
        given = value.get(key)
        if given is None or given == "":
            continue
        if isinstance(given, bool) or not isinstance(given, str | int):
            raise row.error(f"an id is a text or a whole number, not {_said(given)}", key)
        return str(given)
    return row.name or None


def _messages_of(
    row: Row, value: Mapping[str, Any], id: str | None, aside: list[SetAside]
) -> tuple[Message, ...]:
    field = next((key for key in _PROMPT if value.get(key) is not None), None)
    if field is None:
        if id is None:
            raise row.error("missing; a row needs a prompt", "prompt")
        aside.append(
            SetAside(id, "the missing prompt", "the id is taken as the prompt, as official code does")
        )
        return (Message("user", id),)
    given = value[field]
    if isinstance(given, str):
        return (Message("user", given),)
    if not isinstance(given, list) or not given:
        raise row.error(f"a prompt is a text or a list of messages, not {_said(given)}", field)
    return tuple(_message(row, turn, f"{field}[{place}]") for place, turn in enumerate(given))


def _message(row: Row, turn: Any, field: str) -> Message:
    if not isinstance(turn, Mapping) or not isinstance(turn.get("role"), str):
        raise row.error('a message is an object with "role" and "content"', field)
    content = turn.get("content")
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, Mapping) else None for part in content]
        if not all(isinstance(part, str) for part in parts):
            raise row.error("only text parts can be read", f"{field}.content")
        content = "".join(str(part) for part in parts)
    if not isinstance(content, str):
        raise row.error(f"a text is needed, not {_said(content)}", f"{field}.content")
    return Message(turn["role"], content)


def _response_of(row: Row, entry: Any, place: int, id: str, *, flat: bool) -> Response | SetAside:
    """A response without its leading reasoning, or what was set aside and why."""
    field = "" if flat else f"responses[{place}]"
    given: Mapping[str, Any] = entry if isinstance(entry, Mapping) else {"response": entry}
    key = next((key for key in _TEXT if given.get(key) is not None), None)
    if key is None and given.get("error") is None and not any(key in given for key in _TEXT):
        raise row.error(f"a response needs one of {', '.join(_TEXT)}", field)
    within = f"{field}." if isinstance(entry, Mapping) and field else ""
    generator = _text_in(row, given, _GENERATOR, within)
    finish = _text_in(row, given, ("finish_reason",), within)
    gold = _gold_in(row, given, within)
    name = f"{generator or 'a response'} (no. {place + 1})"
    if given.get("error"):
        return SetAside(id, name, f"a failed call: {_short(str(given['error']))}")
    if key is None:
        return SetAside(id, name, "no text")
    text = given[key]
    if not isinstance(text, str):
        raise row.error(f"a text is needed, not {_said(text)}", f"{within}{key}" if within or flat else field)
    if is_error_text(text):
        return SetAside(id, name, f"an error text: {_short(text)}")
    if not text.strip():
        return SetAside(id, name, "an empty text")
    answer = strip_thinking(text)
    if not answer.strip():
        return SetAside(id, name, "reasoning only, without an answer")
    return Response(answer, generator, gold, finish)


def is_error_text(text: str) -> bool:
    """Whether a response is none but the message of a failed call, as the official sampler writes it."""
    return text.lstrip().startswith(_ERROR_TEXT)


def _text_in(row: Row, given: Mapping[str, Any], keys: Sequence[str], within: str) -> str | None:
    key = next((key for key in keys if given.get(key) is not None), None)
    if key is None:
        return None
    if not isinstance(given[key], str):
        raise row.error(f"a text is needed, not {_said(given[key])}", f"{within}{key}")
    return str(given[key])


def _gold_in(row: Row, given: Mapping[str, Any], within: str) -> float | None:
    key = next((key for key in _GOLD if given.get(key) is not None), None)
    if key is None:
        return None
    gold = given[key]
    if isinstance(gold, bool) or not isinstance(gold, int | float):
        raise row.error(f"a number is needed, not {_said(gold)}", f"{within}{key}")
    if not abs(gold) <= sys.float_info.max:
        raise row.error("a finite number is needed", f"{within}{key}")
    return float(gold)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else f"{line[:117]}..."


def _said(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"the number {value:.6g}" if abs(value) <= sys.float_info.max else "a number"
    if value == []:
        return "an empty list"
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), type(value).__name__)
