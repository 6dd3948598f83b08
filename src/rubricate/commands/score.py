"""`rubricate score`: a pool -> its responses with scores of any rewards, as `rubricate audit` reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from rubricate.commands.bench import stopped, told_calls
from rubricate.commands.compare import must_be_writable
from rubricate.commands.scoring import ScorerOrder, Ticker, opened_scorer
from rubricate.commands.session import Interrupted, in_loop
from rubricate.domain.conversation import Pool
from rubricate.errors import DataError, RunStopped, SettingsError
from rubricate.evaluation.scorers.marks import Item, Marks, marks_of
from rubricate.llm.thinking import strip_thinking
from rubricate.report import words
from rubricate.runs.intake import read_pools
from rubricate.runs.writing import replacing

DONE = 0
_ENDING = "_score"


@dataclass(frozen=True)
class ScoreOrder:
    """What was asked for on the command line: a pool, and scorers with the names of their columns."""

    source: str
    settings: ScorerOrder
    scorers: tuple[str, ...]
    columns: tuple[str, ...] = ()
    output: Path = Path("scored.jsonl")


def score(order: ScoreOrder, console: Console) -> int:
    """Scores, says how many are unjudged and why, and writes one line for each response.

    Raises:
        SettingsError: a scorer or a column that cannot be.
        DataError: the pool cannot be read.
    """
    must_be_writable("--output", order.output)
    columns = _columns(order)
    if any(scorer.partition(":")[0] == "judge" for scorer in order.scorers):
        raise SettingsError("--scorer: a judge compares and gives no scores")
    with read_pools(order.source) as intake:
        pools = list(intake)
    aside = sum(len(pool.set_aside) for pool in pools)
    items = [Item(pool.prompt, strip_thinking(one.text)) for pool in pools for one in pool.responses]
    if not items:
        raise DataError(order.source, "there is no response in it to score")
    found: dict[str, Marks] = {}
    try:
        for column, scorer in zip(columns, order.scorers, strict=True):
            asked = replace(order.settings, scorer=scorer)
            found[column] = in_loop(_marks(asked, items, console))
    except (RunStopped, Interrupted) as stop:
        return stopped(stop, console)
    with replacing(order.output) as draft, draft.open("wb") as target:
        for pool in pools:
            for row in _rows(pool, found):
                target.write(msgspec.json.encode(row) + b"\n")
    for column, marks in found.items():
        silent = Counter(mark.why or "no reason given" for mark in marks.values() if mark.score is None)
        for why, n in silent.most_common(5):
            console.print(f"{column}: unjudged {n:,}: {words.one_line(why, 160)}", markup=False)
    if aside:
        console.print(f"left out: {aside:,} (set aside as the pool was read)")
    console.print(
        f"{order.output}: {len(items):,} responses to {len(pools):,} prompts, {', '.join(columns)}",
        markup=False,
        soft_wrap=True,
    )
    return DONE


async def _marks(order: ScorerOrder, items: Sequence[Item], console: Console) -> Marks:
    async with opened_scorer(order, console) as opened:
        assert opened.scorer is not None, "a judge was turned away"
        ticker = Ticker(console, "responses", opened.roles)
        try:
            return await marks_of(items, opened.scorer, ticker)
        finally:
            ticker.close()
            told_calls(opened, console)


def _rows(pool: Pool, found: dict[str, Marks]) -> list[dict[str, Any]]:
    """The lines of one pool. The text is the one that was scored: without its reasoning. A score that is not
    there is null."""
    rows = []
    for one in pool.responses:
        item = Item(pool.prompt, strip_thinking(one.text))
        row: dict[str, Any] = {"prompt_id": pool.prompt.id, "prompt": pool.prompt.text, "response": item.text}
        if one.generator is not None:
            row["generator"] = one.generator
        if one.gold is not None:
            row["gold"] = one.gold
        rows.append(row | {column: marks[item.key].score for column, marks in found.items()})
    return rows


def _columns(order: ScoreOrder) -> tuple[str, ...]:
    """The names of the columns: as they are given, `score` for a single one, else by what scores; always
    such that `rubricate audit` finds them by itself."""
    if order.columns:
        if len(order.columns) != len(order.scorers):
            raise SettingsError("--column: give one name for each --scorer")
        names = order.columns
    elif len(order.scorers) == 1:
        names = ("score",)
    else:
        kinds = [spec.partition(":") for spec in order.scorers]
        names = tuple(
            (Path(rest).name if rest and "//" not in rest else kind) + _ENDING for kind, _, rest in kinds
        )
    if len(set(names)) < len(names):
        raise SettingsError(f"--column: two scorers would share a name ({', '.join(names)}); name them all")
    taken = {"prompt_id", "prompt", "response", "generator", "gold"} & set(names)
    if taken:
        raise SettingsError(f"--column {taken.pop()}: the file has another column of this name")
    return names
