"""The seam of the dialects: what a dialect reads, what it writes, and what it could not say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from rubricate.domain.conversation import Prompt
from rubricate.domain.rubric import Rubric
from rubricate.errors import DataError

Layout = Literal["rows", "toml", "yaml"]

LEVELS = "an ordinal criterion becomes one criterion per level boundary"
"""The one loss that heals: a dialect with ordinal criteria joins them again (see levels.py)."""


class Row(Protocol):
    """A row of a file and how to say what is wrong with it; `runs.rows.Row` is one."""

    @property
    def value(self) -> Any:
        """The row."""

    @property
    def path(self) -> str:
        """Its file."""

    @property
    def name(self) -> str | None:
        """Its name in an object of named rows."""

    def error(self, problem: str, field: str | None = None) -> DataError:
        """The error to raise, with the place of the row."""


class Loss(NamedTuple):
    """Something that a dialect cannot carry: `what`, in a sentence that is the same for all its kind, and
    `at`, the field or criterion."""

    what: str
    at: str


class Entry(NamedTuple):
    """The rubric of one prompt. `id` is None where the file gives none, `prompt` where it has no text."""

    id: str | None
    prompt: Prompt | None
    rubric: Rubric

    @property
    def name(self) -> str:
        """What to call it: its id, else that of its prompt."""
        return self.id or (self.prompt.id if self.prompt is not None else "?")


class Taken(NamedTuple):
    """An entry that was read, and what of its row it leaves behind."""

    entry: Entry
    losses: Sequence[Loss] = ()


class Written(NamedTuple):
    """A row or document that says an entry, and what of the entry it leaves behind."""

    value: Mapping[str, Any]
    losses: Sequence[Loss] = ()


@dataclass(frozen=True)
class Dialect:
    """A way to write rubrics down.

    `layout` is `rows` (JSON, JSON Lines, Parquet; a row each), or a format that holds one rubric a file.
    `knows` tells a row of this dialect from those of the others; `read` gives the entries of a row (none if
    it has no criteria yet), and raises the row's error if it is malformed. `write` is None where a dialect is
    only read; it raises ValueError if the entry cannot be said at all. `levels`: has ordinal criteria.
    """

    name: str
    about: str
    layout: Layout
    knows: Callable[[Any], bool]
    read: Callable[[Row], Iterator[Taken]]
    write: Callable[[Entry], Written] | None
    levels: bool = False
