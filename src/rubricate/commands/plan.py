"""`rubricate plan`, which is `rubricate run --dry-run`: the bill before anything is spent."""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec
from rich.console import Console
from rich.table import Table

from rubricate.commands.run import Order, initial_of, intake_of, settings_for
from rubricate.domain.record import Spend, Step
from rubricate.runs.plan import ASSUMED, plan, turnarounds
from rubricate.settings.casting import asked_models
from rubricate.settings.schema import OFFLINE, Settings
from rubricate.settings.terms import batch_steps, prices_of, shape_of


def show_plan(order: Order, console: Console, *, as_json: bool = False) -> int:
    """Prints calls, tokens and money by step; the exit code. Nothing is written and nobody is asked."""
    settings, _ = settings_for(order)
    prices, initial = prices_of(settings), initial_of(settings)
    with intake_of(settings) as intake:
        bill = plan(intake, shape_of(settings), prices, initial)
        n_responses = sum(len(pool.responses) for pool in intake)
        proposes = any(initial.of(pool.prompt) is None for pool in intake)
        size = f"{len(intake)} prompts, {n_responses} responses"
    if as_json:
        console.print_json(json.dumps({step: msgspec.to_builtins(spend) for step, spend in bill.items()}))
        return 0
    console.print(f"{size}, {_rounds(settings.workflow.max_iterations)}")
    if not bill:
        console.print(f"Everything is played by {OFFLINE!r}: no call, no token, no cost.")
        return 0
    console.print(_table(bill))
    by_batch = batch_steps(settings)
    waits = {
        step: n for step, n in turnarounds(shape_of(settings), proposes=proposes).items() if step in by_batch
    }
    if waits:
        each = ", ".join(f"{step} {n}" for step, n in waits.items())
        in_waves = "grade" in waits and settings.grade.coverage == "top"
        console.print(
            f"By batch: {'at least' if in_waves else 'up to'} {sum(waits.values())} turnarounds one after "
            f"the other ({each}), each of minutes to {settings.batch.window}; more where rows fail or "
            "replies cannot be read. Prices are those of batches.",
            markup=False,
        )
        if in_waves:
            console.print(
                "grade.coverage=top asks a grading in waves, each a turnaround more: grade.coverage=all asks "
                "everybody at once, in more calls.",
                markup=False,
            )
    unknown = [model for model in asked_models(settings) if prices.of(model) is None]
    if unknown:
        console.print(
            f"No price is known for {', '.join(unknown)}: set budget.prices to a file.", markup=False
        )
    console.print(
        f"Assumed: {ASSUMED.criteria} criteria in a first rubric, {ASSUMED.new_criteria_per_round} new ones "
        f"a round, {ASSUMED.criterion_characters} characters a criterion, {ASSUMED.characters_per_token:g} "
        f"characters a token, {_asked(settings)}every refinement accepted, nothing in the ledger yet.\n"
        f"Prices: list prices as of {prices.as_of}; check them, or give yours in budget.prices."
    )
    return 0


def _table(bill: Mapping[Step, Spend]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("step")
    for name in ("calls", "prompt tokens", "completion tokens", "USD"):
        table.add_column(name, justify="right")
    costs = [spend.cost_usd for spend in bill.values()]
    known = [cost for cost in costs if cost is not None]
    total = Spend(
        sum(spend.calls for spend in bill.values()),
        sum(spend.prompt_tokens for spend in bill.values()),
        sum(spend.completion_tokens for spend in bill.values()),
        cost_usd=sum(known) if len(known) == len(costs) else None,
    )
    for name, spend in [*bill.items(), ("total", total)]:
        usd = "unknown" if spend.cost_usd is None else f"{spend.cost_usd:,.2f}"
        row = (f"{spend.calls:,}", f"{spend.prompt_tokens:,}", f"{spend.completion_tokens:,}", usd)
        table.add_row(name, *row, style="bold" if name == "total" else None)
    return table


def _asked(settings: Settings) -> str:
    """What is assumed of whom a round asks, where that depends on the verdicts."""
    if settings.grade.coverage == "all" or settings.policy == "first_two":
        return ""
    return f"{ASSUMED.contenders} responses asked in a round after the first, "


def _rounds(n: int) -> str:
    return "no rounds" if n == 0 else "one round" if n == 1 else f"up to {n} rounds"
