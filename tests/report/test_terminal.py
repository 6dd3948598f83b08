"""Laws of the closing lines: at most 25, whole lines in a pipe, no foreign markup."""

import io
from pathlib import Path

import msgspec
from example_run import EXAMPLE, HOSTILE
from rich.console import Console

from rubricate.domain.conversation import SetAside
from rubricate.domain.record import PromptRecord
from rubricate.report.terminal import print_summary
from rubricate.runs.summary import Summary, summarize


def printed(summary: Summary, terminal: bool = False) -> str:
    target = io.StringIO()
    console = Console(
        file=target, force_terminal=terminal, width=60, color_system="standard" if terminal else None
    )
    print_summary(summary, Path("workflow_outs/a-run"), console)
    return target.getvalue()


def test_the_lines_of_a_run():
    """Golden: what a user reads at the end."""
    summary = summarize(make()[1] for make in EXAMPLE[:4])
    summary = msgspec.structs.replace(summary, session={"seconds": 12.5, "paid_calls": 3})
    assert printed(summary) == (
        "prompts        4   refined 2   kept 1   failed 1\n"
        "               kept 1: no new rubric: the reply was no JSON, not even on asking again; all 2 rounds"
        " were played\n"
        "criteria       3.3 [2.0, 5.0] → 4.7 [3.0, 8.0], n = 3\n"
        "top tie share  41.7% [33.3, 50.0] → 25.0% [16.7, 33.3], n = 2\n"
        "unjudged       4.3% [1.7, 10.6], n = 140 verdicts\n"
        "               most often: the reply was cut off at 512 tokens\n"
        "calls          76 · 90,082 tokens in, 13,195 out · price not known\n"
        "verdicts       224 asked · 100 reused · 52 by program\n"
        "this session   seconds 12.5, paid calls 3\n"
        "set aside      1, most often: equal to response 3 of the same generator\n"
        "failed         contract-3: the proposer's call failed for good: 429 after 600 s of tries\n"
        "               to try again what failed: rubricate run resume.path=workflow_outs/a-run\n"
        "folder         workflow_outs/a-run\n"
        "               rubrics.jsonl  dataset/  summary.json  journal.jsonl\n"
        "report         workflow_outs/a-run/report.html\n"
    )


def test_never_more_than_25_lines_and_the_rest_is_counted():
    """A thousand failures, each of its own, fit as well."""
    aside = (SetAside("p", "response 1", "empty"),)
    records = [
        PromptRecord(f"k{n}", f"p{n}", "", state, f"why {n}", set_aside=aside)  # type: ignore[arg-type]
        for n in range(1000)
        for state in ("failed", "kept")
    ]
    lines = printed(summarize(records)).splitlines()
    assert len(lines) <= 25
    assert any("and 995 more: see summary.json" in line for line in lines)


def test_foreign_text_neither_paints_nor_moves_the_cursor():
    """No escape sequence and no rich markup of an id or a reason reaches the terminal."""
    why = "[bold red]x[/] \x1b[2J\x07" + HOSTILE[3] + "\nsecond line"
    record = PromptRecord("k", "[link=file:///]id\x1b]0;t\x07", "", "failed", why)
    text = printed(summarize([record]))
    assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text
    assert "[bold red]x[/] ⟨U+001B⟩[2J⟨U+0007⟩" in text
    assert len(text.splitlines()) < 10


def test_a_terminal_gets_colours():
    """And the same words."""
    summary = summarize(make()[1] for make in EXAMPLE)
    assert "\x1b[" in printed(summary, terminal=True)


def test_a_run_of_nothing_is_told_too():
    """Zero prompts, no numbers that were not measured."""
    text = printed(summarize([]))
    assert "prompts        0" in text and "tie share" not in text and "None" not in text
