"""Bodies off the wire: as many bytes as are taken, in time, and JSON by their headers."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from rubricate.rewards.serving.intake.gate import Limits
from rubricate.rewards.serving.intake.refusals import Refusal

_JSON = "application/json"


def length_of(request: web.BaseRequest, limits: Limits) -> int:
    """How many bytes a body may have: what its head says, or as many as are taken.

    Raises:
        Refusal: too many, told before one is read; or not JSON by its headers.
    """
    length = request.content_length
    if length is not None and length > limits.body_bytes:
        raise _too_large(limits)
    kind = request.headers.get("Content-Type", "")
    if kind != _JSON:  # spelt otherwise, or another one
        name, _, about = kind.lower().partition(";")
        charset = about.replace('"', "").replace(" ", "")
        if name.strip() != _JSON or charset not in ("", "charset=utf-8", "charset=utf8"):
            told = f"{kind[:80]!r}" if kind else "none"
            raise Refusal("unsupported_media_type", f"Content-Type: {told}; send {_JSON} in UTF-8")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refusal("unsupported_media_type", "Content-Encoding: send the body as it is")
    return limits.body_bytes if length is None else length


async def body_of(request: web.BaseRequest, limits: Limits) -> bytes:
    """The body.

    Raises:
        Refusal: too large, too slow, or broken.
    """
    content = request.content
    if content.is_eof() and content.exception() is None:  # it came with its head, as most do
        return content.read_nowait()
    read = bytearray()
    try:
        async with asyncio.timeout(limits.body_s):
            while part := await content.readany():
                read += part
                if len(read) > limits.body_bytes:
                    raise _too_large(limits)
    except TimeoutError:
        raise Refusal("body_timeout", f"the body did not arrive within {limits.body_s:g} s") from None
    except (web.RequestPayloadError, HttpProcessingError) as problem:
        raise Refusal("unreadable_body", f"the body cannot be read: {problem}") from None
    return bytes(read)


def _too_large(limits: Limits) -> Refusal:
    return Refusal("body_too_large", f"a body has at most {limits.body_bytes:,} bytes here")
