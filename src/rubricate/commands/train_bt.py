"""`rubricate train bt`: preference pairs -> Bradley-Terry reward models, one for each seed, and what they are
worth."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from rich.console import Console

from rubricate.commands.bench import put
from rubricate.commands.over_seeds import (
    HELD_OUT,
    Measured,
    benchmark_of,
    measured,
    print_measured,
    units_by,
)
from rubricate.commands.preference_files import preference_pairs
from rubricate.commands.session import in_loop
from rubricate.errors import DataError, SettingsError
from rubricate.evaluation.benchmarks.cases import Benchmark
from rubricate.evaluation.benchmarks.figures.outcomes import Unit
from rubricate.evaluation.benchmarks.sources import read_benchmark
from rubricate.evaluation.scorers.checkpoints import checkpoint_scorer
from rubricate.report import words
from rubricate.reward_model.cards import Card, Counts, read_card
from rubricate.reward_model.pairs import Choice, Chosen, PreferencePair, chosen_pairs, data_key, held_out
from rubricate.reward_model.recipe import Recipe, steps_of
from rubricate.reward_model.training import is_done, planned, train

SUMMARY = "summary.json"
_EVERY_S = 10.0


@dataclass(frozen=True)
class TrainOrder:
    """What was asked for on the command line."""

    pairs: tuple[str, ...]
    model: str
    output: Path
    recipe: Recipe = field(default_factory=Recipe)
    choice: Choice = field(default_factory=Choice)
    seeds: tuple[int, ...] = (0,)
    held_out: float = 0.1
    evals: tuple[str, ...] = ()
    gold: str | None = None
    preferences: str | None = None
    resume: bool = False
    save_steps: int | None = None
    dry_run: bool = False


class Summary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `--json` prints, and summary.json beside several models holds."""

    model: str
    folders: tuple[str, ...]
    cards: tuple[Card, ...]
    measured: tuple[Measured, ...]


@dataclass(frozen=True)
class _Data:
    """The pairs of one seed: to train on, and held out; the counts of both."""

    train: tuple[PreferencePair, ...]
    held_out: tuple[PreferencePair, ...]
    counts: Counts


def train_bt(order: TrainOrder, console: Console, *, as_json: bool = False) -> int:
    """Reads, trains a model for each seed, measures them, prints and writes.

    Raises:
        SettingsError: a setting, a model or a folder that cannot be used.
        DataError: a file that cannot be used, or no pair is left.
    """
    said = Console(quiet=True) if as_json else console
    if len(set(order.seeds)) < len(order.seeds):
        raise SettingsError("--seed: a seed is named twice")
    if not 0 <= order.held_out < 1:
        raise SettingsError(f"--held-out is {order.held_out}; it is a share below 1")
    evals = [(source, read_benchmark(source)) for source in order.evals]
    pairs, left_out = preference_pairs(order.pairs, gold=order.gold, judged=order.preferences)
    by_seed = {seed: _data(order, seed, pairs, left_out, [each for _, each in evals]) for seed in order.seeds}
    if order.dry_run:
        _print_plan(order, by_seed, console)
        return 0
    folders = {seed: order.output / f"seed-{seed}" for seed in order.seeds}
    if len(order.seeds) == 1:
        folders = {order.seeds[0]: order.output}
    for folder in folders.values():
        _must_be_free(folder, order.resume)
    cards, settled = [], list[list[list[Unit]]]()
    # All models are measured on one and the same held-out pairs: which prompts are held out follows from
    # their content alone.
    own = benchmark_of(by_seed[order.seeds[0]].held_out)
    benchmarks = [*([(HELD_OUT, own)] if own.cases else []), *evals]
    for seed, folder in folders.items():
        cards.append(_trained(order, seed, by_seed[seed], folder, said))
        settled.append(_settled(folder, order.recipe, [each for _, each in benchmarks], said))
    found = [
        in_loop(measured(source, benchmark, [units[place] for units in settled]))
        for place, (source, benchmark) in enumerate(benchmarks)
    ]
    summary = Summary(order.model, tuple(map(str, folders.values())), tuple(cards), tuple(found))
    content = msgspec.json.format(msgspec.json.encode(summary), indent=1) + b"\n"
    put(order.output / SUMMARY, content)
    if as_json:
        console.print_json(content.decode())
    for each in found:
        print_measured(each, len(order.seeds), said)
    for folder in folders.values():
        said.print(str(folder), markup=False, soft_wrap=True)
    return 0


