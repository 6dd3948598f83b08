"""Pairs -> a trained reward model: a scalar head on any encoder or decoder, by TRL's RewardTrainer.

Two habits of that trainer are stepped around by giving it token ids (`texts.encoded`) in place of texts: it
adds the token that ends a text, which tokenizers of encoders do not have, and it drops pairs that are longer
than `max_length` instead of cutting them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from rubricate.domain.identity import key_of
from rubricate.domain.intervals import Clusters, Estimate
from rubricate.errors import DataError, SettingsError, first_line
from rubricate.reward_model.cards import CARD, Card, Counts, write_card
from rubricate.reward_model.embedded import model_named
from rubricate.reward_model.pairs import PreferencePair, data_key
from rubricate.reward_model.recipe import Recipe, Tokens, steps_of, tokens_of
from rubricate.reward_model.scoring import RewardModel, padded, quiet
from rubricate.reward_model.texts import TextForm, kind_for, room_of

CHECKPOINTS = "checkpoints"
MARK = "training.json"
LOG = "training_log.json"

Progress = Callable[[int, int, float], None]
"""Told the step, of how many, and the loss."""


def _silent(step: int, steps: int, loss: float) -> None:
    return


@dataclass
class Ready:
    """A base model with its tokenizer, the form of its texts, and the pairs as it reads them."""

    model: Any
    tokenizer: Any
    form: TextForm
    tokens: Tokens


def ready(base: str, pairs: Sequence[PreferencePair], recipe: Recipe, seed: int = 0) -> Ready:
    """The base model with a new scalar head, drawn from the seed, and the pairs as token ids.

    `base` is a folder, a name on the hub, or `minilm`. A decoder gets its head on the last token, an encoder
    as its class of transformers has it.

    Raises:
        SettingsError: a library is missing, the model cannot be loaded, or has no such layers.
        DataError: the chat template does not take a prompt.
    """
    torch, transformers = _libraries()
    where = model_named(base)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(where)
        transformers.set_seed(seed)
        with quiet(transformers):
            model = transformers.AutoModelForSequenceClassification.from_pretrained(
                where, num_labels=1, dtype=torch.float32, ignore_mismatched_sizes=True
            )
    except (OSError, ValueError) as failure:
        raise SettingsError(f"--model {base}: cannot be loaded: {first_line(failure)}") from None
    padded(model, tokenizer, f"--model {base}")
    _freeze(model, recipe.freeze_layers)
    form, tokens = _read(base, model.config, tokenizer, recipe, pairs)
    return Ready(model, tokenizer, form, tokens)


def planned(base: str, pairs: Sequence[PreferencePair], recipe: Recipe) -> tuple[TextForm, Tokens]:
    """What `ready` would read, without the model: for a look ahead.

    Raises:
        SettingsError, DataError: as `ready`.
    """
    _, transformers = _libraries()
    where = model_named(base)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(where)
        config = transformers.AutoConfig.from_pretrained(where)
    except (OSError, ValueError) as failure:
        raise SettingsError(f"--model {base}: cannot be loaded: {first_line(failure)}") from None
    return _read(base, config, tokenizer, recipe, pairs)


def _read(
    base: str, config: Any, tokenizer: Any, recipe: Recipe, pairs: Sequence[PreferencePair]
) -> tuple[TextForm, Tokens]:
    room = room_of(config, tokenizer, recipe.max_length)
    form = TextForm(kind_for(tokenizer), room, recipe.prompt_share, recipe.response_cut)
    try:
        return form, tokens_of(tokenizer, form, pairs)
    except ValueError as problem:
        raise DataError(base, str(problem)) from None


def train(
    base: str,
    pairs: Sequence[PreferencePair],
    held_out: Sequence[PreferencePair],
    recipe: Recipe,
    folder: Path,
    *,
    seed: int = 0,
    counts: Counts | None = None,
    resume: bool = False,
    save_steps: int | None = None,
    progress: Progress = _silent,
) -> Card:
    """Trains a model into a folder, and says what it is worth on held-out pairs, in its card.

    The folder is a model of transformers with its tokenizer, `rubricate.json` and the trainer's log. The card
    is written last: a folder without it is not done. With `save_steps` the state is kept every so many steps
    in `checkpoints/`, and `resume` goes on from there. The same seed, pairs and recipe give the same model on
    the same machine, interrupted or not.

    Raises:
        SettingsError: as `ready`; what is in the folder is of another training.
        DataError: no pair is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = key_of("training", base, recipe, seed, data_key(pairs))
    last = _unfinished(folder, mark) if resume else None
    made = ready(base, pairs, recipe, seed)
    if not made.tokens.chosen:
        raise DataError("the pairs", "none is left to train on")
    _started(folder, mark, is_resumed=last is not None)
    trainer = _trainer(made, recipe, folder, seed, save_steps, progress)
    with quiet(_libraries()[1]):
        trainer.train(resume_from_checkpoint=last)
    model = trainer.accelerator.unwrap_model(trainer.model)
    if recipe.lora_rank:
        model = model.merge_and_unload()
    counts = counts or Counts(len(pairs), _prompts(pairs), len(held_out), _prompts(held_out))
    dropped = {**counts.dropped}
    if made.tokens.alike:
        dropped["one text after the cut"] = made.tokens.alike
    counts = msgspec.structs.replace(
        counts, pairs=len(made.tokens.chosen), cut_texts=made.tokens.cut, dropped=dropped
    )
    scorer = RewardModel(model.eval(), made.tokenizer, made.form, "", bf16=recipe.bf16, batch_size=16)
    card = Card(
        base_model=base,
        form=made.form,
        data=data_key(pairs),
        counts=counts,
        seed=seed,
        hyperparameters={**msgspec.to_builtins(recipe), "steps": trainer.state.global_step},
        accuracy=accuracy_of(scorer, held_out),
    )
    if trainer.is_world_process_zero():
        _save(model, made.tokenizer, trainer.state.log_history, card, folder)
    return card


