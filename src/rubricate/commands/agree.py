"""`rubricate agree`: how far verdicts on criteria can be trusted, measured on a file with labels."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console

from rubricate.commands.progress import RunProgress
from rubricate.commands.session import Interrupted, in_loop
from rubricate.errors import DataError, RunStopped, SettingsError
from rubricate.evaluation.agreement.account import Account, account_of
from rubricate.evaluation.agreement.against import Batching, batching_of
from rubricate.evaluation.agreement.grading import graded
from rubricate.evaluation.agreement.items import Items, items_of
from rubricate.evaluation.agreement.measures import MET, UNJUDGED, UNMET, majority, tallies
from rubricate.evaluation.agreement.opinions import Opinion, opinion_of_files, own_opinion
from rubricate.evaluation.entries import first_draws, read_entries, trusted
from rubricate.llm.chat import Chat
from rubricate.llm.draws import LaterDraw
from rubricate.llm.meter import Meter, MeteredChat
from rubricate.llm.prices import Prices
from rubricate.report.agreement import CSV_HEADER, account_lines, csv_rows
from rubricate.report.reliability import reliability
from rubricate.runs.writing import replacing, writing
from rubricate.settings.casting import local_models, manner_of, offline_grader
from rubricate.settings.loading import load_settings
from rubricate.settings.roles import opened_roles
from rubricate.settings.schema import OFFLINE, Settings
from rubricate.settings.secrets import environment
from rubricate.settings.terms import prices_of
from rubricate.steps.crew import CheckedGrader, CountedGrader, ModelGrader
from rubricate.steps.roles import Grader

DONE, FAILED, STOPPED = 0, 1, 3
PLOT = "reliability.svg"


@dataclass(frozen=True)
class AgreeOrder:
    """What was asked for on the command line."""

    labels: str
    overrides: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    graders: tuple[str, ...] = ()
    draws: int = 1
    batching: bool = False
    bins: int = 10
    config_name: str = "iterative"
    config_dir: Path | None = None
    as_json: bool = False
    csv: Path | None = None
    plots: Path | None = None
    save: Path | None = None
    trust_verdicts: bool = False


@dataclass(frozen=True)
class Measured:
    """What graders that were asked here said."""

    opinions: tuple[Opinion, ...]
    batching: tuple[Batching, ...]


def agree(order: AgreeOrder, console: Console) -> int:
    """Reads, asks what is to be asked, and prints the account; the exit code."""
    settings = load_settings(order.config_name, order.overrides, config_dir=order.config_dir)
    _check_outputs(order)
    entries = first_draws(read_entries(order.labels), order.labels)
    items = items_of(trusted(entries, order.labels) if order.trust_verdicts else entries)
    own = own_opinion(f"verdicts in {Path(order.labels).name}", items)
    given = [own] if own is not None else []
    given += [
        opinion_of_files(name, items, {path: read_entries(path) for path in paths})
        for name, paths in _files_by_name(order.verdicts).items()
    ]
    names = _asked(order, settings, has_verdicts=bool(given))
    if not items.n_labelled and not given and order.draws < 2 and len(names) < 2 and not order.batching:
        raise DataError(
            order.labels, "no criterion has a label: give --draws 2 or more, or a second grader, to compare"
        )
    if order.save is not None and len(names) != 1:
        raise SettingsError(f"--save writes the verdicts of one grader, and {len(names)} are asked here")
    quiet = Console(quiet=True) if order.as_json else console  # JSON stands alone on the output
    try:
        measured = in_loop(_measured(order, settings, items, names, quiet)) if names else Measured((), ())
    except (RunStopped, Interrupted) as stop:
        console.print(
            f"Stopped by {stop}" if isinstance(stop, Interrupted) else f"Stopped: {stop}", soft_wrap=True
        )
        console.print("every reply that was paid for is in the ledger: the same command goes on from there")
        return 128 + stop.signal_number if isinstance(stop, Interrupted) else STOPPED
    opinions = [*given, *measured.opinions]
    account = account_of(items, opinions, bins=order.bins, batching=measured.batching)
    _write(order, items, account, measured.opinions)
    if order.as_json:
        console.print_json(json.dumps(msgspec.to_builtins(account)), ensure_ascii=False)
    else:
        note = f" at temperature {settings.api.temperature:g}" if settings.api.temperature is not None else ""
        for line in account_lines(account, note):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        if order.plots is not None:
            drawn = order.plots / PLOT if account.calibration else "no plot: no grader gives probabilities"
            console.print(str(drawn), markup=False, highlight=False, soft_wrap=True)
    return FAILED if any(opinion.failed for opinion in opinions) else DONE


def _asked(order: AgreeOrder, settings: Settings, *, has_verdicts: bool) -> list[str]:
    """The models to be asked, each once: those named, else the verifier of the settings, unless verdicts are
    given and nobody said who else is to be measured."""
    if order.graders:
        return list(dict.fromkeys(order.graders))
    named = any(text.lstrip("+").startswith("models.verifier=") for text in order.overrides)
    return [settings.models.verifier] if named or not has_verdicts else []


def _files_by_name(verdicts: Sequence[str]) -> dict[str, list[str]]:
    """Paths by the name of the grader: `NAME=FILE`, or the file's own name; a name again is another draw."""
    by_name: dict[str, list[str]] = {}
    for text in verdicts:
        name, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            name, path = Path(text).name, text
        by_name.setdefault(name, []).append(path)
    return by_name


