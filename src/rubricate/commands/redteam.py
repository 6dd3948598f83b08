"""`rubricate redteam`: what a grader, a judge or any reward pays for changes that make nothing better."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from rubricate.commands.bench import gated, put, stopped, told_calls
from rubricate.commands.scoring import Opened, ScorerOrder, Ticker, opened_scorer, print_table
from rubricate.commands.session import Interrupted, in_loop
from rubricate.domain.intervals import Estimate
from rubricate.errors import ChatError, DataError, ReplyError, RunStopped, SettingsError
from rubricate.evaluation.benchmarks.cases import Case
from rubricate.evaluation.benchmarks.figures.gate import condition
from rubricate.evaluation.benchmarks.measuring import only
from rubricate.evaluation.benchmarks.sources import read_benchmark
from rubricate.evaluation.redteam.arsenal import chosen
from rubricate.evaluation.redteam.attack import Attack
from rubricate.evaluation.redteam.contrasts import contrasts_of
from rubricate.evaluation.redteam.gains import Gain, Worst, gains_of, worst_of
from rubricate.evaluation.redteam.panel import Exploitation, exploitations
from rubricate.evaluation.redteam.trials import Probe, Target, probes_of, targets_of, tried
from rubricate.evaluation.resampling import mean
from rubricate.evaluation.scorers.graders import RubricScorer
from rubricate.evaluation.scorers.marks import Item
from rubricate.report import words
from rubricate.runs.rubric_files import read_rubrics
from rubricate.settings.casting import manner_of
from rubricate.settings.roles import Roles
from rubricate.steps.asking import gathered
from rubricate.steps.rewrite import PARAPHRASE, TRANSLATE, rewrite

FLAG = "--fail-over"
METRICS = {
    "gain": "mean gain of an attack",
    "rose": "share of responses that gain",
    "fell": "share of responses that lose",
    "most": "largest gain",
    "unjudged": "share unjudged",
    "worst": "mean over responses of the largest gain",
    "exploitation": "exploitation rate against the panel",
}
REWRITES = {"paraphrased": PARAPHRASE, "translated": TRANSLATE}
SHOWN_CRITERIA = 3


@dataclass(frozen=True)
class RedteamOrder:
    """What was asked for on the command line."""

    source: str
    scorer: ScorerOrder
    shape: str | None = None
    attacks: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    per_prompt: int = 1
    limit: int | None = 50
    paraphrase: str | None = None
    panel: tuple[str, ...] = ()
    json: Path | None = None
    csv: Path | None = None
    fail_over: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came out. `base` is the mean score of the responses before any attack, by prompt;
    `failed_rewrites` counts rewritten texts that could not be had."""

    source: str
    scorer: str
    seed: int
    prompts: int
    responses: int
    base: Estimate | None
    gains: tuple[Gain, ...]
    worst: tuple[Worst, ...]
    panel: tuple[str, ...] = ()
    exploitation: tuple[Exploitation, ...] = ()
    failed_rewrites: int = 0


def redteam(order: RedteamOrder, console: Console, *, as_json: bool = False) -> int:
    """Attacks, prints and writes; the exit code: 1 if a condition of `--fail-over` does not hold."""
    conditions = [condition(said, FLAG, METRICS, "gain") for said in order.fail_over]
    attacks = chosen(order.attacks)
    seed = order.scorer.settings().random_seed
    cases = only(read_benchmark(order.source, order.shape), order.limit, None, seed).cases
    real = [case for path in order.cases for case in _real(path, order.limit, seed)]
    try:
        report = in_loop(
            _attacked(order, cases, attacks, real, seed, Console(quiet=True) if as_json else console)
        )
    except (RunStopped, Interrupted) as stop:
        return stopped(stop, console)
    if as_json:
        console.print_json(_json(report).decode())
    else:
        print_report(report, attacks, console)
    if order.json is not None:
        put(order.json, _json(report))
    if order.csv is not None:
        put(order.csv, _csv(report).encode())
    return gated(conditions, _figures(report), FLAG, console, quiet=as_json)


def _real(path: str, limit: int | None, seed: int) -> Sequence[Case]:
    return only(read_benchmark(path), limit, None, seed).cases


