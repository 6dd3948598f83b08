"""The batch endpoints of an OpenAI-compatible server: one call is one request, nothing is tried again.

`POST /files` (multipart, purpose `batch`), `POST /batches`, `GET /batches/ID`, `GET /batches?limit&after`,
`GET /files/ID/content`, as in https://platform.openai.com/docs/api-reference/batch. Foreign fields are
ignored; a state that we do not know is taken for pending.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from rubricate.errors import AccountError, BadAnswer, BadRequest, ChatTimeout, Unavailable
from rubricate.llm.batches.rows import ENDPOINT, Crowded, Fault, is_crowded
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.failures import failure_of, quoted, read_refusal

if TYPE_CHECKING:
    import aiohttp

Record = TypeVar("Record", bound=msgspec.Struct)

KEY = "rubricate"
"""The entry of a batch's metadata that holds its content key."""

ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_CONNECT_TIMEOUT_S = 30.0
_ERROR_BODY_BYTES = 64 * 1024
_LARGEST_LINE = 64 * 1024 * 1024
_PAGE, _PAGES = 100, 20


class _Faults(msgspec.Struct):
    data: list[Fault] | None = None


class Batch(msgspec.Struct):
    """A batch as the provider tells of it."""

    id: str
    status: str
    input_file_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Faults | None = None
    metadata: dict[str, Any] | None = None

    @property
    def faults(self) -> list[Fault]:
        """What is wrong with it, where it failed."""
        return (self.errors.data if self.errors else None) or []


class _File(msgspec.Struct):
    id: str


class _Page(msgspec.Struct):
    data: list[Batch]
    has_more: bool = False


class Gone(BadRequest):
    """The provider does not know this batch or this file (any more)."""


class BatchWire:
    """One session to the batch endpoints of one server; an async context manager on the running loop.

    `timeout_s` bounds a connection, and every silence in the middle of a transfer; a large file may take
    longer. Texts of errors name endpoint and model.
    """

    def __init__(self, endpoint: Endpoint, *, timeout_s: float = 120.0):
        self._endpoint, self._timeout_s, self._proxy = endpoint, timeout_s, endpoint.proxy
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> BatchWire:
        import aiohttp

        headers = {"User-Agent": "rubricate", **self._endpoint.headers}
        del headers["Content-Type"]  # a file is no JSON
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=8, ttl_dns_cache=300),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=self._timeout_s
            ),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()
        self._session = None

    async def is_offered(self) -> bool:
        """Whether the server has batch endpoints, from its answer to a listing; nothing is made by that.

        Raises:
            ChatError: it does not say.
        """
        try:
            await self._json(_Page, "GET", "/batches?limit=1", "")
        except (Gone, BadAnswer):
            return False
        except AccountError as failure:
            if "answered 405" in str(failure) or "answered 501" in str(failure):
                return False
            raise
        return True

    async def upload(self, path: Path, name: str, model: str) -> str:
        """Uploads an input file; the id that it was given."""
        import aiohttp

        with path.open("rb") as file:
            form = aiohttp.FormData()
            form.add_field("purpose", "batch")
            form.add_field("file", file, filename=name, content_type="application/jsonl")
            return (await self._json(_File, "POST", "/files", model, data=form)).id

    async def submit(self, file_id: str, key: str, window: str, model: str) -> Batch:
        """Submits an uploaded file under our content key. Not to be repeated without a look at `find`."""
        order = {
            "input_file_id": file_id,
            "endpoint": ENDPOINT,
            "completion_window": window,
            "metadata": {KEY: key},
        }
        headers = {"Content-Type": "application/json"}
        return await self._json(
            Batch, "POST", "/batches", model, data=msgspec.json.encode(order), headers=headers
        )

    async def look(self, id: str, model: str) -> Batch:
        """How a batch stands.

        Raises:
            Gone: the provider does not know it.
        """
        return await self._json(Batch, "GET", f"/batches/{id}", model)

    async def find(self, key: str, file_id: str, model: str) -> Batch | None:
        """The batch with this content key in its metadata or with this input file, of the latest 2,000."""
        after = ""
        for _ in range(_PAGES):
            page = await self._json(_Page, "GET", f"/batches?limit={_PAGE}{after}", model)
            for batch in page.data:
                if (batch.metadata or {}).get(KEY) == key or batch.input_file_id == file_id:
                    return batch
            if not page.has_more or not page.data:
                break
            after = f"&after={page.data[-1].id}"
        return None

    async def lines(self, file_id: str, model: str) -> AsyncIterator[bytes]:
        """The lines of a file, as they arrive; a file need not fit into memory.

        Raises:
            Gone: the provider does not know the file.
            BadAnswer: a line of more than 64 MiB.
        """
        async with self._answer("GET", f"/files/{file_id}/content", model) as answer:
            rest = b""
            async for chunk in answer.content.iter_chunked(256 * 1024):
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    if line.strip():
                        yield line
                if len(rest) > _LARGEST_LINE:
                    raise BadAnswer(self._told(model, f"file {file_id} has a line without an end"))
            if rest.strip():
                yield rest

    async def _json(self, kind: type[Record], method: str, path: str, model: str, **sent: Any) -> Record:
        async with self._answer(method, path, model, **sent) as answer:
            content = await answer.read()
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            what = quoted(f"{method} {path} gave no such thing: {error}", self._endpoint)
            raise BadAnswer(self._told(model, what)) from error

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, model: str, **sent: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A good answer, its body not yet read; what goes wrong while it is read is told the same way."""
        import aiohttp

        assert self._session is not None, "a BatchWire is used inside of its `async with`"
        url = self._endpoint.base_url + path
        try:
            async with self._session.request(
                method, url, proxy=self._proxy, allow_redirects=False, **sent
            ) as answer:
                if answer.status not in (200, 201):
                    body = await answer.content.read(_ERROR_BODY_BYTES)
                    raise self._failure(answer.status, answer.headers, body, f"{method} {path}", model)
                yield answer
        except aiohttp.ConnectionTimeoutError as error:
            raise Unavailable(self._told(model, "no connection in time")) from error
        except TimeoutError as error:
            raise ChatTimeout(self._told(model, f"nothing for {self._timeout_s:g} s")) from error
        except aiohttp.ClientConnectorCertificateError as error:
            what = quoted(f"its certificate is not trusted: {error}", self._endpoint)
            raise AccountError(self._told(model, what)) from error
        except (aiohttp.ClientError, OSError) as error:
            what = quoted(f"{type(error).__name__}: {error}", self._endpoint)
            raise Unavailable(self._told(model, what)) from error

    def _failure(self, status: int, headers: Any, body: bytes, call: str, model: str) -> Exception:
        """What a refused call is. A whole batch refused is no question's own fault: it stops the run."""
        refusal = read_refusal(body, self._endpoint)
        if status == 404:
            return Gone(self._told(model, f"{call.partition('?')[0]} answered 404: {refusal.message}"))
        if status == 413 or (400 <= status < 500 and is_crowded({*refusal.codes}, refusal.message)):
            return Crowded(self._told(model, f"{call} answered {status}: {refusal.message}"))
        failure = failure_of(status, headers, refusal, self._endpoint, model)
        if isinstance(failure, BadRequest) or status in (405, 501):
            said = f"{call.partition('?')[0]} answered {status}: {refusal.message or 'nothing'}"
            return AccountError(self._told(model, f"{said}. Put it right, or use api.mode=interactive"))
        return failure

    def _told(self, model: str, what: str) -> str:
        return f"{self._endpoint.base_url}{f', model {model!r}' if model else ''}: {what}"
