"""One typed answer from a model: fill a template, ask, read, and ask again what could not be read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import cache
from importlib.resources import files
from itertools import cycle
from typing import Any, TypeVar

import msgspec

from rubricate.domain.conversation import Message
from rubricate.domain.identity import key_of
from rubricate.errors import BadAnswer, ChatError, ReplyError, RunStopped, ServerFault
from rubricate.llm.chat import Chat, Reply, Request, Schema

Read = TypeVar("Read")
Heard = Callable[[str | None], None]
"""Told of every reply: None where it could be read, else why not."""

FAULTS = 2
"""Askings of one question that may end in a fault of the server: each was tried several times on the wire."""


class Manner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a role is asked: its model, the sampling, and what happens when a reply cannot be read.

    The first asking is at `temperature`; each of the `retries` further ones at `retry_temperature`, as in
    the official workflow (`api.max_retries`, `api.retry_temperature`; `api.stutter_retries` adds ours).
    """

    model: str
    temperature: float | None = 0.0
    retries: int = 1
    retry_temperature: float = 1.0
    max_tokens: int | None = None


@cache
def template(name: str) -> str:
    """The text of a prompt template that stands beside its step (`propose`, `grade`, ...)."""
    return files("rubricate.steps").joinpath(f"{name}.md").read_text(encoding="utf-8").strip()


def fill(text: str, slots: Mapping[str, str]) -> str:
    """The template with its `{{slots}}` filled in one pass, so that what is filled in is never a template."""
    plain, *rest = _pieces(text)
    return plain + "".join(
        slots[piece] if is_slot else piece for piece, is_slot in zip(rest, cycle((True, False)), strict=False)
    )


@cache
def _pieces(text: str) -> tuple[str, ...]:
    """The template cut at its slots: plain text, the name of a slot, plain text, and so on."""
    return tuple(re.split(r"\{\{(\w+)\}\}", text))


def framed(name: str, text: str) -> str:
    """The text in a frame that it cannot close: the tag ends in digits of the text's own content key.

    To write its own closing tag a text would have to contain a digest of itself. The frame depends on
    nothing but the text, so equal questions stay equal and a server's prefix cache still serves them.
    """
    tag = f"{name}-{key_of('frame', text)[:16]}"
    return f"<{tag}>\n{text}\n</{tag}>"


def told(request_text: str) -> tuple[Message, ...]:
    """The messages of a question that is a single user turn, as in the official prompts."""
    return (Message("user", request_text),)


def unheard(problem: str | None) -> None:
    """Nobody listens."""


async def ask_for(
    chat: Chat,
    manner: Manner,
    messages: tuple[Message, ...],
    schema: Schema | None,
    read: Callable[[Reply], Read],
    *,
    heard: Heard = unheard,
) -> Read:
    """What `read` makes of the reply; an unreadable one is asked for again, `manner.retries` times.

    Each further asking is another draw, hence another entry of the ledger. Costs one call, rarely more. A
    fault of the server, which the chat has tried to get past already, is asked again only once.

    Raises:
        ReplyError: no reply could be read.
        ChatError: the call failed for good.
    """
    n_faults = 0
    for draw in range(manner.retries + 1):
        request = Request(
            model=manner.model,
            messages=messages,
            temperature=manner.temperature if draw == 0 else manner.retry_temperature,
            max_tokens=manner.max_tokens,
            schema=schema,
            draw=draw,
        )
        try:
            answer = read(await chat.ask(request))
        except ReplyError as unreadable:
            last = unreadable
            heard(unreadable.problem)
        except (BadAnswer, ServerFault) as fault:
            last, n_faults = ReplyError(str(fault)), n_faults + 1
            if n_faults == FAULTS:
                break
        else:
            heard(None)
            return answer
    raise last


async def gathered(coroutines: Iterable[Coroutine[Any, Any, Read]]) -> list[Read]:
    """The results of all, in order of the input.

    When the run is stopped or a call has failed for good, what the others have on their way is paid for:
    they are waited for, and then the first of these errors, in order of the input, is raised. Any other
    error (a bug, a full disk) cancels the others.
    """
    lost: dict[int, RunStopped | ChatError] = {}

    async def ended(place: int, coroutine: Coroutine[Any, Any, Read]) -> list[Read]:
        try:
            return [await coroutine]
        except (RunStopped, ChatError) as failure:
            lost[place] = failure
            return []

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ended(*numbered)) for numbered in enumerate(coroutines)]
    except BaseExceptionGroup as failures:  # undone: callers know single errors, not groups of them
        raise _first(failures) from None
    if lost:
        raise lost[min(lost)]
    return [result for task in tasks for result in task.result()]


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