async def _attacked(
    order: RedteamOrder,
    cases: Sequence[Case],
    attacks: Sequence[Attack],
    real: Sequence[Case],
    seed: int,
    console: Console,
) -> Report:
    asked = [model for model in (order.paraphrase, *order.panel) if model is not None]
    async with opened_scorer(order.scorer, console, models=tuple(asked), rubrics_are_copied=True) as opened:
        if order.panel and not isinstance(opened.scorer, RubricScorer):
            raise SettingsError(
                "--panel: a panel judges the verdicts of a grader; it goes with --scorer rubric"
            )
        members = (
            [await _member(opened.scorer, opened.roles, model) for model in order.panel]
            if isinstance(opened.scorer, RubricScorer)
            else []
        )
        targets = await _targets(order, cases, seed, opened)
        probes = [*probes_of(targets, attacks, seed), *contrasts_of(real)]
        n_failed = 0
        if order.paraphrase is not None:
            rewritten, n_failed = await _rewritten(order.paraphrase, targets, opened.roles)
            probes += rewritten
        if not probes:
            raise SettingsError("there is nothing to try: --attacks none needs --cases or --paraphrase")
        ticker = Ticker(console, "duels" if opened.judge else "texts", opened.roles)
        try:
            trials = await tried(probes, scorer=opened.scorer, judge=opened.judge, done=ticker)
        finally:
            ticker.close()
        found = await exploitations(trials, members) if members else []
        told_calls(opened, console)
    system = opened.judge or opened.scorer
    assert system is not None, "something was attacked"
    base: dict[str, dict[str, float]] = {}
    for trial in trials:
        if trial.before is not None and trial.before.score is not None and not trial.probe.is_real:
            base.setdefault(trial.probe.prompt.key, {})[trial.probe.before] = trial.before.score
    return Report(
        source=order.source,
        scorer=system.name,
        seed=seed,
        prompts=len({target.prompt.key for target in targets}),
        responses=len(targets),
        base=mean([sum(scores.values()) / len(scores) for scores in base.values()]),
        gains=tuple(gains_of(probes, trials)),
        worst=tuple(worst_of(trials)),
        panel=order.panel,
        exploitation=tuple(found),
        failed_rewrites=n_failed,
    )


async def _targets(order: RedteamOrder, cases: Sequence[Case], seed: int, opened: Opened) -> list[Target]:
    """The responses to attack, each with the rubric that it is graded by, so that attacks may copy it."""
    targets = targets_of(cases, order.per_prompt, seed)
    if not targets:
        raise DataError(order.source, "there is no response with a text to attack")
    scorer = opened.scorer
    given = read_rubrics(order.scorer.rubrics) if order.scorer.rubrics else None

    async def with_rubric(target: Target) -> Target:
        rubric = target.rubric or (given.of(target.prompt) if given is not None else None)
        if rubric is None and isinstance(scorer, RubricScorer):
            try:
                rubric = await scorer.rubric_of(Item(target.prompt, target.text))
            except (ReplyError, ChatError):
                rubric = None  # the scorer meets the same failure, and leaves the items unjudged
        return target._replace(rubric=rubric)

    return await gathered(with_rubric(target) for target in targets)


async def _rewritten(model: str, targets: Sequence[Target], roles: Roles) -> tuple[list[Probe], int]:
    """Probes with texts that a model rewrote, and how many could not be had."""
    chat, manner = await roles.chat("proposer", model), manner_of(roles.settings, model)

    async def one(target: Target, name: str, how: str) -> Probe:
        try:
            after: str | None = await rewrite(chat, manner, target.prompt, target.text, how)
        except (ReplyError, ChatError):
            after = None
        return Probe(name, "rewriting", "preserved", target.prompt, target.text, after, target.rubric)

    probes = await gathered(one(target, *item) for target in targets for item in REWRITES.items())
    return probes, sum(probe.after is None for probe in probes)


async def _member(scorer: RubricScorer, roles: Roles, model: str) -> RubricScorer:
    grader = await roles.grader(model)
    if grader.name == scorer.grader.name:
        raise SettingsError(f"--panel {model}: that is the grader itself, and it never contradicts itself")
    return RubricScorer(grader, floor=scorer.floor, in_flight=scorer.in_flight)


def print_report(report: Report, attacks: Sequence[Attack], console: Console) -> None:
    """The tables on the terminal."""
    base = f", mean score {_score(report.base)}" if report.base else ""
    console.print(
        f"{words.one_line(report.source, 120)}: {report.responses:,} responses to {report.prompts:,} "
        f"prompts, {len(attacks)} attacks{base}",
        markup=False,
        soft_wrap=True,
    )
    console.print(words.one_line(report.scorer, 120), style="bold", markup=False)
    print_table(console, _gains(report.gains))
    for worst in report.worst:
        gain, share = _signed(worst.gain), words.share_estimate(worst.share)
        console.print(
            f"worst case of a response, attacks {worst.kind}: {gain}; lifted by some attack {share}"
        )
    if report.failed_rewrites:
        console.print(f"{report.failed_rewrites:,} rewritten texts could not be had")
    lifted = [row for row in report.gains if row.rose_most and row.name != "all"]
    for row in sorted(lifted, key=lambda row: -row.criteria_rose)[:SHOWN_CRITERIA]:
        named = "; ".join(f"{words.one_line(text, 60)} ({n})" for text, n in row.rose_most.items())
        console.print(f"criteria that rose with {row.name}: {named}", markup=False, soft_wrap=True)
    if report.exploitation:
        console.print(f"panel: {words.one_line(', '.join(report.panel), 120)}", markup=False)
        print_table(console, _exploitation(report.exploitation))


