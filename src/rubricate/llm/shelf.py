"""A ledger seen as a whole: what stands in it, and how all of it is brought into another.

Rows travel packed as they are stored (llm/packing.py), so nothing of them changes on the way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from rubricate.errors import DataError, RunError
from rubricate.llm.store import Place

WATERMARK = "watermark of run "
"""How the names of those facts begin that hold a number of a verdict, which another ledger numbers anew."""


class ReplyRow(NamedTuple):
    """A packed reply; `written_at` in Unix seconds, here and below."""

    key: bytes
    model: str
    written_at: int
    value: bytes


class VerdictRow(NamedTuple):
    """A packed verdict with its number."""

    id: int
    key: bytes
    written_at: int
    value: bytes


class FactRow(NamedTuple):
    """A fact."""

    key: str
    written_at: int
    value: str


@dataclass(frozen=True)
class ModelShare:
    """Replies of one model: how many, and how many bytes their values take."""

    model: str
    n_replies: int
    n_bytes: int


@dataclass(frozen=True)
class Holdings:
    """What a ledger holds. `n_bytes` is all that it takes on disk, with indexes; `oldest` and `newest` are
    the Unix seconds at which the first and the last row were written, None when there is no row."""

    models: Sequence[ModelShare]
    n_verdicts: int
    n_facts: int
    n_bytes: int
    watermark: int
    oldest: int | None
    newest: int | None

    @property
    def n_replies(self) -> int:
        """Replies of all models."""
        return sum(share.n_replies for share in self.models)


class Shelf(Protocol):
    """A ledger that is there, for reading all of it in order and for writing rows as they are.

    Every method raises as those of a `Ledger` do.
    """

    async def holdings(self) -> Holdings:
        """What it holds, counted; reads all of it once."""
        ...

    def replies(self) -> AsyncIterator[Sequence[ReplyRow]]:
        """All replies, by key."""
        ...

    def verdicts(self, after: int = 0) -> AsyncIterator[Sequence[VerdictRow]]:
        """All verdicts with a higher number, by number."""
        ...

    def facts(self) -> AsyncIterator[Sequence[FactRow]]:
        """All facts, by name."""
        ...

    async def watermark(self) -> int:
        """The highest number that was ever given to a verdict."""
        ...

    async def latest(self) -> VerdictRow | None:
        """The verdict with the highest number."""
        ...

    async def n_verdicts(self, up_to: int) -> int:
        """How many verdicts have this number or a lower one."""
        ...

    async def verdict(self, number: int) -> VerdictRow | None:
        """The verdict of this number."""
        ...

    async def put_replies(self, rows: Sequence[ReplyRow]) -> int:
        """Adds those whose key is not there; how many these were."""
        ...

    async def put_verdicts(self, rows: Sequence[VerdictRow], *, numbered: bool) -> int:
        """Adds those whose key is not there, in this order; how many these were. `numbered`: under the
        numbers that they have, which must be higher than all that were ever given here.

        Raises:
            RunError: another program keeps verdicts here meanwhile.
        """
        ...

    async def put_facts(self, rows: Sequence[FactRow]) -> int:
        """Adds those whose name is not there; how many these were."""
        ...

    async def raise_watermark(self, number: int) -> None:
        """Gives no number up to this one any more."""
        ...


@dataclass(frozen=True)
class Copied:
    """How many rows were new in the target, of how many. `is_same`: the target numbers verdicts as the source
    does, so that a run that was begun with the one can go on with the other."""

    replies: tuple[int, int]
    verdicts: tuple[int, int]
    facts: tuple[int, int]
    is_same: bool


async def copy(source: Shelf, target: Shelf) -> Copied:
    """Brings all that the source holds into the target, and keeps what is there. May be broken off and done
    again.

    Into an empty ledger, verdicts come with their numbers. Behind verdicts that are there already they are
    numbered anew, in their order; the watermarks of runs, which speak of numbers, then stay behind.
    """
    replies = verdicts = facts = (0, 0)
    last = await target.latest()
    is_same = last is None or (
        await source.verdict(last.id) == last
        and await source.n_verdicts(last.id) == await target.n_verdicts(last.id)
    )
    async for some in source.replies():
        replies = _sum(replies, await target.put_replies(some), len(some))
    async for some_verdicts in source.verdicts(last.id if last is not None and is_same else 0):
        n_new = await target.put_verdicts(some_verdicts, numbered=is_same)
        verdicts = _sum(verdicts, n_new, len(some_verdicts))
    if is_same:
        await target.raise_watermark(await source.watermark())
    async for some_facts in source.facts():
        wanted = [fact for fact in some_facts if is_same or not fact.key.startswith(WATERMARK)]
        facts = _sum(facts, await target.put_facts(wanted), len(wanted))
    return Copied(replies, verdicts, facts, is_same)


def _sum(before: tuple[int, int], n_new: int, n: int) -> tuple[int, int]:
    return before[0] + n_new, before[1] + n


def open_shelf(place: Place, *, make: bool = False) -> AbstractAsyncContextManager[Shelf]:
    """The ledger at a place as a shelf. `make`: it is made when it is not there, and else a `DataError`."""
    if isinstance(place.at, Path):
        from rubricate.llm.sqlite.shelf import SqliteShelf

        if not make and not place.at.exists():
            raise DataError(place.at, "there is no such ledger")
        return SqliteShelf(place.at)
    from rubricate.llm.postgres.shelf import PostgresShelf

    return PostgresShelf(place.at, make=make)


def somebody_writes(place: str) -> RunError:
    """The error of a target that is in use."""
    return RunError(f"{place}: another program keeps verdicts here meanwhile; copy again when none does")
