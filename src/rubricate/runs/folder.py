"""The folder of one run: made whole or not at all, never overwritten, and enough to go on from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec

from rubricate.domain.conversation import Pool
from rubricate.domain.record import PromptRecord
from rubricate.errors import RunError
from rubricate.runs.intake import Intake
from rubricate.runs.journal import Journal
from rubricate.runs.writing import append_line, cut_torn_line

CONFIG = "config.yaml"
POOL = "pool.jsonl"
SAMPLED = "sampled.jsonl"
ORIGIN = "run.json"
JOURNAL = "journal.jsonl"
RUBRICS = "rubrics.jsonl"
SCORES = "scores.jsonl"
DATASET = "dataset"
SUMMARY = "summary.json"
REPORT = "report.html"


class Origin(msgspec.Struct, frozen=True):
    """What a run fixed when it began. `verdicts_up_to` is the ledger's watermark: verdicts that came later
    are not looked up, so that a resumed run asks just what the unbroken run would have asked."""

    verdicts_up_to: int = 0
    format: int = 1


def create(path: Path, *, config: str, intake: Intake, verdicts_up_to: int) -> None:
    """Makes the folder of a new run with its config and its pools.

    Raises:
        RunError: the folder exists already, or cannot be written.
    """
    if path.exists():
        raise RunError(
            f"{path} exists already; choose another files.output_dir, or add --resume to go on with it"
        )
    draft = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        draft.mkdir(parents=True)
        (draft / CONFIG).write_text(config, encoding="utf-8")
        intake.write_to(draft / POOL)
        (draft / ORIGIN).write_bytes(msgspec.json.encode(Origin(verdicts_up_to)))
        draft.rename(path)
    except OSError as failure:
        shutil.rmtree(draft, ignore_errors=True)
        raise RunError(f"{path}: the run folder cannot be made ({failure})") from None


class RunFolder:
    """An existing run folder, open: its pools in input order and its journal. Use it in a `with`.

    `keys` holds the key of each prompt's record by place, once the settings are known; as long as it is
    empty, the newest record of a prompt is its record.
    """

    def __init__(self, path: Path):
        for name in (CONFIG, POOL):
            if not (path / name).is_file():
                raise RunError(f"{path} is no run folder: {name} is missing")
        self.path = path
        origin = path / ORIGIN
        self.origin = msgspec.json.decode(origin.read_bytes(), type=Origin) if origin.is_file() else Origin()
        with ExitStack() as opened:
            self.intake = opened.enter_context(Intake.of_file(path / POOL))
            self.journal = Journal(path / JOURNAL)
            opened.callback(self.journal.close)
            self._opened = opened.pop_all()
        self.keys: list[str] = []
        self._sampled: dict[str, int] = {}
        self._find_sampled()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def pool(self, place: int) -> Pool:
        """The pool of a prompt by its place in the input, with the responses sampled by the run, if any."""
        pool = self.intake[place]
        return self._sampled_pool(pool.prompt.id) or pool

    def add_sampled(self, pool: Pool) -> None:
        """Keeps a pool that the run filled up by sampling."""
        if self._sampled_pool(pool.prompt.id) != pool:
            path = self.path / SAMPLED
            start = path.stat().st_size if path.exists() else 0
            append_line(path, msgspec.json.encode(pool))
            self._sampled[pool.prompt.id] = start

    @property
    def n_done(self) -> int:
        """How many prompts need no more work: those in the journal, but for failed ones, which are owed."""
        if not self.keys:
            return len(self.journal)
        return sum(not self.journal.is_owed(key) for key in self.keys)

    def finished(self) -> Finished:
        """Pool and record of every finished prompt, in input order; to be gone through again and again."""
        return Finished(self)

    def _sampled_pool(self, id: str) -> Pool | None:
        """The newest line of `sampled.jsonl` on a prompt: the texts stay on disk, as those of the input."""
        start = self._sampled.get(id)
        if start is None:
            return None
        with (self.path / SAMPLED).open("rb") as file:
            file.seek(start)
            return msgspec.json.decode(file.readline(), type=Pool)

    def _find_sampled(self) -> None:
        path, at = self.path / SAMPLED, 0
        if path.is_file():
            cut_torn_line(path)
            with path.open("rb") as file:
                for line in file:
                    self._sampled[msgspec.json.decode(line, type=Pool).prompt.id] = at
                    at += len(line)


class Finished:
    """See `RunFolder.finished`."""

    def __init__(self, folder: RunFolder):
        self._folder = folder

    def __iter__(self) -> Iterator[tuple[Pool, PromptRecord]]:
        journal, keys = self._folder.journal, self._folder.keys
        for place in range(len(self._folder.intake)):
            pool = self._folder.pool(place)
            key = keys[place] if keys else journal.newest(pool.prompt.id)
            if key is not None and key in journal:
                yield pool, journal[key]
