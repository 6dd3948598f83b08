"""One local server in its life: started, found ready, attended, restarted, ended; see `servers`."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NoReturn

import msgspec

from rubricate.errors import RunError, RunStopped
from rubricate.llm.chat import Chat, Reply, Request
from rubricate.llm.local.engines import remedy
from rubricate.llm.local.process import HOST, Child, is_free, manner_of_end, tail

POLL_S = 0.1
ANSWER_TIMEOUT_S = 5.0

Say = Callable[[str], None]


class Launch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that it takes to start one server, again and again."""

    section: str
    model: str
    port: int
    command: tuple[str, ...]
    environment: dict[str, str]
    start_timeout_s: float
    stop_grace_s: float
    max_restarts: int

    def __repr__(self) -> str:
        # The environment may hold a token of the hub.
        return f"Launch({shlex.join(self.command)})"


class Server:
    """A local server in its life: made by `serve`, which starts and ends it.

    `base_url` and `model` are what requests need. `n_restarts` counts how often it was started again.
    """

    def __init__(self, launch: Launch, log_path: Path, say: Say):
        self.base_url = f"http://{HOST}:{launch.port}/v1"
        self.model = launch.model
        self.n_restarts = 0
        self._launch, self._log_path, self._say = launch, log_path, say
        self._child: Child | None = None
        self._failure: RunStopped | None = None
        self._settled = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process id of the server, which is its group's too; None when none was started yet."""
        return self._child.pid if self._child else None

    async def until_ready(self) -> None:
        """Return when the server answers: at once, or after its restart.

        Raises:
            RunStopped: it died once too often.
        """
        await self._settled.wait()
        if self._failure is not None:
            raise self._failure

    async def start(self) -> None:
        """Start the process and wait until it answers under the model's name.

        Raises:
            RunError: it ended, answered under another name, or was not ready in time. Quotes its log.
        """
        if not is_free(self._launch.port):
            raise RunError(f"port {self._launch.port} is taken by another program")
        began = time.monotonic()
        launch = self._launch
        child = Child(launch.command, launch.environment, self._log_path, launch.stop_grace_s)
        self._child = child
        self._say(f"starting {self._name} at {self.base_url}; its log is {self._log_path}")
        ready, ended = asyncio.ensure_future(self._answers()), asyncio.ensure_future(child.ended())
        try:
            await asyncio.wait({ready, ended}, timeout=launch.start_timeout_s, return_when="FIRST_COMPLETED")
            if ended.done():
                raise RunError(
                    self._complaint(f"ended before it was ready ({manner_of_end(ended.result())})")
                )
            if not ready.done():
                await child.end()
                raise RunError(
                    self._complaint(
                        f"was not ready after {launch.start_timeout_s:g} s; if it was still loading, raise "
                        f"{launch.section}.start_timeout_s"
                    )
                )
            names = ready.result()
            if launch.model not in names:
                await child.end()
                raise RunError(self._complaint(f"answers under the names {names}, not its model's"))
        finally:
            ready.cancel()
            ended.cancel()
        self._say(f"{self._name} is ready after {time.monotonic() - began:.0f} s")
        self._settled.set()

    async def attend(self) -> NoReturn:
        """Restart the server whenever it dies, for as long as that is allowed.

        Raises:
            RunStopped: it died once too often.
        """
        while True:
            assert self._child is not None, "attended before its start"
            code = await self._child.ended()
            self._settled.clear()
            await self._restart(self._complaint(f"died ({manner_of_end(code)})"))

    async def _restart(self, problem: str) -> None:
        """Start the server again, and again if it does not come up, within what is allowed in all."""
        while not self._settled.is_set():
            if self.n_restarts == self._launch.max_restarts:
                self._failure = RunStopped(f"{problem}\n(after {self.n_restarts} restarts)")
                self._settled.set()
                raise self._failure
            self.n_restarts += 1
            self._say(f"{problem.splitlines()[0]}; restart {self.n_restarts} of {self._launch.max_restarts}")
            try:
                await self.start()
            except RunError as error:
                problem = str(error)

    async def end(self) -> None:
        """End the process; returns when all of it is gone."""
        if self._child is not None:
            await self._child.end()

    @property
    def _name(self) -> str:
        return f"{Path(self._launch.command[0]).name} for {self._launch.model}"

    def _complaint(self, what: str) -> str:
        """One line that says what happened, the likely remedy, and the end of the log."""
        assert self._child is not None
        log = self._child.log()
        advice = remedy(log)
        lines = [f"{self._name} {what}"]
        lines += [f"Likely remedy: {advice}"] if advice else []
        lines += [f"The end of {self._log_path}:", tail(log) or "    (nothing was written)"]
        return "\n".join(lines)

    async def _answers(self) -> list[str]:
        """The names that the server lists, as soon as it lists any."""
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                with suppress(aiohttp.ClientError, TimeoutError, msgspec.MsgspecError):
                    async with session.get(f"{self.base_url}/models") as answer:
                        if answer.status == 200 and (names := _names(await answer.read())):
                            return names
                await asyncio.sleep(POLL_S)


class _Listed(msgspec.Struct):
    id: str


class _Listing(msgspec.Struct):
    data: list[_Listed]


def _names(body: bytes) -> list[str]:
    """The model names of a /v1/models answer. Raises DecodeError when it is none."""
    return [entry.id for entry in msgspec.json.decode(body, type=_Listing).data]


class ServedChat:
    """A chat around the one that speaks to a local server: while the server restarts, requests wait.

    Stands inside the retry link, so that tries are not used up on a server that is known to be down.
    """

    def __init__(self, inner: Chat, server: Server):
        self._inner, self._server = inner, server

    async def ask(self, request: Request) -> Reply:
        """The inner chat's reply, asked for when the server is ready. Raises `RunStopped` as it does."""
        await self._server.until_ready()
        return await self._inner.ask(request)


@asynccontextmanager
async def alive(server: Server) -> AsyncIterator[Server]:
    """Start the server, attend it, and end it. Its last death cancels the block, as a timeout does."""
    block = asyncio.current_task()
    assert block is not None
    cancelled_before = block.cancelling()
    attending: asyncio.Task[NoReturn] | None = None
    is_inside = True

    def cancel_block(attending: asyncio.Task[NoReturn]) -> None:
        if is_inside and not attending.cancelled():
            block.cancel()

    try:
        try:
            await server.start()
            attending = asyncio.create_task(server.attend())
            attending.add_done_callback(cancel_block)
            yield server
        finally:
            is_inside = False
            if attending is not None:
                attending.cancel()
            await server.end()
    except asyncio.CancelledError:
        if attending is None or not attending.done() or attending.cancelled():
            raise
        if block.uncancel() > cancelled_before:
            raise
        death = attending.exception()
        assert death is not None, "attending ends by an exception only"
        raise death from None
