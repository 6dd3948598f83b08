"""Which error a status is, from headers and bodies as servers are known to send them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from rubricate.llm.failures import failure_of, read_refusal, retry_after_s

KEY = "sk-secret-0123456789"
ENDPOINT = Endpoint("http://llm.example:4000", KEY)


def failure(status: int, body: object = None, headers: dict[str, str] | None = None) -> ChatError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return failure_of(status, headers or {}, read_refusal(raw, ENDPOINT), ENDPOINT, "acme/large-2")


def openai(message: str, code: str | None = None, param: str | None = None) -> dict[str, object]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, AccountError),
        (400, BadRequest),
        (401, AccountError),
        (402, AccountError),
        (403, AccountError),
        (404, AccountError),
        (405, AccountError),
        (408, ChatTimeout),
        (413, BadRequest),
        (422, BadRequest),
        (429, RateLimited),
        (500, ServerFault),
        (502, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
        (524, Unavailable),
        (529, Unavailable),
    ],
)
def test_the_status_decides(status: int, kind: type[ChatError]) -> None:
    """With nothing telling in the body, a status is one error, and its line names endpoint and model."""
    error = failure(status, openai("no"))
    assert type(error) is kind
    assert "http://llm.example:4000/v1" in str(error) and "acme/large-2" in str(error)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, openai("You exceeded your quota", "insufficient_quota"), AccountError),
        (429, openai("Rate limit reached", "rate_limit_exceeded"), RateLimited),
        (400, openai("The model `large-2` does not exist", "model_not_found"), AccountError),
        (400, openai("/chat/completions: Invalid model name passed in model=acme/large-2"), AccountError),
        (400, openai("Model Not Exist"), AccountError),
        (400, openai("context length exceeded: the model takes 4096 tokens"), BadRequest),
        (400, openai("In the text 'the model was not found', " + "x" * 80), BadRequest),
        (403, openai("Your input was flagged by moderation"), BadRequest),
        (500, openai("litellm.InternalServerError: Connection error."), Unavailable),
        (422, {"detail": [{"loc": ["body"], "msg": "Field required"}]}, BadRequest),
        (401, "just words", AccountError),
        (502, b"<html>\xff bad gateway</html>", Unavailable),
        (400, b"[1, 2]", BadRequest),
        (400, b"null", BadRequest),
        (400, b"[" * 50_000, BadRequest),
        (400, b'{"error": ' + b'{"error": ' * 50_000, BadRequest),
        (400, {"error": {"message": None, "code": 7, "param": 3}}, BadRequest),
    ],
)
def test_the_body_can_say_more(status: int, body: object, kind: type[ChatError]) -> None:
    """Quota, unknown models, moderation and a proxy's lost connections are told apart from their status."""
    assert type(failure(status, body)) is kind


@given(st.binary(max_size=200), st.sampled_from([400, 401, 429, 500, 503]))
def test_any_body_is_some_error(body: bytes, status: int) -> None:
    """No body of a server can make the translation itself fail, nor bring control characters out."""
    assert str(failure(status, body)).isprintable()


@pytest.mark.parametrize(
    "body", [openai(f"Incorrect API key {KEY}"), f"Bearer {KEY}".encode(), {"x" * 290: KEY}, [KEY]]
)
def test_an_echoed_key_is_not_shown(body: object) -> None:
    """The key is in no error, wherever the server put it; and errors stay one short line."""
    text = str(failure(401, body))
    assert KEY not in text and KEY[:12] not in text
    assert len(text) < 600 and "\n" not in text


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"Retry-After": "2"}, 2.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "1e999"}, None),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], wait_s: float | None) -> None:
    """Seconds, dates and milliseconds; anything else is no wait at all."""
    assert retry_after_s(headers) == wait_s


def test_retry_after_as_a_date_counts_from_now() -> None:
    """A date in the future is the time until then."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    wait_s = retry_after_s({"Retry-After": date})
    assert wait_s is not None and 25 < wait_s <= 30
