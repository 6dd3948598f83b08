"""`rubricate rollouts`: many models x many prompts, with the flags of the official sampler."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from rubricate.commands.progress import RunProgress
from rubricate.commands.session import Interrupted, in_loop
from rubricate.domain.identity import chance_of, key_of
from rubricate.errors import RunStopped, SettingsError
from rubricate.llm.budget import Budget
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.prices import known_prices
from rubricate.llm.sqlite import SqliteLedger
from rubricate.runs.intake import Messages, read_prompts
from rubricate.runs.rollouts import PAPER_MODELS, Counts, models_of, read_existing, roll_out
from rubricate.settings.loading import load_settings
from rubricate.settings.opening import ledger_path
from rubricate.settings.secrets import access, environment
from rubricate.settings.wiring import Wiring
from rubricate.steps.sample import Sampling

_SEED = 42  # the official sampler draws prompts with this seed
_SHOWN_FAILURES = 10


@dataclass(frozen=True)
class RolloutOrder:
    """The flags of the official sampler under their official names and defaults, and ours behind them."""

    input_file: str
    models: tuple[str, ...] = ()
    num_prompts: int | None = None
    num_responses_per_model: int = 1
    max_tokens: int = 0
    temperature: float = 1.0
    top_p: float = 0.95
    output_dir: str = "data"
    output_filename: str | None = None
    sequential: bool = False
    api_max_retries: int = 3
    num_workers: int = 16
    existing_file: str | None = None
    base_url: str | None = None
    max_cost: float | None = None
    max_calls: int | None = None
    ledger: str | None = None


def rollouts(order: RolloutOrder, console: Console) -> int:
    """Samples and writes; the exit code: 1 if a draw failed."""
    models = models_of(order.models) if order.models else PAPER_MODELS
    prompts = chosen_prompts(read_prompts(order.input_file), order.num_prompts, sequential=order.sequential)
    output = output_of(order, models)
    sources = [Path(order.existing_file)] if order.existing_file else []
    if output.exists() and output not in sources:
        console.print(f"{output} exists: what it holds is kept, what it lacks is drawn", markup=False)
        sources.append(output)
    existing: dict[str, dict[str, Any]] = {}
    for source in sources:
        for id, row in read_existing(source).items():
            existing[id] = row if id not in existing else _merged(existing[id], row)
    counts = Counts()
    console.print(
        f"{len(prompts)} prompts x {len(models)} models x {order.num_responses_per_model} -> {output}",
        markup=False,
    )
    try:
        in_loop(_draw(order, models, prompts, existing, output, counts, console))
    except (RunStopped, Interrupted) as stop:
        console.print(f"Stopped: {stop}", markup=False)
        console.print("Every response that was paid for is in the ledger: the same command goes on.")
        return 128 + stop.signal_number if isinstance(stop, Interrupted) else 3
    cut = f", {counts.cut} of them cut off at the token limit" if counts.cut else ""
    console.print(
        f"{counts.drawn} responses drawn{cut}, {counts.kept} kept, {counts.failed} failed", markup=False
    )
    for id, model, why in counts.failures[:_SHOWN_FAILURES]:
        console.print(f"  failed: {id}, {model}: {why}", markup=False, highlight=False)
    if counts.failed:
        more = counts.failed - min(counts.failed, _SHOWN_FAILURES)
        console.print(f"{f'  and {more} more; ' if more else ''}failed draws are owed: run the command again")
    return 1 if counts.failed else 0


def chosen_prompts(
    prompts: Sequence[tuple[str, Messages]], n: int | None, *, sequential: bool
) -> list[tuple[str, Messages]]:
    """All prompts, the first n, or n drawn by content: whatever is drawn keeps its id and its order."""
    if n is None or n >= len(prompts):
        return list(prompts)
    if n < 1:
        raise SettingsError(f"--num-prompts is {n}, and must be at least 1")
    if sequential:
        return list(prompts[:n])
    drawn = sorted(prompts, key=lambda prompt: chance_of(_SEED, key_of("prompt", prompt[1]), prompt[0]))[:n]
    kept = {id for id, _ in drawn}
    return [prompt for prompt in prompts if prompt[0] in kept]


def output_of(order: RolloutOrder, models: Sequence[str]) -> Path:
    """The output file: the name that was given, else the one that the official sampler would choose."""
    folder = Path(order.output_dir)
    if order.output_filename:
        return folder / order.output_filename
    drawn = f"temp_{order.temperature}_topp_{order.top_p}_{order.num_prompts}_prompts"
    drawn += f"_{order.num_responses_per_model}_responses"
    if len(models) > 1:
        return (
            folder / f"{'SOTAs' if tuple(models) == PAPER_MODELS else 'multi_model'}_multi_model_{drawn}.json"
        )
    name = models[0].split("/")[-1].replace("-", "_")
    return folder / f"{name}_{drawn}_{Path(order.input_file).name.split('.')[0]}.json"


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """The first row with the responses of the second that it lacks."""
    mine, theirs = first["responses"], second["responses"]
    return {**second, **first, "responses": mine + [response for response in theirs if response not in mine]}


async def _draw(
    order: RolloutOrder,
    models: Sequence[str],
    prompts: Sequence[tuple[str, Messages]],
    existing: dict[str, dict[str, Any]],
    output: Path,
    counts: Counts,
    console: Console,
) -> None:
    settings = load_settings("iterative", [f"api.workers={order.num_workers}"])
    prices = known_prices()
    budget = Budget(prices, max_calls=order.max_calls, max_cost_usd=order.max_cost)
    budget.check(models)
    path = Path(order.ledger) if order.ledger else ledger_path(settings)
    where = access(environment(), order.base_url)
    samplings = [
        Sampling(model, order.temperature, order.top_p, order.max_tokens if order.max_tokens > 0 else None)
        for model in models
    ]
    async with AsyncExitStack() as stack:
        ledger = await stack.enter_async_context(SqliteLedger(path))
        wiring = Wiring(settings.api, ledger, budget, stack, tries=order.api_max_retries + 1)
        line = await wiring.line(Endpoint(where.base_url, where.api_key), "rollouts")
        spent = lambda: (line.chat.n_paid, budget.spent_usd)  # noqa: E731
        with RunProgress(console, len(prompts), spent) as progress:
            await roll_out(
                prompts,
                dict.fromkeys(models, line.chat),
                samplings,
                order.num_responses_per_model,
                output,
                existing=existing,
                in_flight=order.num_workers,
                counts=counts,
                told=lambda: progress.add("sampled"),
            )
