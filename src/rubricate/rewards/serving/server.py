"""The sockets of an `App`: connections within bounds, and an end that loses nothing."""

from __future__ import annotations

import asyncio

from aiohttp import web

from rubricate.errors import RunError
from rubricate.rewards.serving.app import App
from rubricate.rewards.serving.intake.refusals import Refusal

_LINGER_S = 1.0
"""How long what is left of a refused body is read, so that the client gets to read the refusal."""
_BACKLOG = 2048


class RewardServer:
    """Serves an app on one address; `url` once it listens."""

    def __init__(self, app: App):
        self._app, self.url = app, ""
        self._sockets: asyncio.Server | None = None
        self._web = _Web(app)

    async def start(self, host: str, port: int) -> None:
        """Listens; port 0 picks a free one.

        Raises:
            RunError: the address cannot be had.
        """
        loop = asyncio.get_running_loop()
        try:
            self._sockets = await loop.create_server(self._connected, host, port, backlog=_BACKLOG)
        except OSError as taken:
            raise RunError(
                f"{host}:{port} cannot be had ({taken.strerror}); choose --host and --port"
            ) from None
        bound = self._sockets.sockets[0].getsockname()
        name = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        self.url = f"http://{name}:{bound[1]}"

    async def drain(self) -> int:
        """Takes nothing new and says so to whoever asks, waits for what was accepted, and closes; how many
        requests were cut off because their time was over."""
        left = await self._app.gate.empty(self._app.limits.drain_s)
        await self.stop(grace_s=2.0 if left == 0 else 0.0)
        return left

    async def stop(self, grace_s: float = 0.0) -> None:
        """Closes all sockets; answers that are being written have `grace_s` seconds."""
        if self._sockets is not None:
            self._sockets.close()
        self._web.pre_shutdown()
        await self._web.shutdown(grace_s)

    def _connected(self) -> asyncio.Protocol:
        if len(self._web.connections) >= self._app.limits.connections:
            return _Full()
        return self._web()


class _Full(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _Web(web.Server):
    def __init__(self, app: App):
        self.app = app
        super().__init__(
            app,
            access_log=None,
            keepalive_timeout=app.limits.idle_s,
            lingering_time=_LINGER_S,
            auto_decompress=False,
        )

    def __call__(self) -> web.RequestHandler:
        return _Exchange(self, loop=self._loop, **self._kwargs)


class _Exchange(web.RequestHandler):
    """aiohttp's handling of one connection, with our words where it finds an error itself."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no HTTP, and to a bug; its traceback goes to the log, not to the client."""
        assert isinstance(self._manager, _Web), "made by it"
        app = self._manager.app
        if status < 500:
            refusal = Refusal("unreadable_body", f"this is no HTTP request: {message or status}")
        else:
            self.log_exception("error in a request", exc_info=exc)
            refusal = Refusal("internal", "a bug of the server; its log says more")
        answer = app.refused(refusal)
        app.metrics.answered("other", answer.status, refusal.code, 0.0)
        answer.force_close()
        return answer
