"""What was asked and what was answered: messages, prompts, responses, pools.

A run asks for the key of a response some fifteen times while its prompt is worked on, so keys are kept in the
record once they are known; they are no part of it in any other way.
"""

from __future__ import annotations

from functools import cached_property

import msgspec

from rubricate.domain.identity import key_of


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One turn. `role` is system, user or assistant, as in every chat API."""

    role: str
    content: str


class Prompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """What the user asked. The `id` is the user's name for it; identity is the content."""

    id: str
    messages: tuple[Message, ...]

    @classmethod
    def of_text(cls, text: str, id: str | None = None) -> Prompt:
        """A prompt of a single user turn; a missing id is derived from the content."""
        messages = (Message("user", text),)
        return cls(id if id is not None else derived_id(messages), messages)

    @cached_property
    def key(self) -> str:
        """Content key: messages only, so that a renamed prompt keeps all that was paid for it."""
        return key_of("prompt", self.messages)

    @property
    def text(self) -> str:
        """The prompt as one text: the turn itself if there is one, else each turn under its role."""
        if len(self.messages) == 1:
            return self.messages[0].content
        return "\n\n".join(f"[{message.role}]\n{message.content}" for message in self.messages)


def derived_id(messages: tuple[Message, ...]) -> str:
    """The id of a prompt that came without one: `p-` and twelve digits of its content key."""
    return f"p-{key_of('prompt', messages)[:12]}"


class Response(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """One answer with its generator (None when unknown).

    `gold` is a reference score if the file has one. It is never shown to a model: only reports and
    evaluation read it. `finish_reason` is kept when the response was sampled by us.
    """

    text: str
    generator: str | None = None
    gold: float | None = None
    finish_reason: str | None = None

    @cached_property
    def key(self) -> str:
        """Content key of text and generator: equal texts of two models stay two responses."""
        return key_of("response", self.generator, self.text)

    @cached_property
    def text_key(self) -> str:
        """Content key of the text alone: what a verdict is about."""
        return key_of("text", self.text)


class SetAside(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something of the input that takes no part, and why. It is always said, never just dropped."""

    prompt_id: str
    what: str
    why: str


class Pool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All answers to one prompt, in the order of the file, without what was set aside."""

    prompt: Prompt
    responses: tuple[Response, ...]
    set_aside: tuple[SetAside, ...] = ()

    @property
    def key(self) -> str:
        """Content key of the prompt, its id and the responses in order."""
        return key_of("pool", self.prompt.id, self.prompt.key, [response.key for response in self.responses])
