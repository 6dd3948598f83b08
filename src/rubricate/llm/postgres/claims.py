"""Who may pay for a request: claims on keys among all processes that share a database, on whatever machine.

A claim is a row with the number of its owner, an opened ledger. An owner is alive as long as a session holds
the advisory lock of its number, which the server gives back when the connection ends in whatever way; whoever
meets a claim of a dead owner takes it over. One lock for each ledger and not for each claim: the server has
room for a few thousand locks, and a full table of locks stops all that use it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rubricate.llm.postgres.schema import lock_space

# A try for the lock of another owner succeeds only if that one is dead. It is held to the end of the
# statement, so that two who find the same dead owner's claim do not both get it.
_CLAIM = """
    INSERT INTO claim (key, owner) SELECT key, $2::integer FROM unnest($1::bytea[]) AS wanted (key)
    ON CONFLICT (key) DO UPDATE SET owner = excluded.owner
    WHERE CASE WHEN claim.owner = excluded.owner THEN true
        ELSE pg_try_advisory_xact_lock($3, claim.owner) END
    RETURNING key
"""
# In the order of keys, as claims are made: two sessions never wait for each other.
_RELEASE = """
    DELETE FROM claim USING (
        SELECT key FROM claim WHERE key = ANY ($1::bytea[]) AND owner = $2 ORDER BY key FOR UPDATE
    ) AS mine WHERE claim.key = mine.key AND claim.owner = $2
"""
_FORGET_DEAD = """
    DELETE FROM claim USING (
        SELECT owner FROM (SELECT DISTINCT owner FROM claim) AS owners
        WHERE pg_try_advisory_xact_lock($1, owner)
    ) AS dead WHERE claim.owner = dead.owner
"""


class Claims:
    """The claims of one opened ledger; every method does one round trip on the connection it is given."""

    def __init__(self, schema: str):
        self.space = lock_space(schema)
        self._owner: int | None = None
        self._held: set[bytes] = set()

    async def prepare(self, connection: Any) -> None:
        """Makes a new connection the one whose life is that of the claims. Claims that were held on a lost
        one are made again, but for those that another has taken over meanwhile."""
        if self._owner is None:
            self._owner = await connection.fetchval("SELECT nextval('claim_owner')::integer")
        await connection.execute("SELECT pg_advisory_lock_shared($1, $2)", self.space, self._owner)
        if self._held:
            await self.take(connection, self._held)
        else:
            await connection.execute(_FORGET_DEAD, self.space)

    async def take(self, connection: Any, keys: Iterable[bytes]) -> set[bytes]:
        """Those of the keys that are now claimed here; also when they were before."""
        wanted = sorted(set(keys))
        rows = await connection.fetch(_CLAIM, wanted, self._owner, self.space)
        taken = {row["key"] for row in rows}
        self._held |= taken
        return taken

    async def give_back(self, connection: Any, keys: Iterable[bytes] | None = None) -> None:
        """Gives claims back; all of them if none are named."""
        given = sorted(set(self._held if keys is None else keys))
        if given:
            await connection.execute(_RELEASE, given, self._owner)
            self._held.difference_update(given)
