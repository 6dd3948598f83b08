"""Files wherever they lie: shards behind a path, a glob, a folder or a URL, and folders to write shards to.

What is on this machine is a `Path`. What a URL names (`s3://`, `gs://`, `hf://datasets/...`, `file://`, ...)
is opened by fsspec, which the extra `remote` brings; credentials come from where the tools of that store look
for them, never from a URL or a setting.
"""

from __future__ import annotations

import glob
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from rubricate.errors import DataError, RunError, SettingsError
from rubricate.runs.writing import replacing, writing

PACKED = (".gz", ".zst")
PARQUET, LINES = ".parquet", (".jsonl", ".ndjson")
_APPEAR_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "hf", "oss", "memory"})


@dataclass(frozen=True)
class RemoteFile:
    """A file behind a URL; has of a `Path` what a reader needs."""

    filesystem: Any
    path: str

    def __str__(self) -> str:
        return str(self.filesystem.unstrip_protocol(self.path))

    @property
    def name(self) -> str:
        """The last part."""
        return PurePosixPath(self.path).name

    @property
    def suffix(self) -> str:
        """The last ending."""
        return PurePosixPath(self.path).suffix

    def open(self, mode: str) -> IO[bytes]:
        """The file, read in pieces as it is gone through."""
        opened: IO[bytes] = self.filesystem.open(self.path, mode)
        return opened


File = Path | RemoteFile


def is_url(source: str) -> bool:
    """Whether a source is opened by fsspec."""
    return "://" in source


def format_of(file: File) -> str:
    """The format that a file's name states (`.json`, `.jsonl`, ...), whatever it is packed with."""
    name = file.name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return PurePosixPath(name).suffix


def files_of(source: str) -> list[File]:
    """The files behind a source, in the order of their names: one file, the matches of a glob (`*`, `?`,
    `[...]`, `**`), or the shards below a folder.

    Shards are the Parquet files of a folder or its JSON Lines files (also packed); names that begin with a
    dot or an underscore are markers and passed over, and so is every other file.

    Raises:
        DataError: there is none, or a folder holds shards of both kinds.
        SettingsError: a URL that cannot be opened here.
    """
    if is_url(source):
        return _remote_files(source)
    path = Path(source)
    if path.is_dir():
        return _shards(source, [found for found in path.rglob("*") if found.is_file()], str(path))
    if path.exists() or not glob.has_magic(source):
        return [path]
    matches = [Path(found) for found in sorted(glob.glob(source, recursive=True))]  # noqa: PTH207  (any path)
    return _some(source, [found for found in matches if found.is_file()])


def _remote_files(source: str) -> list[File]:
    filesystem, path = _opened(source)
    try:
        if glob.has_magic(path):
            found = filesystem.glob(path, detail=True)
            names = sorted(name for name, about in found.items() if about["type"] == "file")
            return _some(source, [RemoteFile(filesystem, name) for name in names])
        if filesystem.isdir(path):
            below = [RemoteFile(filesystem, name) for name in filesystem.find(path)]
            return _shards(source, below, path)
    except failures() as failure:
        raise DataError(source, f"cannot be listed: {_said(failure)}") from None
    return [RemoteFile(filesystem, path)]


def _some(source: str, files: list[File]) -> list[File]:
    if not files:
        raise DataError(source, "no file matches")
    return files


def _shards(source: str, files: list[Any], root: str) -> list[File]:
    visible = [file for file in files if not _is_marker(str(getattr(file, "path", file)), root)]
    parquet = [file for file in visible if format_of(file) == PARQUET]
    lines = [file for file in visible if format_of(file) in LINES]
    if parquet and lines:
        raise DataError(source, "holds Parquet and JSON Lines files: name one kind, as in FOLDER/*.parquet")
    if not parquet and not lines:
        raise DataError(source, "a folder with neither a saved dataset nor Parquet or JSON Lines files")
    return sorted(parquet or lines, key=lambda file: str(file).split("/"))


