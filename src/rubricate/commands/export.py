"""`rubricate export`: the rubrics of a finished run in the shape that the next tool wants."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from rubricate.errors import RunError, SettingsError
from rubricate.runs.dataset import write_dataset
from rubricate.runs.folder import RunFolder
from rubricate.runs.outputs import write_official, write_rubrics
from rubricate.runs.places import folder_at, is_url


def export(
    run_folder: Path, format: str, output: str | None, console: Console, rows_per_shard: int | None = None
) -> int:
    """Writes the files and names them; the exit code.

    official: initial_rubrics.json, final_rubrics.json, iteration_NN_*.json, into a folder.
    dataset: Parquet with the published fields, into a folder here or behind a URL, in one file or in shards.
    jsonl: one row per prompt, into a file.
    """
    if format not in ("official", "dataset", "jsonl"):
        raise SettingsError(f"no format {format!r}; there are official, dataset, jsonl")
    if format != "dataset" and (rows_per_shard is not None or is_url(output or "")):
        raise SettingsError("only --format dataset is written in shards or to a URL")
    with RunFolder(run_folder) as folder:
        finished, all_prompts = len(folder.journal), len(folder.intake)
        if not finished:
            raise RunError(f"{run_folder}: no prompt is finished yet")
        if finished < all_prompts:
            console.print(f"{finished} of {all_prompts} prompts are finished; the rest is left out")
        for path in _written(folder, format, output, rows_per_shard):
            console.print(path, markup=False, highlight=False, soft_wrap=True)
        rubrics = (record.rubric for _, record in folder.finished() if record.rubric is not None)
        lost = sum(rubric.has_decisive for rubric in rubrics)
        if lost and format != "jsonl":
            console.print(
                f"{lost} rubrics have criteria that decide alone (must-haves, vetoes): the format {format} "
                "has no word for them, and they stand there as ordinary ones; `--format jsonl` keeps them",
                markup=False,
                soft_wrap=True,
            )
    return 0


def _written(folder: RunFolder, format: str, output: str | None, rows_per_shard: int | None) -> Iterator[str]:
    if format == "dataset":
        target = folder_at(output or folder.path / "dataset")
        for name in write_dataset(folder.finished(), target, rows_per_shard):
            yield f"{target}/{name}"
    elif format == "jsonl":
        path = Path(output or folder.path / "rubrics.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_rubrics(folder.finished(), path)
        yield str(path)
    else:
        here = Path(output or folder.path)
        here.mkdir(parents=True, exist_ok=True)
        yield from map(str, write_official(folder.finished(), here))
