"""prompt, two responses -> preference, asked in both orders."""

from __future__ import annotations

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.judgement import Preference
from rubricate.errors import BadRequest, ReplyError
from rubricate.llm.chat import Chat, Reply, Schema
from rubricate.steps.asking import Heard, Manner, ask_for, fill, framed, gathered, template, told, unheard
from rubricate.steps.reading import json_of

_SCHEMA = Schema(
    "preference",
    {
        "type": "object",
        "properties": {"better": {"type": "integer", "enum": [1, 2]}},
        "required": ["better"],
        "additionalProperties": False,
    },
)


async def compare(
    chat: Chat,
    manner: Manner,
    prompt: Prompt,
    first: Response,
    second: Response,
    *,
    heard: Heard = unheard,
) -> Preference:
    """Which response is better, asked in both orders: two calls. A tie when the orders disagree.

    Source: Chasing the Tail, appendix E, asks once in a random order; we ask both, since a judge that
    follows the position would otherwise pass for one that has a preference.

    Raises:
        ChatError: no answer could be had at all after all patience.
    """
    forward, backward = await gathered(
        _better(chat, manner, prompt, one, two, heard) for one, two in ((first, second), (second, first))
    )
    for answer in (forward, backward):
        if isinstance(answer, str):
            return Preference("unjudged", answer)
    if forward == backward:
        return Preference("tie", "the two orders disagree")
    return Preference("first" if forward == 1 else "second")


async def _better(
    chat: Chat, manner: Manner, prompt: Prompt, one: Response, two: Response, heard: Heard
) -> int | str:
    """1 or 2, or why there is no answer."""
    slots = {
        "prompt": framed("prompt", prompt.text),
        "first": framed("response", one.text),
        "second": framed("response", two.text),
    }
    try:
        question = told(fill(template("compare"), slots))
        return await ask_for(chat, manner, question, _SCHEMA, read_better, heard=heard)
    except (ReplyError, BadRequest) as failure:
        return str(failure)


def read_better(reply: Reply) -> int:
    """1 or 2.

    Raises:
        ReplyError: the reply names neither, or something else.
    """
    value, _ = json_of(reply)
    better = value.get("better") if isinstance(value, dict) else None
    if isinstance(better, str) and better.strip() in ("1", "2"):
        better = int(better)
    if isinstance(better, bool) or better not in (1, 2):
        raise ReplyError('the reply has no "better" of 1 or 2', reply.text)
    return int(better)
