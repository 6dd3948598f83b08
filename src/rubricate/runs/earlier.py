"""Earlier outputs of a sampler -> what each prompt has already. Nothing that was paid for is thrown away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rubricate.domain.conversation import Message, Prompt
from rubricate.domain.identity import key_of
from rubricate.runs.intake import Messages, Names, entry_of, is_error_text
from rubricate.runs.rows import rows_of


class Earlier(NamedTuple):
    """A row of an earlier output. `key` is the content key of its prompt, None when the row has none."""

    id: str
    key: str | None
    row: dict[str, Any]


def read_existing(source: Path) -> list[Earlier]:
    """The rows of an earlier output (ours or the official one) with their good responses, of any generator,
    and all other fields. Error texts are no responses.

    Raises:
        DataError: a row is malformed; with file, line and field.
    """
    found = []
    for row in rows_of(str(source)):
        entry = entry_of(row)
        if not isinstance(row.value, dict) or not isinstance(row.value.get("responses"), list):
            raise row.error("a list is needed: a row of an earlier output has responses", "responses")
        failures = row.value.get("failures", [])
        if not isinstance(failures, list) or not all(map(_is_failure, failures)):
            raise row.error("a list of failed draws is needed, each with generator and draw", "failures")
        responses = [_as_object(response) for response in row.value["responses"]]
        kept = {
            **row.value,
            "id": entry.id,
            "responses": [response for response in responses if _is_good(response)],
            "failures": failures,
        }
        is_bare = entry.messages == (Message("user", entry.id),)  # the id stands in for a missing prompt
        key = None if is_bare else Prompt(entry.id, entry.messages).key
        found.append(Earlier(entry.id, key, kept))
    return found


def _is_failure(failure: Any) -> bool:
    is_named = isinstance(failure, dict) and isinstance(failure.get("generator"), str)
    return is_named and type(failure.get("draw")) is int


def _as_object(response: Any) -> dict[str, Any]:
    return response if isinstance(response, dict) else {"generator": None, "response": response}


def _is_good(response: dict[str, Any]) -> bool:
    text = response.get("response")
    return isinstance(text, str) and bool(text.strip()) and not is_error_text(text)


def shared_out(
    prompts: Sequence[tuple[str, Messages]], earlier: Iterable[Earlier]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What each prompt has already, in order; and the rows that belong to none of these prompts.

    A row belongs to a prompt of the same content, first of all the one of the same id; a row without a
    prompt to the one of the same id. So official ids, which depend on the place in the file, never give a
    prompt the responses of another one. An id that two prompts claim is made two.
    """
    keys = [Prompt(id, messages).key for id, messages in prompts]
    place_by_id = {id: place for place, (id, _) in enumerate(prompts)}
    place_by_key = {key: place for place, key in reversed([*enumerate(keys)])}
    names, mine = Names(), [dict[str, Any]() for _ in prompts]
    rest = dict[str, dict[str, Any]]()
    for (id, _), key in zip(prompts, keys, strict=True):
        names.of(id, key)
    for there in earlier:
        place = place_by_id.get(there.id)
        if there.key is not None and (place is None or keys[place] != there.key):
            place = place_by_key.get(there.key)
        if place is not None:
            mine[place] = _merged(mine[place], there.row)
        else:
            name = names.of(there.id, there.key or key_of("row", there.id))
            rest[name] = {**_merged(rest.get(name, {}), there.row), "id": name}
    return mine, [without_empty_failures(row) for row in rest.values()]


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """The first row with the responses and failures of the second that it lacks."""
    lists = {
        name: first.get(name, []) + [item for item in second[name] if item not in first.get(name, [])]
        for name in ("responses", "failures")
    }
    return {**second, **first, **lists}


def without_empty_failures(row: dict[str, Any]) -> dict[str, Any]:
    """A row as it is written: failures only where there are some."""
    return {name: value for name, value in row.items() if name != "failures" or value}
