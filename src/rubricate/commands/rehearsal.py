"""`rubricate world train`: a small language model through GRPO under four rewards, measured by gold."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.console import Console

from rubricate.errors import SettingsError
from rubricate.rehearsal.account.figure import charts_of
from rubricate.rehearsal.account.page import account_page
from rubricate.rehearsal.account.summary import NAMES, Account, account_of, readings
from rubricate.rehearsal.account.tables import markdown
from rubricate.rehearsal.ascent.climbing import marks_of
from rubricate.rehearsal.ascent.measuring import Point
from rubricate.rehearsal.ascent.runs import Row, Site, Terms, opened
from rubricate.rehearsal.extras import needed
from rubricate.rehearsal.plan import REWARDS, Plan, quick
from rubricate.report.lines import figure
from rubricate.runs.writing import replacing
from rubricate.world.dials import dials_of


class RehearsalOrder(NamedTuple):
    """What was asked for on the command line; None leaves a number of the plan as it is."""

    folder: Path
    dials: Sequence[str] = ()
    is_quick: bool = False
    seeds: int | None = None
    first_seed: int = 0
    steps: int | None = None
    budget: int | None = None
    rewards: Sequence[str] = ()


def train_in_world(order: RehearsalOrder, console: Console) -> int:
    """Trains what is not trained yet, measures, writes and says what came of it; the exit code.

    After every run the results are written anew, so that an interruption costs one run. Whatever comes out is
    no failure: the exit code is 0.

    Raises:
        SettingsError: no such dial or reward, a number out of range, or the extra `train` is missing.
        RunError: the folder holds something else, or cannot be written.
        DataError: a file of an earlier run cannot be read.
    """
    rewards = _rewards(order.rewards)
    plan = quick() if order.is_quick else Plan()
    asked = {"steps": order.steps, "budget": order.budget}
    plan = msgspec.structs.replace(plan, **{name: n for name, n in asked.items() if n is not None})
    terms = Terms(plan, dials_of(order.dials))
    n_seeds = order.seeds if order.seeds is not None else 1 if order.is_quick else 3
    seeds = range(order.first_seed, order.first_seed + n_seeds)
    _quiet()
    opened(order.folder, terms)
    sites = {seed: Site(order.folder, terms, seed) for seed in seeds}
    wanted = [(reward, seed) for seed in seeds for reward in rewards]
    _say(console, f"{len(wanted)} runs of {plan.steps} steps, measured at {len(marks_of(plan))} of them")
    runs: dict[tuple[str, int], list[Point]] = {}
    pools: dict[int, list[Row]] = {}
    for seed, site in sites.items():
        site.begin(lambda what, seed=seed: _say(console, f"seed {seed}: {what}"))  # type: ignore[misc]
        pools[seed] = site.pool() or []
        for reward in rewards:
            if site.points(reward) is None:
                _say(console, f"seed {seed}: training on {NAMES[reward]}")
            started = time.monotonic()
            runs[reward, seed] = site.run(reward, lambda point: _tell(console, point))
            if (took := time.monotonic() - started) > 1:
                _say(console, f"seed {seed}: done in {took:.0f} s")
            _write(order.folder, terms, runs, pools, [run for run in wanted if run not in runs])
    account = account_of(terms, runs, pools)
    for line in readings(account):
        _say(console, line)
    _say(console, str(order.folder / "report.html"))
    return 0


def _rewards(given: Sequence[str]) -> list[str]:
    unknown = [name for name in given if name not in REWARDS]
    if unknown:
        raise SettingsError(f"--reward: no {unknown[0]!r}; there are {', '.join(REWARDS)}")
    return [reward for reward in REWARDS if not given or reward in given]


def _write(
    folder: Path,
    terms: Terms,
    runs: dict[tuple[str, int], list[Point]],
    pools: dict[int, list[Row]],
    missing: list[tuple[str, int]],
) -> Account:
    account = account_of(terms, runs, pools, missing)
    charts = charts_of(account.rows, runs, pools)
    points = b"".join(
        msgspec.json.encode(point) + b"\n" for (_, _), run in sorted(runs.items()) for point in run
    )
    texts = {
        "points.jsonl": points,
        "summary.json": msgspec.json.format(msgspec.json.encode(account), indent=1) + b"\n",
        "tables.md": ("\n".join(markdown(account)) + "\n").encode(),
        "report.html": account_page(account, charts.values()).encode(),
        **{f"{name}.svg": str(figure(chart)).encode() for name, chart in charts.items()},
    }
    for name, content in texts.items():
        with replacing(folder / name) as draft:
            draft.write_bytes(content)
    return account


def _tell(console: Console, point: Point) -> None:
    held_out = point.held_out
    gold, wins, kl = (
        sum(values) / len(values) for values in (held_out.gold, held_out.great_wins, held_out.kl)
    )
    _say(console, f"  step {point.step:4d}  KL {kl:5.2f}  gold {gold:.3f}  beats great {100 * wins:4.1f}%")


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, soft_wrap=True, highlight=False)


def _quiet() -> None:
    """One thread, where nobody asks for more: a small model is no faster on several, and much slower beside
    other work. And none of the libraries' own progress."""
    with needed():
        import datasets
        import torch
        import transformers
        import trl  # noqa: F401
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    datasets.disable_progress_bars()
    spoken: Any = transformers.utils.logging
    spoken.set_verbosity_error()
    spoken.disable_progress_bar()
    warnings.simplefilter("ignore", FutureWarning)
