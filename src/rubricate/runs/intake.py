"""Rows -> pools. The last place where a prompt or a response is a dict; whatever is left out is said.

Accepted rows: `{id, prompt, responses: [text | {generator, response}]}`, an object of such by id, and flat
rows `{prompt_id, prompt, response, generator}`: all shapes that the official workflow reads, and the one
that its sampler writes. Prompts may be texts or lists of messages. Memory holds one small entry a row; the
texts wait on disk until their prompt's turn.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import msgspec

from rubricate.domain.conversation import Message, Pool, Prompt, Response, SetAside, derived_id
from rubricate.domain.identity import chance_of
from rubricate.runs.rows import Row, rows_of

_PROMPT = ("prompt", "question", "instruction", "messages", "conversation")
_ID = ("id", "prompt_id", "task_id")
_TEXT = ("response", "text", "output", "completion", "answer")
_GENERATOR = ("generator", "model")
_GOLD = ("gold", "reference_score")
_ERROR_TEXT = re.compile(r"\s*\[ERROR\b")


Messages = tuple[Message, ...]


class _Entry(msgspec.Struct, frozen=True):
    """What one row brings: a prompt and some responses."""

    id: str
    messages: tuple[Message, ...]
    responses: tuple[Response, ...]
    set_aside: tuple[SetAside, ...]


class Intake:
    """Pools on disk, in input order, each to be had by its place. Close it, or use it in a `with`."""

    def __init__(self, file: IO[bytes], starts: list[int]):
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
        file, starts, at = path.open("rb"), list[int](), 0
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
            drawn = sorted(groups, key=lambda group: chance_of(seed, "sample", group.key))[:sample_size]
            kept = {group.id for group in drawn}
            groups = [group for group in groups if group.id in kept]
        file, starts = tempfile.TemporaryFile(), []  # noqa: SIM115  (the Intake closes it)
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
    found: dict[str, Messages] = {}
    for row in rows_of(source):
        value = {"prompt": row.value} if isinstance(row.value, str) else row.value
        if isinstance(value, Mapping):
            value = {name: field for name, field in value.items() if name not in ("responses", *_TEXT)}
        entry = entry_of(row._replace(value=value))
        id = entry.id
        if found.setdefault(id, entry.messages) != entry.messages:
            id = f"{entry.id}~{Prompt(entry.id, entry.messages).key[:8]}"
            found[id] = entry.messages
    return list(found.items())


class _Group(msgspec.Struct):
    """The rows of one prompt."""

    id: str
    key: str
    rows: list[int]
    note: SetAside | None = None


class _Entries:
    """Entries on disk, and which of them belong to one prompt."""

    def __init__(self, spool: IO[bytes]):
        self._spool = spool
        self._groups: dict[tuple[str, str], _Group] = {}
        self._ids: dict[str, str] = {}

    def add(self, entry: _Entry) -> None:
        prompt = Prompt(entry.id, entry.messages)
        key = prompt.key
        group = self._groups.get((entry.id, key))
        if group is None:
            group = self._groups[(entry.id, key)] = self._new(entry.id, key)
        group.rows.append(self._spool.tell())
        self._spool.write(msgspec.json.encode(entry) + b"\n")

    def _new(self, id: str, key: str) -> _Group:
        if self._ids.setdefault(id, key) == key:
            return _Group(id, key, [])
        renamed = f"{id}~{key[:8]}"
        note = SetAside(renamed, f"the id {id}", "an earlier prompt has it; this one got an id of its own")
        return _Group(renamed, key, [], note)

    def groups(self) -> list[_Group]:
        return list(self._groups.values())

    def read(self, start: int) -> _Entry:
        self._spool.seek(start)
        return _ENTRY.decode(self._spool.readline())


def _pool_of(group: _Group, entries: _Entries, limit: int | None) -> Pool:
    rows = [entries.read(start) for start in group.rows]
    aside = [group.note] if group.note else []
    aside += [msgspec.structs.replace(note, prompt_id=group.id) for row in rows for note in row.set_aside]
    kept: dict[str, Response] = {}
    for response in (response for row in rows for response in row.responses):
        text = response.text.strip()
        twin = kept.setdefault(text, response)
        if twin is not response:
            kept[text], left = sorted((twin, response), key=lambda either: either.key)
            same = f"the same text as {kept[text].generator or 'another response'}"
            aside.append(SetAside(group.id, left.generator or "a response", same))
    responses = tuple(kept.values())
    if limit is not None and len(responses) > limit:
        why = f"beyond workflow.initial_responses_per_prompt={limit}"
        aside.append(SetAside(group.id, f"the last {len(responses) - limit} responses", why))
        responses = responses[:limit]
    return Pool(Prompt(group.id, rows[0].messages), responses, tuple(aside))


def entry_of(row: Row) -> _Entry:
    """What a row says, with what it says wrongly named by field."""
    value = row.value
    if isinstance(value, list) and row.name is not None and not row.name.startswith(("[", "row ")):
        value = {"id": row.name, "prompt": row.name, "responses": value}
    if not isinstance(value, Mapping):
        raise row.error(f"a row is an object with a prompt, not {_said(value)}")
    named = None if row.name is None or row.name.startswith(("[", "row ")) else row.name
    id, aside = _id_of(row, value, named), list[SetAside]()
    messages = _messages_of(row, value, id, aside)
    id = id if id is not None else derived_id(messages)
    entries = value.get("responses")
    if entries is None:
        entries = [value] if any(value.get(key) is not None for key in (*_TEXT[:1], "error")) else []
    if not isinstance(entries, list):
        raise row.error(f"a list is needed, not {_said(entries)}", "responses")
    responses = []
    for place, entry in enumerate(entries):
        taken = _response_of(row, entry, place, id, flat="responses" not in value)
        if isinstance(taken, Response):
            responses.append(taken)
        else:
            aside.append(taken)
    return _Entry(id, messages, tuple(responses), tuple(aside))


def _id_of(row: Row, value: Mapping[str, Any], named: str | None) -> str | None:
    """The id as text: 1 and "1" are one id. A missing one is derived from the content later."""
    for key in _ID:
        given = value.get(key)
        if given is None:
            continue
        if isinstance(given, bool) or not isinstance(given, str | int):
            raise row.error(f"an id is a text or a whole number, not {_said(given)}", key)
        return _clean(str(given))
    return named


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
        return (Message("user", _clean(given)),)
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
    return Message(turn["role"], _clean(content))


def _response_of(row: Row, entry: Any, place: int, id: str, *, flat: bool) -> Response | SetAside:
    """A response, or what was set aside and why: failures, error texts, empty texts."""
    field = "response" if flat else f"responses[{place}]"
    generator: Any = None
    gold: Any = None
    finish: Any = None
    text: Any = entry
    if isinstance(entry, Mapping):
        generator = next((entry[key] for key in _GENERATOR if entry.get(key) is not None), None)
        gold = next((entry[key] for key in _GOLD if entry.get(key) is not None), None)
        finish = entry.get("finish_reason")
        text_field = next((key for key in _TEXT if key in entry), None)
        text = entry[text_field] if text_field else None
        if text_field is None and entry.get("error") is None:
            raise row.error(f"a response needs one of {', '.join(_TEXT)}", field)
    if generator is not None and not isinstance(generator, str):
        raise row.error(f"a text is needed, not {_said(generator)}", f"{field}.generator")
    name = f"{generator or 'a response'} (no. {place + 1})"
    if text is None:
        why = entry.get("error") if isinstance(entry, Mapping) else None
        return SetAside(id, name, f"a failed call: {_short(str(why))}" if why else "no text")
    if not isinstance(text, str):
        raise row.error(f"a text is needed, not {_said(text)}", field)
    if _ERROR_TEXT.match(text):
        return SetAside(id, name, f"an error text: {_short(text)}")
    if not text.strip():
        return SetAside(id, name, "an empty text")
    if gold is not None and (isinstance(gold, bool) or not isinstance(gold, int | float)):
        raise row.error(f"a number is needed, not {_said(gold)}", f"{field}.gold")
    if gold is not None and not math.isfinite(gold):
        raise row.error(f"a finite number is needed, not {gold}", f"{field}.gold")
    return Response(
        _clean(text),
        None if generator is None else _clean(generator),
        None if gold is None else float(gold),
        finish if isinstance(finish, str) else None,
    )


def _clean(text: str) -> str:
    """The text with lone surrogates (which no UTF-8 can carry) replaced; all else stays as it is."""
    return text.encode("utf-8", "replace").decode("utf-8") if _SURROGATE.search(text) else text


_SURROGATE = re.compile("[\ud800-\udfff]")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else f"{line[:117]}..."


def _said(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(
        type(value), f"the number {value}" if isinstance(value, int | float) else str(type(value))
    )
