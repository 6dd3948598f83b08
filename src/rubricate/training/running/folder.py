"""The folder of one training: made whole or not at all, never overwritten, and enough to go on from.

| file | holds |
|---|---|
| config.yaml | the settings |
| data.jsonl, evaluation.jsonl | the rows that are trained and evaluated on; going on needs no other file |
| left_out.json | what of the files takes no part, by reason |
| log_history.jsonl | one line for each entry of TRL's `log_history`, as it comes |
| checkpoints/checkpoint-N | TRL's checkpoints |
| monitor.jsonl | what the monitor saw |
| online | rubrics that change while the policy is trained |
| policy | the trained model and its tokenizer |
| sessions.jsonl | what each stretch of the training took |
| summary.json | the training in numbers |
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from rubricate.errors import DataError, RunError
from rubricate.runs.writing import append_line, cut_torn_line, replacing
from rubricate.training.data.material import Example, Prepared

CONFIG, DATA, EVALUATION, LEFT_OUT = "config.yaml", "data.jsonl", "evaluation.jsonl", "left_out.json"
LOG, CHECKPOINTS, POLICY, ONLINE = "log_history.jsonl", "checkpoints", "policy", "online"
SESSIONS, SUMMARY = "sessions.jsonl", "summary.json"


def create(path: Path, *, config: str, data: Prepared, evaluation: Prepared | None) -> None:
    """Makes the folder of a new training.

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
        _write_rows(draft / DATA, data.rows)
        if evaluation is not None:
            _write_rows(draft / EVALUATION, evaluation.rows)
        said = {"reasons": dict(data.left_out), "named": data.named}
        (draft / LEFT_OUT).write_text(json.dumps(said, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        (draft / CHECKPOINTS).mkdir()
        draft.rename(path)
    except OSError as failure:
        shutil.rmtree(draft, ignore_errors=True)
        raise RunError(f"{path}: the folder of the training cannot be made ({failure})") from None


def read_rows(path: Path) -> list[Example]:
    """The rows of a training that was begun.

    Raises:
        DataError: they cannot be read.
    """
    decoder = msgspec.json.Decoder(Example)
    try:
        return [decoder.decode(line) for line in path.read_bytes().splitlines()]
    except (OSError, msgspec.DecodeError) as failure:
        raise DataError(path, f"cannot be read: {failure}") from None


def last_checkpoint(path: Path) -> Path | None:
    """The newest whole checkpoint of the training in this folder; None where there is none yet.

    TRL writes the state of the trainer last, so that one without it was cut off by a kill and is passed over.
    """
    whole = []
    for folder in (path / CHECKPOINTS).glob("checkpoint-*"):
        number = folder.name.rpartition("-")[2]
        if number.isdigit() and _step_of(folder) == int(number):
            whole.append((int(number), folder))
    return max(whole)[1] if whole else None


def _step_of(checkpoint: Path) -> int | None:
    try:
        state = json.loads((checkpoint / "trainer_state.json").read_bytes())
    except (OSError, ValueError):
        return None
    step = state.get("global_step") if isinstance(state, dict) else None
    return step if isinstance(step, int) else None


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of the log of the training in this folder, in order; a line that tore is cut off."""
    file = path / LOG
    if not file.is_file():
        return []
    cut_torn_line(file)
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def read_sessions(path: Path) -> list[dict[str, Any]]:
    """What each stretch of the training took, but for those that were killed."""
    file = path / SESSIONS
    if not file.is_file():
        return []
    cut_torn_line(file)
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def add_session(path: Path, session: dict[str, Any]) -> None:
    """Notes what a stretch of the training took."""
    append_line(path / SESSIONS, msgspec.json.encode(session))


def write_log(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    """The log anew, as a resumed trainer remembers it."""
    with replacing(path / LOG) as draft:
        draft.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))


def write_summary(path: Path, summary: dict[str, Any]) -> None:
    """The training in numbers."""
    with replacing(path / SUMMARY) as draft:
        draft.write_text(json.dumps(summary, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _write_rows(path: Path, rows: Iterable[Example]) -> None:
    with path.open("wb") as target:
        for row in rows:
            target.write(msgspec.json.encode(row) + b"\n")
