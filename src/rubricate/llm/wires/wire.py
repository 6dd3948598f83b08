"""One POST to one endpoint: the seam under the dialect, where foreign exceptions end.

There are two. `steady` is aiohttp and goes everywhere. `swift` is a protocol of our own on httptools, a fifth
of the processor time for a call; it is taken for plain http without a proxy, which is where a server can be
so near that the client is what holds up a run. Both give the same answers and the same errors
(tests/llm/test_http.py runs over both).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, Self

from rubricate.errors import BadAnswer, ChatTimeout, Unavailable
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.failures import quoted

Client = Literal["auto", "aiohttp", "swift"]

CONNECT_TIMEOUT_S = 30.0
ERROR_BODY_BYTES = 64 * 1024


class Limits(NamedTuple):
    """What bounds a wire: calls on their way at once, seconds from the first byte of a call to the last of
    its answer, and the bytes of an answer."""

    connections: int
    timeout_s: float
    max_body_bytes: int


class Answer(NamedTuple):
    """What came back. `headers` are found in any spelling of their names."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Wire(Protocol):
    """Posts to one endpoint; an async context manager that owns its connections on the running loop."""

    async def __aenter__(self) -> Self:
        """Opens it."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes all connections."""
        ...

    async def post(self, body: bytes, model: str) -> Answer:
        """The answer to a body; of an error, the beginning of what it says.

        Raises:
            ChatTimeout, Unavailable, AccountError, BadAnswer: what can go wrong below HTTP, and a body
                that is too large; the text names the endpoint and `model`.
        """
        ...


def told(endpoint: Endpoint, model: str, what: str) -> str:
    """A line on a call: where, of whom, and what."""
    return f"{endpoint.base_url}, model {model!r}: {what}"


def too_late(endpoint: Endpoint, model: str, timeout_s: float) -> ChatTimeout:
    """No answer in time."""
    return ChatTimeout(told(endpoint, model, f"no answer within {timeout_s:g} s"))


def lost(endpoint: Endpoint, model: str, error: BaseException) -> Unavailable:
    """No connection, or one that was lost."""
    return Unavailable(told(endpoint, model, quoted(f"{type(error).__name__}: {error}", endpoint)))


def too_large(endpoint: Endpoint, model: str, limit: int) -> BadAnswer:
    """A 200 that was not read to its end."""
    return BadAnswer(told(endpoint, model, f"the body is larger than {limit} bytes"))
