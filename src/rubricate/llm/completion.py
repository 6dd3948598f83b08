"""A chat completion as servers send it -> a `Reply`. Pure; typed decoding, foreign fields ignored."""

from __future__ import annotations

from typing import Any

import msgspec

from rubricate.errors import BadAnswer
from rubricate.llm.chat import Reply, Usage
from rubricate.llm.thinking import strip_thinking


class _Part(msgspec.Struct):
    """A part of an answer that some servers send as a list; only parts with a text count."""

    type: str = "text"
    text: str | None = None


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    model: str | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Completion).decode


def read_completion(body: bytes) -> Reply:
    """The reply in the body of a 200: the first choice, its leading reasoning taken off.

    No text is "" and not an error: withheld and refused answers, and tool calls, come without one. A
    refusal in words becomes the text, with "refusal" as finish reason. A finish reason that the server
    left out is "".

    Raises:
        BadAnswer: no JSON, broken UTF-8, another shape, no choice, or an error in the clothes of a 200.
    """
    try:
        completion = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer(f"the body of a 200 is no chat completion: {error}") from error
    if not completion.choices:
        what = "an error" if completion.error else "no choice"
        raise BadAnswer(f"the body of a 200 holds {what} instead of an answer")
    choice = completion.choices[0]
    if choice.finish_reason == "error":
        raise BadAnswer("the provider broke off in the middle of its answer")
    usage = _usage_of(completion.usage)
    text = _text_of(choice.message)
    if not text and choice.message.refusal:
        return Reply(choice.message.refusal, "refusal", usage, completion.model or "")
    return Reply(strip_thinking(text), choice.finish_reason or "", usage, completion.model or "")


def _text_of(message: _Message) -> str:
    if isinstance(message.content, list):
        return "".join(part.text or "" for part in message.content if part.type == "text")
    return message.content or ""


def _usage_of(usage: _Usage | None) -> Usage:
    if usage is None:
        return Usage()
    cached, reasoning = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        usage.prompt_tokens or 0,
        usage.completion_tokens or 0,
        (cached.cached_tokens or 0) if cached else 0,
        (reasoning.reasoning_tokens or 0) if reasoning else 0,
    )
