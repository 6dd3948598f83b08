"""The models that an endpoint says it has: `GET /models`, for people who ask what is wrong."""

from __future__ import annotations

import msgspec

from rubricate.errors import ChatTimeout, Unavailable
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.failures import quoted

_MOST_BYTES = 16 * 1024 * 1024
_CHUNK = 1024 * 1024


class _Listed(msgspec.Struct):
    id: str


class _Listing(msgspec.Struct):
    data: list[_Listed]


async def listed_models(endpoint: Endpoint, timeout_s: float) -> tuple[str, ...] | None:
    """The names that an endpoint lists, in its order; None where it has no listing, or not for this key.

    A listing proves little: some servers list patterns, some answer for models that they do not list, and
    many show it without a key.

    Raises:
        Unavailable: nobody answers at the address.
        ChatTimeout: somebody does, but not in time.
    """
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=endpoint.headers) as session,
            session.get(f"{endpoint.base_url}/models", proxy=endpoint.proxy, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                return None
            body = b""
            async for chunk in answer.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > _MOST_BYTES:
                    return None
    except TimeoutError as error:
        raise ChatTimeout(f"{endpoint.base_url} does not answer within {timeout_s:g} s") from error
    except (aiohttp.ClientError, OSError) as error:
        said = quoted(str(error) or type(error).__name__, endpoint)
        raise Unavailable(f"nobody answers at {endpoint.base_url} ({said})") from error
    try:
        return tuple(entry.id for entry in msgspec.json.decode(body, type=_Listing).data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
