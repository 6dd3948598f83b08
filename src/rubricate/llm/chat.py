"""The seam to language models: one question, one answer, one async method.

A working chat is a chain, outermost first: ledger -> budget -> retry -> throttle -> http. Each link is
a `Chat` around another, and so is the fake of the tests. Nothing above this floor knows who answers.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from rubricate.domain.conversation import Message
from rubricate.domain.identity import key_of


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON schema that a reply should follow; honoured by grammar where the endpoint can."""

    name: str
    body: dict[str, Any]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One question to one model. None means: do not send, let the provider choose.

    `draw` tells samples of one and the same question apart (0, 1, 2, ...): it is part of the identity of
    the request, never sent.
    """

    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    schema: Schema | None = None
    draw: int = 0

    @property
    def key(self) -> str:
        """Content key of all that shapes the answer. Endpoint and API key are not part of it."""
        return key_of("request", self)


class Usage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one call used, in tokens, as the server counted them. `cached_tokens` is a part of
    `prompt_tokens`; `reasoning_tokens` a part of `completion_tokens`."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came back. `text` is the answer without leading think-blocks, never None.

    `finish_reason` is the server's word: "stop" when complete, "length" when cut off,
    "content_filter" when withheld. `model` is the name that the server gave itself.
    """

    text: str
    finish_reason: str = "stop"
    usage: Usage = Usage()
    model: str = ""


class Chat(Protocol):
    """Answers requests. The one seam between rubricate and whatever runs the models."""

    async def ask(self, request: Request) -> Reply:
        """The reply to one request.

        Raises:
            ChatError: the call failed; its class says whether another try is worth it.
            RunStopped: the budget is spent, or the circuit is open; ask nothing more.
        """
        ...
