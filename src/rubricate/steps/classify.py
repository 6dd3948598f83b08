"""Items -> the kinds that each one has, of a given list, by a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rubricate.errors import ReplyError
from rubricate.llm.chat import Chat, Reply, Schema
from rubricate.steps.asking import Heard, Manner, ask_for, fill, framed, template, told, unheard
from rubricate.steps.reading import json_of


async def classify(
    chat: Chat,
    manner: Manner,
    task: str,
    kinds: Mapping[str, str],
    items: Sequence[str],
    *,
    most: int | None = None,
    heard: Heard = unheard,
) -> tuple[tuple[str, ...], ...]:
    """The kinds of each item, in order; one call for all items. An item may have several, or none.

    Each item is shown on a line of its own, so that none can pass for two.

    `task` says what the items are; `kinds` are names with what each means; an item has at most `most`.

    Raises:
        ReplyError: no reply could be read, not even on asking again.
        ChatError: the call failed for good.
    """
    listed = "\n".join(f"i{number}: {' '.join(item.split())}" for number, item in enumerate(items, 1))
    slots = {
        "task": task,
        "kinds": "\n".join(f"{name}: {meaning}" for name, meaning in kinds.items()),
        "items": framed("items", listed),
        "most": "every kind that fits" if most is None else f"at most {most}",
    }
    schema = _schema(len(items), tuple(kinds))

    def read(reply: Reply) -> tuple[tuple[str, ...], ...]:
        return read_kinds(reply, len(items), kinds, most)

    return await ask_for(chat, manner, told(fill(template("classify"), slots)), schema, read, heard=heard)


def _schema(n_items: int, kinds: Sequence[str]) -> Schema:
    ids = [f"i{number}" for number in range(1, n_items + 1)]
    each = {"type": "array", "items": {"type": "string", "enum": list(kinds)}}
    return Schema(
        "kinds",
        {
            "type": "object",
            "properties": dict.fromkeys(ids, each),
            "required": ids,
            "additionalProperties": False,
        },
    )


def read_kinds(
    reply: Reply, n_items: int, kinds: Mapping[str, str], most: int | None = None
) -> tuple[tuple[str, ...], ...]:
    """The kinds of each item, each once, in the order of `kinds`.

    Raises:
        ReplyError: an item is missing, or has a kind that is not on the list, or more than `most`.
    """
    value, _ = json_of(reply)
    if not isinstance(value, dict):
        raise ReplyError("the reply is no object of items", reply.text)
    found = []
    for number in range(1, n_items + 1):
        named = value.get(f"i{number}")
        named = [named] if isinstance(named, str) else named
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            raise ReplyError(f'the reply has no list of kinds for "i{number}"', reply.text)
        unknown = sorted(set(named) - set(kinds))
        if unknown:
            raise ReplyError(f"the reply names {unknown[0]!r}, which is no kind on the list", reply.text)
        of_item = tuple(name for name in kinds if name in named)
        if most is not None and len(of_item) > most:
            raise ReplyError(
                f'the reply has {len(of_item)} kinds for "i{number}", at most {most}', reply.text
            )
        found.append(of_item)
    return tuple(found)
