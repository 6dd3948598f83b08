"""prompt, two responses -> preference, asked in both orders, or in one that chance chooses."""

from __future__ import annotations

from typing import Literal

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.identity import chance_of
from rubricate.domain.judgement import Answer, Preference, Side, preference_of
from rubricate.errors import BadRequest, ReplyError
from rubricate.llm.chat import Chat, Reply, Schema
from rubricate.steps.asking import Heard, Manner, ask_for, fill, framed, gathered, template, told, unheard
from rubricate.steps.reading import json_of

Order = Literal["both", "random"]
Position = Literal[1, 2]

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
    return preference_of(await answers(chat, manner, prompt, first, second, heard=heard))


async def answers(
    chat: Chat,
    manner: Manner,
    prompt: Prompt,
    first: Response,
    second: Response,
    *,
    order: Order = "both",
    seed: int = 0,
    heard: Heard = unheard,
) -> tuple[Answer, ...]:
    """What was answered in each order: two answers and calls for `both`, one for `random`.

    A single order is settled by the seed and the content of prompt and texts, whichever is named first. Its
    question is one of the two of `both`, so that what was paid for one way of asking serves the other.

    Raises:
        ChatError: no answer could be had at all after all patience.
    """
    shown: tuple[Side, ...] = (
        ("first", "second") if order == "both" else (shown_first(prompt, first, second, seed),)
    )
    sides = {"first": (first, second), "second": (second, first)}
    said = await gathered(_better(chat, manner, prompt, *sides[side], heard) for side in shown)
    return tuple(
        Answer(side, None, why=each) if isinstance(each, str) else Answer(side, each)
        for side, each in zip(shown, said, strict=True)
    )


def shown_first(prompt: Prompt, first: Response, second: Response, seed: int) -> Side:
    """Which of the two stands first where only one order is asked."""
    one, two = sorted((first.text_key, second.text_key))
    lower_is_first = chance_of(seed, "order", prompt.key, one, two) < 0.5
    return "first" if lower_is_first == (first.text_key == one) else "second"


async def _better(
    chat: Chat, manner: Manner, prompt: Prompt, one: Response, two: Response, heard: Heard
) -> Position | str:
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


def read_better(reply: Reply) -> Position:
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
    return 1 if better == 1 else 2
