"""A chat that speaks the OpenAI-compatible dialect over HTTP. The one place where foreign errors end.

One call is one POST, plus one more for each field that the model turns out not to take, plus one or two
small ones (three after a silence) per model and endpoint to find out whether it honours a schema. Nothing
is tried again here: that is the work of `retry`, which stands outside `throttle`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from importlib.util import find_spec
from types import TracebackType
from typing import Any

import msgspec

from rubricate.errors import (
    AccountError,
    BadAnswer,
    BadRequest,
    ChatTimeout,
    ServerFault,
    SettingsError,
)
from rubricate.llm.chat import Reply, Request, Usage
from rubricate.llm.completion import read_completion
from rubricate.llm.dialect import Dialect, DialectStore, MemoryDialects, is_honoured, probe
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.failures import failure_of, quoted, read_refusal
from rubricate.llm.hedge import first_answer
from rubricate.llm.wires.steady import SteadyWire
from rubricate.llm.wires.swift import SwiftWire
from rubricate.llm.wires.wire import Answer, Client, Limits, Wire, told

_PROBE_TIMEOUT_S = 60.0

_encode = msgspec.json.Encoder().encode


class WireCounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What went over the wire: POSTs of all kinds; those of them that repeated a call without a field that
    was refused; those that probed for schemas, and the tokens that the probes took."""

    posts: int = 0
    resent: int = 0
    probes: int = 0
    probe_usage: Usage = Usage()


