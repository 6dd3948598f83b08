"""Answers that are no reward: each with its status, a code that stays the same, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

CODES: Mapping[str, tuple[int, str]] = {
    "invalid_json": (400, "the body is no JSON, or has one name twice in an object"),
    "unreadable_body": (400, "the body broke off, or is not encoded as its headers say"),
    "unauthorized": (401, "no token, or another one"),
    "forbidden": (403, "asked under a host name that is not this machine's"),
    "not_found": (404, "there is nothing at this path"),
    "model_not_found": (404, "this server has another model"),
    "method_not_allowed": (405, "the path takes another method"),
    "body_timeout": (408, "the body did not arrive in time"),
    "body_too_large": (413, "the body has more bytes than are taken"),
    "unsupported_media_type": (415, "the body is not application/json in UTF-8"),
    "invalid_request": (422, "the body is JSON, and not what is asked for; the message names the field"),
    "too_many_items": (422, "more completions than are taken in one request"),
    "unjudged": (422, "there is no reward, and the trainer's form knows no null; see --unjudged"),
    "overloaded": (429, "as much waits as may wait; Retry-After says when to come back"),
    "internal": (500, "a bug of the server"),
    "grader_refused": (502, "the grader's endpoint refuses the key or the model"),
    "draining": (503, "the server is about to end and takes nothing new"),
    "stopped": (503, "a limit of calls or of money is reached"),
    "time_limit": (504, "not done in time; the work goes on, and asking again finds what it has done"),
}
"""Every code with its status and its meaning: what docs/serve.md and the schema list."""


class Refusal(Exception):
    """A request that gets no reward. `code` is one of `CODES`; the message is fit for the client."""

    def __init__(
        self, code: str, message: str, *, headers: Mapping[str, str] | None = None, field: str | None = None
    ):
        self.code, self.status, self.message = code, CODES[code][0], message
        self.headers, self.field = headers or {}, field
        super().__init__(message)


class Problem(msgspec.Struct, frozen=True):
    """What went wrong, in the form that clients of OpenAI-compatible servers read."""

    message: str
    type: str
    code: str
    param: str | None
    request_id: str


class ProblemAnswer(msgspec.Struct, frozen=True):
    """The body of every answer that is not 2xx."""

    error: Problem


def told(refusal: Refusal, request_id: str) -> bytes:
    """The body of a refusal."""
    kind = "server_error" if refusal.status >= 500 else "invalid_request_error"
    problem = Problem(refusal.message, kind, refusal.code, refusal.field, request_id)
    return msgspec.json.encode(ProblemAnswer(problem))
