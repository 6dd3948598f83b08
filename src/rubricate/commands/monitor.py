"""`rubricate monitor`: the logs of a training -> whether gold has turned, a table, a page."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from rubricate.commands.scoring import print_table
from rubricate.errors import DataError, SettingsError
from rubricate.report.monitor import monitor_page
from rubricate.report.words import number
from rubricate.runs.writing import replacing
from rubricate.training.monitors.logs.names import read_map
from rubricate.training.monitors.logs.reading import read_course
from rubricate.training.monitors.rules.findings import KINDS, MEANINGS
from rubricate.training.monitors.rules.limits import Limits
from rubricate.training.monitors.rules.watching import Watched, watch
from rubricate.training.monitors.series.points import FIGURES, GOLD

_MOST_ROWS = 24


@dataclass(frozen=True)
class MonitorOrder:
    """What was asked for on the command line."""

    sources: tuple[Path, ...]
    gold: Path | None = None
    map: tuple[str, ...] = ()
    fail_on: tuple[str, ...] = ()
    follow: bool = False
    every_s: float = 10.0
    page: Path | None = None
    limits: Limits = field(default_factory=Limits)


def monitor(order: MonitorOrder, console: Console, *, as_json: bool = False) -> int:
    """Reads, says what there is to say, writes the page; the exit code: 1 where a finding of `fail_on` holds.

    With `follow` that is done again whenever a log has grown, until one of these findings holds, or a monitor
    in the trainer has written that the training ended. A log that could be read once may be in the middle of
    being written anew, as trainer_state.json is: that is said, and it is read again.

    Raises:
        DataError: a log cannot be read, or has nothing in it that is known.
        SettingsError: no such figure or finding.
    """
    unknown = [kind for kind in order.fail_on if kind not in KINDS]
    if unknown:
        raise SettingsError(f"--fail-on {unknown[0]}: no such finding; there are {', '.join(KINDS)}")
    chosen = read_map(list(order.map))
    said: Watched | None = None
    trouble = ""
    while True:
        try:
            course = read_course(order.sources, chosen, order.gold)
        except DataError as problem:
            if said is None or not order.follow:
                raise
            if str(problem) != trouble and not as_json:
                console.print(f"not read this time: {problem}", markup=False, soft_wrap=True)
            trouble = str(problem)
            time.sleep(order.every_s)
            continue
        watched = watch(course.points, order.limits, course.notes)
        if watched != said:
            said = watched
            _write(order, watched)
            _tell(watched, console, as_json)
            if order.page is not None and not as_json:
                console.print(f"page  {order.page}", markup=False, soft_wrap=True)
        failed = bool(watched.holding(order.fail_on))
        if not order.follow or failed or course.has_ended:
            return int(failed)
        time.sleep(order.every_s)


def _write(order: MonitorOrder, watched: Watched) -> None:
    if order.page is not None:
        title = ", ".join(path.name for path in order.sources)
        with replacing(order.page) as draft:
            draft.write_text(monitor_page(watched, title), encoding="utf-8")


def _tell(watched: Watched, console: Console, as_json: bool) -> None:
    if as_json:
        console.print(msgspec.json.encode(watched).decode(), markup=False, highlight=False, soft_wrap=True)
        return
    if not watched.points:
        console.print("nothing is logged yet", markup=False)
        return
    print_table(console, _table(watched))
    for finding in watched.findings:
        state = "" if finding.holds else " (not any more)"
        console.print(f"step {finding.step}: {MEANINGS[finding.kind]}{state}", style="bold", markup=False)
        console.print(f"  {finding.text}", markup=False, soft_wrap=True)
        console.print(f"  {finding.do}", markup=False, soft_wrap=True)
    if not watched.findings:
        told = (
            "" if any(GOLD in point.readings for point in watched.points) else "; gold is not known: --gold"
        )
        console.print(f"no finding{told}", markup=False)
    for note in watched.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)


def _table(watched: Watched) -> Table:
    there = [name for name in FIGURES if any(point.value(name) is not None for point in watched.points)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("step", justify="right", no_wrap=True)
    for name in there:
        table.add_column(name, justify="right", no_wrap=True)
    points = watched.points
    stride = max(1, -(-len(points) // _MOST_ROWS))
    last, best = len(points) - 1, watched.best
    shown = [
        point
        for place, point in enumerate(points)
        if place % stride == 0 or place == last or point.step == best
    ]
    for point in shown:
        cells = [("" if (value := point.value(name)) is None else number(value)) for name in there]
        mark = "*" if point.step == best else ""
        table.add_row(f"{point.step}{mark}", *cells)
    if best is not None:
        table.caption = "* the best step by gold"
        table.caption_justify = "left"
    return table