class HttpChat:
    """Asks one endpoint; an async context manager that owns one session on the running loop.

    `connections` bounds the calls that can be on their way at once: the workers of the throttle around
    it. `timeout_s` bounds one POST from its first byte to the last of its answer. Replies larger than
    `max_body_bytes` are not read to their end. `client` is who posts, see `wire_to`. A probe that is not
    answered is sent again after each of the waits of `probe_again_s`: a whole run waits for it.

    Raises:
        SettingsError: on entering, a client that is not installed or does not serve this address.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        dialects: DialectStore | None = None,
        *,
        connections: int = 64,
        timeout_s: float = 300.0,
        max_body_bytes: int = 16 * 1024 * 1024,
        client: Client = "auto",
        probe_again_s: Sequence[float] = (),
    ):
        self._endpoint = endpoint
        self._store = dialects if dialects is not None else MemoryDialects()
        self._limits, self._client = Limits(connections, timeout_s, max_body_bytes), client
        self._probe_again_s = probe_again_s
        self._known: dict[str, Dialect] = {}
        self._probes: dict[str, asyncio.Task[Dialect]] = {}
        self._posts = self._resent = self._probings = 0
        self._probe_usage = Usage()
        self._wire: Wire | None = None

    @property
    def counts(self) -> WireCounts:
        """What went over the wire so far."""
        return WireCounts(self._posts, self._resent, self._probings, self._probe_usage)

    @property
    def dialects(self) -> Mapping[str, Dialect]:
        """What is known of each model that was asked: which fields of the requests it does not get."""
        return dict(self._known)

    async def __aenter__(self) -> HttpChat:
        self._wire = await wire_to(self._endpoint, self._limits, self._client).__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        probing = list(self._probes.values())
        for task in probing:
            task.cancel()
        await asyncio.gather(*probing, return_exceptions=True)
        assert self._wire is not None
        wire, self._wire = self._wire, None
        await wire.__aexit__(kind, error, trace)

    async def ask(self, request: Request) -> Reply:
        """The reply to one request.

        Raises:
            ChatError: by its class the reason, see `errors`; the text names endpoint and model.
        """
        return await self._exchange(request, await self.dialect(request))

    async def dialect(self, request: Request) -> Dialect:
        """What is known of the model; where the request has a schema, also whether it is honoured, which may
        take a probe. Raises the `ChatError` of a probe that came to nothing."""
        known = self._known.get(request.model) or await self._recall(request.model)
        if request.schema is not None and known.structured is None:
            known = await self._probed(request.model)
        return known

    async def learn(self, model: str, dialect: Dialect) -> None:
        """Remembers what a call of this model has shown that went another way (by batch): refused fields."""
        await self._remember(model, msgspec.structs.replace(dialect, structured=None))

    async def _exchange(self, request: Request, known: Dialect) -> Reply:
        """The reply, after as many sendings as the model refuses fields; what it took is remembered then.

        A refusal is believed only once the call went through without the field, so that a value out of
        range, clumsily reported, does not cost all later calls the field.
        """
        dialect = known
        while True:
            body = dialect.fields(request)
            status, headers, content = await self._post(_encoded(body), request.model)
            if status == 200:
                break
            refusal = read_refusal(content, self._endpoint)
            taught = dialect.taught(body, refusal) if status in (400, 422) else None
            if taught is None:
                raise failure_of(status, headers, refusal, self._endpoint, request.model)
            dialect = taught
            self._resent += 1
        reply = self._read(headers, content, request.model)
        if dialect is not known:
            await self._remember(request.model, msgspec.structs.replace(dialect, structured=None))
        return reply

    def _read(self, headers: Mapping[str, str], content: bytes, model: str) -> Reply:
        kind = headers.get("Content-Type", "application/json").partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            said = quoted(f"a 200 of type {kind}", self._endpoint)
            raise BadAnswer(self._told(model, f"{said} is no chat completion"))
        try:
            return read_completion(content)
        except BadAnswer as error:
            raise BadAnswer(self._told(model, quoted(str(error), self._endpoint))) from error

    async def _recall(self, model: str) -> Dialect:
        stored = await self._store.get(self._endpoint.base_url, model)
        return self._known.setdefault(model, stored or Dialect())

    async def _remember(self, model: str, learnt: Dialect) -> Dialect:
        """Adds to what is known by now: other calls may have learnt meanwhile."""
        before = self._known.get(model, Dialect())
        dialect = self._known[model] = before.merged(learnt)
        if dialect != before:
            await self._store.put(self._endpoint.base_url, model, dialect)
        return dialect

    async def _probed(self, model: str) -> Dialect:
        """The dialect with a verdict on schemas. All who wait share one probe, and one failure of it; the
        probe outlives the cancellation of those who wait for it."""
        task = self._probes.get(model)
        if task is None:
            task = self._probes[model] = asyncio.create_task(self._probe(model))
            task.add_done_callback(lambda done: self._end_probe(model, done))
        return await asyncio.shield(task)

    def _end_probe(self, model: str, task: asyncio.Task[Dialect]) -> None:
        del self._probes[model]
        if not task.cancelled():
            task.exception()  # the waiters have it; with none left nobody misses it

    async def _probe(self, model: str) -> Dialect:
        return await self._remember(model, Dialect(structured=await self._honours_schemas(probe(model))))

    async def _honours_schemas(self, question: Request) -> bool:
        """Asks with a distinctive schema; where that fails in a way that the schema may have caused (400,
        500, silence, an odd body, a router's 404 "no provider takes this"), asks the same without it: only
        if that goes well the schema is to blame. After what may have been chance (a silence while the model
        was loaded, a 500, an odd body, an answer that broke off) the schema gets a second one.

        Raises:
            ChatError: the endpoint did not serve either; nothing is known then.
        """
        try:
            reply = await self._probe_call(question, Dialect(structured=True))
            if is_honoured(reply) or reply.finish_reason in ("stop", ""):
                return is_honoured(reply)
        except (AccountError, BadRequest):
            await self._probe_call(msgspec.structs.replace(question, schema=None), Dialect())
            return False
        except (BadAnswer, ChatTimeout, ServerFault):
            await self._probe_call(msgspec.structs.replace(question, schema=None), Dialect())
        try:
            return is_honoured(await self._probe_call(question, Dialect(structured=True)))
        except (BadAnswer, BadRequest, ChatTimeout, ServerFault):
            return False

    async def _probe_call(self, question: Request, asked_with: Dialect) -> Reply:
        known = msgspec.structs.replace(self._known.get(question.model, Dialect()), structured=None)
        dialect = known.merged(asked_with)

        def sent() -> Coroutine[Any, Any, Reply]:
            self._probings += 1
            return self._exchange(question, dialect)

        try:
            async with asyncio.timeout(min(_PROBE_TIMEOUT_S, self._limits.timeout_s)):
                reply = await first_answer(sent, self._probe_again_s)
        except TimeoutError as error:
            raise ChatTimeout(self._told(question.model, "no answer to a first small question")) from error
        self._probe_usage += reply.usage
        return reply

    async def _post(self, body: bytes, model: str) -> Answer:
        assert self._wire is not None, "an HttpChat is asked inside of its `async with`"
        self._posts += 1
        return await self._wire.post(body, model)

    def _told(self, model: str, what: str) -> str:
        return told(self._endpoint, model, what)


def wire_to(endpoint: Endpoint, limits: Limits, client: Client = "auto") -> Wire:
    """The wire to an endpoint. "auto" is the swift one for plain http without a proxy, where httptools is
    installed, and aiohttp for all else: TLS as the environment wants it (certificates of a company, proxies)
    is Python's.

    Raises:
        SettingsError: the swift one is asked for, and httptools is not installed or it does not serve this
            address.
    """
    is_plain = endpoint.base_url.startswith("http://") and endpoint.proxy is None
    is_there = client != "aiohttp" and find_spec("httptools") is not None
    if client == "swift" and not (is_plain and is_there):
        why = (
            "it is not installed: pip install 'rubricate[fast]'"
            if is_plain
            else "it asks plain http only here"
        )
        raise SettingsError(f"api.client is 'swift', and {endpoint.base_url} cannot be asked so: {why}")
    return SwiftWire(endpoint, limits) if is_plain and is_there else SteadyWire(endpoint, limits)


def _encoded(body: dict[str, Any]) -> bytes:
    """The body as JSON.

    Raises:
        BadRequest: a text holds half of a surrogate pair, which no JSON can carry.
    """
    try:
        return _encode(body)
    except UnicodeEncodeError as error:
        raise BadRequest(f"a message holds text that is no valid Unicode: {error}") from error
