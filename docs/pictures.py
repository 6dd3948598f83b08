"""Runs `make run`'s command on the sample pool and writes what the pages show of it; see `main`.

    python docs/pictures.py [--check]

Pictures: images/run.svg (the terminal, 100 columns) and images/ties.svg (the verdicts on the first prompt,
before and after). Text: every block of README.md and docs/*.md that stands between
`<!-- made by docs/pictures.py: NAME -->` and `<!-- end -->`. None of it is written by hand, and the tests
compare it with a run, so it cannot fall out of date unnoticed.
"""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir
from html import escape
from itertools import combinations
from pathlib import Path

from rich.console import Console
from rich.text import Text

from rubricate.commands.plan import show_plan
from rubricate.commands.run import Order, run
from rubricate.domain.conversation import Pool
from rubricate.domain.record import PromptRecord, Standing
from rubricate.runs.folder import RunFolder

DOCS = Path(__file__).parent
IMAGES = DOCS / "images"
PAGES = (DOCS.parent / "README.md", *sorted(DOCS.glob("*.md")))
COMMAND = (
    "rubricate run --config-name iterative files.responses_file=sample \\",
    "    models.rubric_generator=offline models.verifier=offline files.output_dir=sample",
)
COLUMNS, ROWS = 100, 30

Finished = Sequence[tuple[Pool, PromptRecord]]
Gold = Mapping[str, float | None]


def sample_run() -> tuple[str, Finished]:
    """What the command prints, with its styles, and its records; in a folder of its own."""
    overrides = [word for word in " ".join(COMMAND).split() if "=" in word]
    console = Console(
        file=io.StringIO(), record=True, width=COLUMNS, height=ROWS, force_terminal=True, highlight=False
    )
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        os.environ["TERM"] = "xterm-256color"
        code = run(Order("iterative", tuple(overrides), resume=False), console)
        assert code == 0, code
        with RunFolder(Path("workflow_outs") / "sample") as finished_run:
            finished = list(finished_run.finished())
    return _last_frame(console.export_text(styles=True)), finished


def _last_frame(recorded: str) -> str:
    """The recorded lines without the passing states of the progress bar."""
    lines = [line for line in recorded.splitlines() if line.strip()]
    is_bar = ["prompts" in line and "━" in line for line in lines]
    last = max(place for place, bar in enumerate(is_bar) if bar)
    return "\n".join(line for place, line in enumerate(lines) if not is_bar[place] or place == last)


def terminal_picture(told: str) -> str:
    """The command and what it printed, as a drawing of a terminal."""
    console = Console(file=io.StringIO(), record=True, width=COLUMNS, height=ROWS, force_terminal=True)
    console.print(Text.assemble(("$ ", "dim"), "\n".join(COMMAND)))
    console.print(Text.from_ansi(told))
    drawing = console.export_svg(title="rubricate", unique_id="run")
    return re.sub(r"@font-face \{.*?\}\s*", "", drawing, flags=re.S)  # which would be fetched from elsewhere


def as_text(told: str) -> str:
    """The same as plain lines, without the bar."""
    lines = [line.rstrip() for line in Text.from_ansi(told).plain.splitlines() if "━" not in line]
    return "\n".join([f"$ {COMMAND[0]}", COMMAND[1], *lines])


def _measured(told: str) -> str:
    """The lines of the output that were measured on the pool."""
    kept = ("prompts ", "criteria ", "top tie share ", "unjudged ")
    return "\n".join(["```text", *(line for line in told.splitlines() if line.startswith(kept)), "```"])


def plan_text() -> str:
    """What `rubricate plan` says of the sample pool under the official models."""
    console = Console(file=io.StringIO(), record=True, width=COLUMNS)
    show_plan(Order("iterative", ("files.responses_file=sample",), resume=False), console)
    return "\n".join(line.rstrip() for line in console.export_text().splitlines())


def order_table(finished: Finished) -> str:
    """How pairs of responses stand under the first and the final rubric, against the gold scores."""
    counts = {"first": [0, 0, 0], "final": [0, 0, 0]}
    for pool, record in finished:
        gold = {response.key: response.gold for response in pool.responses}
        for name, standings in (("first", record.rounds[0].standings), ("final", record.standings)):
            for place in _orders(standings, gold):
                counts[name][place] += 1
    lines = ["| rubric | pairs | in gold order | tied | against it |", "|---|---|---|---|---|"]
    for name, (right, tied, wrong) in counts.items():
        n = right + tied + wrong
        shares = " | ".join(f"{number / n:.1%}" for number in (right, tied, wrong))
        lines.append(f"| {name} | {n:,} | {shares} |")
    return "\n".join(lines)


def _orders(standings: Sequence[Standing], gold: Gold) -> Iterator[int]:
    """0, 1 or 2 for each pair with different gold scores: scored as gold has it, tied, or against it."""
    for one, two in combinations(standings, 2):
        gold_one, gold_two = gold[one.response], gold[two.response]
        if None in (gold_one, gold_two, one.score, two.score) or gold_one == gold_two:
            continue
        assert (
            gold_one is not None and gold_two is not None and one.score is not None and two.score is not None
        )
        yield 1 if one.score == two.score else 0 if (gold_one > gold_two) == (one.score > two.score) else 2


INK, SOFT, LINE, MET, TIED, CARD = "#1f2328", "#59636e", "#d1d9e0", "#0b5aa2", "#c4541a", "#ffffff"
WIDTH, ROW, CELL, TOP, LEFT, RIGHT = 880, 17, 14, 108, 166, 530
NAMES_LEFT, NAMES_RIGHT = 24, 770


