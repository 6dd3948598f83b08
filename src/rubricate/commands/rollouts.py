"""`rubricate rollouts`: many models x many prompts, with the flags of the official sampler."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from rubricate.commands.progress import RunProgress
from rubricate.commands.session import Interrupted, in_loop
from rubricate.domain.identity import chance_of, key_of
from rubricate.errors import DataError, RunError, SettingsError
from rubricate.llm.budget import Budget
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.prices import known_prices
from rubricate.llm.store import Place, open_ledger
from rubricate.runs.earlier import Earlier, read_existing
from rubricate.runs.intake import Messages, read_prompts
from rubricate.runs.rollouts import PAPER_MODELS, Counts, models_of, roll_out
from rubricate.settings.loading import load_settings
from rubricate.settings.schema import Api
from rubricate.settings.secrets import access, environment, ledger_of
from rubricate.settings.terms import ledger_place, pinned
from rubricate.settings.wiring import OwnLimits, Wiring
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
    """Samples and writes; the exit code: 1 if a draw failed.

    Raises:
        SettingsError, DataError: a flag or a file is wrong; nothing is asked and nothing is written then.
    """
    models = models_of(order.models) if order.models else PAPER_MODELS
    output = output_of(order, models)
    _must_be_writable(output)
    prompts = chosen_prompts(read_prompts(order.input_file), order.num_prompts, sequential=order.sequential)
    if not prompts:
        raise DataError(order.input_file, "there is no prompt in it")
    earlier = _earlier(order, output, console)
    desk = _desk(order, models)
    counts = Counts()
    _say(
        console,
        f"{len(prompts)} prompts x {len(models)} models x {order.num_responses_per_model} -> {output}",
    )
    try:
        in_loop(_draw(order, desk, models, prompts, earlier, output, counts, console))
    except (RunError, Interrupted) as stop:
        _say(console, f"Stopped: {stop}")
        _say(console, "Every response that was paid for is in the ledger: the same command goes on.")
        return 128 + stop.signal_number if isinstance(stop, Interrupted) else 3
    cut = f", {counts.cut} of them cut off at the token limit" if counts.cut else ""
    _say(console, f"{counts.drawn} responses drawn{cut}, {counts.kept} kept, {counts.failed} failed")
    for id, model, why in counts.failures[:_SHOWN_FAILURES]:
        _say(console, f"  failed: {id}, {model}: {why}")
    if counts.failed:
        more = counts.failed - _SHOWN_FAILURES
        _say(
            console,
            f"{f'  and {more} more; ' if more > 0 else ''}failed draws are owed: run the command again",
        )
    return 1 if counts.failed else 0


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _must_be_writable(output: Path) -> None:
    """Finds out before anything is paid for whether the output can be written, and read again later."""
    if output.suffix not in (".json", ".jsonl"):
        raise SettingsError(f"--output-filename: {output.name} must end in .json or .jsonl")
    above = next(folder for folder in output.absolute().parents if folder.exists())
    if output.is_dir() or not above.is_dir() or not os.access(above, os.W_OK):
        raise SettingsError(f"{output} cannot be written: choose another --output-dir or --output-filename")


def _earlier(order: RolloutOrder, output: Path, console: Console) -> list[Earlier]:
    """What earlier outputs hold: the file that is named, then the one that will be replaced."""
    sources = [Path(order.existing_file)] if order.existing_file else []
    if output.exists() and all(output.resolve() != source.resolve() for source in sources):
        _say(console, f"{output} exists: what it holds is kept, what it lacks is drawn")
        sources.append(output)
    return [row for source in sources for row in read_existing(source)]


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
    label = Path(Path(order.input_file).name.removesuffix(".gz").removesuffix(".zst")).stem
    return folder / f"{name}_{drawn}_{label}.json"


@dataclass(frozen=True)
class _Desk:
    """Where the models are asked, at what price, and where the replies are kept."""

    api: Api
    endpoint: Endpoint
    budget: Budget
    ledger: Place


def _desk(order: RolloutOrder, models: Sequence[str]) -> _Desk:
    settings = load_settings("iterative", [f"api.workers={order.num_workers}"])
    budget = Budget(known_prices(), max_calls=order.max_calls, max_cost_usd=order.max_cost)
    budget.check(models)
    env = environment()
    where = access(env, order.base_url)
    return _Desk(settings.api, Endpoint(where.base_url, where.api_key), budget, _place(order, env))


def _place(order: RolloutOrder, env: Mapping[str, str]) -> Place:
    if not order.ledger:
        return ledger_place(pinned(load_settings("iterative"), env), env)
    try:
        return Place.parse(order.ledger).with_access(env, ledger_of(env))
    except ValueError as mistake:
        raise SettingsError(f"--ledger {mistake}") from None


async def _draw(
    order: RolloutOrder,
    desk: _Desk,
    models: Sequence[str],
    prompts: Sequence[tuple[str, Messages]],
    earlier: Sequence[Earlier],
    output: Path,
    counts: Counts,
    console: Console,
) -> None:
    samplings = [
        Sampling(model, order.temperature, order.top_p, order.max_tokens or None) for model in models
    ]
    async with AsyncExitStack() as stack:
        ledger = await stack.enter_async_context(open_ledger(desk.ledger))
        wiring = Wiring(
            desk.api, ledger, OwnLimits(desk.api, desk.budget), stack, tries=order.api_max_retries + 1
        )
        line = await wiring.line(desk.endpoint, "rollouts")
        spent = lambda: (line.chat.n_paid, desk.budget.spent_usd)  # noqa: E731
        with RunProgress(console, len(prompts), spent) as progress:
            await roll_out(
                prompts,
                dict.fromkeys(models, line.chat),
                samplings,
                order.num_responses_per_model,
                output,
                earlier=earlier,
                in_flight=order.num_workers,
                counts=counts,
                told=lambda: progress.add("sampled"),
            )
