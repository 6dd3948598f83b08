"""A look at a ledger in PostgreSQL that changes nothing: whether it can be used, and what it holds."""

from __future__ import annotations

from dataclasses import dataclass

from rubricate.llm.postgres.address import Address
from rubricate.llm.postgres.link import Link
from rubricate.llm.postgres.schema import check


@dataclass(frozen=True)
class Survey:
    """How many rows there are, as the server estimates them, and how many bytes they take with indexes."""

    replies: int
    verdicts: int
    n_bytes: int


# An estimate of -1: the table was never looked at, so it is small enough to be counted.
_SURVEY = """
    SELECT relname, reltuples::bigint AS n, pg_total_relation_size(oid) AS n_bytes FROM pg_class
    WHERE oid IN (to_regclass('reply'), to_regclass('verdict'), to_regclass('fact'), to_regclass('claim'))
"""


async def survey(address: Address) -> Survey | None:
    """What the ledger holds; None when the database can be used and has no tables yet.

    Raises:
        SettingsError, RunError, DataError: it cannot be reached, or not be used as it is.
    """
    link = Link(address, patience_s=0.0)
    await link.open()
    try:
        if not await link.run(lambda connection: check(connection, address)):
            return None
        rows = {row["relname"]: row for row in await link.fetch(_SURVEY)}
        counts = {}
        for name in ("reply", "verdict"):
            known = rows[name]["n"]
            counted = f"SELECT count(*) FROM {name}"  # noqa: S608
            counts[name] = known if known > 0 else (await link.fetch(counted))[0][0]
        return Survey(counts["reply"], counts["verdict"], sum(row["n_bytes"] for row in rows.values()))
    finally:
        await link.close()
