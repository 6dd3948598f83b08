"""`rubricate run`, and its narrower sisters: propose, grade and refine are runs of fewer steps."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from rubricate.cluster.joining import Site
from rubricate.commands.cluster import joined_for, work_on
from rubricate.commands.progress import RunProgress
from rubricate.commands.session import Interrupted, in_loop
from rubricate.domain.identity import key_of
from rubricate.errors import DataError, RunError, SettingsError
from rubricate.llm.store import Place, open_ledger
from rubricate.report.page import write_report
from rubricate.report.terminal import print_summary
from rubricate.runs.folder import CONFIG, REPORT, SUMMARY, RunFolder, create
from rubricate.runs.intake import Intake, read_pools
from rubricate.runs.pipeline import record_keys, work_off, write_outputs
from rubricate.runs.rubric_files import RubricFile, read_rubrics
from rubricate.runs.summary import Summary, summarize, summary_json
from rubricate.runs.writing import replacing, writing
from rubricate.samples import SAMPLE, sample_pool
from rubricate.settings.loading import load_settings, settings_of_file, yaml_of
from rubricate.settings.opening import Opened, check_reach, opened
from rubricate.settings.schema import Settings
from rubricate.settings.secrets import environment
from rubricate.settings.terms import identity_of, ledger_place, pinned

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

    A run that goes on keeps the settings that it was begun with, but for what the overrides change; the name
    of the config does not matter then.

    Raises:
        SettingsError, DataError: as `load_settings`; or what a run cannot change is changed on resuming.
    """
    settings = load_settings(order.config_name, order.overrides, config_dir=order.config_dir)
    if settings.resume.path:
        folder = Path(settings.resume.path)
        if not (folder / CONFIG).is_file():
            raise SettingsError(f"resume.path: {folder} is no run folder")
    else:
        folder = folder_of(settings)
        if not (order.resume and folder.exists()):
            return pinned(settings, environment()), None
    return _resumed(folder, order.overrides), folder


