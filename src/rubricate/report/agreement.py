"""An account of agreement as lines for a terminal, and as rows of one tidy CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from rubricate.domain.intervals import Estimate
from rubricate.domain.record import Spend
from rubricate.evaluation.agreement.account import Account, Between, Told, WithItself
from rubricate.evaluation.agreement.against import Against, Batching
from rubricate.report.words import calls, count, one_line, usd

NAME = 44
LISTED = 5
CSV_HEADER = ("table", "grader", "breakdown", "group", "measure", "value", "n", "low", "high")
Part = TypeVar("Part", Against, WithItself, Between)

_HEAD = (
    "",
    "n",
    "accuracy",
    "balanced",
    "kappa",
    "alpha",
    "sensitivity",
    "specificity",
    "unjudged",
)


def account_lines(account: Account, draws_note: str = "") -> Iterator[str]:
    """The account line by line, for people; every figure with its 95% interval over prompts."""
    yield (
        f"{count(account.items)} criteria of {count(account.responses)} responses to "
        f"{count(account.prompts)} prompts, {count(account.labelled)} of them labelled; "
        "95% intervals are over prompts"
    )
    for told in account.graders:
        yield from _told(told)
    if account.against:
        yield ""
        yield "Against the labels (unjudged verdicts are in no other column)"
        yield from table(_HEAD, [_against(found, found.grader) for found in _overall(account)])
        for told in account.graders:
            own = [found for found in account.against if found.grader == told.grader]
            groups = _grouped(own)
            if groups:
                yield ""
                yield f"{shown(told.grader)} by group"
                yield from table(
                    _HEAD, [_against(found, f"{found.breakdown}: {found.group}") for found in groups]
                )
    if account.with_itself:
        yield ""
        yield "With itself, over draws" + draws_note
        head = ("", "draws", "n", "draws agree", "all the same", "Fleiss' kappa", "alpha")
        alike = [found for found in account.with_itself if found.breakdown == "all"]
        yield from table(head, [_with_itself(found) for found in (*alike, *_grouped(account.with_itself))])
    if account.between:
        yield ""
        yield "Between graders (of several draws the majority counts)"
        names = ("", "n", "agreement", "Cohen's kappa", "accuracy, difference", "balanced, difference")
        pairs = [found for found in account.between if found.breakdown == "all"]
        yield from table(names, [_between(found) for found in (*pairs, *_grouped(account.between))])
    if account.panel is not None:
        panel = account.panel
        fleiss = f"Fleiss' kappa {figure(panel.fleiss_kappa)}, n = {count(panel.n_complete)}"
        alpha = f"Krippendorff's alpha {figure(panel.krippendorff_alpha)}, n = {count(panel.n_paired)}"
        yield f"  all {len(panel.graders)}: {fleiss}; {alpha}"
    yield from _calibration(account)
    for effect in account.batching:
        yield from _batching(effect)


def csv_rows(account: Account) -> Iterator[tuple[Any, ...]]:
    """One row per figure: the table it is from, whose it is, and the estimate."""
    for against in account.against:
        where = (against.grader, against.breakdown, against.group)
        yield from _csv("labels", where, against)
    for told in account.graders:
        yield from _csv("verdicts", (told.grader, "all", "all"), told)
    for own in account.with_itself:
        yield from _csv("with itself", (own.grader, own.breakdown, own.group), own)
    for pair in account.between:
        yield from _csv("between", (f"{pair.first} / {pair.second}", pair.breakdown, pair.group), pair)
    if account.panel is not None:
        yield from _csv("panel", ("all", "all", "all"), account.panel)
    for found in account.calibration:
        where = (found.grader, "probability", found.source)
        yield from _csv("calibration", where, found)
        for part in ("reliability", "resolution", "uncertainty", "within"):
            yield ("calibration", *where, part, f"{getattr(found, part):.10g}", found.n, "", "")
        for cell in found.bins:
            where = (found.grader, f"{cell.low:g} to {cell.high:g}", f"{cell.mean_probability:.10g}")
            yield ("reliability", *where, "met", *_numbers(cell.met))
    for effect in account.batching:
        yield from _csv("batching", (effect.grader, "one by one", "all at once"), effect)
        for side in (effect.all_at_once, effect.one_by_one):
            yield from _csv("batching", (side.grader, side.breakdown, side.group), side)


def figure(estimate: Estimate | None, *, sign: bool = False) -> str:
    """.975 [.957, .989]; None: what cannot be measured here."""
    if estimate is None:
        return "-"
    value = _short(estimate.value, sign=sign)
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{_short(estimate.low, sign=sign)}, {_short(estimate.high, sign=sign)}]"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as they must be: the first to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = [row[0].ljust(widths[0])] + [
            cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)
        ]
        yield f"  {'  '.join(cells)}".rstrip()


def shown(name: str, limit: int = NAME) -> str:
    """A name out of a file or a setting, on one line."""
    return one_line(name, limit)


def _short(value: float, *, sign: bool) -> str:
    text = f"{value:+.3f}" if sign else f"{value:.3f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def _grouped(found: Sequence[Part]) -> list[Part]:
    """What is said of groups, of those breakdowns that divide anything."""
    groups: dict[str, set[str]] = {}
    for part in found:
        groups.setdefault(part.breakdown, set()).add(part.group)
    return [part for part in found if len(groups[part.breakdown]) > 1]


def _with_itself(own: WithItself) -> tuple[str, ...]:
    figures = (own.agreement, own.unanimous, own.fleiss_kappa, own.krippendorff_alpha)
    return (_named(shown(own.grader), own), count(own.draws), count(own.n), *map(figure, figures))


def _between(pair: Between) -> tuple[str, ...]:
    name = f"{shown(pair.first, NAME // 2)} / {shown(pair.second, NAME // 2)}"
    differences = (pair.accuracy_difference, pair.balanced_accuracy_difference)
    return (
        _named(name, pair),
        count(pair.n),
        figure(pair.agreement),
        figure(pair.cohen_kappa),
        *(figure(difference, sign=True) for difference in differences),
    )


def _named(name: str, part: WithItself | Between) -> str:
    return name if part.breakdown == "all" else f"  {part.breakdown}: {shown(part.group)}"


def _overall(account: Account) -> list[Against]:
    return [found for found in account.against if found.breakdown == "all"]


def _against(found: Against, name: str) -> tuple[str, ...]:
    figures = (
        found.accuracy,
        found.balanced_accuracy,
        found.cohen_kappa,
        found.krippendorff_alpha,
        found.sensitivity,
        found.specificity,
        found.unjudged,
    )
    return (shown(name, NAME + 20), count(found.n), *map(figure, figures))


def _told(told: Told) -> Iterator[str]:
    parts = [f"{count(told.verdicts)} verdicts"]
    parts += [f"{told.draws} draws"] if told.draws > 1 else []
    parts += [f"unjudged {figure(told.unjudged)}"]
    parts += [f"{count(told.by_program)} criteria by program"] if told.by_program else []
    parts += [f"{count(told.absent)} never given"] if told.absent else []
    parts += (
        [f"{count(told.foreign_rows)} rows of its file are about no response here"]
        if told.foreign_rows
        else []
    )
    parts += [took(told.spend)] if told.spend is not None and told.spend.calls else []
    yield f"{shown(told.grader)}: {', '.join(parts)}"
    if told.reasons:
        why, n = next(iter(told.reasons.items()))
        yield f"  unjudged most often ({count(n)}): {one_line(why, 160)}"
    for failure in told.failed[:LISTED]:
        yield f"  failed: {one_line(failure, 160)}"
    if len(told.failed) > LISTED:
        yield f"  and {count(len(told.failed) - LISTED)} more; all are in --json"


def took(spend: Spend) -> str:
    """12 calls, 3,456 tokens in, 78 out, $0.01."""
    tokens = f"{count(spend.prompt_tokens)} tokens in, {count(spend.completion_tokens)} out"
    return f"{calls(spend)}, {tokens}, {usd(spend.cost_usd)}"


def _calibration(account: Account) -> Iterator[str]:
    if not account.calibration:
        return
    yield ""
    yield f"Calibration of probabilities (ECE over {account.calibration[0].n_bins} bins of equal width)"
    head = ("", "n", "Brier", "reliability", "resolution", "uncertainty", "within bins", "ECE")
    rows = []
    for found in account.calibration:
        parts = (found.reliability, -found.resolution, found.uncertainty, found.within)
        told = [_short(part, sign=part is not parts[0]) for part in parts]
        name = f"{shown(found.grader)} ({found.source})"
        rows.append((name, count(found.n), figure(found.brier), *told, figure(found.ece)))
    yield from table(head, rows)


def _batching(effect: Batching) -> Iterator[str]:
    yield ""
    yield f"Batching: {shown(effect.grader)}, {count(effect.n)} verdicts of a model given both ways"
    sides = (
        ("all at once", effect.all_at_once, effect.spend_all_at_once),
        ("one by one", effect.one_by_one, effect.spend_one_by_one),
    )
    head = ("", "n", "accuracy", "balanced accuracy", "kappa", "unjudged", "took")
    rows = []
    for how, side, spend in sides:
        figures = (side.accuracy, side.balanced_accuracy, side.cohen_kappa, side.unjudged)
        paid = took(spend) if spend is not None and spend.calls else "no calls"
        rows.append((how, count(side.n), *map(figure, figures), paid))
    yield from table(head, rows)
    yield (
        f"  one by one less all at once, paired: accuracy {figure(effect.accuracy_difference, sign=True)}, "
        f"balanced accuracy {figure(effect.balanced_accuracy_difference, sign=True)}; "
        f"the two agree on {figure(effect.agreement)}"
    )


def _csv(table: str, where: tuple[str, str, str], holder: msgspec.Struct) -> Iterator[tuple[Any, ...]]:
    for field in msgspec.structs.fields(type(holder)):
        value = getattr(holder, field.name)
        if isinstance(value, Estimate):
            yield (table, *where, field.name, *_numbers(value))


def _numbers(estimate: Estimate) -> tuple[Any, ...]:
    low, high = ("" if end is None else f"{end:.10g}" for end in (estimate.low, estimate.high))
    return (f"{estimate.value:.10g}", estimate.n, low, high)
