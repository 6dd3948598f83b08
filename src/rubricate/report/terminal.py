"""The closing lines of a run in the terminal: what became of it, what it took, where things are."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from rubricate.report import words
from rubricate.runs.summary import Summary

LISTED = 5
LONGEST = 180
LABEL = 14
_STYLES = {"refined": "bold blue", "kept": "bold", "failed": "bold red"}


def print_summary(summary: Summary, run_folder: Path, console: Console) -> None:
    """Prints at most 25 lines, each whole: a pipe or a log gets them unwrapped and without colours."""
    for line in closing_lines(summary, run_folder):
        console.print(line, soft_wrap=True, highlight=False)


def closing_lines(summary: Summary, run_folder: Path) -> Iterator[Text]:
    """The lines one by one. Foreign text in them has no control characters and no markup."""
    yield _line("prompts", _states(summary))
    yield from _reasons(summary)
    if summary.criteria:
        before, after = summary.criteria.before, summary.criteria.after
        yield _line("criteria", f"{words.mean_interval(before)} → {words.mean_estimate(after)}")
    if summary.tie_share:
        before, after = summary.tie_share.before, summary.tie_share.after
        yield _line("top tie share", f"{words.share_interval(before)} → {words.share_estimate(after)}")
    if summary.unjudged:
        yield _line("unjudged", f"{words.share_estimate(summary.unjudged)} verdicts")
    if summary.unjudged_reasons.common:
        why = summary.unjudged_reasons.common[0].why
        yield _line("", f"most often: {words.one_line(why, LONGEST)}")
    yield _line("calls", _took(summary))
    if _verdicts(summary):
        yield _line("verdicts", _verdicts(summary))
    if summary.session and summary.total.calls:
        told = (f"{name.replace('_', ' ')} {value}" for name, value in summary.session.items())
        yield _line("this session", words.one_line(", ".join(told), 2 * LONGEST))
    if summary.set_aside_total:
        common = summary.set_aside_reasons.common[0]
        yield _line(
            "set aside",
            f"{words.count(summary.set_aside_total)}, most often: {words.one_line(common.why, LONGEST)}",
        )
    yield from _failed(summary, run_folder)
    yield _line("folder", words.visible(str(run_folder)))
    yield _line("", "rubrics.jsonl  dataset/  summary.json  journal.jsonl")
    yield _line("report", words.visible(str(run_folder / "report.html")))


def _line(label: str, body: str | Text) -> Text:
    return Text(f"{label:<{LABEL}} ", style="dim").append_text(
        Text(body, style="not dim") if isinstance(body, str) else body
    )


def _states(summary: Summary) -> Text:
    parts = [Text(words.count(summary.prompts), style="not dim")]
    for state, n in summary.by_state.items():
        style = _STYLES[state] if n else "dim"
        parts.append(Text(f"{state} {words.count(n)}", style=f"not dim {style}" if n else style))
    return Text("   ", style="not dim").join(parts)


def _reasons(summary: Summary) -> Iterator[Text]:
    """Why prompts were kept: the three most common reasons. Failed ones are told by name further down."""
    kept = summary.reasons["kept"]
    for reason in kept.common[:3]:
        yield _line("", f"kept {words.count(reason.n)}: {words.one_line(reason.why, LONGEST)}")


def _took(summary: Summary) -> str:
    total = summary.total
    if not total.calls:
        return "none: no role was played by a model"
    tokens = f"{words.count(total.prompt_tokens)} tokens in, {words.count(total.completion_tokens)} out"
    return f"{words.count(total.calls)} · {tokens} · {words.usd(total.cost_usd)}"


def _verdicts(summary: Summary) -> str:
    total = summary.total
    counted = (
        (total.verdicts_asked, "asked"),
        (total.verdicts_reused, "reused"),
        (total.verdicts_by_program, "by program"),
    )
    return " · ".join(f"{words.count(n)} {how}" for n, how in counted if n)


def _failed(summary: Summary, run_folder: Path) -> Iterator[Text]:
    for prompt in summary.failed[:LISTED]:
        told = f"{words.one_line(prompt.id, 40)}: {words.one_line(prompt.why, LONGEST)}"
        yield _line("failed", Text(told, style="not dim red"))
    more = summary.by_state["failed"] - len(summary.failed[:LISTED])
    if more > 0:
        yield _line("", f"and {words.count(more)} more: see summary.json")
    if summary.by_state["failed"]:
        again = shlex.quote(words.visible(str(run_folder)))
        yield _line("", f"to try again what failed: rubricate run resume.path={again}")