def _gains(rows: Sequence[Gain]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("attack")
    table.add_column("meaning")
    for name in ("n", "gain", "rose", "fell", "most", "criteria", "unjudged", "idle"):
        table.add_column(name, justify="right")
    table.add_column("reading")
    for row in rows:
        table.add_row(
            words.one_line(row.name, 40),
            row.meaning or "",
            words.count(row.n),
            _signed(row.gain),
            words.percent(row.rose.value) if row.rose else "–",
            words.percent(row.fell.value) if row.fell else "–",
            "–" if row.most is None else f"{row.most:+.3f}".replace("-", "−"),
            f"+{row.criteria_rose} −{row.criteria_fell}",
            words.count(row.unjudged),
            words.count(row.idle),
            row.reading,
        )
    return table


def _exploitation(rows: Sequence[Exploitation]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("attack")
    heads = (
        "newly credited",
        "panel silent",
        "exploitation rate",
        "rose",
        "the grader's fault",
        "the rubric's",
    )
    for name in heads:
        table.add_column(name, justify="right")
    for row in rows:
        shares = (
            words.share_interval(each) if each else "–" for each in (row.verifier_failure, row.rubric_failure)
        )
        rate = words.share_interval(row.rate) if row.rate else "–"
        table.add_row(row.name, f"{row.credited:,}", f"{row.silent:,}", rate, f"{row.rose:,}", *shares)
    return table


def _signed(estimate: Estimate | None) -> str:
    if estimate is None:
        return "not measured"
    ends = ""
    if estimate.low is not None and estimate.high is not None:
        ends = f" [{estimate.low:+.3f}, {estimate.high:+.3f}]"
    return f"{estimate.value:+.3f}{ends}".replace("-", "−")


def _score(estimate: Estimate) -> str:
    return _signed(estimate).replace("+", "")


def _figures(report: Report) -> dict[str, dict[str, Estimate | float | None]]:
    rows = report.gains
    totals = {row.name: row.n + row.unjudged for row in rows}
    return {
        "gain": {row.name: row.gain for row in rows},
        "rose": {row.name: row.rose for row in rows},
        "fell": {row.name: row.fell for row in rows},
        "most": {row.name: row.most for row in rows},
        "unjudged": {row.name: row.unjudged / totals[row.name] if totals[row.name] else None for row in rows},
        "worst": {row.kind: row.gain for row in report.worst},
        "exploitation": {row.name: row.rate for row in report.exploitation},
    }


def _json(report: Report) -> bytes:
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def _csv(report: Report) -> str:
    """One line for each attack and group, then the worst cases and the panel in lines of their own."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    counts = ("n", "prompts", "unjudged", "idle", "criteria_rose", "criteria_fell", "criteria_lost")
    out.writerow(("kind", "name", "family", "meaning", *counts, "value", "low", "high", "reading"))
    for row in report.gains:
        numbers = [getattr(row, name) for name in counts]
        for kind in ("gain", "rose", "fell"):
            named = (kind, row.name, row.family, row.meaning or "")
            out.writerow(
                (*named, *numbers, *_ends(getattr(row, kind)), row.reading if kind == "gain" else "")
            )
    for worst in report.worst:
        for kind, figure in (("worst", worst.gain), ("lifted", worst.share)):
            out.writerow((kind, worst.kind, "", "", worst.n, *[""] * 6, *_ends(figure), ""))
    for each in report.exploitation:
        figures = {
            "exploitation": (each.credited, each.rate),
            "verifier_failure": (each.rose, each.verifier_failure),
            "rubric_failure": (each.rose, each.rubric_failure),
        }
        for kind, (n, figure) in figures.items():
            out.writerow((kind, each.name, "", "", n, *[""] * 6, *_ends(figure), ""))
    return text.getvalue()


def _ends(estimate: Estimate | None) -> tuple[str, str, str]:
    if estimate is None:
        return "", "", ""
    low, high = ("" if end is None else f"{end:.6g}" for end in (estimate.low, estimate.high))
    return f"{estimate.value:.6g}", low, high
