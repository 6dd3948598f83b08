"""The paths that take no batch: health, metrics, what is served, and sessions that keep nothing."""

from __future__ import annotations

from typing import Any

import msgspec

_STATE = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"type": "string"}, "why": {"type": "string"}},
}
_ANY = {"type": "object", "additionalProperties": True}
_SESSION = {
    "type": "object",
    "properties": {"resources_session_id": {"type": "string"}},
    "additionalProperties": False,
}
_MODELS = {
    "type": "object",
    "required": ["object", "data"],
    "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": _ANY}},
}


class Page(msgspec.Struct, frozen=True):
    """A path that takes no batch. `kinds` are the schemas of its answers by status."""

    method: str
    path: str
    summary: str
    kinds: dict[int, Any]
    request: Any = None
    is_open: bool = False
    media: str = "application/json"


HEALTH, READY, METRICS, SCHEMA, MODELS = "/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/models"
SEED, CLOSE, REVERIFY = "/seed_session", "/close_session", "/reverify_mode"

PAGES = (
    Page("GET", HEALTH, "Whether the process lives.", {200: _STATE}, is_open=True),
    Page(
        "GET",
        READY,
        "Whether requests are taken: 503 while it drains, and while the grader cannot be asked.",
        {200: _STATE, 503: _STATE},
        is_open=True,
    ),
    Page("GET", METRICS, "Figures for Prometheus.", {200: {"type": "string"}}, media="text/plain"),
    Page("GET", SCHEMA, "This description.", {200: _ANY}, is_open=True),
    Page("GET", MODELS, "What is served, as OpenAI-compatible clients list it.", {200: _MODELS}),
    Page("POST", SEED, "NeMo Gym: a session begins. Nothing is kept.", {200: _SESSION}, request=_ANY),
    Page("POST", CLOSE, "NeMo Gym: a session ends. Nothing was kept.", {200: _SESSION}, request=_ANY),
    Page("GET", REVERIFY, "NeMo Gym: any row may be verified again.", {200: {"const": "stateless"}}),
)


def session_of(body: Any) -> dict[str, Any]:
    """What is said to the beginning and the end of a session: its name again, where it has one."""
    named = body.get("resources_session_id") if isinstance(body, dict) else None
    return {"resources_session_id": named} if isinstance(named, str) else {}
