"""prompt -> rubric: the first rubric, from the prompt alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from rubricate.domain.conversation import Prompt
from rubricate.domain.rubric import Criterion, Kind, Rubric
from rubricate.errors import ReplyError
from rubricate.llm.chat import Chat, Reply, Schema
from rubricate.steps.asking import Heard, Manner, ask_for, fill, framed, template, told, unheard
from rubricate.steps.reading import json_of

Repaired = Callable[[], None]
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")  # JSON can spell it, UTF-8 cannot, nor has it a key


async def propose(
    chat: Chat,
    manner: Manner,
    prompt: Prompt,
    *,
    pitfalls: bool = False,
    repaired: Repaired = lambda: None,
    heard: Heard = unheard,
) -> Rubric:
    """The first rubric of a prompt. One call, and further ones as long as the reply cannot be read.

    `repaired` is called when the JSON of the reply had to be repaired, `heard` is told of every reply.
    Source: Chasing the Tail, Algorithm 1 (initial rubric) and appendix B; the wording is ours.

    Raises:
        ReplyError: no valid rubric could be read.
        ChatError: the call failed for good.
    """
    question = fill(template("propose"), {"prompt": framed("prompt", prompt.text), **pitfall_slots(pitfalls)})
    return await ask_for(
        chat,
        manner,
        told(question),
        rubric_schema(pitfalls),
        lambda reply: read_rubric(reply, repaired),
        heard=heard,
    )


def pitfall_slots(pitfalls: bool) -> dict[str, str]:
    """What the templates say of pitfalls, where they are wanted and where they are not."""
    if not pitfalls:
        return {
            "pitfalls": 'State prohibitions positively ("does not recommend ...").',
            "pitfall_kind": "",
        }
    return {
        "pitfalls": "The one exception is a pitfall, which is met when the bad thing happened.",
        "pitfall_kind": '- "pitfall": a specific error that would harm the user; met when it is made.\n',
    }


def rubric_schema(pitfalls: bool) -> Schema:
    """The JSON schema of a rubric reply. Strings are bounded: grammars allow endless white space."""
    kinds = ["rule", "principle", *(["pitfall"] if pitfalls else [])]
    criterion = {
        "type": "object",
        "properties": {
            "criterion": {"type": "string", "minLength": 3, "maxLength": 600},
            "weight": {"type": "integer", "enum": [1, 2, 3]},
            "kind": {"type": "string", "enum": kinds},
        },
        "required": ["criterion", "weight", "kind"],
        "additionalProperties": False,
    }
    criteria = {"type": "array", "items": criterion, "minItems": 1, "maxItems": 60}
    return Schema(
        "rubric",
        {
            "type": "object",
            "properties": {"criteria": criteria},
            "required": ["criteria"],
            "additionalProperties": False,
        },
    )


def read_rubric(reply: Reply, repaired: Repaired = lambda: None) -> Rubric:
    """The rubric of a reply: an object with `criteria` (or `rubrics`), or a bare array as in the paper.

    Ids are given anew, c1, c2, ... in order; repeated texts are read once. Weights are whole numbers from 1
    to 3, also as text; a pitfall's becomes negative, and may be so already. Nothing is filled in: what is
    missing is an error.

    Raises:
        ReplyError: the reply holds no rubric, an empty one, or a criterion without text or valid weight.
    """
    value, mended = json_of(reply)
    if isinstance(value, dict):
        inside = [value[key] for key in ("criteria", "rubrics", "rubric") if key in value]
        if len(inside) != 1:
            raise ReplyError('the reply has no list "criteria"', reply.text)
        value = inside[0]
    if not isinstance(value, list) or not value:
        raise ReplyError("the rubric of the reply is empty or no list", reply.text)
    criteria: dict[str, Criterion] = {}
    for place, entry in enumerate(value, 1):
        criterion = _criterion(place, entry, reply.text)
        criteria.setdefault(criterion.text, criterion)
    if mended:
        repaired()
    try:
        return Rubric(
            tuple(
                Criterion(f"c{number}", criterion.text, criterion.weight, criterion.kind)
                for number, criterion in enumerate(criteria.values(), 1)
            )
        )
    except ValueError as problem:
        raise ReplyError(str(problem), reply.text) from None


def _criterion(place: int, entry: Any, raw: str) -> Criterion:
    if not isinstance(entry, dict):
        raise ReplyError(f"criterion {place} of the reply is no object", raw)
    text, weight, kind = entry.get("criterion"), entry.get("weight"), entry.get("kind", "principle")
    if not isinstance(text, str) or not text.strip():
        raise ReplyError(f"criterion {place} of the reply has no text", raw)
    if _HALF_CHARACTER.search(text):
        raise ReplyError(f"criterion {place} of the reply has half a character in its text", raw)
    if kind not in ("rule", "principle", "pitfall"):
        raise ReplyError(f"criterion {place} of the reply is of no known kind", raw)
    number = _weight(weight, kind == "pitfall")
    if number is None:
        raise ReplyError(f"criterion {place} of the reply has no weight of 1, 2 or 3", raw)
    known: Kind = kind
    return Criterion(f"c{place}", " ".join(text.split()), -number if kind == "pitfall" else number, known)


def _weight(value: Any, is_pitfall: bool) -> int | None:
    """1, 2 or 3, from a number or its text; only a pitfall's may be written as negative."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    said = value.strip() if isinstance(value, str) else value
    sizes = {1: 1, 2: 2, 3: 3, "1": 1, "2": 2, "3": 3}
    if is_pitfall:
        sizes |= {-1: 1, -2: 2, -3: 3, "-1": 1, "-2": 2, "-3": 3}
    return sizes.get(said)
