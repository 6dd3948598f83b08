"""prompt -> response: one draw from one model."""

from __future__ import annotations

import msgspec

from rubricate.domain.conversation import Prompt
from rubricate.errors import ReplyError
from rubricate.llm.chat import Chat, Reply, Request


class Sampling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How responses are drawn. What is None is not sent, and the provider decides."""

    model: str
    temperature: float | None = 1.0
    top_p: float | None = 0.95
    max_tokens: int | None = None


async def sample(chat: Chat, sampling: Sampling, prompt: Prompt, draw: int) -> Reply:
    """The reply that is draw number `draw` (0, 1, ...) of a model to a prompt. One call.

    A reply that was cut off at the token limit is a response, and says so in its finish reason. One that is
    empty, withheld or refused by the server is none.

    Raises:
        ReplyError: the model gave no text.
        ChatError: the call failed for good.
    """
    reply = await chat.ask(
        Request(
            model=sampling.model,
            messages=prompt.messages,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            draw=draw,
        )
    )
    if reply.finish_reason == "content_filter":
        raise ReplyError("the provider withheld the response", reply.text)
    if not reply.text.strip():
        raise ReplyError(f"the response is empty (finish reason: {reply.finish_reason})", reply.text)
    return reply
