"""One question as a line of an input file, and a line of an output file as the answer to it. Pure.

The shape is OpenAI's: `{custom_id, method, url, body}` in, `{custom_id, response: {status_code, body}, error:
{code, message}}` out (https://platform.openai.com/docs/api-reference/batch). The custom id is the content key
of the request, so an answer finds its question whoever asks it, in whatever process.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rubricate.errors import (
    AccountError,
    BadAnswer,
    BadRequest,
    ChatError,
    ChatTimeout,
    RateLimited,
    RubricateError,
    RunStopped,
    ServerFault,
    Unavailable,
)
from rubricate.llm.chat import Reply
from rubricate.llm.completion import read_completion
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.failures import OUT_OF_MONEY, Refusal, failure_of, quoted, read_refusal

ENDPOINT = "/v1/chat/completions"
_NO_MODEL = frozenset({"model_not_found", "invalid_model"})

_encode = msgspec.json.Encoder().encode


class Crowded(RateLimited):
    """The provider takes no batch of this size now: its queue of tokens is full, or the file is too large."""


class Fault(msgspec.Struct):
    """What is wrong with a whole batch, or with one line of its input (counted from 1)."""

    code: str | None = None
    message: str | None = None
    line: int | None = None


class _Response(msgspec.Struct):
    status_code: int = 0
    body: msgspec.Raw = msgspec.Raw(b"null")


class Row(msgspec.Struct):
    """A line of an output or error file."""

    custom_id: str
    response: _Response | None = None
    error: Fault | None = None


_decode = msgspec.json.Decoder(Row).decode


def row_of(custom_id: str, body: dict[str, Any]) -> bytes:
    """The line that asks, its end included.

    Raises:
        BadRequest: a text holds half of a surrogate pair, which no JSON can carry.
    """
    try:
        return _encode({"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": body}) + b"\n"
    except UnicodeEncodeError as error:
        raise BadRequest(f"a message holds text that is no valid Unicode: {error}") from error


def read_row(line: bytes) -> Row | None:
    """The line as a row; None where it is none: whoever it was for is told that no row came."""
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def refusal_of(row: Row, endpoint: Endpoint) -> Refusal | None:
    """What a row says that was refused as a request (400, 422); None for all others."""
    if row.response is None or row.response.status_code not in (400, 422):
        return None
    return read_refusal(bytes(row.response.body), endpoint)


def outcome_of(row: Row, endpoint: Endpoint, model: str) -> Reply | RubricateError:
    """The reply of a row, or the error that it is: the one that the same answer to a single call would be.

    `batch_expired` is an outage (asked again), `request_timeout` a timeout, `batch_cancelled` the word of
    whoever cancelled it: the run stops.
    """
    where = f"{endpoint.base_url}, model {model!r}"
    if row.response is not None and row.response.status_code == 200:
        try:
            return read_completion(bytes(row.response.body))
        except BadAnswer as error:
            return BadAnswer(f"{where}: {quoted(str(error), endpoint)}")
    if row.response is not None and row.response.status_code:
        refusal = read_refusal(bytes(row.response.body), endpoint)
        return failure_of(row.response.status_code, {}, refusal, endpoint, model)
    if row.error is None:
        return BadAnswer(f"{where}: a row of a batch holds neither a response nor an error")
    code, said = row.error.code or "", quoted(row.error.message or row.error.code or "", endpoint)
    if code == "batch_expired":
        return Unavailable(f"{where}: the batch expired before this question was answered")
    if code == "batch_cancelled":
        return cancelled(endpoint)
    if code == "request_timeout":
        return ChatTimeout(f"{where}: {said}")
    return ServerFault(f"{where}: a row of a batch failed: {said}")


def cancelled(endpoint: Endpoint) -> RunStopped:
    """What stops a run whose batch was cancelled where it ran: somebody did not want it."""
    return RunStopped(
        f"{endpoint.base_url}: a batch was cancelled there; its answered questions are kept, and the same "
        "command asks the others again"
    )


def lost_of(faults: list[Fault], endpoint: Endpoint, model: str) -> ChatError:
    """The error that a batch is which failed as a whole: a full queue, or something to be put right first."""
    said = "; ".join(dict.fromkeys(quoted(fault.message or fault.code or "", endpoint) for fault in faults))
    told = f"{endpoint.base_url} refused a batch for model {model!r}: {said or 'nothing is said'}"
    codes = {fault.code for fault in faults}
    if is_crowded(codes, said):
        return Crowded(told)
    if codes & OUT_OF_MONEY:
        return AccountError(f"{told}. The account has no credit left: add credit, then run the same command")
    if codes & _NO_MODEL:
        return AccountError(f"{told}. Check that the model can be asked by batch there")
    return AccountError(f"{told}. Put it right, or use api.mode=interactive")


def is_crowded(codes: set[str | None], said: str) -> bool:
    """Whether a refusal means that the queue of the account is full (OpenAI and Azure say it differently)."""
    return "token_limit_exceeded" in codes or "enqueued" in said.lower()
