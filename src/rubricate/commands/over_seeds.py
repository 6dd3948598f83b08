"""Reward models of several seeds on benchmarks: scored, settled, and told beside what costs nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from rubricate.commands.scoring import print_table
from rubricate.domain.identity import key_of
from rubricate.domain.intervals import Estimate
from rubricate.evaluation.benchmarks.cases import Benchmark, Case, Contest
from rubricate.evaluation.benchmarks.figures.outcomes import Unit, by_scores, scores_of
from rubricate.evaluation.benchmarks.figures.seeds import SeedRow, over_seeds
from rubricate.evaluation.benchmarks.measuring import items_of
from rubricate.evaluation.scorers.floors import Longer, Random
from rubricate.evaluation.scorers.marks import Scorer, marks_of
from rubricate.report import words
from rubricate.reward_model.pairs import PreferencePair

CONFIDENT = 0.5
MATCHED = (0.8, 1.25)
HELD_OUT = "held-out pairs"


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One benchmark: a row for each subset. `source` is its file, or that the pairs were held out."""

    source: str
    cases: int
    rows: tuple[SeedRow, ...]
    left_out: dict[str, int] = {}


async def units_by(scorer: Scorer, benchmark: Benchmark) -> list[Unit]:
    """The contests of a benchmark as a scorer settles them, in order."""
    marks = await marks_of(items_of(benchmark.cases), scorer)
    return [unit for case in benchmark.cases for unit in by_scores(case, scores_of(case, marks))]


async def measured(
    source: str, benchmark: Benchmark, models: Sequence[Sequence[Unit]], seed: int = 0
) -> Measured:
    """The rows of a benchmark, from what the models of all seeds settled."""
    longer = await units_by(Longer(), benchmark)
    rows = over_seeds(models, longer, await units_by(Random(seed), benchmark))
    return Measured(source, len(benchmark.cases), rows, benchmark.left_out)


def benchmark_of(pairs: Iterable[PreferencePair]) -> Benchmark:
    """Pairs as a benchmark: a case for each prompt, with the subsets that gold and lengths tell.

    `confident` are pairs with a gap of 0.5 or more between their gold scores, `length_matched` those whose
    lengths in characters are within a quarter of each other.
    """
    by_prompt: dict[str, list[PreferencePair]] = defaultdict(list)
    for pair in pairs:
        by_prompt[pair.place].append(pair)
    cases = []
    for place, group in sorted(by_prompt.items()):
        texts = list(dict.fromkeys(side.text for pair in group for side in (pair.chosen, pair.rejected)))
        contests = tuple(
            Contest((texts.index(p.chosen.text),), (texts.index(p.rejected.text),), _groups(p)) for p in group
        )
        id = key_of("held out", place)[:12]
        cases.append(Case(id, group[0].prompt, "graded", tuple(texts), contests, cluster=place))
    return Benchmark("pairs", tuple(cases))


def _groups(pair: PreferencePair) -> tuple[str, ...]:
    ratio = len(pair.chosen.text) / max(1, len(pair.rejected.text))
    flags = {
        "confident": pair.gap is not None and pair.gap >= CONFIDENT,
        "length_matched": MATCHED[0] <= ratio <= MATCHED[1],
    }
    groups = [name for name, holds in flags.items() if holds]
    return (*groups, "confident length_matched") if all(flags.values()) else tuple(groups)


def print_measured(found: Measured, n_seeds: int, console: Console) -> None:
    """One table: what the models get, in the mean and seed by seed, and what longer and random get."""
    source = words.one_line(found.source, 120)
    over = "one seed" if n_seeds == 1 else f"mean over {n_seeds} seeds"
    console.print(f"{source}: {found.cases:,} prompts, {over}", markup=False, soft_wrap=True)
    for why, n in found.left_out.items():
        console.print(f"left out: {n:,} ({why})", markup=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("subset")
    heads = ["pairs", "prompts", "accuracy", "longer wins", "random", "ahead of longer, points"]
    several = ["seeds", "over seeds", "ahead, over seeds"] if n_seeds > 1 else []
    for name in (*heads, *several):
        table.add_column(name, justify="right")
    for row in found.rows:
        cells = [
            words.count(row.n),
            words.count(row.prompts),
            words.share_interval(row.won),
            words.percent(row.longer.value),
            words.percent(row.random.value),
            _points(row.ahead),
        ]
        if n_seeds > 1:
            each = " ".join(words.percent(share) for share in row.seeds)
            cells += [each, words.share_interval(row.by_seed), _points(row.ahead_by_seed)]
        table.add_row(words.one_line(row.group, 40), *cells)
    print_table(console, table)
    silent = max((row.unjudged for row in found.rows), default=0.0)
    if silent:
        console.print(
            f"unjudged: up to {words.percent(silent)} of the contests of a subset; they are not won"
        )


def _points(estimate: Estimate) -> str:
    return words.change_estimate(estimate).partition(", n =")[0].replace(" points", "")
