"""`rubricate export`: the rubrics of a finished run in the shape that the next tool wants."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from rubricate.errors import RunError, SettingsError
from rubricate.runs.folder import RunFolder
from rubricate.runs.outputs import write_dataset, write_official, write_rubrics


def export(run_folder: Path, format: str, output: Path | None, console: Console) -> int:
    """Writes the files and names them; the exit code.

    official: initial_rubrics.json, final_rubrics.json, iteration_NN_*.json, into a folder.
    dataset: Parquet with the published fields, into a folder.
    jsonl: one row per prompt, into a file.
    """
    if format not in ("official", "dataset", "jsonl"):
        raise SettingsError(f"no format {format!r}; there are official, dataset, jsonl")
    with RunFolder(run_folder) as folder:
        finished, all_prompts = len(folder.journal), len(folder.intake)
        if not finished:
            raise RunError(f"{run_folder}: no prompt is finished yet")
        if finished < all_prompts:
            console.print(f"{finished} of {all_prompts} prompts are finished; the rest is left out")
        for path in _written(folder, format, output):
            console.print(str(path), markup=False, highlight=False, soft_wrap=True)
    return 0


def _written(folder: RunFolder, format: str, output: Path | None) -> list[Path]:
    if format == "jsonl":
        path = output or folder.path / "rubrics.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_rubrics(folder.finished(), path)
        return [path]
    target = output or (folder.path if format == "official" else folder.path / "dataset")
    target.mkdir(parents=True, exist_ok=True)
    if format == "official":
        return list(write_official(folder.finished(), target))
    write_dataset(folder.finished(), target)
    return [target / "train.parquet"]
