"""Where a ledger is, a file or a database, and the one function that opens it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Self

from rubricate.llm.ledger import Ledger
from rubricate.llm.postgres.address import SCHEMES, Address


class Place:
    """A path, or the address of a database. As text and in reprs without any password.

    No dataclass and no struct: msgspec would take it apart where settings are written.
    """

    __slots__ = ("at",)

    def __init__(self, at: Path | Address):
        self.at = at

    @classmethod
    def parse(cls, written: str) -> Self:
        """The place that a user wrote: a path, or postgresql://user@host/database.

        Raises:
            ValueError: it is neither; says why, without the text, for that may hold a password.
        """
        if is_database(written):
            return cls(Address.parse(written))
        scheme, is_url, _ = written.partition("://")
        if is_url:
            raise ValueError(
                f"begins with {scheme[:20]}:// and not with postgresql://; a ledger is a file, or "
                "postgresql://user@host/database"
            )
        if not written:
            raise ValueError("is empty; name a file, or postgresql://user@host/database")
        return cls(Path(written))

    def with_access(self, env: Mapping[str, str], known: Place | None = None) -> Place:
        """The place with the password that the environment has for it: that of `known`, when it is the same
        place, else PGPASSWORD or the file that PGPASSFILE names."""
        if isinstance(self.at, Path):
            return self
        at = self.at
        if (
            at.password is None
            and known is not None
            and isinstance(known.at, Address)
            and at.url == known.at.url
        ):
            at = known.at
        return Place(at.with_access(env))

    def without_secret(self) -> Place:
        """The same place, to be kept and shown."""
        return self if isinstance(self.at, Path) else Place(replace(self.at, password=None, passfile=None))

    def __str__(self) -> str:
        return str(self.at)

    def __repr__(self) -> str:
        return f"Place({str(self.at)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and self.at == other.at

    def __hash__(self) -> int:
        return hash(self.at)


def is_database(written: str) -> bool:
    """Whether this means a database of ours, right or wrong, and not a file."""
    return written.startswith(tuple(f"{scheme}:" for scheme in SCHEMES))


def open_ledger(place: Place) -> AbstractAsyncContextManager[Ledger]:
    """The ledger at a place, which is made when it is not there. Opens as the block is entered.

    Raises:
        SettingsError: the place is a database, and its driver is not installed. On entering: wrong password,
            no such database, no rights.
        RunError, DataError: on entering: it cannot be reached or made, or cannot be read.
    """
    if isinstance(place.at, Address):
        from rubricate.llm.postgres.ledger import PostgresLedger

        return PostgresLedger(place.at)
    from rubricate.llm.sqlite.ledger import SqliteLedger

    return SqliteLedger(place.at)