def _check_outputs(order: AgreeOrder) -> None:
    for flag, path in (("--csv", order.csv), ("--save", order.save)):
        if path is not None and not path.parent.is_dir():
            raise SettingsError(f"{flag}: there is no folder {path.parent}")
    if order.plots is not None and order.plots.exists() and not order.plots.is_dir():
        raise SettingsError(f"--plots: {order.plots} is a file, and a folder is needed")


async def _measured(
    order: AgreeOrder, settings: Settings, items: Items, names: Sequence[str], console: Console
) -> Measured:
    """Asks every grader for its draws, one grader after the other, all out of one budget."""
    models = [name for name in names if name != OFFLINE]
    if not models:
        return await _each(
            order, settings, items, names, None, prices_of(settings), console, lambda: (0, 0.0)
        )
    local = local_models(settings)
    if "verifier" in local and set(models) != {local["verifier"]}:
        raise SettingsError(
            f"--grader: {settings.models.verifier_backend} serves {local['verifier']} only; "
            "name that one, or offline"
        )
    say = partial(console.print, markup=False, highlight=False)
    played = msgspec.structs.replace(settings.models, verifier=models[0])
    settings = msgspec.structs.replace(settings, models=played)
    async with opened_roles(settings, environment(), say=say, roles=("verifier",), models=models) as roles:
        chat = await roles.chat("verifier", models[0])  # one endpoint for all of them
        spent = lambda: (roles.n_paid, roles.budget.spent_usd)  # noqa: E731
        return await _each(order, settings, items, names, chat, prices_of(settings), console, spent)


async def _each(
    order: AgreeOrder,
    settings: Settings,
    items: Items,
    names: Sequence[str],
    chat: Chat | None,
    prices: Prices,
    console: Console,
    spent: Callable[[], tuple[int, float]],
) -> Measured:
    in_flight = settings.workflow.prompts_in_flight or settings.api.workers
    sizes: list[int | None] = [None, 1] if order.batching else []
    total = len(items.entries) * len(names) * (order.draws + len(sizes))
    opinions, effects = list[Opinion](), list[Batching]()
    with RunProgress(console, total, spent, what="gradings") as progress:

        async def opinion(name: str, size: int | None, draws: int) -> Opinion:
            meter = Meter()
            graders = [_grader(settings, name, chat, meter, size, draw) for draw in range(draws)]
            found = await graded(name, items, graders, in_flight=in_flight, told=progress.add)
            return dataclasses.replace(found, spend=meter.spend(prices).get("grade"))

        for name in names:
            opinions.append(await opinion(name, settings.grade.criteria_per_call, order.draws))
            if sizes:
                at_once, one_by_one = [await opinion(name, size, 1) for size in sizes]
                asked = ~at_once.by_program & ~at_once.absent[0] & ~one_by_one.absent[0]
                effects.append(batching_of(items, at_once, one_by_one, asked))
    return Measured(tuple(opinions), tuple(effects))


