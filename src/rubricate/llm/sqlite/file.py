"""One SQLite file of a ledger: made, opened, written in groups, and watched. Nothing here is async.

    reply    id, key (16 bytes), model, written_at (Unix seconds), value (llm/packing.py)
    verdict  id, key (16 bytes), written_at, value
    fact     key (text), written_at, value (text)

What SQLite says when something is wrong is told in the words of the user, with a remedy.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rubricate.errors import DataError, RubricateError, RunError
from rubricate.llm.packing import Packer

Durability = Literal["normal", "full"]

FORMAT = 1
"""Version of the tables, kept in the file's `user_version`."""

_APPLICATION_ID = 0x52554252  # "RUBR": marks the file as ours
_TABLES = (
    "CREATE TABLE reply (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, model TEXT NOT NULL,"
    " written_at INTEGER NOT NULL, value BLOB NOT NULL)",
    # AUTOINCREMENT: a number is never used again, so that a watermark means the same for ever.
    "CREATE TABLE verdict (id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE,"
    " written_at INTEGER NOT NULL, value BLOB NOT NULL)",
    "CREATE TABLE fact (key TEXT NOT NULL PRIMARY KEY, written_at INTEGER NOT NULL, value TEXT NOT NULL)",
)
_MOVE_AWAY = "move it away and run again: finished prompts stay finished, the rest is asked again"
_RESUME = "then run the same command with --resume: all replies kept so far are reused"


@dataclass
class Batch:
    """What is committed together. Values are JSON, not packed yet.

    `earlier` is filled by the commit: what was kept already, by key, for the replies that came too late.
    """

    replies: list[tuple[bytes, str, bytes]] = field(default_factory=list)
    verdicts: list[tuple[bytes, bytes]] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    earlier: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """How many rows the commit writes."""
        return len(self.replies) + len(self.verdicts) + len(self.facts)


