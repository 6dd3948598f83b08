"""What one model at one endpoint takes: learnt from its refusals and from one probe, and remembered.

Servers accept unknown fields and ignore them with a 200, refuse them with a 400, fall silent, or answer
500 (all four were met with real engines). So nothing is believed: structured output is used where a
distinctive schema came back obeyed, and a field is left out only after the same call went through without it.
The prompts of the steps state the form of the answer in words as well, so a model without structured
output is asked by instruction.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

import msgspec

from rubricate.domain.conversation import Message
from rubricate.llm.chat import Reply, Request, Schema
from rubricate.llm.failures import Refusal

_REFUSING_CODES = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter"})
_REFUSING_WORDS = re.compile(
    r"unsupported|not support|n't support|unrecognized|unrecognised|unknown (parameter|argument|field)|"
    r"unexpected (keyword|field|argument)|not permitted|cannot both|deprecated|only the default",
    re.IGNORECASE,
)
_SCHEMA_WORDS = re.compile(r"response_?format|json_?schema|structured.?output|grammar", re.IGNORECASE)

_PROBE = "rubricate_probe"
_WORDS = ("kestrel-4471", "willow-9032")
_PROBE_TOKENS = 2048  # room for a model that reasons first


class Dialect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model takes. Only ever grows, so what two calls learn at once adds up in any order.

    `structured`: whether a JSON schema is honoured; None before the probe.
    `refused`: fields that the model does not take, in alphabetical order.
    `refused_schemas`: names of schemas that it refused though it honours others.
    """

    structured: bool | None = None
    refused: tuple[str, ...] = ()
    refused_schemas: tuple[str, ...] = ()

    def merged(self, other: Dialect) -> Dialect:
        """What the two know together; the word of `other` on structured output counts if it has one."""
        return Dialect(
            self.structured if other.structured is None else other.structured,
            tuple(sorted({*self.refused, *other.refused})),
            tuple(sorted({*self.refused_schemas, *other.refused_schemas})),
        )

    def fields(self, request: Request) -> dict[str, Any]:
        """The body of the call: what the request carries and the model takes, nothing else."""
        body: dict[str, Any] = {"model": request.model, "messages": request.messages}
        if request.temperature is not None and "temperature" not in self.refused:
            body["temperature"] = request.temperature
        if request.top_p is not None and "top_p" not in self.refused:
            body["top_p"] = request.top_p
        if request.max_tokens is not None:
            body[self.limit_field] = request.max_tokens
        if request.schema is not None and self.structured and request.schema.name not in self.refused_schemas:
            body["response_format"] = response_format(request.schema)
        return body

    @property
    def limit_field(self) -> str:
        """The field for the largest number of tokens: a limit is renamed where it must, never left out."""
        return "max_completion_tokens" if "max_tokens" in self.refused else "max_tokens"

    def taught(self, sent: dict[str, Any], refusal: Refusal) -> Dialect | None:
        """The dialect after a 400 or 422 to a body of these fields; None if that teaches nothing new.

        A value out of range is not a refused field. Of several fields that are named, one is given up at
        a time, the least missed first ("temperature and top_p cannot both be specified"). A refused probe
        is no news here: what it means is for the prober to say.
        """
        if "response_format" in sent and _is_about_schema(refusal):
            name = sent["response_format"]["json_schema"]["name"]
            if name == _PROBE:
                return None
            return self.merged(Dialect(refused_schemas=(name,)))
        if not (refusal.codes & _REFUSING_CODES or _REFUSING_WORDS.search(refusal.message)):
            return None
        for name in ("top_p", "temperature", "max_tokens"):
            if name in sent and (refusal.param or name) == name and _names(name, refusal):
                return self.merged(Dialect(refused=(name,)))
        return None


def _is_about_schema(refusal: Refusal) -> bool:
    return refusal.param.startswith("response_format") or bool(_SCHEMA_WORDS.search(refusal.message))


def _names(name: str, refusal: Refusal) -> bool:
    return refusal.param == name or re.search(rf"\b{name}\b", refusal.message) is not None


def response_format(schema: Schema) -> dict[str, Any]:
    """The OpenAI form of a schema, `strict`: without it OpenAI's own models only try to follow."""
    return {
        "type": "json_schema",
        "json_schema": {"name": schema.name, "strict": True, "schema": schema.body},
    }


def probe(model: str) -> Request:
    """A question whose natural answer is a greeting, with a schema that only allows two made-up words."""
    properties = {_PROBE: {"type": "string", "enum": list(_WORDS)}}
    body = {
        "type": "object",
        "properties": properties,
        "required": [_PROBE],
        "additionalProperties": False,
    }
    messages = (Message("user", "Please answer with a short greeting."),)
    return Request(model, messages, max_tokens=_PROBE_TOKENS, schema=Schema(_PROBE, body))


def is_honoured(reply: Reply) -> bool:
    """Whether the reply to the probe has the form that nothing but the schema can have given it."""
    try:
        answer = msgspec.json.decode(reply.text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(answer, dict) and list(answer) == [_PROBE] and answer[_PROBE] in _WORDS


class DialectStore(Protocol):
    """Remembers dialects between sessions, by endpoint and model."""

    async def get(self, base_url: str, model: str) -> Dialect | None:
        """What is known, or None."""
        ...

    async def put(self, base_url: str, model: str, dialect: Dialect) -> None:
        """Remembers, in place of what was known before."""
        ...


class MemoryDialects:
    """A store that lasts as long as the process."""

    def __init__(self) -> None:
        self._dialects: dict[tuple[str, str], Dialect] = {}

    async def get(self, base_url: str, model: str) -> Dialect | None:
        """What was put, or None."""
        return self._dialects.get((base_url, model))

    async def put(self, base_url: str, model: str, dialect: Dialect) -> None:
        """Remembers."""
        self._dialects[base_url, model] = dialect