def _data(
    order: TrainOrder,
    seed: int,
    pairs: Sequence[PreferencePair],
    left_out: dict[str, int],
    evals: Sequence[Benchmark],
) -> _Data:
    """The pairs of one seed; prompts that are in an evaluation are never trained on.

    Raises:
        DataError: none is left.
        SettingsError: the names of the policy fit nobody.
    """
    asked = {case.prompt.key for benchmark in evals for case in benchmark.cases}
    free = [pair for pair in pairs if pair.prompt.key not in asked]
    for_training, beside = held_out(free, order.held_out)
    choice = msgspec.structs.replace(order.choice, seed=seed)
    chosen = chosen_pairs(for_training, choice)
    whole = msgspec.structs.replace(choice, per_prompt=None, most=None, balance_length=False)
    kept_out = chosen_pairs(beside, whole)
    dropped = Counter(left_out)
    dropped.update(chosen.dropped)
    if len(free) < len(pairs):
        dropped["the prompt is in --eval"] += len(pairs) - len(free)
    if not chosen.pairs:
        why = ", ".join(f"{reason} ({n:,})" for reason, n in dropped.items())
        raise DataError(", ".join(order.pairs), f"no pair is left to train on: {why}{_writers(order, pairs)}")
    counts = Counts(
        pairs=len(chosen.pairs),
        prompts=_prompts(chosen),
        held_out_pairs=len(kept_out.pairs),
        held_out_prompts=_prompts(kept_out),
        sources=chosen.sources,
        dropped=dict(dropped),
    )
    return _Data(chosen.pairs, kept_out.pairs, counts)


def _writers(order: TrainOrder, pairs: Sequence[PreferencePair]) -> str:
    if not order.choice.policy:
        return ""
    names = sorted({side.generator or "?" for pair in pairs for side in (pair.chosen, pair.rejected)})
    shown = ", ".join(words.one_line(name, 40) for name in names[:8])
    return f"; the generators are {shown}{' and others' if len(names) > 8 else ''}"


def _prompts(chosen: Chosen) -> int:
    return len({pair.place for pair in chosen.pairs})


def _must_be_free(folder: Path, resume: bool) -> None:
    if folder.is_file():
        raise SettingsError(f"--output-dir: {folder} is a file")
    if not resume and folder.is_dir() and any(folder.iterdir()):
        raise SettingsError(
            f"--output-dir: {folder} is not empty; go on with --resume, or name another folder"
        )


def _print_data(data: _Data, console: Console) -> None:
    counts = data.counts
    sources = ", ".join(f"{name} {n:,}" for name, n in counts.sources.items() if name != "unknown")
    console.print(
        f"{counts.pairs:,} pairs of {counts.prompts:,} prompts{f' ({sources})' if sources else ''}, "
        f"held out {counts.held_out_pairs:,} of {counts.held_out_prompts:,} prompts",
        markup=False,
    )
    for why, n in sorted(counts.dropped.items()):
        console.print(f"left out: {n:,} ({why})", markup=False, soft_wrap=True)


def _print_plan(order: TrainOrder, by_seed: dict[int, _Data], console: Console) -> None:
    for seed, data in by_seed.items():
        form, tokens = planned(order.model, data.train, order.recipe)
        console.print(f"seed {seed}", style="bold")
        _print_data(data, console)
        steps, epochs = steps_of(order.recipe, len(tokens.chosen)), order.recipe.epochs
        console.print(
            f"{steps:,} steps on one device, {epochs:g} epochs of {tokens.total:,} tokens, "
            f"{round(tokens.total * epochs):,} in all",
            markup=False,
        )
        console.print(
            f"text form {form.kind}, at most {form.max_length:,} tokens; {tokens.cut:,} of "
            f"{2 * len(tokens.chosen):,} texts are cut",
            markup=False,
        )


def _trained(order: TrainOrder, seed: int, data: _Data, folder: Path, console: Console) -> Card:
    name = f"seed {seed}"
    done = read_card(folder) if is_done(folder) else None
    if done is not None:
        same = {**done.hyperparameters, "steps": None} == {
            **msgspec.to_builtins(order.recipe),
            "steps": None,
        }
        if done.data != data_key(data.train) or done.base_model != order.model or not same:
            raise SettingsError(
                f"--resume: {folder} holds a model of other pairs or settings; name another folder"
            )
        console.print(f"{name}: done before", markup=False)
        return done
    console.print(name, style="bold")
    _print_data(data, console)
    last = 0.0

    def told(step: int, steps: int, loss: float) -> None:
        nonlocal last
        if time.monotonic() - last > _EVERY_S or step == steps:
            last = time.monotonic()
            console.print(f"step {step:,} of {steps:,}, loss {loss:.3f}", markup=False, highlight=False)

    card = train(
        order.model,
        data.train,
        data.held_out,
        order.recipe,
        folder,
        seed=seed,
        counts=data.counts,
        resume=order.resume,
        save_steps=order.save_steps,
        progress=told,
    )
    if card.counts.cut_texts:
        of = 2 * card.counts.pairs
        room = card.form.max_length
        console.print(
            f"{card.counts.cut_texts:,} of {of:,} texts were longer than {room:,} tokens, and cut",
            markup=False,
        )
    return card


def _settled(
    folder: Path, recipe: Recipe, benchmarks: Sequence[Benchmark], console: Console
) -> list[list[Unit]]:
    """The contests of each benchmark as the saved model settles them: what counts is what loads again."""
    scorer = checkpoint_scorer(str(folder), batch_size=16, bf16=recipe.bf16)
    return [in_loop(units_by(scorer, benchmark)) for benchmark in benchmarks]
