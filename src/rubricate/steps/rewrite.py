"""prompt, response -> the same response in other words, or in another language."""

from __future__ import annotations

from rubricate.domain.conversation import Prompt
from rubricate.errors import ReplyError
from rubricate.llm.chat import Chat, Reply, Schema
from rubricate.steps.asking import Manner, ask_for, fill, framed, template, told
from rubricate.steps.reading import json_of

PARAPHRASE = "in other words, in the same language, of about the same length and in the same layout."
TRANSLATE = "translated into German, in the same layout; code, names and formulas stay as they are."

_SCHEMA = Schema(
    "rewritten",
    {
        "type": "object",
        "properties": {"text": {"type": "string", "minLength": 1}},
        "required": ["text"],
        "additionalProperties": False,
    },
)


async def rewrite(chat: Chat, manner: Manner, prompt: Prompt, text: str, how: str) -> str:
    """The response rewritten as `how` says. One call, and one more if the reply cannot be read.

    That nothing is lost is what the model is asked for, and is not checked here.

    Raises:
        ReplyError: no text could be read.
        ChatError: the call failed for good.
    """
    slots = {"prompt": framed("prompt", prompt.text), "response": framed("response", text), "how": how}
    return await ask_for(chat, manner, told(fill(template("rewrite"), slots)), _SCHEMA, read_text)


def read_text(reply: Reply) -> str:
    """The rewritten text.

    Raises:
        ReplyError: the reply has none, or an empty one.
    """
    value, _ = json_of(reply)
    text = value.get("text") if isinstance(value, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise ReplyError('the reply has no "text"', reply.text)
    return text