class SqliteFile:
    """An open file: one connection to write, for one thread, and one to read, for another.

    `patience_s` is how long a lock of another process is waited for, in seconds.

    Raises:
        RunError: the file cannot be made, opened or locked.
        DataError: there is a file, and it is no ledger that this version can read.
    """

    def __init__(self, path: Path, durability: Durability = "normal", patience_s: float = 30.0):
        self.path = path
        self._patience_s = patience_s
        self._packer = Packer()
        self._seen: dict[Path, os.stat_result] = {}
        with told(path), ExitStack() as opened:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.writer = opened.enter_context(closing(self._connected()))
            self._prepare(durability)
            self.reader = opened.enter_context(closing(self._connected()))
            self._watch()
            opened.pop_all()

    def close(self) -> None:
        """Closes both connections; the last one to close folds the write-ahead log into the file."""
        with told(self.path):
            self.reader.close()
            self.writer.close()

    def commit(self, batch: Batch) -> None:
        """Writes a batch. When this returns, the batch survives the death of the process (and that of
        the machine, with durability "full").

        Raises:
            RunError: the batch is not written; says why and what to do.
            DataError: the file is damaged.
        """
        now = int(time.time())
        replies = [(key, model, now, self._packer.pack(text)) for key, model, text in batch.replies]
        verdicts = [(key, now, self._packer.pack(text)) for key, text in batch.verdicts]
        facts = [(key, now, text) for key, text in batch.facts]
        with told(self.path), transaction(self.writer):
            before = self.writer.total_changes
            self.writer.executemany(
                "INSERT OR IGNORE INTO reply (key, model, written_at, value) VALUES (?, ?, ?, ?)", replies
            )
            if self.writer.total_changes - before < len(replies):
                batch.earlier = self._earlier(replies)
            self.writer.executemany(
                "INSERT OR IGNORE INTO verdict (key, written_at, value) VALUES (?, ?, ?)", verdicts
            )
            self.writer.executemany(
                "INSERT INTO fact (key, written_at, value) VALUES (?, ?, ?)"
                " ON CONFLICT (key) DO UPDATE SET written_at = excluded.written_at, value = excluded.value",
                facts,
            )
        with told(self.path):
            self._watch()

    def _earlier(self, replies: list[tuple[bytes, str, int, bytes]]) -> dict[bytes, bytes]:
        kept = "SELECT value FROM reply WHERE key = ?"
        values = {key: self.writer.execute(kept, (key,)).fetchall()[0][0] for key, *_ in replies}
        return {key: values[key] for key, _, _, value in replies if values[key] != value}

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=self._patience_s, isolation_level=None, check_same_thread=False
        )
        # A file that is cut off while it is mapped into memory would end the process with a signal.
        connection.execute("PRAGMA mmap_size = 0")
        return connection

    def _prepare(self, durability: Durability) -> None:
        if self._is_new():
            self._use_log()
            with transaction(self.writer):
                if self._is_new():
                    for table in _TABLES:
                        self.writer.execute(table)
                    self.writer.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                    self.writer.execute(f"PRAGMA user_version = {FORMAT}")
        self._check_format()
        self._use_log()
        self.writer.execute(f"PRAGMA synchronous = {'FULL' if durability == 'full' else 'NORMAL'}")

    def _is_new(self) -> bool:
        return (
            self._number("PRAGMA application_id") == 0
            and self._number("PRAGMA user_version") == 0
            and self._number("SELECT count(*) FROM sqlite_schema") == 0
        )

    def _check_format(self) -> None:
        if self._number("PRAGMA application_id") != _APPLICATION_ID:
            raise DataError(self.path, "is an SQLite file of another program: name another file")
        version = self._number("PRAGMA user_version")
        if version != FORMAT:
            raise DataError(
                self.path,
                f"was written by a newer rubricate (ledger format {version}, this one reads {FORMAT}): "
                "upgrade rubricate, or name another file",
            )

    def _use_log(self) -> None:
        """Switches to the write-ahead log. SQLite does not wait by itself here when two open at once."""
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                (mode,) = self.writer.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError as error:
                if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
                continue
            if mode != "wal":
                raise RunError(
                    f"{self.path}: this file system cannot hold a ledger (no write-ahead log, as on network "
                    "drives): put the ledger on a local disk"
                )
            return

    def _number(self, question: str) -> int:
        return int(self.writer.execute(question).fetchall()[0][0])

    def _watch(self) -> None:
        """Makes sure that what was written stands in the files that bear the ledger's name.

        SQLite goes on happily in a file that was deleted under it, and all would be gone at the end.
        """
        for path in (self.path, self.path.with_name(self.path.name + "-wal")):
            then = self._seen.get(path)
            try:
                now = path.stat()
            except FileNotFoundError:
                raise RunError(f"{path}: deleted while the run was using it; {_RESUME}") from None
            if then is not None and (now.st_ino, now.st_dev) != (then.st_ino, then.st_dev):
                raise RunError(f"{path}: replaced by another file while the run was using it; {_RESUME}")
            if then is not None and path == self.path and now.st_size < then.st_size:
                raise DataError(path, f"cut off while the run was using it; {_MOVE_AWAY}")
            self._seen[path] = now


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Tells what SQLite or the operating system says in the words of the user.

    Raises:
        RunError: the disk, the permissions or another program is in the way.
        DataError: the file is no ledger, or a damaged one.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise in_words(path, error) from error
    except OSError as error:
        raise RunError(f"{path}: cannot be used as the ledger: {error.strerror}") from error


def in_words(path: Path, error: sqlite3.Error) -> RubricateError:
    """What SQLite says, as a `RunError` or a `DataError` that says what to do."""
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    if name.startswith("SQLITE_FULL"):
        return RunError(f"{path}: the disk is full; make room, {_RESUME}")
    if name.startswith("SQLITE_IOERR"):
        return RunError(
            f"{path}: the disk refused to read or write ({name}); make sure that it works and has room, "
            f"{_RESUME}"
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN", "SQLITE_AUTH")):
        return RunError(
            f"{path}: the ledger cannot be opened for writing ({error}); allow writing to the file and its "
            "folder, or name another file"
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return RunError(
            f"{path}: another program keeps the ledger locked and does not let go; close it, {_RESUME}"
        )
    if name == "SQLITE_NOTADB":
        return DataError(path, f"is no ledger, or its beginning was overwritten; {_MOVE_AWAY}")
    if name.startswith("SQLITE_CORRUPT"):
        return DataError(path, f"is damaged or cut off; {_MOVE_AWAY}")
    return RunError(f"{path}: the ledger cannot be used ({name}: {error})")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing of what the block writes."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
