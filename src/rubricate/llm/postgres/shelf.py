"""A ledger in PostgreSQL, read and written as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Self

from rubricate.errors import DataError
from rubricate.llm.postgres.address import Address
from rubricate.llm.postgres.link import Link
from rubricate.llm.postgres.schema import VERDICTS, bring_up_to_date, lock_space, version_of
from rubricate.llm.postgres.writes import columns
from rubricate.llm.shelf import FactRow, Holdings, ModelShare, ReplyRow, VerdictRow, somebody_writes

_PAGE = 2000
_MODELS = """
    SELECT model, count(*), sum(octet_length(value))::bigint FROM reply GROUP BY model ORDER BY 2 DESC, 1
"""
_COUNTS = "SELECT (SELECT count(*) FROM verdict), (SELECT count(*) FROM fact)"
_TIMES = """
    SELECT extract(epoch FROM min(t))::bigint, extract(epoch FROM max(t))::bigint
    FROM (SELECT written_at AS t FROM reply UNION ALL SELECT written_at FROM verdict) AS rows
"""
_SIZE = """
    SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
"""
_LAST = "SELECT coalesce(pg_sequence_last_value('verdict_id_seq'), 0)"
_REPLIES = """
    SELECT key, model, extract(epoch FROM written_at)::bigint, value FROM reply
    WHERE key > $1 ORDER BY key LIMIT $2
"""
_FACTS = "SELECT key, extract(epoch FROM written_at)::bigint, value FROM fact"
_VERDICT = "SELECT id, key, extract(epoch FROM written_at)::bigint, value FROM verdict "
_OPEN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; DECLARE verdicts NO SCROLL CURSOR FOR "
_PUT_REPLIES = """
    INSERT INTO reply (key, model, written_at, value)
    SELECT key, model, to_timestamp(written_at), value
    FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bytea[]) AS given (key, model, written_at, value)
    ORDER BY key ON CONFLICT (key) DO NOTHING RETURNING 1
"""
_PUT_VERDICTS = """
    INSERT INTO verdict (key, written_at, value) SELECT key, to_timestamp(written_at), value
    FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bytea[]) AS given (id, key, written_at, value)
    ORDER BY id ON CONFLICT (key) DO NOTHING RETURNING 1
"""
_PUT_NUMBERED = """
    INSERT INTO verdict (id, key, written_at, value) SELECT id, key, to_timestamp(written_at), value
    FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bytea[]) AS given (id, key, written_at, value)
    ON CONFLICT (key) DO NOTHING RETURNING 1
"""
_PUT_FACTS = """
    INSERT INTO fact (key, written_at, value) SELECT key, to_timestamp(written_at), value
    FROM unnest($1::text[], $2::bigint[], $3::text[]) AS given (key, written_at, value)
    ORDER BY key ON CONFLICT (key) DO NOTHING RETURNING 1
"""
_LOCK = "SELECT pg_advisory_xact_lock($1, $2)"
_RAISE = "SELECT setval('verdict_id_seq', $1)"


class PostgresShelf:
    """A `Shelf` over a schema. A connection that breaks ends the copy, which can be done again."""

    def __init__(self, address: Address, *, make: bool = False):
        self._address, self._make = address, make
        self._link = Link(address, patience_s=0.0)

    async def __aenter__(self) -> Self:
        await self._link.open()
        try:
            is_there = await self._link.run(lambda connection: version_of(connection, self._address))
            if not is_there and not self._make:
                raise DataError(self._address.url, f"there is no ledger in schema {self._address.schema}")
            await self._link.run(lambda connection: bring_up_to_date(connection, self._address))
        except BaseException:
            await self._link.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._link.close()

    async def holdings(self) -> Holdings:
        """What it holds."""
        models = await self._link.fetch(_MODELS)
        oldest, newest = await self._row(_TIMES)
        n_verdicts, n_facts = await self._row(_COUNTS)
        (n_bytes,) = await self._row(_SIZE)
        shares = [ModelShare(*row) for row in models]
        return Holdings(shares, n_verdicts, n_facts, n_bytes, await self.watermark(), oldest, newest)

    async def watermark(self) -> int:
        """The highest number that was ever given."""
        (number,) = await self._row(_LAST)
        return int(number)

    async def replies(self) -> AsyncIterator[Sequence[ReplyRow]]:
        """All replies, by key."""
        after = b""
        while rows := [ReplyRow(*row) for row in await self._link.fetch(_REPLIES, after, _PAGE)]:
            yield rows
            after = rows[-1].key

    async def verdicts(self, after: int = 0) -> AsyncIterator[Sequence[VerdictRow]]:
        """All verdicts with a higher number, by number; sorted by the server, which has no index on it."""
        await self._link.execute(f"{_OPEN}{_VERDICT} WHERE id > {int(after)} ORDER BY id")
        while rows := [VerdictRow(*row) for row in await self._link.fetch(f"FETCH {_PAGE} FROM verdicts")]:
            yield rows
        await self._link.execute("COMMIT")

    async def facts(self) -> AsyncIterator[Sequence[FactRow]]:
        """All facts, by name."""
        rows = [FactRow(*row) for row in await self._link.fetch(_FACTS)]
        yield sorted(rows)

    async def latest(self) -> VerdictRow | None:
        """The verdict with the highest number."""
        return await self._verdict("ORDER BY id DESC LIMIT 1")

    async def n_verdicts(self, up_to: int) -> int:
        """How many verdicts have this number or a lower one."""
        (n,) = await self._row("SELECT count(*) FROM verdict WHERE id <= $1", up_to)
        return int(n)

    async def verdict(self, number: int) -> VerdictRow | None:
        """The verdict of this number."""
        return await self._verdict("WHERE id = $1", number)

    async def put_replies(self, rows: Sequence[ReplyRow]) -> int:
        """Adds those whose key is not there."""
        return len(await self._link.fetch(_PUT_REPLIES, *columns(rows)))

    async def put_verdicts(self, rows: Sequence[VerdictRow], *, numbered: bool) -> int:
        """Adds those whose key is not there, in this order."""
        put = _PUT_NUMBERED if numbered else _PUT_VERDICTS

        async def work(connection: Any) -> int:
            async with connection.transaction():
                await connection.execute(_LOCK, lock_space(self._address.schema), VERDICTS)
                if numbered and await connection.fetchval(_LAST) >= rows[0].id:
                    raise somebody_writes(str(self._address))
                n_new = len(await connection.fetch(put, *columns(rows)))
                if numbered:
                    await connection.execute(_RAISE, rows[-1].id)
            return n_new

        return await self._link.run(work)

    async def put_facts(self, rows: Sequence[FactRow]) -> int:
        """Adds those whose name is not there."""
        return len(await self._link.fetch(_PUT_FACTS, *columns(rows))) if rows else 0

    async def raise_watermark(self, number: int) -> None:
        """Gives no number up to this one any more."""

        async def work(connection: Any) -> None:
            async with connection.transaction():
                await connection.execute(_LOCK, lock_space(self._address.schema), VERDICTS)
                if await connection.fetchval(_LAST) < number:
                    await connection.execute(_RAISE, number)

        await self._link.run(work)

    async def _row(self, question: str, *values: object) -> Any:
        return (await self._link.fetch(question, *values))[0]

    async def _verdict(self, which: str, *values: object) -> VerdictRow | None:
        rows = await self._link.fetch(f"{_VERDICT} {which}", *values)
        return VerdictRow(*rows[0]) if rows else None
