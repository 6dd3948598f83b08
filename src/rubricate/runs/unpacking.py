"""Packed files -> bytes. A file that is cut off is never taken for a whole one."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from rubricate.errors import DataError
from rubricate.runs.places import File, failures

_CHUNK = 16 * 1024


@contextmanager
def unpacked(path: File) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked if its name ends in .gz or .zst.

    Raises:
        DataError: the file cannot be read, is damaged or cut off; also while it is being read.
    """
    import zstandard

    try:
        with path.open("rb") as packed:
            kind = path.suffix.lower()
            if kind == ".gz":
                with gzip.open(packed) as stream:
                    yield io.BufferedReader(stream)
            elif kind == ".zst":
                yield io.BufferedReader(_ZstdStream(packed))
            else:
                yield packed
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as failure:
        raise DataError(str(path), f"cannot be read: {failure}") from None
    except failures() as failure:
        raise DataError(str(path), f"cannot be read: {failure}") from None


class _ZstdStream(io.RawIOBase):
    """Zstandard frames, one behind the other. The library's own stream ends without a word where a file is
    cut off."""

    def __init__(self, packed: IO[bytes]):
        import zstandard

        self._new_frame = zstandard.ZstdDecompressor().decompressobj
        self._packed, self._rest = packed, b""
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills the buffer as far as there are bytes; 0 at the end.

        Raises:
            EOFError: the file ends within a frame.
        """
        while not self._ready:
            packed = self._rest or self._packed.read(_CHUNK)
            if not packed:
                if self._frame is not None:
                    raise EOFError("the compressed data are cut off")
                return 0
            frame = self._frame or self._new_frame()
            self._ready = memoryview(frame.decompress(packed))
            self._rest = frame.unused_data
            self._frame = None if frame.eof else frame
        n = min(len(buffer), len(self._ready))
        buffer[:n], self._ready = self._ready[:n], self._ready[n:]
        return n
