"""The OpenAI-compatible form: a conversation whose last answer is graded, and a completion that says how.

Nothing is generated, so `usage` is zero; what a grader was asked stands in the ledger and not here. Fields
that steer sampling are passed over; `stream` and more than one choice are refused, since they would change
what comes back.
"""

from __future__ import annotations

import time
from typing import Any, Literal

import msgspec

from rubricate.domain.identity import key_of
from rubricate.rewards.batch.graded import Batch
from rubricate.rewards.batch.rubrics import FIELDS, rubric_under
from rubricate.rewards.serving.contracts.plain import Rewarded, rewarded
from rubricate.rewards.serving.contracts.seam import Asked, Form, Served, Version
from rubricate.rewards.serving.intake.reading import record_of
from rubricate.rewards.serving.intake.refusals import Refusal


class Turn(msgspec.Struct, frozen=True):
    """A message; the content is a text or a list of text parts."""

    role: str
    content: Any = None


class Conversation(msgspec.Struct, frozen=True):
    """A conversation that ends with the answer to be graded. The rubric may stand in `rubric`, `rubrics` or
    `criteria` (`extra_body` of the openai package). Other fields are passed over."""

    model: str
    messages: list[Turn]
    rubric: Any = None
    rubrics: Any = None
    criteria: Any = None
    stream: bool | None = None
    n: int | None = None


class Said(msgspec.Struct, frozen=True):
    """The content is the JSON of a `Rewarded`."""

    role: Literal["assistant"]
    content: str


class Choice(msgspec.Struct, frozen=True):
    """The only one."""

    index: int
    message: Said
    finish_reason: Literal["stop"]


class Usage(msgspec.Struct, frozen=True):
    """Nothing was generated."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class Completion(msgspec.Struct, frozen=True):
    """A chat completion; `rubricate` is the content again, as an object."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    system_fingerprint: str
    rubricate: Rewarded
    version: Version


def _read(value: Any, served: Served) -> Asked:
    asked = record_of(value, Conversation)
    if asked.model != served.model:
        raise Refusal(
            "model_not_found", f"no model {asked.model!r}; there is {served.model!r}", field="model"
        )
    if asked.stream:
        raise Refusal("invalid_request", "stream: a reward comes in one piece", field="stream")
    if asked.n not in (None, 1):
        raise Refusal("invalid_request", "n: there is one reward", field="n")
    if len(asked.messages) < 2 or asked.messages[-1].role != "assistant":
        raise Refusal(
            "invalid_request",
            "messages: the last is the answer to be graded, of the role 'assistant', behind the prompt",
            field="messages",
        )
    turns = [{"role": turn.role, "content": turn.content} for turn in asked.messages]
    rubric = rubric_under({name: getattr(asked, name) for name in FIELDS})
    return Asked([turns[:-1]], [turns[-1:]], [rubric], form=asked)


def _answer(asked: Asked, batch: Batch, served: Served) -> Completion:
    got = rewarded(batch.graded[0], detail=True)
    content = msgspec.json.encode(got).decode()
    return Completion(
        f"chatcmpl-{key_of('answer', asked.prompts, asked.completions, content)[:24]}",
        "chat.completion",
        int(time.time()),
        served.model,
        [Choice(0, Said("assistant", content), "stop")],
        Usage(),
        served.version.reward,
        got,
        served.version,
    )


CHAT = Form(
    "/v1/chat/completions",
    "A chat completion whose content is the reward of the conversation's last answer, as JSON.",
    Conversation,
    Completion,
    _read,
    _answer,
)
