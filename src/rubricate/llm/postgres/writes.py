"""What a ledger in PostgreSQL keeps, many rows at a time: one statement and commit for each table.

Every statement may be done again, when its answer was lost with the connection: what stands stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rubricate.llm.packing import Packer
from rubricate.llm.postgres.link import Link
from rubricate.llm.postgres.schema import VERDICTS

# Replies and facts in the order of their keys: two processes that write the same ones at once wait for each
# other in one direction only.
_REPLIES = """
    INSERT INTO reply (key, model, value) SELECT * FROM unnest($1::bytea[], $2::text[], $3::bytea[])
    ON CONFLICT (key) DO NOTHING
"""
_EARLIER = "SELECT key, value FROM reply WHERE key = ANY ($1::bytea[])"
# Numbers are given out under a lock that the commit gives back, so none becomes visible after a higher one.
_VERDICTS = """
    WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock($3, $4))
    INSERT INTO verdict (key, value)
    SELECT given.key, given.value
    FROM turn, unnest($1::bytea[], $2::bytea[]) WITH ORDINALITY AS given (key, value, place) ORDER BY place
    ON CONFLICT (key) DO NOTHING
"""
_FACTS = """
    INSERT INTO fact (key, value) SELECT * FROM unnest($1::text[], $2::text[])
    ON CONFLICT (key) DO UPDATE SET written_at = excluded.written_at, value = excluded.value
"""


@dataclass
class Write:
    """Rows of one caller. Values are JSON, not packed yet; those of one table are written all or none."""

    replies: list[tuple[bytes, str, bytes]] = field(default_factory=list)
    verdicts: list[tuple[bytes, bytes]] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)

    @property
    def n_rows(self) -> int:
        """How many rows these are."""
        return len(self.replies) + len(self.verdicts) + len(self.facts)

    @property
    def n_bytes(self) -> int:
        """How long their values are."""
        texts = [row[-1] for rows in (self.replies, self.verdicts, self.facts) for row in rows]
        return sum(map(len, texts))


@dataclass(frozen=True)
class Packed:
    """Rows of many callers as they will stand, each key once. `twice` are the packed replies of those keys
    that came with different replies at once: the first is kept."""

    replies: list[tuple[bytes, str, bytes]]
    verdicts: list[tuple[bytes, bytes]]
    facts: list[tuple[str, str]]
    twice: Mapping[bytes, bytes]


def pack(packer: Packer, writes: Sequence[Write]) -> Packed:
    """All rows, packed. Verdicts stay in their order, for it becomes that of their numbers."""
    replies: dict[bytes, tuple[bytes, str, bytes]] = {}
    verdicts: dict[bytes, bytes] = {}
    facts: dict[str, str] = {}
    twice: dict[bytes, bytes] = {}
    for rows in writes:
        for key, model, text in rows.replies:
            value = packer.pack(text)
            first = replies.setdefault(key, (key, _storable(model), value))
            if first[2] != value:
                twice[key] = first[2]
        for key, text in rows.verdicts:
            verdicts.setdefault(key, packer.pack(text))
        facts.update(rows.facts)
    in_order = [replies[key] for key in sorted(replies)]
    return Packed(in_order, list(verdicts.items()), sorted(facts.items()), twice)


async def write(link: Link, space: int, rows: Packed) -> dict[bytes, bytes]:
    """Writes rows. When this returns, they are there for everybody, whatever happens; the packed replies by
    key that had been kept earlier, and stay. `space` is that of the locks.

    Raises:
        RunError, SettingsError: the server was lost, or refuses; what was written of them stays.
    """
    earlier = dict(rows.twice)
    if rows.replies:
        earlier |= await link.run(lambda connection: _write_replies(connection, rows.replies))
    if rows.verdicts:
        await link.execute(_VERDICTS, *columns(rows.verdicts), space, VERDICTS)
    if rows.facts:
        await link.execute(_FACTS, *columns(rows.facts))
    return earlier


async def _write_replies(connection: Any, replies: Sequence[tuple[bytes, str, bytes]]) -> dict[bytes, bytes]:
    done = await connection.execute(_REPLIES, *columns(replies))
    if done == f"INSERT 0 {len(replies)}":
        return {}
    kept = dict(await connection.fetch(_EARLIER, [key for key, *_ in replies]))
    return {key: kept[key] for key, _, value in replies if kept[key] != value}


def columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """Rows as the arrays that `unnest` makes rows of again."""
    return [list(column) for column in zip(*rows, strict=True)]


def _storable(text: str) -> str:
    """The text without what PostgreSQL takes in no text."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")
