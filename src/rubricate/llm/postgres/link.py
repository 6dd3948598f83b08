"""One connection that comes back: what was asked when it broke is asked again on the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from rubricate.errors import RubricateError
from rubricate.llm.postgres.address import Address
from rubricate.llm.postgres.words import driver, in_words, lost, passes, unreachable

Result = TypeVar("Result")

_OPENING_S = 10.0
"""How long a server that is just starting, or has no free connection, is waited for at first."""

_STATEMENT_S, _GOODBYE_S = 60.0, 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0

# The server finds out within half a minute that the machine of a connection is gone, and ends it. An index
# is used from the first row on: while a table is young, its statistics say that it is empty.
_SESSION = (
    'SET search_path = "{schema}"; SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5;'
    " SET tcp_keepalives_count = 3; SET jit = off; SET enable_seqscan = off"
)


class Link:
    """A connection to a database, for one statement or transaction at a time, as often opened as it breaks.

    `prepare` is done first on every new connection. A break is waited out for `patience_s` seconds, counted
    from its beginning; after that the link is lost for good.
    """

    def __init__(
        self,
        address: Address,
        patience_s: float,
        prepare: Callable[[Any], Awaitable[None]] | None = None,
    ):
        self._address, self._patience_s, self._prepare = address, patience_s, prepare
        self._driver = driver()
        self._faults = (
            OSError,
            self._driver.PostgresError,
            self._driver.InterfaceError,
            self._driver.InternalClientError,
        )
        self._connection: Any = None
        self.loss: RubricateError | None = None

    async def open(self) -> None:
        """Connects for the first time.

        Raises:
            SettingsError: wrong password, no such database, no rights.
            RunError: nobody answers there.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _OPENING_S
        while self._connection is None:
            try:
                self._connection = await self._connected()
            except self._faults as error:
                if not passes(error) or loop.time() > deadline:
                    raise unreachable(self._address, error) from error
                await asyncio.sleep(2 * _FIRST_PAUSE_S)

    async def run(self, work: Callable[[Any], Awaitable[Result]]) -> Result:
        """What the work gives that is done on the connection. It may be done again from the start, also
        when it was done already and only the answer was lost.

        Raises:
            RunError, SettingsError, DataError: the server refuses, or was lost and did not come back.
        """
        loop = asyncio.get_running_loop()
        broken_at, pause_s = None, _FIRST_PAUSE_S
        while self.loss is None:
            try:
                if self._connection is None:
                    self._connection = await self._connected()
                return await work(self._connection)
            except self._faults as error:
                if not self._is_break(error):
                    raise self._told(error) from error
                self._drop()
                broken_at = loop.time() if broken_at is None else broken_at
                if loop.time() - broken_at + pause_s > self._patience_s:
                    self.loss = lost(self._address, error, self._patience_s)
                    break
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        assert self.loss is not None
        raise self.loss

    async def fetch(self, question: str, *values: object) -> list[Any]:
        """The rows of one statement; as `run`."""
        rows: list[Any] = await self.run(lambda connection: connection.fetch(question, *values))
        return rows

    async def execute(self, statement: str, *values: object) -> None:
        """Does one statement; as `run`."""
        await self.run(lambda connection: connection.execute(statement, *values))

    async def close(self, goodbye: Callable[[Any], Awaitable[None]] | None = None) -> None:
        """Leaves the server, which gives back whatever the session held. `goodbye` is done before that, on
        a connection that still stands."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            if goodbye is not None:
                await goodbye(connection)
            await connection.close(timeout=_GOODBYE_S)
        except self._faults:
            connection.terminate()

    def _is_break(self, error: BaseException) -> bool:
        """Whether another connection may do what this one, or the opening of it, did not."""
        if isinstance(error, self._driver.PostgresError):
            return passes(error)
        # InternalClientError: so the driver answers when the server said goodbye between two statements.
        is_over = isinstance(error, OSError | self._driver.InternalClientError)
        return is_over or self._connection is None or self._connection.is_closed()

    def _told(self, error: Exception) -> Exception:
        if not isinstance(error, self._driver.PostgresError):
            return error  # the driver was misused: a bug, which crashes
        tell = unreachable if self._connection is None else in_words
        return tell(self._address, error)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _connected(self) -> Any:
        options = self._address.options()
        connection = await self._driver.connect(command_timeout=_STATEMENT_S, **options)
        try:
            await connection.execute(_SESSION.format(schema=self._address.schema))
            if self._prepare is not None:
                await self._prepare(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection
