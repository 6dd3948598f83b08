"""`rubricate train ... --dry-run`: steps, calls and money of a training before it begins, without torch."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from rubricate.commands.session import in_loop
from rubricate.commands.train_data import Data, data_of, rubrics_to_come
from rubricate.commands.train_order import TrainOrder, folder_of, settings_for
from rubricate.domain.record import Spend
from rubricate.errors import SettingsError
from rubricate.llm.shelf import Holdings, open_shelf
from rubricate.llm.store import Place
from rubricate.runs.plan import ASSUMED
from rubricate.settings.reward import rubric_in_column
from rubricate.settings.schema import OFFLINE
from rubricate.settings.secrets import environment
from rubricate.settings.terms import ledger_place, prices_of
from rubricate.settings.training.loading import recipe_of, settings_of_grader
from rubricate.settings.training.reward import is_learned
from rubricate.settings.training.schema import DpoSettings, GrpoSettings, TrainSettings
from rubricate.training.recipes.bill import Asking, Bill, bill_of
from rubricate.training.recipes.fields import CONFIGS, check_names
from rubricate.training.recipes.grpo import GrpoRecipe
from rubricate.training.running import folder as folders
from rubricate.training.running.launching import launch_words


def show_training(order: TrainOrder, console: Console, *, as_json: bool = False) -> int:
    """Prints what a training will take; the exit code. Nothing is written, loaded or asked."""
    settings, begun = settings_for(order)
    recipe = recipe_of(settings)
    names = field_names(order.kind)
    if names is not None:
        check_names(settings.trainer, names, CONFIGS[order.kind])
    awaited = rubrics_to_come(settings) if isinstance(settings, GrpoSettings) and begun is None else None
    if isinstance(settings, GrpoSettings) and awaited is not None:
        # Whoever plans wants the bill before the rubrics are paid for.
        later = msgspec.structs.replace(settings.reward, rubrics=None, unseen="make")
        settings = msgspec.structs.replace(settings, reward=later)
    data = Data.of_folder(begun) if begun else data_of(settings)
    devices = _devices(settings)
    recipe.fields(len(data.train.rows), devices)
    told: dict[str, Any] = _told(settings, recipe, data, devices, awaited)
    if begun is not None:
        checkpoint = folders.last_checkpoint(begun)
        told["done_steps"] = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
    if as_json:
        console.print_json(json.dumps(told))
        return 0
    for line in _lines(settings, told, order):
        console.print(line, markup=False, highlight=False, soft_wrap=True) if isinstance(
            line, str
        ) else console.print(line)
    return 0


def _told(
    settings: TrainSettings, recipe: Any, data: Data, devices: int, awaited: str | None
) -> dict[str, Any]:
    rows = data.train.rows
    told: dict[str, Any] = {
        "model": settings.policy.model,
        "folder": str(folder_of(settings)),
        "devices": devices,
        "rows": len(rows),
        "held_out": len(data.evaluation.rows) if data.evaluation else 0,
        "left_out": dict(data.train.left_out),
    }
    if not isinstance(settings, GrpoSettings):
        size, passes = recipe.cut(devices)
        texts = [
            row.prompt.text + (row.completion or "") + (row.chosen or "") + (row.rejected or "")
            for row in rows
        ]
        told |= {
            "steps": recipe.steps_for(len(rows), devices),
            "steps_per_epoch": -(-len(rows) // (size * passes * devices)),
            "batch": size * passes * devices,
            "tokens_per_epoch": round(sum(map(len, texts)) / ASSUMED.characters_per_token),
        }
        return told
    assert isinstance(recipe, GrpoRecipe), "the recipe of its settings"
    bill = _bill(settings, recipe, data, devices, makes=awaited is None)
    cut = recipe.batches(devices)
    told |= {
        "cut": {
            "per_device": cut.per_device,
            "accumulation": cut.accumulation,
            "prompts_per_step": cut.per_step / cut.rollouts,
            "rollouts": cut.rollouts,
        },
        **{name: getattr(bill, name) for name in ("steps", "steps_per_epoch", "rollouts", "grader_calls")},
        "proposer_calls": bill.proposer_calls,
        "rubrics_to_come": awaited,
        "rubrics_made": sum(row.rubric is None for row in rows) if not is_learned(settings) else 0,
        "completion_tokens": dict(bill.tokens),
        "spend": {
            level: {step: msgspec.to_builtins(spend) for step, spend in spends.items()}
            for level, spends in bill.levels.items()
        },
        "usd": {level: _usd(spends.values()) for level, spends in bill.levels.items()},
        "ledger": _ledger(settings),
    }
    return told


def _bill(settings: GrpoSettings, recipe: GrpoRecipe, data: Data, devices: int, *, makes: bool) -> Bill:
    models, learned = settings.models, is_learned(settings)
    asks = not learned and models.verifier != OFFLINE
    makes = makes and not learned and models.rubric_generator != OFFLINE and settings.reward.unseen == "make"
    asking = Asking(
        grader=models.verifier if asks else None,
        proposer=models.rubric_generator if makes else None,
        criteria_per_call=settings.grade.criteria_per_call,
        checks=settings.grade.checks,
    )
    rubrics = {row.id: rubric_in_column(row.rubric) for row in data.train.rows if row.rubric is not None}
    prices = prices_of(settings_of_grader(settings))
    return bill_of(recipe, data.train.rows, rubrics, asking, prices, devices)


def _ledger(settings: GrpoSettings) -> dict[str, Any]:
    """What the ledger holds of the models that will be asked; one that is not there holds nothing."""
    place = ledger_place(settings_of_grader(settings), environment())
    models = {settings.models.verifier, settings.models.rubric_generator} - {OFFLINE}
    if isinstance(place.at, Path) and not place.at.is_file():
        return {"place": str(place), "replies": {}}
    holdings = in_loop(_holdings(place))
    return {
        "place": str(place),
        "replies": {share.model: share.n_replies for share in holdings.models if share.model in models},
    }


async def _holdings(place: Place) -> Holdings:
    async with open_shelf(place) as shelf:
        return await shelf.holdings()


def _lines(settings: TrainSettings, told: dict[str, Any], order: TrainOrder) -> Iterator[str | Table]:
    noun = "prompts" if isinstance(settings, GrpoSettings) else "examples"
    noun = "pairs" if isinstance(settings, DpoSettings) else noun
    recipe = settings.recipe
    yield f"{told['model']} on {told['rows']:,} {noun} of {settings.files.responses_file}"
    for why, n in told["left_out"].items():
        yield f"  left out: {n:,}, {why}"
    length = "recipe.steps" if recipe.steps else f"{recipe.epochs:g} epochs"
    yield (
        f"{told['steps']:,} steps: {told['steps_per_epoch']:,} an epoch, {length}"
        + (f"; {told['done_steps']:,} are done" if "done_steps" in told else "")
    )
    if not isinstance(settings, GrpoSettings):
        tokens = f"some {told['tokens_per_epoch']:,} tokens an epoch"
        yield f"{told['batch']:,} {noun} a step, {tokens}; nobody is asked"
    else:
        cut = told["cut"]
        devices = f"{told['devices']} device{'s' if told['devices'] != 1 else ''}"
        yield (
            f"a step: {cut['prompts_per_step']:g} prompts x {cut['rollouts']} rollouts, in "
            f"{cut['accumulation']} passes of {cut['per_device']} completions on {devices}"
        )
        yield f"{told['rollouts']:,} rollouts, at most {told['grader_calls']:,} grader calls"
        if told["rubrics_to_come"]:
            made = "".join(f"\n  {line}" for line in settings.made_by)
            by = f"; these commands make them:{made}" if made else ""
            yield f"The rubrics of {told['rubrics_to_come']} are not there yet, and assumed here{by}"
        if told["proposer_calls"]:
            yield f"{told['proposer_calls']:,} proposer calls: rubrics of prompts that have none"
        if settings.online.enabled:
            online = settings.online
            n = (told["steps"] - 1) // online.every * told["rows"] * online.pairs
            yield f"Rubrics change: up to {n:,} proposer calls more, and their gradings, beside what follows."
        yield from _money(settings, told)
    if settings.launch:
        yield f"starts: {' '.join(launch_words(settings.launch, order.words()))}"


def _money(settings: GrpoSettings, told: dict[str, Any]) -> Iterator[str | Table]:
    asked = [name for name in ("grade", "propose") if name in told["spend"]["usual"]]
    if not asked:
        who = "a learned reward" if is_learned(settings) else f"{OFFLINE!r}"
        yield f"The reward is {who}: no call, no token, no cost."
        return
    table = Table(box=None, pad_edge=False)
    for name in ("completions", "tokens each", "prompt tokens", "completion tokens", "USD"):
        table.add_column(name, justify="left" if name == "completions" else "right")
    for level, spends in told["spend"].items():
        usd = told["usd"][level]
        table.add_row(
            level,
            f"{told['completion_tokens'][level]:,}",
            f"{sum(spend['prompt_tokens'] for spend in spends.values()):,}",
            f"{sum(spend['completion_tokens'] for spend in spends.values()):,}",
            "unknown" if usd is None else f"{usd:,.2f}",
        )
    yield table
    prices = prices_of(settings_of_grader(settings))
    models = {"grade": settings.models.verifier, "propose": settings.models.rubric_generator}
    unknown = [models[name] for name in asked if prices.of(models[name]) is None]
    if unknown:
        yield f"No price is known for {', '.join(unknown)}: set budget.prices to a file."
    held = told["ledger"]["replies"]
    kept = (
        ", ".join(f"{n:,} replies of {model}" for model, n in sorted(held.items()))
        or "no reply of these models"
    )
    yield f"The ledger {told['ledger']['place']} holds {kept}; what is in it is not paid again."
    usual = told["completion_tokens"]["usual"]
    yield (
        "Steps and rollouts are exact. Calls are the most there can be but for replies that cannot be read: "
        "equal completions are graded once, criteria that a program decides are not asked. Assumed: "
        f"completions of {usual} tokens as a rule, a quarter of that at the least, recipe.max_sequence "
        f"- recipe.max_prompt at the most; {ASSUMED.characters_per_token:g} characters a token; "
        f"{ASSUMED.verdict_tokens} tokens a verdict; where a rubric is still to be made, {ASSUMED.criteria} "
        f"criteria of {ASSUMED.criterion_characters} characters. Prices: list prices as of {prices.as_of}; "
        "check them, or give yours in budget.prices."
    )


def _usd(spends: Any) -> float | None:
    costs = [spend.cost_usd for spend in spends if isinstance(spend, Spend)]
    known = [cost for cost in costs if cost is not None]
    return round(sum(known), 2) if len(known) == len(costs) else None


def _devices(settings: TrainSettings) -> int:
    """As many as will be started; without launch.num_processes one."""
    given = settings.launch.get("num_processes", 1)
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise SettingsError(f"launch.num_processes is {given!r}, and must be a whole number of at least 1")
    return given


def field_names(kind: str) -> frozenset[str] | None:
    """The fields of a TRL config, read from the text of the installed libraries, since importing them takes
    seconds; None where they are not installed, or look otherwise."""
    sources = [("trl", f"trainer/{kind}_config.py"), ("trl", "trainer/base_config.py")]
    sources += [("transformers", "training_args.py")]
    names = set[str]()
    for library, path in sources:
        spec = find_spec(library)
        if spec is None or spec.origin is None:
            return None
        file = Path(spec.origin).parent / path
        if not file.is_file():
            return None
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                names |= {
                    part.target.id
                    for part in node.body
                    if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
                }
    return frozenset(names)
