"""A chat that speaks the OpenAI-compatible dialect over HTTP. The one place where foreign errors end.

One call is one POST, plus one more for each field that the model turns out not to take, plus one or two
small ones (three after a silence) per model and endpoint to find out whether it honours a schema. Nothing
is tried again here: that is the work of `retry`, which stands outside `throttle`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from io import BytesIO
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from rubricate.errors import (
    AccountError,
    BadAnswer,
    BadRequest,
    ChatTimeout,
    ServerFault,
    Unavailable,
)
from rubricate.llm.chat import Reply, Request, Usage
from rubricate.llm.completion import read_completion
from rubricate.llm.dialect import Dialect, DialectStore, MemoryDialects, is_honoured, probe
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.failures import failure_of, quoted, read_refusal

if TYPE_CHECKING:
    import aiohttp

_ERROR_BODY_BYTES = 64 * 1024
_CONNECT_TIMEOUT_S = 30.0
_PROBE_TIMEOUT_S = 60.0
_LARGE_BODY_BYTES = 1024 * 1024  # aiohttp asks for a stream from here on

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
    `max_body_bytes` are not read to their end.

    Costs about 0.1 ms of processor time per call, most of it in aiohttp (benchmarks/wire.py).
    """

    def __init__(
        self,
        endpoint: Endpoint,
        dialects: DialectStore | None = None,
        *,
        connections: int = 64,
        timeout_s: float = 300.0,
        max_body_bytes: int = 16 * 1024 * 1024,
    ):
        self._endpoint = endpoint
        self._store = dialects if dialects is not None else MemoryDialects()
        self._connections, self._timeout_s = connections, timeout_s
        self._max_body_bytes = max_body_bytes
        self._url, self._proxy = endpoint.chat_url, endpoint.proxy
        self._known: dict[str, Dialect] = {}
        self._probes: dict[str, asyncio.Task[Dialect]] = {}
        self._posts = self._resent = self._probings = 0
        self._probe_usage = Usage()
        self._session: aiohttp.ClientSession | None = None

    @property
    def counts(self) -> WireCounts:
        """What went over the wire so far."""
        return WireCounts(self._posts, self._resent, self._probings, self._probe_usage)

    @property
    def dialects(self) -> Mapping[str, Dialect]:
        """What is known of each model that was asked: which fields of the requests it does not get."""
        return dict(self._known)

    async def __aenter__(self) -> HttpChat:
        import aiohttp

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, limit_per_host=0, ttl_dns_cache=300),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=_CONNECT_TIMEOUT_S),
            headers={"User-Agent": "rubricate", **self._endpoint.headers},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        probing = list(self._probes.values())
        for task in probing:
            task.cancel()
        await asyncio.gather(*probing, return_exceptions=True)
        assert self._session is not None
        await self._session.close()
        self._session = None

    async def ask(self, request: Request) -> Reply:
        """The reply to one request.

        Raises:
            ChatError: by its class the reason, see `errors`; the text names endpoint and model.
        """
        known = self._known.get(request.model) or await self._recall(request.model)
        if request.schema is not None and known.structured is None:
            known = await self._probed(request.model)
        return await self._exchange(request, known)

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
        if that goes well the schema is to blame. After a silence, which may have been the loading of the
        model, the schema gets a second chance.

        Raises:
            ChatError: the endpoint did not serve either; nothing is known then.
        """
        try:
            return is_honoured(await self._probe_call(question, Dialect(structured=True)))
        except (AccountError, BadAnswer, BadRequest, ChatTimeout, ServerFault) as failure:
            was_silent = isinstance(failure, ChatTimeout)
        await self._probe_call(msgspec.structs.replace(question, schema=None), Dialect())
        if not was_silent:
            return False
        try:
            return is_honoured(await self._probe_call(question, Dialect(structured=True)))
        except (BadAnswer, BadRequest, ChatTimeout, ServerFault):
            return False

    async def _probe_call(self, question: Request, asked_with: Dialect) -> Reply:
        known = msgspec.structs.replace(self._known.get(question.model, Dialect()), structured=None)
        self._probings += 1
        try:
            async with asyncio.timeout(min(_PROBE_TIMEOUT_S, self._timeout_s)):
                reply = await self._exchange(question, known.merged(asked_with))
        except TimeoutError as error:
            raise ChatTimeout(self._told(question.model, "no answer to a first small question")) from error
        self._probe_usage += reply.usage
        return reply

    async def _post(self, body: bytes, model: str) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and content of the answer.

        Raises:
            ChatTimeout, Unavailable, AccountError, BadAnswer: what can go wrong below HTTP, and a body
                that is too large.
        """
        import aiohttp

        assert self._session is not None, "an HttpChat is asked inside of its `async with`"
        self._posts += 1
        data = body if len(body) < _LARGE_BODY_BYTES else BytesIO(body)
        try:
            async with self._session.post(
                self._url, data=data, proxy=self._proxy, allow_redirects=False
            ) as answer:
                content = await self._content(answer, model)
                return answer.status, answer.headers, content
        except aiohttp.ConnectionTimeoutError as error:
            raise Unavailable(self._told(model, "no connection in time")) from error
        except TimeoutError as error:
            raise ChatTimeout(self._told(model, f"no answer within {self._timeout_s:g} s")) from error
        except aiohttp.ClientConnectorCertificateError as error:
            what = quoted(f"its certificate is not trusted: {error}", self._endpoint)
            raise AccountError(self._told(model, what)) from error
        except (aiohttp.ClientError, OSError) as error:
            what = quoted(f"{type(error).__name__}: {error}", self._endpoint)
            raise Unavailable(self._told(model, what)) from error

    async def _content(self, answer: aiohttp.ClientResponse, model: str) -> bytes:
        """The body, or of an error its beginning; a 200 that is too large is left, connection and all."""
        limit = self._max_body_bytes if answer.status == 200 else _ERROR_BODY_BYTES
        chunks, size = [], 0
        async for chunk in answer.content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                answer.close()
                if answer.status == 200:
                    raise BadAnswer(self._told(model, f"the body is larger than {limit} bytes"))
                break
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _told(self, model: str, what: str) -> str:
        return f"{self._endpoint.base_url}, model {model!r}: {what}"


def _encoded(body: dict[str, Any]) -> bytes:
    """The body as JSON.

    Raises:
        BadRequest: a text holds half of a surrogate pair, which no JSON can carry.
    """
    try:
        return _encode(body)
    except UnicodeEncodeError as error:
        raise BadRequest(f"a message holds text that is no valid Unicode: {error}") from error