def _grader(
    settings: Settings, name: str, chat: Chat | None, meter: Meter, size: int | None, draw: int
) -> Grader:
    """A grader as a run has it, for one draw, without the memory of verdicts: a draw is to be its own."""
    grader = offline_grader()
    if name != OFFLINE:
        assert chat is not None, "a model is asked through a chat"
        manner = manner_of(settings, name)
        drawn = LaterDraw(chat, draw * (manner.retries + 1))
        grader = ModelGrader(MeteredChat(drawn, meter, "grade"), manner, size)
    grader = CountedGrader(
        grader, lambda n, silent: meter.count("grade", verdicts_asked=n, verdicts_unjudged=silent)
    )
    if settings.grade.checks:
        grader = CheckedGrader(grader, lambda n: meter.count("grade", verdicts_by_program=n))
    return grader


def _write(order: AgreeOrder, items: Items, account: Account, asked: Sequence[Opinion]) -> None:
    """The files that were asked for, each whole or not at all."""
    if order.csv is not None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(CSV_HEADER)
        writer.writerows(csv_rows(account))
        _put(order.csv, text.getvalue())
    if order.save is not None:
        _put(order.save, "".join(f"{line}\n" for line in _saved(items, asked[0])))
    if order.plots is not None and account.calibration:
        with writing(order.plots):
            order.plots.mkdir(parents=True, exist_ok=True)
        picture = reliability("Reliability: does “80% sure” hold in 80%?", account.calibration)
        _put(order.plots / PLOT, str(picture))


def _saved(items: Items, opinion: Opinion) -> Iterator[str]:
    """The entries with what the grader said: `verdict` (of several draws the majority), `probability` (else
    `votes` of several draws) and `by`; `agree` and `aggregate` read such files."""
    settled, (met, unmet) = majority(opinion.marks), tallies(opinion.marks)
    said: dict[int, bool | None] = {MET: True, UNMET: False, UNJUDGED: None}
    place = 0
    for entry in items.entries:
        criteria = list[dict[str, object]]()
        for stated in entry.criteria:
            row: dict[str, object] = {"criterion": stated.text, "weight": stated.weight}
            row |= {"kind": stated.kind} if stated.kind else {}
            row |= {"type": stated.type} if stated.type else {}
            row |= {"veto": True} if stated.veto else {}
            row |= {"label": stated.label} if stated.has_label else {}
            row["verdict"] = said[int(settled[place])]
            if not np.isnan(opinion.probability[place]):
                row["probability"] = float(opinion.probability[place])
            elif opinion.draws > 1:
                row["votes"] = [int(met[place]), int(met[place] + unmet[place])]
            row["by"] = "check" if opinion.by_program[place] else opinion.name
            criteria.append(row)
            place += 1
        gold = {} if entry.gold is None else {"gold": entry.gold}
        whole = {
            **({"id": entry.id} if entry.id is not None else {}),
            "prompt_id": entry.prompt_id,
            "prompt": msgspec.to_builtins(entry.prompt.messages),
            "generator": entry.generator,
            "response": entry.response,
            **gold,
            "criteria": criteria,
        }
        yield json.dumps(whole, ensure_ascii=False)


def _put(path: Path, text: str) -> None:
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")
