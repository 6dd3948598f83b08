"""Who may pay for a request: claims on keys among the processes of one machine, without a word to the disk.

A claim is a lock on one byte of a file beside the ledger. The kernel gives it back when its process dies in
whatever way, so there is no lease to renew and no stale claim to clear away. It looks through all locks of a
file for each new one, so keys are spread over many files: by batch tens of thousands are claimed at a time.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from pathlib import Path

from rubricate.errors import RunError

if sys.platform != "win32":  # there every claim is granted, and two processes may pay twice
    import fcntl

_TAKEN = frozenset({errno.EACCES, errno.EAGAIN})
_PLACES = 2**62
_FILES = 64


class FileClaims:
    """The claims of one opened ledger.

    Locks belong to the opened file and not to the process where the system knows such locks (Linux), so two
    ledgers of one process keep apart as well. A claim costs a system call, 2 us while there are few others
    and some 90 us with 50,000 held at a time. `path` is a folder, made with the first claim.
    """

    def __init__(self, path: Path):
        self._path, self._files = path, dict[int, int]()

    def claim(self, key: str) -> bool:
        """Whether the key is now claimed by this ledger; also when it was before.

        Raises:
            RunError: the file cannot be made, or cannot be locked.
        """
        try:
            self._lock(key, is_wanted=True)
        except OSError as failure:
            if failure.errno in _TAKEN:
                return False
            raise RunError(f"{self._path}: this file system has no locks ({failure.strerror})") from failure
        return True

    def release(self, key: str) -> None:
        """Gives the claim back."""
        self._lock(key, is_wanted=False)

    def close(self) -> None:
        """Gives all claims back."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def _lock(self, key: str, *, is_wanted: bool) -> None:
        if sys.platform == "win32":
            return
        place, file = int(key[:16], 16) % _PLACES, self._file(int(key[16:24], 16) % _FILES)
        kind = fcntl.F_WRLCK if is_wanted else fcntl.F_UNLCK
        if hasattr(fcntl, "F_OFD_SETLK"):
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("@hhqqi0q", kind, os.SEEK_SET, place, 1, 0))
        else:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB if is_wanted else fcntl.LOCK_UN, 1, place)

    def _file(self, number: int) -> int:
        """The opened file of this number."""
        file = self._files.get(number)
        if file is None:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
            try:
                self._path.mkdir(exist_ok=True)
                file = os.open(self._path / f"{number:02d}", flags, 0o644)
            except OSError as failure:
                raise RunError(
                    f"{self._path}: cannot be made ({failure.strerror}); allow writing to its folder"
                ) from None
            self._files[number] = file
        return file