def accuracy_of(model: RewardModel, pairs: Sequence[PreferencePair]) -> Estimate | None:
    """The share of pairs in which the preferred response scores strictly higher; a score that is missing is
    not right. The interval is over prompts; None for no pairs."""
    asked = {
        (pair.prompt.key, side.text_key): (pair.prompt, side.text)
        for pair in pairs
        for side in (pair.chosen, pair.rejected)
    }
    found = dict(zip(asked, model.scores(list(asked.values())), strict=True))
    by_prompt: dict[str, list[bool]] = {}
    for pair in pairs:
        one, two = (found[pair.prompt.key, side.text_key].value for side in (pair.chosen, pair.rejected))
        by_prompt.setdefault(pair.place, []).append(one is not None and two is not None and one > two)
    clusters = Clusters()
    for won in by_prompt.values():
        clusters.add(sum(won), len(won))
    return clusters.rate()


def _trainer(
    made: Ready, recipe: Recipe, folder: Path, seed: int, save_steps: int | None, progress: Progress
) -> Any:
    import torch
    import transformers
    from datasets import Dataset
    from trl.trainer.reward_config import RewardConfig
    from trl.trainer.reward_trainer import RewardTrainer

    columns: dict[str, Any] = {"chosen_ids": made.tokens.chosen, "rejected_ids": made.tokens.rejected}
    if recipe.margin:
        columns["margin"] = made.tokens.margins
    steps = steps_of(recipe, len(made.tokens.chosen))
    with quiet(transformers):
        config = RewardConfig(
            output_dir=str(folder / CHECKPOINTS),
            learning_rate=recipe.learning_rate,
            per_device_train_batch_size=recipe.batch_size,
            gradient_accumulation_steps=recipe.accumulation,
            num_train_epochs=recipe.epochs,
            lr_scheduler_type=recipe.schedule,
            warmup_steps=round(recipe.warmup * steps),
            weight_decay=recipe.weight_decay,
            center_rewards_coefficient=recipe.center,
            max_length=None,  # nothing is too long any more
            bf16=recipe.bf16,
            gradient_checkpointing=recipe.checkpointing,
            seed=seed,
            use_cpu=not torch.cuda.is_available() and not _has_other_device(torch),
            dataloader_pin_memory=torch.cuda.is_available(),
            save_strategy="no" if save_steps is None else "steps",
            save_steps=save_steps or 500,
            save_total_limit=1,
            logging_steps=1 if steps < 100 else 10,
            report_to="none",
            disable_tqdm=True,
        )

    class Told(transformers.TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any) -> None:
            if logs and "loss" in logs:
                progress(state.global_step, state.max_steps, float(logs["loss"]))

    with quiet(transformers):
        trainer = RewardTrainer(
            model=made.model,
            args=config,
            train_dataset=Dataset.from_dict(columns),
            processing_class=made.tokenizer,
            peft_config=_adapters(recipe.lora_rank) if recipe.lora_rank else None,
            callbacks=[Told()],
            optimizers=(_optimizer(made.model, recipe), None),
        )
        trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def _optimizer(model: Any, recipe: Recipe) -> Any:
    """AdamW with a rate of its own for the head; None where the trainer's own does."""
    if recipe.head_learning_rate is None:
        return None
    if recipe.lora_rank:
        raise SettingsError("head_learning_rate goes with full weights: adapters are made by the trainer")
    import torch

    inside = {id(weight) for weight in _body(model).parameters()}
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [w for w in trained if id(w) in inside], "lr": recipe.learning_rate},
        {"params": [w for w in trained if id(w) not in inside], "lr": recipe.head_learning_rate},
    ]
    return torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)


