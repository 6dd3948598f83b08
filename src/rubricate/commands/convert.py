"""`rubricate convert`: rubrics from one dialect to another, and what was lost on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from rubricate.dialects.registry import DIALECTS, dialect_named, dialect_of
from rubricate.dialects.seam import LEVELS, Dialect, Entry, Loss
from rubricate.domain.conversation import Prompt
from rubricate.errors import DataError, SettingsError
from rubricate.runs.documents import toml_of, yaml_of
from rubricate.runs.intake import entry_of
from rubricate.runs.rows import rows_of
from rubricate.runs.rubric_files import taken_of
from rubricate.runs.writing import replacing, writing

DONE, LOST = 0, 1
_LINES, _PARQUET = (".jsonl", ".ndjson"), ".parquet"
_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class ConvertOrder:
    """What was asked for; `given` is the dialect of the source, None to find it out."""

    source: str
    output: Path
    given: str | None
    wanted: str
    prompts: str | None = None
    strict: bool = False


def list_dialects(console: Console) -> int:
    """Names every dialect and what can be done with it; the exit code."""
    width = max(map(len, DIALECTS))
    for name, dialect in DIALECTS.items():
        can = "reads, writes" if dialect.write is not None else "reads        "
        _say(console, f"{name.ljust(width)}  {can}  {dialect.about}")
    return DONE


def convert(order: ConvertOrder, console: Console) -> int:
    """Converts, says what was lost, and gives the exit code: 1 if that is anything under `strict`, where
    nothing is written then. All rubrics of the file are held.

    Raises:
        DataError: a row is malformed, or lacks what the dialect needs.
        SettingsError: there is no such dialect, or the output does not fit it.
    """
    target = dialect_named(order.wanted)
    given = dialect_named(order.given) if order.given is not None else None
    if target.write is None:
        raise SettingsError(f"the dialect {target.name!r} is only read: {target.about}")
    _check_output(order.output, target)
    prompts = _prompts_of(order.prompts) if order.prompts is not None else {}
    values, losses, first = list[tuple[str, Mapping[str, Any]]](), list[tuple[str, Loss]](), given
    for row, taken in taken_of(order.source, given):
        first = first or dialect_of(row.value)
        entry = _with_prompt(taken.entry, prompts)
        try:
            written = target.write(entry)
        except ValueError as problem:
            raise row.error(str(problem)) from None
        values.append((entry.name, written.value))
        came = (loss for loss in taken.losses if not (loss.what == LEVELS and target.levels))
        losses += ((entry.name, loss) for loss in (*came, *written.losses))
    if not values:
        raise DataError(order.source, "no row has a criterion")
    _check_number(order.output, target, len(values))
    spoken = f"{first.name}{'' if given else ' (found out)'}" if first is not None else "rubricate"
    _say(console, f"{len(values)} {'rubric' if len(values) == 1 else 'rubrics'}: {spoken} -> {target.name}")
    for line in _told(losses):
        _say(console, line)
    if losses and order.strict:
        _say(console, "nothing is written (--strict)")
        return LOST
    for path in _write(order.output, target, values):
        _say(console, str(path))
    return DONE


def _told(losses: Sequence[tuple[str, Loss]]) -> Iterator[str]:
    """A line for each kind of loss: what, how often, and where first."""
    if not losses:
        yield "nothing was lost"
        return
    by_what: dict[str, list[tuple[str, str]]] = {}
    for name, loss in losses:
        by_what.setdefault(loss.what, []).append((name, loss.at))
    for what, places in by_what.items():
        times = f"{len(places)} times, first" if len(places) > 1 else "once,"
        name, at = places[0]
        yield f"lost: {what} ({times} in {name}: {at})"


def _with_prompt(entry: Entry, prompts: Mapping[str, Prompt]) -> Entry:
    if entry.prompt is not None or entry.id is None or entry.id not in prompts:
        return entry
    return entry._replace(prompt=prompts[entry.id])


def _prompts_of(source: str) -> dict[str, Prompt]:
    found = {}
    for row in rows_of(source):
        read = entry_of(row)
        if read.id is not None:
            found[read.id] = Prompt(read.id, read.messages)
    return found


def _check_output(output: Path, target: Dialect) -> None:
    suffix = output.suffix
    if target.layout == "rows" and suffix not in (*_LINES, ".json", _PARQUET):
        raise SettingsError(f"{output}: {target.name} is written to .jsonl, .json or .parquet")
    if target.layout != "rows" and suffix not in ("", ".json", *_endings(target)):
        raise SettingsError(f"{output}: {target.name} is written to {_endings(target)[0]}, .json or a folder")


def _check_number(output: Path, target: Dialect, n: int) -> None:
    if target.layout != "rows" and output.suffix and n > 1:
        raise SettingsError(
            f"{output}: a file of {target.name} holds one rubric, and there are {n}; name a folder"
        )


def _endings(target: Dialect) -> tuple[str, ...]:
    return (".toml",) if target.layout == "toml" else (".yaml", ".yml")


def _write(output: Path, target: Dialect, values: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[Path]:
    with writing(output):
        (output if target.layout != "rows" and not output.suffix else output.parent).mkdir(
            parents=True, exist_ok=True
        )
    if target.layout == "rows":
        _write_rows(output, [value for _, value in values])
        yield output
        return
    if output.suffix:
        _write_document(output, values[0][1])
        yield output
        return
    taken = set[str]()
    for name, value in values:
        stem = _UNSAFE.sub("-", name)[:100].strip(".-") or "rubric"
        while stem.casefold() in taken:
            stem += "-2"
        taken.add(stem.casefold())
        path = output / f"{stem}{_endings(target)[0]}"
        _write_document(path, value)
        yield path


def _write_document(path: Path, value: Mapping[str, Any]) -> None:
    if path.suffix == ".toml":
        text = toml_of(value)
    elif path.suffix == ".json":
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    else:
        text = yaml_of(value)
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with replacing(path) as draft:
        if path.suffix == _PARQUET:
            import pyarrow as arrow
            import pyarrow.parquet as parquet

            parquet.write_table(arrow.Table.from_pylist(_of_one_type(rows)), draft)
        elif path.suffix == ".json":
            draft.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        else:
            with draft.open("w", encoding="utf-8") as target:
                target.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _of_one_type(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows whose prompts are all texts, or all messages where one is: a column has one type."""
    mixed = {type(row.get("prompt")) for row in rows} >= {str, list}
    return [
        {**row, "prompt": [{"role": "user", "content": row["prompt"]}]}
        if mixed and isinstance(row.get("prompt"), str)
        else dict(row)
        for row in rows
    ]


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
