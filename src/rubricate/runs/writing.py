"""Files that are there whole or not at all, lines that are cut where they tore, and a full disk in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rubricate.errors import RunError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tells what the operating system says about a file in the words of the user.

    Raises:
        RunError: the file cannot be written (disk full, folder gone, no permission).
    """
    try:
        yield
    except OSError as failure:
        raise RunError(f"{path}: cannot be written ({failure}); free some space and resume") from failure


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A draft beside the file, to be written in the block; at the end it takes the file's place.

    Raises:
        RunError: it cannot be written; the file stays as it was.
    """
    draft = path.with_name(f".{path.name}.tmp")
    with writing(path):
        try:
            yield draft
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def cut_torn_line(path: Path) -> None:
    """Cuts off a last line that has no end: a kill came while it was being written."""
    at = size = path.stat().st_size
    with path.open("r+b") as file:
        while at > 0:
            step = min(65536, at)
            file.seek(at - step)
            newline = file.read(step).rfind(b"\n")
            if newline >= 0:
                at = at - step + newline + 1
                break
            at -= step
        if at < size:
            file.truncate(at)


def append_line(path: Path, line: bytes) -> None:
    """Adds a whole line to a file, or nothing.

    Unbuffered, so that what did not fit is not tried again when the file is closed.

    Raises:
        RunError: the line cannot be written.
    """
    with writing(path), path.open("ab", buffering=0) as file:
        start, rest = file.tell(), memoryview(line + b"\n")
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            file.truncate(start)
            raise