def ties_picture(pool: Pool, record: PromptRecord) -> str:
    """Responses x criteria of one prompt under its first and its final rubric, best first, ties marked.

    Both halves have the same responses; a line leads from where one stood to where it stands.
    """
    assert record.initial is not None and record.rubric is not None
    name = {response.key: response.generator or "?" for response in pool.responses}
    before, after = record.rounds[0].standings, record.standings
    height = TOP + ROW * len(after) + 48
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'font-family="-apple-system, Segoe UI, Helvetica, Arial, sans-serif" font-size="12">',
        f"<title>{len(after)} responses to one prompt, before and after refinement</title>",
        f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="8" fill="{CARD}" '
        f'stroke="{LINE}"/>',
        _text(24, 34, f"{len(after)} responses to the sample prompt {record.id}", 15, weight=600),
        _text(
            24,
            54,
            "A row is a response, a square a criterion, filled where it is met. Orange: tied scores.",
            12,
            SOFT,
        ),
        _heading(24, "first rubric", len(record.initial.criteria), record.tie_share_before),
        _heading(RIGHT - 40, "after four rounds", len(record.rubric.criteria), record.tie_share_after),
    ]
    parts += _links(before, after)
    parts += _half(before, name, NAMES_LEFT, LEFT)
    parts += _half(after, name, NAMES_RIGHT, RIGHT)
    parts.append(_text(24, height - 18, _caption(before, after, pool), 12, SOFT))
    return "\n".join([*parts, "</svg>", ""])


def _heading(x: int, name: str, n_criteria: int, tie_share: float | None) -> str:
    share = "" if tie_share is None else f", {tie_share:.0%} of top pairs tied"
    return _text(x, 92, f"{name}: {n_criteria} criteria{share}", 13, weight=600)


def _half(
    standings: Sequence[Standing], name: Mapping[str, str], names_x: int, cells_x: int
) -> Iterator[str]:
    scores = [standing.score for standing in standings]
    for place, standing in enumerate(standings):
        y = TOP + ROW * place
        colour = TIED if scores.count(standing.score) > 1 else INK
        score = "–" if standing.score is None else f"{standing.score:.2f}"
        yield _text(names_x, y + 12, name[standing.response], 11, SOFT)
        yield _text(cells_x - 9, y + 12, score, 12, colour, anchor="end")
        for number, mark in enumerate(standing.marks):
            fill, stroke = (MET, MET) if mark == "+" else (CARD, LINE)
            dash = ' stroke-dasharray="2 2"' if mark == "?" else ""
            yield (
                f'<rect x="{cells_x + CELL * number + 0.5}" y="{y + 2.5}" width="11" height="11" rx="2" '
                f'fill="{fill}" stroke="{stroke}"{dash}/>'
            )


def _links(before: Sequence[Standing], after: Sequence[Standing]) -> Iterator[str]:
    place_after = {standing.response: place for place, standing in enumerate(after)}
    start, end = LEFT + CELL * len(before[0].marks) + 6, RIGHT - 42
    for place, standing in enumerate(before):
        y, to = TOP + ROW * place + 8, TOP + ROW * place_after[standing.response] + 8
        bend = (start + end) // 2
        yield (
            f'<path d="M{start} {y} C{bend} {y} {bend} {to} {end} {to}" fill="none" stroke="{LINE}" '
            'stroke-width="1.5"/>'
        )


def _caption(before: Sequence[Standing], after: Sequence[Standing], pool: Pool) -> str:
    gold = {response.key: response.gold for response in pool.responses}
    said = []
    for standings in (before, after):
        orders = list(_orders(standings, gold))
        said.append(f"{orders.count(0) / len(orders):.0%}")
    return (
        f"Pairs in the order of the gold scores, which no model of the run sees: {said[0]} before, {said[1]} "
        "after. Drawn from a run by docs/pictures.py."
    )


def _text(
    x: float, y: float, text: str, size: int, fill: str = INK, *, weight: int = 400, anchor: str = "start"
) -> str:
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" fill="{fill}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def with_blocks(page: str, blocks: Mapping[str, str]) -> str:
    """The page with the text of each block between its two comments."""

    def filled(match: re.Match[str]) -> str:
        return f"{match[1]}\n{blocks[match[2]]}\n{match[3]}"

    pattern = r"(<!-- made by docs/pictures\.py: (\w+) -->)\n.*?(<!-- end -->)"
    return re.sub(pattern, filled, page, flags=re.S)


def steady(text: str) -> str:
    """The text without what differs from one run to the next: seconds, and the time of the bar."""
    return re.sub(r"seconds(\s|&#160;)[\d.]+|\d:\d\d:\d\d", "", text)


def main() -> None:
    """Writes what has changed; with `--check`, only says what has."""
    told, finished = sample_run()
    blocks = {
        "output": f"```text\n{as_text(told)}\n```",
        "plan": f"```text\n{plan_text()}\n```",
        "run": _measured(as_text(told)),
        "orders": order_table(finished),
    }
    made = {IMAGES / "run.svg": terminal_picture(told), IMAGES / "ties.svg": ties_picture(*finished[0])}
    made |= {page: with_blocks(page.read_text(encoding="utf-8"), blocks) for page in PAGES}
    stale = [path for path, text in made.items() if not _is(path, text)]
    if "--check" in sys.argv:
        # The recording is drawn by rich, whose next version may draw the same lines in another way.
        stale = [path for path in stale if path.name != "run.svg"]
        if stale:
            sys.exit(f"not up to date: {', '.join(path.name for path in stale)}; run `make docs`")
        return
    IMAGES.mkdir(exist_ok=True)
    for path in stale:
        path.write_text(made[path], encoding="utf-8")


def _is(path: Path, text: str) -> bool:
    return path.is_file() and steady(path.read_text(encoding="utf-8")) == steady(text)


if __name__ == "__main__":
    main()
