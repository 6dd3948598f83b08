"""The wire that goes everywhere: aiohttp, with TLS, proxies and certificates as Python knows them."""

from __future__ import annotations

from io import BytesIO
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rubricate.errors import AccountError, Unavailable
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.failures import quoted
from rubricate.llm.wires.wire import (
    CONNECT_TIMEOUT_S,
    ERROR_BODY_BYTES,
    Answer,
    Limits,
    lost,
    told,
    too_large,
    too_late,
)

if TYPE_CHECKING:
    import aiohttp

_LARGE_BODY_BYTES = 1024 * 1024  # aiohttp asks for a stream from here on


class SteadyWire:
    """Posts through one aiohttp session. Costs about 0.08 ms of processor time per call, nearly all of it in
    aiohttp (benchmarks/throughput.py)."""

    def __init__(self, endpoint: Endpoint, limits: Limits):
        self._endpoint, self._limits = endpoint, limits
        self._url, self._proxy = endpoint.chat_url, endpoint.proxy
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._limits.connections, limit_per_host=0, ttl_dns_cache=300
            ),
            timeout=aiohttp.ClientTimeout(total=self._limits.timeout_s, sock_connect=CONNECT_TIMEOUT_S),
            headers={"User-Agent": "rubricate", **self._endpoint.headers},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()
        self._session = None

    async def post(self, body: bytes, model: str) -> Answer:
        """The answer to a body; see `Wire.post`."""
        import aiohttp

        assert self._session is not None, "a wire is used inside of its `async with`"
        endpoint = self._endpoint
        data = body if len(body) < _LARGE_BODY_BYTES else BytesIO(body)
        try:
            async with self._session.post(
                self._url, data=data, proxy=self._proxy, allow_redirects=False
            ) as answer:
                return Answer(answer.status, answer.headers, await self._content(answer, model))
        except aiohttp.ConnectionTimeoutError as error:
            raise Unavailable(told(endpoint, model, "no connection in time")) from error
        except TimeoutError as error:
            raise too_late(endpoint, model, self._limits.timeout_s) from error
        except aiohttp.ClientConnectorCertificateError as error:
            what = quoted(f"its certificate is not trusted: {error}", endpoint)
            raise AccountError(told(endpoint, model, what)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise lost(endpoint, model, error) from error

    async def _content(self, answer: aiohttp.ClientResponse, model: str) -> bytes:
        """The body, or of an error its beginning; a 200 that is too large is left, connection and all."""
        limit = self._limits.max_body_bytes if answer.status == 200 else ERROR_BODY_BYTES
        chunks, size = [], 0
        async for chunk in answer.content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                answer.close()
                if answer.status == 200:
                    raise too_large(self._endpoint, model, limit)
                break
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