def _adapters(rank: int) -> Any:
    try:
        from peft import LoraConfig, TaskType
    except ModuleNotFoundError:
        raise SettingsError("lora_rank needs peft: pip install peft") from None
    return LoraConfig(
        task_type=TaskType.SEQ_CLS, r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear"
    )


def _body(model: Any) -> Any:
    return getattr(model, model.base_model_prefix)


def _freeze(model: Any, n_layers: int) -> None:
    """Freezes the embeddings and so many layers from the input on.

    Raises:
        SettingsError: the model has fewer layers, or none that can be told.
    """
    if not n_layers:
        return
    import torch

    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    depth = getattr(config, "num_hidden_layers", None)
    stacks = [
        part
        for part in _body(model).modules()
        if isinstance(part, torch.nn.ModuleList) and len(part) == depth
    ]
    if not stacks or n_layers > len(stacks[0]):
        raise SettingsError(f"freeze_layers is {n_layers}; the model has {depth or 'no'} layers")
    embeddings = [part for name, part in _body(model).named_children() if "embed" in name]
    for part in (model.get_input_embeddings(), *embeddings, *stacks[0][:n_layers]):
        for weight in part.parameters():
            weight.requires_grad_(False)


def _libraries() -> tuple[Any, Any]:
    try:
        import datasets  # noqa: F401
        import torch
        import transformers
        import trl  # noqa: F401
    except ModuleNotFoundError as missing:
        raise SettingsError(f"training needs {missing.name}: pip install 'rubricate[train]'") from None
    return torch, transformers


def _has_other_device(torch: Any) -> bool:
    return bool(torch.accelerator.is_available()) if hasattr(torch, "accelerator") else False


def _unfinished(folder: Path, mark: str) -> str | None:
    """The latest checkpoint of the training that the mark is of; None where there is none yet.

    Raises:
        SettingsError: the folder is that of another training.
    """
    path = folder / MARK
    if not path.is_file():
        return None
    if json.loads(path.read_text(encoding="utf-8")).get("training") != mark:
        raise SettingsError(f"{folder}: was begun with other pairs or settings; give another --output-dir")
    saved = sorted((folder / CHECKPOINTS).glob("checkpoint-*"), key=lambda path: int(path.name[11:]))
    whole = [str(path) for path in saved if (path / "trainer_state.json").is_file()]
    return whole[-1] if whole else None


def _started(folder: Path, mark: str, *, is_resumed: bool) -> None:
    if not is_resumed:
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    (folder / MARK).write_text(json.dumps({"training": mark}) + "\n", encoding="utf-8")


def _save(model: Any, tokenizer: Any, log: list[dict[str, Any]], card: Card, folder: Path) -> None:
    with quiet(_libraries()[1]):
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    (folder / LOG).write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")
    write_card(card, folder)
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    (folder / MARK).unlink(missing_ok=True)


def _prompts(pairs: Sequence[PreferencePair]) -> int:
    return len({pair.place for pair in pairs})


def is_done(folder: Path) -> bool:
    """Whether a folder holds a model that was trained to the end."""
    return (folder / CARD).is_file()
