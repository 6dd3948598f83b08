"""`rubricate audit`: a scored pool -> what its rewards are worth at the tail; a gate for somebody's CI."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from rubricate.domain.intervals import Estimate
from rubricate.errors import RunError, SettingsError
from rubricate.evaluation.audit.auditing import Audit, audit
from rubricate.evaluation.audit.comparing import compared
from rubricate.evaluation.audit.gates import Passed, hold, parse, settings_of
from rubricate.evaluation.reading.columns import Wanted
from rubricate.evaluation.reading.reader import read_scored
from rubricate.report.audits.charts import charts_of
from rubricate.report.audits.files import as_csv, as_json
from rubricate.report.audits.page import audit_page
from rubricate.report.audits.table import audit_lines, comparison_lines
from rubricate.report.lines import figure
from rubricate.runs.writing import replacing

DUPLICATES = ("error", "drop", "keep")


class AuditOrder(NamedTuple):
    """What was asked for on the command line."""

    source: Path
    wanted: Wanted = Wanted()
    pairs: str | None = None
    json: Path | None = None
    csv: Path | None = None
    plots: Path | None = None
    report: Path | None = None
    fail_under: tuple[str, ...] = ()
    compare: tuple[tuple[str, str], ...] = ()


def run_audit(order: AuditOrder, console: Console) -> int:
    """Reads, audits, prints, writes; 1 when a gate fails, else 0. Nothing is written before all is measured.

    Raises:
        DataError: the file is none that can be audited; with line or row, and column.
        SettingsError: a gate, a comparison or a flag that makes no sense.
        RunError: a result cannot be written.
    """
    if order.wanted.duplicates not in DUPLICATES:
        raise SettingsError(f"--duplicates: error, drop or keep, not {order.wanted.duplicates}")
    gates = [parse(text) for text in order.fail_under]
    shares, kls = settings_of(gates)
    pool = read_scored(order.source, order.wanted, order.pairs)
    found = audit(pool, shares=shares, kls=kls, origin=str(order.source))
    differences = {(one, other): compared(found, one, other) for one, other in order.compare}
    passed = [held for gate in gates for held in hold(gate, found)]
    _print(console, audit_lines(found, str(order.source)))
    for (one, other), metrics in differences.items():
        _print(console, comparison_lines(one, other, metrics))
    for path in _written(order, found, differences, passed):
        _print(console, [str(path)])
    failed = [held for held in passed if not held.is_held]
    _print(
        console,
        [f"{'holds ' if held.is_held else 'FAILED'} {held.gate.text}: {held.line}" for held in passed],
    )
    return 1 if failed else 0


def _written(
    order: AuditOrder,
    found: Audit,
    differences: Mapping[tuple[str, str], Mapping[str, Estimate | None]],
    passed: list[Passed],
) -> list[Path]:
    texts: list[tuple[Path, Callable[[], str]]] = []
    source = str(order.source)
    if order.json is not None:
        texts.append((order.json, lambda: as_json(found, source, differences, passed)))
    if order.csv is not None:
        texts.append((order.csv, lambda: as_csv(found, differences)))
    if order.plots is not None:
        for name, chart in charts_of(found).items():
            drawn = figure(chart)
            texts.append((order.plots / f"{name}.svg", lambda drawn=drawn: drawn))  # type: ignore[misc]
    if order.report is not None:
        texts.append((order.report, lambda: audit_page(found, source, differences, passed)))
    made = [(path, text()) for path, text in texts]
    for path, text in made:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as trouble:
            raise RunError(f"{path.parent}: {trouble.strerror}; give another folder") from trouble
        with replacing(path) as draft:
            draft.write_text(text, encoding="utf-8")
    return [path for path, _ in made]


def _print(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
