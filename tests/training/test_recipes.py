"""Recipes train: TRL's own trainers, a few real steps of a tiny policy on the CPU."""

from __future__ import annotations

import pytest

from rubricate.errors import SettingsError
from rubricate.rewards.adapters.trl import reward_function
from rubricate.training.recipes.dpo import DpoRecipe, dpo_trainer
from rubricate.training.recipes.fields import Lora
from rubricate.training.recipes.grpo import GrpoRecipe, grpo_trainer
from rubricate.training.recipes.sft import SftRecipe, sft_trainer
from tests.builders import a_rubric
from tests.rewards.players import a_reward
from tests.rewards.test_trl import Counting

ROWS = [
    {"prompt": text, "rubric": '["has the letter", "speaks of rain"]'} for text in ("the sun is", "the rain")
]
SMALL = {"gradient_checkpointing": False, "use_cpu": True}


def recipe(**how) -> GrpoRecipe:
    """Two prompts a step, eight rollouts of six words."""
    given = {
        "prompts_per_step": 2,
        "rollouts": 8,
        "per_device_batch": 4,
        "max_sequence": 16,
        "max_prompt": 10,
    }
    return GrpoRecipe(**{**given, "learning_rate": 1e-2, "trainer": SMALL, **how})


def rubric_of(value):
    return a_rubric("3:has the letter", "1:speaks of rain")


def test_grpo_trains_as_the_recipe_says(policy, tmp_path, one_thread):
    """The config that TRL ends up with, and four real epochs on it: the counts are those of the recipe, the
    callback is called, the model changes."""
    import torch
    from transformers import TrainerCallback

    class Steps(TrainerCallback):
        seen: list[int] = []  # noqa: RUF012

        def on_step_end(self, args, state, control, **_):
            self.seen.append(state.global_step)

    with a_reward(Counting({}), read_column=rubric_of) as reward:
        trainer = grpo_trainer(
            recipe(epochs=4), model=policy, rows=ROWS, reward_funcs=reward_function(reward),
            callbacks=[Steps()], folder=tmp_path,
        )  # fmt: skip
        args = trainer.args
        assert (args.num_generations, args.generation_batch_size) == (8, 16)
        assert args.gradient_accumulation_steps == 4
        assert (args.beta, args.max_completion_length, args.bf16, args.warmup_steps) == (0.01, 6, False, 1)
        assert args.lr_scheduler_type == "constant_with_warmup"
        before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
        trainer.train()
        assert reward.totals.n == recipe().batches().rollouts_in(4) == 64
    assert trainer.state.global_step == 4 and Steps.seen == [1, 2, 3, 4]
    assert any(not torch.equal(before[name], value) for name, value in trainer.model.state_dict().items())
    assert any("rewards/rubric_reward/mean" in line for line in trainer.state.log_history)


def test_a_field_of_another_name_is_refused(policy, tmp_path):
    """An unknown field names the nearest; the folder is set elsewhere; a refused value is told."""
    for given, said in (
        ({"temprature": 1.0}, "did you mean 'temperature'"),
        ({"output_dir": "x"}, "files.output_dir"),
        ({"loss_type": "grpo", "auto_find_batch_size": True}, "GRPOConfig refuses"),
    ):
        with pytest.raises(SettingsError, match=said):
            grpo_trainer(
                recipe(trainer={**SMALL, **given}), model=policy, rows=ROWS, reward_funcs=len, folder=tmp_path
            )


def test_evaluation_on_other_rows(policy, tmp_path, one_thread):
    """Held-out prompts are evaluated in groups of as many rollouts."""

    def length(completions, **_):
        return [float(len(text.split())) for text in completions]

    trainer = grpo_trainer(
        recipe(evaluate_every=1, steps=1), model=policy, rows=ROWS, eval_rows=ROWS[:1],
        reward_funcs=length, folder=tmp_path,
    )  # fmt: skip
    trainer.train()
    assert any("eval_reward" in line for line in trainer.state.log_history)


def test_sft_learns_what_it_is_shown(policy, tmp_path, one_thread):
    """The loss on the shown completions falls."""
    rows = [{"prompt": "the sun is", "completion": " rain"}, {"prompt": "the rain", "completion": " a a"}]
    how = {"batch": 2, "learning_rate": 1e-2, "warmup": 0, "max_sequence": 16, "trainer": SMALL}
    trained = sft_trainer(SftRecipe(epochs=8, **how), model=policy, rows=rows, folder=tmp_path)
    trained.train()
    losses = [line["loss"] for line in trained.state.log_history if "loss" in line]
    assert len(losses) == 8 and losses[-1] < losses[0] - 0.5


def test_an_adapter_in_place_of_all_weights(policy, tmp_path, one_thread):
    """With LoRA only the adapter is trained, by each of the recipes alike."""
    import torch

    rows = [{"prompt": "the sun is", "completion": " rain"}] * 2
    how = {"batch": 2, "epochs": 2, "learning_rate": 1e-2, "warmup": 0, "max_sequence": 16, "trainer": SMALL}
    trained = sft_trainer(SftRecipe(lora=Lora(rank=4), **how), model=policy, rows=rows, folder=tmp_path)
    moving = {name for name, value in trained.model.named_parameters() if value.requires_grad}
    assert moving and all("lora" in name for name in moving)
    before = {name: value.clone() for name, value in trained.model.named_parameters()}
    trained.train()
    moved = {name for name, value in trained.model.named_parameters() if not torch.equal(value, before[name])}
    assert moved and moved <= moving


def test_dpo_learns_the_pairs(policy, tmp_path, one_thread):
    """The margin between what is preferred and what is not grows from nothing."""
    rows = [{"prompt": "the sun is", "chosen": " rain", "rejected": " snow"}] * 2
    trained = dpo_trainer(
        DpoRecipe(batch=2, epochs=4, learning_rate=1e-2, trainer=SMALL, max_sequence=16, warmup=0),
        model=policy, rows=rows, folder=tmp_path,
    )  # fmt: skip
    trained.train()
    margins = [line["rewards/margins"] for line in trained.state.log_history if "rewards/margins" in line]
    assert trained.state.global_step == 4 and margins[0] == 0 and margins[-1] > 0


def test_a_model_that_is_not_there(tmp_path, monkeypatch):
    """A model without a tokenizer, or none at all, is the user's mistake and is told as such."""
    pytest.importorskip("trl")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SettingsError, match="no tokenizer"):
        grpo_trainer(recipe(), model=str(tmp_path), rows=ROWS, reward_funcs=len, folder=tmp_path)


def test_what_is_not_installed_or_not_there(policy, tmp_path):
    """vLLM where it is missing, DeepSpeed where it is missing, and a folder without weights: each is told."""
    import importlib.util
    import shutil

    for library, given in (
        ("vllm", {"use_vllm": True}),
        ("deepspeed", {"deepspeed": {"zero_optimization": {}}}),
    ):
        if importlib.util.find_spec(library) is None:
            with pytest.raises(SettingsError, match=r"installed|refuses"):
                grpo_trainer(
                    recipe(trainer={**SMALL, **given}),
                    model=policy,
                    rows=ROWS,
                    reward_funcs=len,
                    folder=tmp_path,
                )
    empty = tmp_path / "empty"
    shutil.copytree(policy, empty)
    (empty / "model.safetensors").unlink()
    with pytest.raises(SettingsError, match="cannot be loaded"):
        grpo_trainer(recipe(), model=str(empty), rows=ROWS, reward_funcs=len, folder=tmp_path)
