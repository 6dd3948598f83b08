"""`rubricate run`, and its narrower sisters: propose, grade and refine are runs of fewer steps."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from rubricate.commands.progress import RunProgress
from rubricate.commands.session import Interrupted, in_loop
from rubricate.errors import RunError, RunStopped, SettingsError
from rubricate.llm.sqlite import SqliteLedger
from rubricate.report.page import write_report
from rubricate.report.terminal import print_summary
from rubricate.runs.folder import CONFIG, SUMMARY, RunFolder, create
from rubricate.runs.intake import Intake, read_pools
from rubricate.runs.pipeline import record_keys, work_off, write_outputs
from rubricate.runs.rubric_files import RubricFile, read_rubrics
from rubricate.runs.summary import Summary, summarize, summary_json
from rubricate.samples import SAMPLE, sample_pool
from rubricate.settings.loading import load_settings, settings_of_file, yaml_of
from rubricate.settings.opening import Opened, ledger_path, opened
from rubricate.settings.schema import Settings
from rubricate.settings.secrets import environment

OUTPUTS = Path("workflow_outs")
_FIXED = ("files.responses_file", "workflow.sample_size", "workflow.initial_responses_per_prompt")

DONE, FAILED, STOPPED = 0, 1, 3


@dataclass(frozen=True)
class Order:
    """What was asked for on the command line."""

    config_name: str
    overrides: tuple[str, ...]
    resume: bool
    config_dir: Path | None = None


def settings_for(order: Order) -> tuple[Settings, Path | None]:
    """The settings, and the folder to go on with if there is one.

    Raises:
        SettingsError, DataError: as `load_settings`; or what a run cannot change is changed on resuming.
    """
    resume_path = next(
        (text.split("=", 1)[1] for text in order.overrides if text.lstrip("+").startswith("resume.path=")),
        None,
    )
    if resume_path in (None, "null", ""):
        settings = load_settings(order.config_name, order.overrides, config_dir=order.config_dir)
        folder = folder_of(settings)
        if not (order.resume and folder.exists()):
            return settings, None
    else:
        folder = Path(str(resume_path))
        if not (folder / CONFIG).is_file():
            raise SettingsError(f"resume.path: {folder} is no run folder")
    return _resumed(folder, order.overrides), folder


def _resumed(folder: Path, overrides: Sequence[str]) -> Settings:
    before = settings_of_file(folder / CONFIG)
    settings = settings_of_file(folder / CONFIG, overrides)
    for key in _FIXED:
        section, name = key.split(".")
        old, new = (getattr(getattr(either, section), name) for either in (before, settings))
        if old != new:
            raise SettingsError(
                f"{key} was {old!r} when {folder} was begun and cannot become {new!r}: start another run"
            )
    return settings


def folder_of(settings: Settings) -> Path:
    """Where the run goes: a name stands under workflow_outs as in the official workflow, a path that is
    absolute or begins with a dot stands where it says."""
    name = settings.files.output_dir
    if not name:
        return OUTPUTS / time.strftime("run_%Y%m%d_%H%M%S")
    path = Path(name)
    return path if path.is_absolute() or name.startswith(".") else OUTPUTS / path


def intake_of(settings: Settings) -> Intake:
    """The pools that the settings name.

    Raises:
        SettingsError: none is named.
        DataError: the file is malformed.
    """
    source = settings.files.responses_file
    if source is None:
        raise SettingsError(
            f"files.responses_file is not set; give a file of prompts with responses, or try {SAMPLE!r}"
        )
    return read_pools(
        str(sample_pool()) if source == SAMPLE else source,
        responses_per_prompt=settings.workflow.initial_responses_per_prompt,
        sample_size=settings.workflow.sample_size,
        seed=settings.random_seed,
    )


def initial_of(settings: Settings) -> RubricFile:
    """The rubrics to start from."""
    source = settings.files.initial_rubrics
    return read_rubrics(source) if source else RubricFile()


def run(order: Order, console: Console) -> int:
    """Runs, or goes on with a run; the exit code."""
    settings, begun = settings_for(order)
    initial, env = initial_of(settings), environment()
    folder = begun or folder_of(settings)
    if begun is None:
        if folder.exists():
            raise RunError(f"{folder} exists already: choose another files.output_dir, or add --resume")
        with intake_of(settings) as intake:
            if not len(intake):
                raise SettingsError(f"{settings.files.responses_file}: there is no prompt in it")
            watermark = in_loop(_watermark(ledger_path(settings)))
            create(folder, config=yaml_of(settings), intake=intake, verdicts_up_to=watermark)
    else:
        (folder / CONFIG).write_text(yaml_of(settings), encoding="utf-8")
    started = time.monotonic()
    with RunFolder(folder) as open_folder:
        try:
            session = in_loop(_work(open_folder, settings, env, initial, console, resumed=begun is not None))
        except (RunStopped, RunError, Interrupted) as stop:
            return _stopped(stop, open_folder, order, console)
        session["seconds"] = round(time.monotonic() - started, 1)
        summary = _concluded(open_folder, session)
    print_summary(summary, folder, console)
    return FAILED if summary.by_state.get("failed") else DONE


async def _watermark(path: Path) -> int:
    async with SqliteLedger(path) as ledger:
        return await ledger.watermark()


async def _work(
    folder: RunFolder,
    settings: Settings,
    env: Mapping[str, str],
    initial: RubricFile,
    console: Console,
    *,
    resumed: bool,
) -> dict[str, Any]:
    """Works off what is owed; what the session took."""
    async with opened(
        settings,
        env,
        folder.path,
        ledger_path=ledger_path(settings),
        verdicts_up_to=folder.origin.verdicts_up_to,
        say=lambda line: console.print(line, markup=False, highlight=False),
    ) as plant:
        folder.keys = record_keys(folder, plant.plant, initial)
        total, done = len(folder.keys), sum(not folder.journal.is_owed(key) for key in folder.keys)
        if resumed:
            console.print(f"resuming {folder.path}: {done} of {total} prompts are finished", markup=False)
        with RunProgress(console, total, lambda: (plant.n_paid, plant.budget.spent_usd)) as progress:
            if done:
                progress.add("finished before", done)
            await work_off(folder, plant.plant, initial, lambda record: progress.add(record.state))
        return _session(plant)


def _session(plant: Opened) -> dict[str, Any]:
    """What this session took, which depends on what the ledger already held: not part of the results."""
    wires = [line.http.counts for line in plant.lines.values()]
    return {
        "calls_paid": plant.n_paid,
        "calls_reused": plant.n_reused,
        "usd_paid": round(plant.budget.spent_usd, 6),
        "probes": sum(wire.probes for wire in wires),
        "retries": sum(sum(line.retry.counts.retries.values()) for line in plant.lines.values()),
    }


def _concluded(folder: RunFolder, session: dict[str, Any]) -> Summary:
    """Writes all that a finished run leaves, and sums it up."""
    write_outputs(folder)
    summary = summarize(record for _, record in folder.finished())
    summary = msgspec.structs.replace(summary, session=session)
    draft = folder.path / f".{SUMMARY}.tmp"
    draft.write_bytes(summary_json(summary))
    draft.replace(folder.path / SUMMARY)
    write_report(folder.path)
    return summary


def _stopped(stop: Exception, folder: RunFolder, order: Order, console: Console) -> int:
    """Says why the run stopped, what is kept, and how to go on."""
    code = 128 + stop.signal_number if isinstance(stop, Interrupted) else STOPPED
    why = f"stopped by {stop}" if isinstance(stop, Interrupted) else str(stop)
    console.print(f"[bold]Stopped[/bold]: {_escaped(why)}")
    console.print(
        f"{len(folder.journal)} of {len(folder.intake)} prompts are finished; "
        "every reply that was paid for is in the ledger. To go on:"
    )
    again = [f"resume.path={folder.path}"]
    again += [text for text in order.overrides if text.startswith(("budget.", "api."))]
    console.print(
        f"  rubricate run {shlex.join(again)}", markup=False, highlight=False, soft_wrap=True
    )
    return code


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
