"""The small model itself: made from nothing, taught by TRL's own trainer, and asked for answers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rubricate.rehearsal.extras import needed
from rubricate.rehearsal.pupil.language import new_tokenizer
from rubricate.rehearsal.pupil.lessons import School, within
from rubricate.training.recipes.sft import SftRecipe, sft_trainer

_SPREAD = 0.08
"""Standard deviation of the first weights. With the usual 0.02 a model this small learns which advice belongs
to which subject ten times more slowly (docs/over-optimisation.md)."""


def new_model(tokenizer: Any, school: School) -> Any:
    """A Llama of the plan's size with random weights, fixed by the seed of the world."""
    with needed():
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

    plan = school.plan
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=plan.width,
        intermediate_size=2 * plan.width,
        num_hidden_layers=plan.layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        initializer_range=_SPREAD,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(school.seed)
    return LlamaForCausalLM(config)


def teach(school: School, folder: Path) -> None:
    """Trains a new model on the lessons and saves it, with its tokenizer, in `folder`.

    Raises:
        SettingsError: the extra `train` is missing.
    """
    plan, tokenizer = school.plan, new_tokenizer()
    rows = [
        {"prompt": prompt, "completion": f" {text}"}
        for prompt, answer in school.lessons()
        if (text := within(tokenizer, answer, plan.budget))
    ]
    random.Random(school.seed).shuffle(rows)
    recipe = SftRecipe(
        batch=plan.lesson_batch,
        per_device_batch=plan.lesson_batch,
        learning_rate=plan.lesson_rate,
        schedule="cosine",
        warmup=0.05,
        epochs=plan.epochs,
        max_sequence=512,
        seed=school.seed,
        trainer=QUIET | {"adam_beta2": 0.98, "weight_decay": 0.01},
    )
    trainer = sft_trainer(
        recipe, model=new_model(tokenizer, school), rows=rows, folder=folder, tokenizer=tokenizer
    )
    trainer.train()
    trainer.model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


QUIET: dict[str, Any] = {
    "save_strategy": "no",
    "report_to": [],
    "logging_steps": 1_000_000,
    "gradient_checkpointing": False,
    "bf16": False,
    "dataloader_pin_memory": False,
}
"""Fields of TRL's configs that hold for all trainings here: a small model is quick without them."""


class Said(NamedTuple):
    """Answers of a model, N of them, as texts and as tokens.

    `tokens`: prompts, padded on the left, and answers, padded on the right, shape (N, P + A). `asked`: which
    are of the prompt, `answered`: which are of the answer, its end included; of the same shape.
    """

    prompts: list[str]
    texts: list[str]
    tokens: Any
    asked: Any
    answered: Any


def say(
    model: Any, tokenizer: Any, prompts: Sequence[str], budget: int, seed: int, at_once: int = 512
) -> Said:
    """One answer to each prompt, drawn at temperature 1 from the model as it is; at most `budget` tokens.

    The draw is fixed by `seed` and leaves the random numbers of a training in progress as they were.
    """
    import torch

    parts, was_training = [], model.training
    model.eval()
    devices = [model.device] if model.device.type == "cuda" else []
    tokenizer.padding_side = "left"
    asked = tokenizer(list(prompts), return_tensors="pt", padding=True).to(model.device)
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        torch.manual_seed(seed)
        for start in range(0, len(prompts), at_once):
            rows = slice(start, start + at_once)
            out = model.generate(
                input_ids=asked.input_ids[rows],
                attention_mask=asked.attention_mask[rows],
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                max_new_tokens=budget,
                pad_token_id=tokenizer.pad_token_id,
            )
            parts.append(
                torch.nn.functional.pad(
                    out, (0, asked.input_ids.shape[1] + budget - out.shape[1]), value=tokenizer.pad_token_id
                )
            )
    model.train(was_training)
    tokens, width = torch.cat(parts), asked.input_ids.shape[1]
    answers = tokens[:, width:]
    is_end = answers == tokenizer.eos_token_id
    within_answer = is_end.cumsum(1) - is_end.long() == 0  # the first end belongs to the answer
    nothing = torch.zeros_like(answers, dtype=torch.bool)
    mask = asked.attention_mask.bool()
    return Said(
        list(prompts),
        tokenizer.batch_decode(answers, skip_special_tokens=True),
        tokens,
        torch.cat([mask, nothing], 1),
        torch.cat([torch.zeros_like(mask), within_answer], 1),
    )