def _is_marker(path: str, root: str) -> bool:
    below = path.removeprefix(root).split("/")
    return any(part.startswith((".", "_")) for part in below)


def _opened(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it.

    Raises:
        SettingsError: the package for it is missing, the protocol is unknown, or a password is in it.
    """
    parts = urlsplit(url)
    if parts.password:
        raise SettingsError(
            f"the address {parts.scheme}://{parts.hostname}... holds a password: give it in the environment"
        )
    try:
        import fsspec
    except ModuleNotFoundError:
        raise SettingsError(f"{url} needs the extra remote: pip install 'rubricate[remote]'") from None
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except ImportError as failure:
        raise SettingsError(f"{url} needs a package: {failure}; pip install 'rubricate[remote]'") from None
    except ValueError as failure:
        raise SettingsError(f"{url} cannot be opened: {failure}") from None
    return filesystem, path


def failures() -> tuple[type[Exception], ...]:
    """What opening, reading and writing a file may raise, wherever it lies."""
    found: list[type[Exception]] = [OSError]
    if "botocore" in sys.modules:
        from botocore.exceptions import BotoCoreError, ClientError

        found += [BotoCoreError, ClientError]
    return tuple(found)


def _said(failure: Exception) -> str:
    lines = str(failure).strip().splitlines()
    return f"{type(failure).__name__}: {lines[0]}" if lines else type(failure).__name__


class LocalFolder:
    """A folder on this machine to write files to; made when the first is."""

    def __init__(self, path: Path):
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Where to write a file that is in the folder once the block is left, whole or not at all."""
        with writing(self._path):
            self._path.mkdir(parents=True, exist_ok=True)
        with replacing(self._path / name) as draft:
            yield draft

    def names(self) -> list[str]:
        """The files that are there."""
        return sorted(path.name for path in self._path.iterdir()) if self._path.is_dir() else []

    def remove(self, name: str) -> None:
        """Takes a file away."""
        with writing(self._path / name):
            (self._path / name).unlink()


class RemoteFolder:
    """A folder behind a URL to write files to: each is made here and sent when it is whole."""

    def __init__(self, url: str):
        self._url = url.rstrip("/")
        self._filesystem, self._path = _opened(self._url)
        self._appears_whole = urlsplit(url).scheme in _APPEAR_WHOLE

    def __str__(self) -> str:
        return self._url

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Where to write a file that is in the folder once the block is left, whole or not at all.

        Raises:
            RunError: it cannot be sent.
        """
        with tempfile.TemporaryDirectory() as here:
            draft = Path(here) / name
            yield draft
            with self._sending(name):
                if self._appears_whole:  # no folder is made there: that would be a bucket
                    self._filesystem.put_file(str(draft), f"{self._path}/{name}")
                else:
                    self._filesystem.makedirs(self._path, exist_ok=True)
                    self._filesystem.put_file(str(draft), f"{self._path}/.{name}.tmp")
                    self._filesystem.mv(f"{self._path}/.{name}.tmp", f"{self._path}/{name}")

    def names(self) -> list[str]:
        """The files that are there."""
        with self._sending(""):
            self._filesystem.invalidate_cache()
            if not self._filesystem.isdir(self._path):
                return []
            return sorted(PurePosixPath(path).name for path in self._filesystem.ls(self._path, detail=False))

    def remove(self, name: str) -> None:
        """Takes a file away."""
        with self._sending(name):
            self._filesystem.rm_file(f"{self._path}/{name}")

    @contextmanager
    def _sending(self, name: str) -> Iterator[None]:
        try:
            yield
        except failures() as failure:
            raise RunError(f"{self._url}/{name}: cannot be written ({_said(failure)})") from None


Folder = LocalFolder | RemoteFolder


def folder_at(place: str | Path) -> Folder:
    """The folder that a path or a URL names."""
    if isinstance(place, Path) or not is_url(place):
        return LocalFolder(Path(place))
    return RemoteFolder(place)