def _resumed(folder: Path, overrides: Sequence[str]) -> Settings:
    before = settings_of_file(folder / CONFIG)
    settings = settings_of_file(folder / CONFIG, overrides)
    # How a run was resumed is no part of what it is: the unbroken one has the same config.
    settings = msgspec.structs.replace(settings, resume=before.resume)
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
        DataError: the file is malformed, or there is no prompt in it.
    """
    source = settings.files.responses_file
    if source is None:
        raise SettingsError(
            f"files.responses_file is not set; give a file of prompts with responses, or try {SAMPLE!r}"
        )
    intake = read_pools(
        str(sample_pool()) if source == SAMPLE else source,
        responses_per_prompt=settings.workflow.initial_responses_per_prompt,
        sample_size=settings.workflow.sample_size,
        seed=settings.random_seed,
    )
    if not len(intake):
        raise DataError(source, "there is no prompt in it")
    return intake


def initial_of(settings: Settings) -> RubricFile:
    """The rubrics to start from."""
    source = settings.files.initial_rubrics
    return read_rubrics(source) if source else RubricFile()


def run(order: Order, console: Console) -> int:
    """Runs, or goes on with a run; the exit code."""
    settings, begun = settings_for(order)
    env = environment()
    check_reach(settings, env)
    with nullcontext() if settings.engine == "local" else joined_for(settings, env) as site:
        return _run(order, settings, begun, site, console)


def _run(order: Order, settings: Settings, begun: Path | None, site: Site | None, console: Console) -> int:
    initial, env = initial_of(settings), environment()
    folder, identity = begun or folder_of(settings), identity_of(settings)
    if begun is None:
        if folder.exists():
            raise RunError(f"{folder} exists already: choose another files.output_dir, or add --resume")
        with intake_of(settings) as intake:
            keys = record_keys(intake, identity, initial)
            watermark = in_loop(_watermark(ledger_place(settings, env), keys))
            create(folder, config=yaml_of(settings), intake=intake, verdicts_up_to=watermark)
    else:
        with replacing(folder / CONFIG) as draft:
            draft.write_text(yaml_of(settings), encoding="utf-8")
    started = time.monotonic()
    with RunFolder(folder) as open_folder:
        open_folder.keys = keys if begun is None else record_keys(open_folder.intake, identity, initial)
        try:
            if begun is not None:
                told = f"{open_folder.n_done} of {len(open_folder.keys)} prompts are finished"
                console.print(f"resuming {folder}: {told}", markup=False)
            if site is None:
                session = in_loop(_work(open_folder, settings, env, initial, console))
            else:
                session = in_loop(work_on(site, open_folder, settings, env, initial, console))
            session["seconds"] = round(time.monotonic() - started, 1)
            summary = _concluded(open_folder, session, settings.files.rows_per_shard)
        except (RunError, Interrupted) as stop:
            return _stopped(stop, open_folder, order, console)
        except SettingsError:
            if begun is None and not len(open_folder.journal):
                shutil.rmtree(folder)  # so that the same command, put right, finds the place free
            raise
    print_summary(summary, folder, console)
    return FAILED if summary.by_state.get("failed") else DONE


async def _watermark(place: Place, keys: Sequence[str]) -> int:
    """The latest verdict that a run of these records may look up.

    Fixed for good when such a run is first begun: verdicts that it left itself would change what is asked
    where some criteria stayed unjudged. So the same run again, in another folder, is a replay: it costs
    nothing and finds the same, byte for byte.
    """
    async with open_ledger(place) as ledger:
        name = f"watermark of run {key_of('run', keys)}"
        fixed = await ledger.fact(name)
        if fixed is not None:
            return int(fixed)
        watermark = await ledger.watermark()
        await ledger.keep_fact(name, str(watermark))
        return watermark


async def _work(
    folder: RunFolder,
    settings: Settings,
    env: Mapping[str, str],
    initial: RubricFile,
    console: Console,
) -> dict[str, Any]:
    """Works off what is owed in this process; what the session took."""
    async with opened(
        settings,
        env,
        folder.path,
        place=ledger_place(settings, env),
        verdicts_up_to=folder.origin.verdicts_up_to,
        say=lambda line: console.print(line, markup=False, highlight=False),
    ) as plant:
        spent = lambda: (plant.n_paid, plant.budget.spent_usd)  # noqa: E731
        waiting = lambda: plant.pending  # noqa: E731
        with RunProgress(console, len(folder.keys), spent, folder.n_done, pending=waiting) as progress:
            await work_off(folder, plant.plant, initial, lambda record: progress.add(record.state))
        return _session(plant)


def _session(plant: Opened) -> dict[str, Any]:
    """What this session took, which depends on what the ledger already held: not part of the results."""
    wires = [line.http.counts for line in plant.lines]
    batches = [line.batch.n_submitted for line in plant.lines if line.batch is not None]
    return {
        "calls_paid": plant.n_paid,
        "calls_reused": plant.n_reused,
        "usd_paid": round(plant.budget.spent_usd, 6),
        "probes": sum(wire.probes for wire in wires),
        "hedges": sum(line.hedge.counts.hedges for line in plant.lines if line.hedge is not None),
        "retries": sum(sum(line.retry.counts.retries.values()) for line in plant.lines),
        **({"batches": sum(batches)} if batches else {}),
    }


def _concluded(folder: RunFolder, session: dict[str, Any], rows_per_shard: int | None) -> Summary:
    """Writes all that a finished run leaves, and sums it up."""
    write_outputs(folder, rows_per_shard)
    summary = summarize(record for _, record in folder.finished())
    summary = msgspec.structs.replace(summary, session=session)
    with replacing(folder.path / SUMMARY) as draft:
        draft.write_bytes(summary_json(summary))
    with writing(folder.path / REPORT):
        write_report(folder.path)
    return summary


def _stopped(stop: Exception, folder: RunFolder, order: Order, console: Console) -> int:
    """Says why the run stopped, what is kept, and how to go on."""
    code = 128 + stop.signal_number if isinstance(stop, Interrupted) else STOPPED
    why = f" by {stop}" if isinstance(stop, Interrupted) else f": {stop}"
    console.print(Text.assemble(("Stopped", "bold"), why), soft_wrap=True)
    console.print(
        f"{folder.n_done} of {len(folder.intake)} prompts are finished; "
        "every reply that was paid for is in the ledger. To go on:",
        soft_wrap=True,
    )
    again = [f"resume.path={folder.path}"]
    console.print(f"  rubricate run {shlex.join(again)}", markup=False, highlight=False, soft_wrap=True)
    return code
