"""The fields of a TRL config: which there are, which the machine decides, and a wrong name's right one."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from rubricate.errors import SettingsError, first_line

CONFIGS = {"grpo": "GRPOConfig", "sft": "SFTConfig", "dpo": "DPOConfig"}
"""The configs of TRL by kind of training."""

_PLAIN = ("TokenizersBackend", "PreTrainedTokenizerFast")


class Lora(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A low-rank adapter in place of all weights (peft). `target_modules` names layers; `all-linear` is each
    linear one but the head."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    target_modules: str | tuple[str, ...] = "all-linear"

    def config(self) -> Any:
        """The `peft.LoraConfig`.

        Raises:
            SettingsError: peft is not installed.
        """
        try:
            from peft import LoraConfig
        except ModuleNotFoundError:
            raise SettingsError("a LoRA adapter needs peft: pip install 'rubricate[train]'") from None
        modules = self.target_modules
        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=modules if isinstance(modules, str) else list(modules),
            task_type="CAUSAL_LM",
        )


def trl() -> Any:
    """TRL, imported where it is used.

    Raises:
        SettingsError: it is not installed, or something that it needs is not.
    """
    try:
        import datasets  # noqa: F401
        import torch  # noqa: F401
        import trl
    except ModuleNotFoundError as missing:
        raise SettingsError(
            f"training needs {missing.name}: install the extra `train` (pip install 'rubricate[train]')"
        ) from None
    return trl


def processes() -> int:
    """How many processes train together; what started them has said so in the environment.

    Raises:
        SettingsError: this one process sees several GPUs, over which transformers would spread each pass and
            so multiply the batch.
    """
    n = int(os.environ.get("WORLD_SIZE", "1"))
    if n == 1:
        import torch

        if (visible := torch.cuda.device_count()) > 1:
            raise SettingsError(
                f"{visible} GPUs are visible to one process: add launch.num_processes={visible}, or hide all "
                "but one (CUDA_VISIBLE_DEVICES=0)"
            )
    return n


def field_names_of(kind: str) -> frozenset[str]:
    """The fields of the TRL config of a kind of training.

    Raises:
        SettingsError: TRL is not installed.
    """
    config = getattr(trl(), CONFIGS[kind])
    return frozenset(field.name for field in dataclasses.fields(config) if field.init)


def config_of(kind: Any, folder: Path, fields: Mapping[str, Any], given: Collection[str]) -> Any:
    """A TRL config from its fields; `given` are the names of those that a user wrote.

    bf16 is used where a GPU has it, unless the fields say otherwise: TRL would demand it of every machine.

    Raises:
        SettingsError: a name that the config does not have, or a value that it refuses.
    """
    check_names(given, {field.name for field in dataclasses.fields(kind) if field.init}, kind.__name__)
    fixed = {
        "output_dir": str(folder),
        "disable_tqdm": True,
        "bf16": _has_bf16(fields),
        "dataloader_pin_memory": _has_gpu(),
        "report_to": "none",
    }
    try:
        return kind(**{**fixed, **fields})
    except (TypeError, ValueError, ImportError) as refused:
        raise SettingsError(f"{kind.__name__} refuses its settings: {refused}") from None


class Hyperparameters(Protocol):
    """What the recipes of all kinds of training say alike."""

    @property
    def trainer(self) -> Mapping[str, Any]:
        """Fields of the TRL config that a user wrote, by name."""
        ...

    @property
    def lora(self) -> Lora | None:
        """The adapter to train, None for all weights."""
        ...


def built(
    kind: Any,
    config: Any,
    recipe: Hyperparameters,
    fields: Mapping[str, Any],
    *,
    model: Any,
    rows: Sequence[Mapping[str, Any]],
    folder: Path,
    tokenizer: Any,
    callbacks: Sequence[Any],
    eval_rows: Sequence[Mapping[str, Any]] | None,
    order: Sequence[int] | None = None,
    **own: Any,
) -> Any:
    """A trainer of TRL, without the callback that prints each line of its log as a dictionary.

    `kind` and `config` are the classes of trainer and config, `fields` are those of the config. It is handed
    the rows in the order of their numbers in `order`, or as they come. `own` is what no other kind takes.

    Raises:
        SettingsError: something that its config asks for is not installed, a field is unknown or refused, or
            its model or tokenizer cannot be loaded.
    """
    from datasets import Dataset
    from transformers import PrinterCallback

    given = {
        "model": model,
        "args": config_of(config, folder, fields, recipe.trainer),
        "processing_class": loaded_tokenizer(model, tokenizer, bool(recipe.trainer.get("trust_remote_code"))),
        "eval_dataset": Dataset.from_list([dict(row) for row in eval_rows]) if eval_rows else None,
        "callbacks": list(callbacks),
        "peft_config": recipe.lora.config() if recipe.lora else None,
    }
    examples = Dataset.from_list([dict(row) for row in rows])
    try:
        trainer = kind(**given, **own, train_dataset=examples if order is None else examples.select(order))
    except ImportError as missing:
        raise SettingsError(f"what the settings ask for is not installed: {first_line(missing)}") from None
    except OSError as failure:
        raise SettingsError(f"the model {model!r} cannot be loaded: {first_line(failure)}") from None
    trainer.remove_callback(PrinterCallback)
    return trainer


def number_in(given: Mapping[str, Any], name: str) -> float | None:
    """A positive number among the fields given by name; None where it is not given, or left to the recipe by
    a number below 1 (TRL's -1).

    Raises:
        SettingsError: it is no number.
    """
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SettingsError(f"trainer.{name} is {value!r}, and must be a number")
    return value if value > 0 else None


def check_names(given: Collection[str], known: Collection[str], kind: str) -> None:
    """Refuses a name that a config does not have.

    Raises:
        SettingsError: naming the nearest right one.
    """
    for name in given:
        if name == "output_dir":
            raise SettingsError("trainer.output_dir is the folder of the training: set files.output_dir")
        if name not in known:
            close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
            near = f"did you mean {close[0]!r}?" if close else "see its documentation for all"
            raise SettingsError(f"trainer.{name}: {kind} has no such field; {near}")


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _has_bf16(given: Mapping[str, Any]) -> bool:
    import torch

    is_cpu = bool(given.get("use_cpu")) or os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true")
    has = not is_cpu and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return bool(has) and not given.get("fp16")


def must_be_there(name: str, key: str) -> None:
    """Refuses a path that leads nowhere, which the hub would be asked for as a name.

    Raises:
        SettingsError: there is no such folder.
    """
    if name.startswith((".", "/", "~")) and not Path(name).expanduser().is_dir():
        raise SettingsError(f"{key}: there is no folder {name}")


def loaded_tokenizer(model: Any, tokenizer: Any = None, trust: bool = False) -> Any:
    """The tokenizer that is given, by name or as it is; None: that of the model. A missing padding token
    is the end of a text.

    Raises:
        SettingsError: it cannot be loaded.
    """
    found = model if tokenizer is None else tokenizer
    if not isinstance(found, str) and tokenizer is None:
        found = model.config._name_or_path
    if isinstance(found, str):
        try:
            found = _kind_of(found).from_pretrained(found, padding_side="left", trust_remote_code=trust)
        except (OSError, ValueError, ImportError) as failure:
            raise SettingsError(f"no tokenizer can be loaded from {found!r}: {first_line(failure)}") from None
    if found.pad_token is None:
        found.pad_token = found.eos_token
    return found


def _kind_of(name: str) -> Any:
    """The class to load a tokenizer with. AutoTokenizer of transformers 5 goes by the model's kind and reads
    a qwen2 model's own vocabulary of words as pieces of bytes, without a word; one that was saved as a plain
    fast tokenizer is loaded as it was saved."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast
    from transformers.models.auto.tokenization_auto import get_tokenizer_config

    declared = get_tokenizer_config(name).get("tokenizer_class")
    return PreTrainedTokenizerFast if declared in _PLAIN else AutoTokenizer
