"""Is this endpoint fit for this model, with this key? A few small questions, each finding with its remedy."""

from __future__ import annotations

import asyncio
import difflib
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from rubricate.domain.conversation import Message
from rubricate.errors import AccountError, ChatError, ChatTimeout, RateLimited, Unavailable
from rubricate.llm.batches.wire import BatchWire
from rubricate.llm.chat import Request, Schema
from rubricate.llm.dialect import Dialect
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.http import HttpChat
from rubricate.llm.listing import listed_models

Mark = Literal["ok", "warning", "wrong"]

_MAX_TOKENS = 256
_ASKED = (Message("user", "Please answer with the one word: ready"),)
_READY = Schema(
    "ready",
    {
        "type": "object",
        "properties": {"ready": {"type": "boolean"}},
        "required": ["ready"],
        "additionalProperties": False,
    },
)


class Finding(NamedTuple):
    """What a check found, and what to do if it is not well."""

    mark: Mark
    text: str


class Question(NamedTuple):
    """An endpoint and a model, and how a run would ask there. `key_name` is the variable of the key,
    `by_batch` whether it would ask by batch."""

    endpoint: Endpoint
    model: str
    key_name: str | None
    temperature: float | None
    structured: bool
    by_batch: bool = False


async def inspect(question: Question, call_s: float, total_s: float) -> list[Finding]:
    """What is found of one endpoint and model: reached, key and model accepted, schemas, refused fields.

    A call waits at most `call_s` seconds, all together `total_s`. Nothing is tried again.
    """
    endpoint = question.endpoint
    key = f"key from {question.key_name}" if question.key_name else "no key"
    findings, listed = list[Finding](), None
    try:
        async with asyncio.timeout(total_s):
            listed = await listed_models(endpoint, call_s)
            names = (
                "lists no models"
                if listed is None
                else f"lists {len(listed)} model{'s' if len(listed) != 1 else ''}"
            )
            findings.append(Finding("ok", f"{endpoint.base_url} answers, and {names} ({key})"))
            findings += await _asked(question, listed, call_s)
            findings.append(await _batches(question, call_s))
    except Unavailable as failure:
        remedy = "start the server there, or set api.base_url (or the base URL of this role) to yours"
        findings.append(Finding("wrong", f"{failure}: {remedy}"))
    except (ChatTimeout, TimeoutError) as failure:
        said = str(failure) or f"{endpoint.base_url}, model {question.model!r}: no answer in {total_s:g} s"
        remedy = "it may be loading the model or be overloaded; wait, or raise api.timeout_s for slow models"
        findings.append(Finding("wrong", f"{said}: {remedy}"))
    except AccountError as failure:
        findings.append(Finding("wrong", f"{failure} ({key}){_nearest(question.model, listed)}"))
    except RateLimited as failure:
        findings.append(Finding("warning", f"{failure}: lower api.workers or set api.requests_per_minute"))
    except ChatError as failure:
        findings.append(Finding("wrong", f"{failure}: see the log of that server"))
    return findings


def _models(n: int) -> str:
    return "1 model" if n == 1 else f"{n} models"


async def _asked(question: Question, listed: tuple[str, ...] | None, call_s: float) -> list[Finding]:
    model = question.model
    if urlsplit(question.endpoint.base_url).hostname == "api.openai.com":
        model = model.removeprefix("openai/")  # as a run asks there
    request = Request(
        model,
        _ASKED,
        temperature=question.temperature,
        max_tokens=_MAX_TOKENS,
        schema=_READY if question.structured else None,
    )
    async with HttpChat(question.endpoint, connections=1, timeout_s=call_s) as chat:
        await chat.ask(request)
        dialect = chat.dialects[model]
    answers = Finding("ok", f"model {model!r} answers")
    if listed is not None and model not in listed:
        said = f"model {model!r} answers, though it is not in the list: some servers answer to any name"
        answers = Finding("warning", said)
    return [answers, *_manners(question, dialect)]


async def _batches(question: Question, call_s: float) -> Finding:
    """Whether `api.mode=batch` works here; only wrong where it is what the run would do."""
    async with BatchWire(question.endpoint, timeout_s=call_s) as wire:
        try:
            is_offered = await wire.is_offered()
        except ChatError as failure:
            return Finding("warning" if question.by_batch else "ok", f"batches: not known ({failure})")
    if is_offered:
        used = "is used" if question.by_batch else "could be used"
        return Finding("ok", f"batches are offered: api.mode=batch {used}, for half the price")
    if question.by_batch:
        return Finding("wrong", "batches are not offered here: use api.mode=interactive")
    return Finding("ok", "batches are not offered here: api.mode=batch cannot be used")


def _manners(question: Question, dialect: Dialect) -> list[Finding]:
    """What the model takes; none of it stops a run."""
    if not question.structured:
        findings = [Finding("ok", "structured output is off: replies are asked for by instruction")]
    elif dialect.structured:
        findings = [Finding("ok", "structured output: JSON schemas are followed")]
    else:
        said = (
            "structured output: JSON schemas are not followed here, so replies are asked for by instruction"
        )
        remedy = "more of them may be unreadable than where a server enforces schemas"
        findings = [Finding("warning", f"{said}; {remedy}")]
    if dialect.refused:
        fields = ", ".join(dialect.refused)
        findings.append(Finding("ok", f"refused parameters: {fields}; each is left out or renamed by itself"))
    return findings


def _nearest(model: str, listed: tuple[str, ...] | None) -> str:
    """The listed name most like a model that is not listed, as the end of a line."""
    if not listed or model in listed:
        return ""
    close = difflib.get_close_matches(model, listed, n=1, cutoff=0.3)
    return f"; did you mean {close[0]!r}?" if close else f"; it lists {', '.join(sorted(listed)[:5])}"
