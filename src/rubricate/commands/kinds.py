"""`rubricate kinds`: what refinements do, what criteria ask for, and which refinements are worth it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from rubricate.commands.bench import put
from rubricate.commands.compare import encoded, must_be_writable, stopped_quietly
from rubricate.commands.scoring import Ticker
from rubricate.commands.session import Interrupted, in_loop
from rubricate.domain.conversation import Prompt, Response
from rubricate.errors import DataError, RunStopped, SettingsError
from rubricate.evaluation.kinds.account import KindsReport, RunKinds
from rubricate.evaluation.kinds.refinements import Refinement, differences, refinements_of
from rubricate.evaluation.kinds.shares import (
    ContrastRow,
    contrast_rows,
    group_rows,
    type_rows,
)
from rubricate.evaluation.kinds.sorting import CueSorter, ModelSorter, Sorted, Sorter, sort_all
from rubricate.evaluation.kinds.tail import TAIL, change_of, graded_changes, recorded, tail_of
from rubricate.report.kinds import kinds_csv, print_kinds
from rubricate.runs.folder import CONFIG, RunFolder
from rubricate.settings.casting import manner_of
from rubricate.settings.loading import settings_of_file
from rubricate.settings.roles import Roles, opened_roles
from rubricate.settings.schema import Settings
from rubricate.settings.secrets import environment

DONE = 0
MOST_REASONS = 5


@dataclass(frozen=True)
class KindsOrder:
    """What was asked for on the command line."""

    run: Path
    overrides: tuple[str, ...] = ()
    against: Path | None = None
    model: str | None = None
    grade: bool = False
    json: Path | None = None
    csv: Path | None = None


@dataclass
class _Run:
    """What of a run folder is needed: no more of the texts than the tail of each prompt."""

    prompts: int = 0
    unreadable: int = 0
    refinements: list[Refinement] = field(default_factory=list)
    rubrics: list[tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=list)
    tails: dict[str, tuple[Prompt, tuple[Response, ...]]] = field(default_factory=dict)


def kinds(order: KindsOrder, console: Console, *, as_json: bool = False) -> int:
    """Reads, sorts, prints and writes; the exit code."""
    must_be_writable("--json-file", order.json)
    must_be_writable("--csv-file", order.csv)
    if order.against is not None and order.against.resolve() == order.run.resolve():
        raise SettingsError("--against: it is the same run")
    if not (order.run / CONFIG).is_file():
        raise DataError(order.run, f"no run folder: {CONFIG} is missing")
    settings = settings_of_file(order.run / CONFIG, order.overrides)
    paths = [order.run, *([order.against] if order.against is not None else [])]
    runs = [_read(path) for path in paths]
    try:
        report = in_loop(_sorted(order, settings, paths, runs, Console(quiet=True) if as_json else console))
    except (RunStopped, Interrupted) as stop:
        return stopped_quietly(stop, console, quiet=as_json)
    if as_json:
        console.print_json(encoded(report).decode())
    else:
        print_kinds(report, console)
    if order.json is not None:
        put(order.json, encoded(report))
    if order.csv is not None:
        put(order.csv, kinds_csv(report).encode())
    return DONE


def _read(path: Path) -> _Run:
    found = _Run()
    with RunFolder(path) as folder:
        for pool, record in folder.finished():
            found.prompts += 1
            found.unreadable += sum(played.proposed is None for played in record.rounds)
            found.refinements += refinements_of(pool, record)
            if record.initial is not None and record.rubric is not None:
                initial, final = (
                    tuple(criterion.text for criterion in rubric.criteria)
                    for rubric in (record.initial, record.rubric)
                )
                found.rubrics.append((initial, final))
            found.tails[pool.prompt.key] = pool.prompt, tail_of(pool)
    if not found.rubrics:
        raise DataError(path, "there is no finished prompt with a rubric in it")
    return found


async def _sorted(
    order: KindsOrder, settings: Settings, paths: Sequence[Path], runs: Sequence[_Run], console: Console
) -> KindsReport:
    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False)

    played = ("verifier",) if order.grade else ()
    models = (order.model,) if order.model is not None else ()
    async with opened_roles(settings, environment(), say=say, roles=played, models=models) as roles:
        sorter: Sorter = CueSorter()
        if order.model is not None:
            manner = manner_of(roles.settings, order.model)
            sorter = ModelSorter(await roles.chat("judge", order.model), manner)
        sortings = [await _sort(run, sorter, settings, roles, console) for run in runs]
        changes = [await _changes(order, run, settings, roles, console) for run in runs]
        if roles.n_paid or roles.n_reused:
            say(f"calls: {roles.n_paid:,} paid, {roles.n_reused:,} from the ledger")
    seed = settings.random_seed
    reports = tuple(
        RunKinds(
            run=str(path),
            counts=_counts(run, found, moved),
            reasons=dict(list(found.reasons.items())[:MOST_REASONS]),
            types=type_rows(run.refinements, found, moved, seed),
            groups=group_rows(run.rubrics, found, seed),
        )
        for path, run, found, moved in zip(paths, runs, sortings, changes, strict=True)
    )
    contrast: tuple[ContrastRow, ...] = ()
    if len(runs) == 2:
        one, other = ((run.refinements, found) for run, found in zip(runs, sortings, strict=True))
        contrast = contrast_rows(one, other, seed)
    return KindsReport(sorter.name, TAIL, order.grade, seed, reports, contrast)


async def _sort(run: _Run, sorter: Sorter, settings: Settings, roles: Roles, console: Console) -> Sorted:
    ticker = Ticker(console, "rubrics", roles)
    try:
        texts = [texts for pair in run.rubrics for texts in pair]
        return await sort_all(run.refinements, texts, sorter, in_flight=settings.api.workers, done=ticker)
    finally:
        ticker.close()


async def _changes(
    order: KindsOrder, run: _Run, settings: Settings, roles: Roles, console: Console
) -> dict[tuple[str, int], float | None]:
    rounds = [each for each in run.refinements if each.decision != "whole"]
    if not order.grade:
        return {
            (each.prompt, each.number): change_of(run.tails[each.prompt][1], *recorded(each))
            for each in rounds
        }
    ticker = Ticker(console, "gradings", roles)
    try:
        return await graded_changes(
            rounds,
            run.tails,
            await roles.grader(),
            floor=settings.grade.coverage_floor,
            in_flight=settings.api.workers,
            done=ticker,
        )
    finally:
        ticker.close()


def _counts(run: _Run, found: Sorted, changes: dict[tuple[str, int], float | None]) -> dict[str, int]:
    whole = [each for each in run.refinements if each.decision == "whole"]
    rounds = [each for each in run.refinements if each.decision != "whole"]
    types = [found.types[each.key] for each in whole]
    measured = sum(changes.get((each.prompt, each.number)) is not None for each in rounds)
    return {
        "prompts": run.prompts,
        "refined": len(whole),
        "accepted proposals": sum(each.decision == "accepted" for each in rounds),
        "refused proposals": sum(each.decision == "refused" for each in rounds),
        "unreadable proposals": run.unreadable,
        "proposals without a change": sum(not differences(each.before, each.after) for each in rounds),
        "differences": sum(len(differences(each.before, each.after)) for each in whole),
        "differences without a type": sum(not each for of_one in types if of_one for each in of_one),
        "refinements unclassified": sum(found.types[each.key] is None for each in run.refinements),
        "criteria": len(found.groups),
        "criteria without a group": sum(group is None for group in found.groups.values()),
        "rounds with tail accuracy": measured,
        "rounds without tail accuracy": len(rounds) - measured,
    }
