"""Which of our errors a refused or failed call is. The one place where status codes are understood.

Pure: reads a status, headers and a body that somebody else wrote, and trusts none of them. A server's own
words are quoted short, without control characters, and never with the key that it may have echoed.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from rubricate.errors import (
    AccountError,
    BadRequest,
    ChatError,
    ChatTimeout,
    RateLimited,
    ServerFault,
    Unavailable,
)
from rubricate.llm.endpoint import Endpoint

_QUOTED = 300
_TOO_SHORT_TO_ECHO = 60
OUT_OF_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_NO_SUCH_MODEL = re.compile(
    r"model\b.{0,200}\b(not found|not exist|not supported|not a valid)|"
    r"(invalid|unknown|no such|not a valid) model|not a valid model",
    re.IGNORECASE | re.DOTALL,
)
_WITHHELD = re.compile(r"moderation|flagged|content.?policy|content.?filter|safety", re.IGNORECASE)
# A LiteLLM proxy reports its own lost connections as 500, and Anthropic an overload.
_OUTAGE = re.compile(r"connection error|overloaded|temporarily unavailable", re.IGNORECASE)


class Refusal(msgspec.Struct, frozen=True):
    """What a server said when it did not answer: its message (short, without secrets), codes and field."""

    message: str
    codes: frozenset[str] = frozenset()
    param: str = ""


def read_refusal(body: bytes, endpoint: Endpoint) -> Refusal:
    """What an error body says: OpenAI's `{"error": {...}}`, FastAPI's `{"detail": ...}`, or plain text."""
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Refusal(quoted(body.decode("utf-8", "replace"), endpoint))
    error = content.get("error", content) if isinstance(content, dict) else content
    if not isinstance(error, dict):
        return Refusal(quoted(_as_text(error), endpoint))
    message = next((error[name] for name in ("message", "detail", "error") if error.get(name)), error)
    codes = frozenset(error[name] for name in ("code", "type") if isinstance(error.get(name), str))
    param = error.get("param")
    return Refusal(quoted(_as_text(message), endpoint), codes, param if isinstance(param, str) else "")


def failure_of(
    status: int, headers: Mapping[str, str], refusal: Refusal, endpoint: Endpoint, model: str
) -> ChatError:
    """The error that an answer with this status is; its text is one line that names endpoint and model."""
    said = f"{endpoint.base_url} answered {status} for model {model!r}: {refusal.message or 'nothing'}"
    if advice := _advice(status, refusal, model):
        return AccountError(f"{said}. {advice}")
    if status == 429:
        return RateLimited(said, retry_after_s(headers))
    if status == 408:
        return ChatTimeout(said)
    if status == 500 and not _OUTAGE.search(refusal.message):
        return ServerFault(said)
    if status >= 500 and status != 501:
        return Unavailable(said, retry_after_s(headers))
    return BadRequest(said)


def _advice(status: int, refusal: Refusal, model: str) -> str | None:
    """What to do where no other call would fare better; None where the failure is not the account's."""
    if status == 402 or (400 <= status < 500 and refusal.codes & OUT_OF_MONEY):
        return "The account has no credit left: add credit or use another key, then run the same command"
    if status == 401:
        return "Check the API key for this endpoint"
    if status == 403 and not _WITHHELD.search(refusal.message):
        return "Check that this key may use this model"
    if status == 404 or (status in (400, 422) and _names_no_model(refusal, model)):
        return "Check the model's name and the base URL"
    if status == 405 or 300 <= status < 400:
        return "That is not the address of a chat endpoint: check the base URL (http or https, path)"
    return None


def _names_no_model(refusal: Refusal, model: str) -> bool:
    """Whether the message says that there is no such model: names it or is short, so no echoed prompt can."""
    if "model_not_found" in refusal.codes:
        return True
    names_it = model.rpartition("/")[2] in refusal.message or len(refusal.message) < _TOO_SHORT_TO_ECHO
    return names_it and not refusal.param and _NO_SUCH_MODEL.search(refusal.message) is not None


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The wait that a server asks for, in seconds, at least 0; None where it asks for none that can be read.

    Reads `retry-after-ms` (OpenAI, Azure), and `Retry-After` as seconds or as a date (RFC 9110, 10.2.3).
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    asked = headers.get("Retry-After", "")
    seconds = _number(asked)
    if seconds is not None or not asked:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def quoted(text: str, endpoint: Endpoint) -> str:
    """Somebody else's text fit for an error: one line, printable, short, without the key."""
    if endpoint.api_key is not None:
        text = text.replace(endpoint.api_key, "[key]")
    text = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return text if len(text) <= _QUOTED else text[: _QUOTED - 1] + "…"


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
