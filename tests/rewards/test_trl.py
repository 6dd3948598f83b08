"""TRL's own trainer with the reward: real steps of a tiny model, on the CPU."""

from __future__ import annotations

import inspect
import pickle

import pytest

from rubricate.errors import RunError
from rubricate.rewards.adapters.trl import TrlReward, reward_function
from rubricate.rewards.reward import RubricReward
from tests.builders import a_rubric
from tests.rewards.players import Player, Writer, a_reward

WORDS = ["a", "b", "c", "d", "e", "f", "g", "h", "rain", "sun", "wind", "snow", ".", ",", "is", "the"]


class Counting(Player):
    """Meets the first criterion when the text has an "a", the second when it has "rain"; silent on "snow"."""

    async def grade(self, prompt, response, criteria):
        words = response.text.split()
        said = ("+" if "a" in words else "-") + ("+" if "rain" in words else "-")
        self.said[response.text] = "??" if "snow" in words else said
        return await super().grade(prompt, response, criteria)


def test_the_function_is_what_trl_looks_for():
    """A bound coroutine function with a name, which pickles with its object."""
    function = reward_function(a_reward(Player({})))
    assert inspect.iscoroutinefunction(function) and inspect.ismethod(function)
    assert function.__name__ == "rubric_reward"
    assert isinstance(pickle.loads(pickle.dumps(function)).__self__.reward, RubricReward)


async def test_its_contract_called_by_hand():
    """Keywords, columns, the step of the trainer, both logs; None is handed on."""

    class State:
        global_step = 7

    extra, metric = {}, {}
    with a_reward(Player({"x": "++", "y": "??"})) as reward:
        said = await reward_function(reward)(
            prompts=["p"] * 2,
            completions=["x", "y"],
            completion_ids=[[1], [2]],
            rubric=[a_rubric("3:a", "1:b")] * 2,
            other=["column"] * 2,
            trainer_state=State(),
            log_extra=extra.__setitem__,
            log_metric=metric.__setitem__,
        )
        assert reward._steps == 8
        blocking = TrlReward(reward).blocking_reward(
            prompts=["p"], completions=["x"], criteria=[a_rubric("3:a", "1:b")]
        )
        with pytest.raises(RunError, match="online DPO takes numbers only"):
            TrlReward(reward).blocking_reward(
                prompts=["p"], completions=["y"], criteria=[a_rubric("3:a", "1:b")]
            )
    assert said == [1.0, None] and blocking == [1.0]
    assert metric["rubric/unjudged_rate"] == 0.5
    assert extra["rubric_verdicts"] == ['{"a": 1.0, "b": 1.0}', '{"a": null, "b": null}']
    assert extra["rubric_unjudged"][0] == "" and "not said" in extra["rubric_unjudged"][1]


@pytest.fixture(scope="module")
def trl():
    """TRL, or a reason why not."""
    pytest.importorskip("torch")
    pytest.importorskip("datasets")
    return pytest.importorskip("trl")


def tiny(tmp_path):
    """A tokenizer of whole words and a random Qwen2 of some ten thousand parameters."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(0)
    vocabulary = {word: place for place, word in enumerate(["<pad>", "<eos>", "<unk>", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )
    config = transformers.Qwen2Config(
        vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64,
        pad_token_id=0, eos_token_id=1, bos_token_id=1,
    )  # fmt: skip
    folder = tmp_path / "tiny"
    transformers.Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)  # the trainer loads its reference model from where the policy came from
    return transformers.Qwen2ForCausalLM.from_pretrained(folder), tokenizer


@pytest.mark.parametrize("kind", ["grpo", "rloo"])
def test_three_real_steps(trl, tmp_path, monkeypatch, kind):
    """GRPO and RLOO train three steps on the reward: the model changes, rewards are logged under the name of
    the function with the figures of the rubric, None is honoured, and the second epoch asks for nothing that
    was asked before."""
    import torch
    from datasets import Dataset

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model, tokenizer = tiny(tmp_path)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        grader = Counting({})
        rubric = a_rubric("3:has the letter", "1:speaks of the weather")
        config, trainer_of = (
            (trl.GRPOConfig, trl.GRPOTrainer) if kind == "grpo" else (trl.RLOOConfig, trl.RLOOTrainer)
        )
        with a_reward(grader, writer=Writer(rubric), unseen="make") as reward:
            trainer = trainer_of(
                model=model,
                processing_class=tokenizer,
                reward_funcs=reward_function(reward),
                train_dataset=Dataset.from_dict({"prompt": ["the rain is", "the sun is"]}),
                args=config(
                    output_dir=str(tmp_path), max_steps=3, per_device_train_batch_size=8, num_generations=4,
                    max_completion_length=6, use_cpu=True, bf16=False, learning_rate=1e-2, beta=0.01,
                    logging_steps=1, report_to=[], save_strategy="no", disable_tqdm=True, seed=0,
                ),
            )  # fmt: skip
            trainer.train()
            figures = [line for line in trainer.state.log_history if "rewards/rubric_reward/mean" in line]
            totals = reward.totals
        assert trainer.state.global_step == 3 and len(figures) == 3
        assert any(not torch.equal(before[name], value) for name, value in model.state_dict().items())
        assert all(torch.isfinite(value).all() for value in model.state_dict().values())
        if kind == "grpo":
            assert all("rubric/tie_share" in line for line in figures)
            assert all(0 <= line["rubric/reward"] <= 1 for line in figures if "rubric/reward" in line)
        assert totals.n == 3 * 8 and totals.without_spread.n > 0
        assert 0 < totals.judged < totals.n, "some spoke of snow, and got None"
        unsaid = sum(reason != "the completion is empty" for reason in totals.why.elements())
        assert len([text for text in grader.asked if "snow" not in text.split()]) <= totals.judged
        assert unsaid > 0
    finally:
        torch.set_num_threads(threads)


def test_three_real_steps_of_online_dpo(trl, tmp_path):
    """TRL's online DPO compares pairs by the reward; what is unjudged is the number that was chosen."""
    import torch
    from datasets import Dataset
    from trl.experimental.online_dpo import OnlineDPOConfig, OnlineDPOTrainer

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model, tokenizer = tiny(tmp_path)
        writer = Writer(a_rubric("3:has the letter", "1:speaks of the weather"))
        with a_reward(Counting({}), writer=writer, unseen="make") as reward:
            trainer = OnlineDPOTrainer(
                model=model,
                processing_class=tokenizer,
                reward_funcs=TrlReward(reward, unjudged=0.0).blocking_reward,
                train_dataset=Dataset.from_dict({"prompt": ["the rain is", "the sun is"] * 4}),
                args=OnlineDPOConfig(
                    output_dir=str(tmp_path), max_steps=3, per_device_train_batch_size=4, max_new_tokens=6,
                    use_cpu=True, bf16=False, report_to=[], save_strategy="no", logging_steps=1,
                    disable_tqdm=True, seed=0,
                ),
            )  # fmt: skip
            trainer.train()
            totals = reward.totals
        figures = [line for line in trainer.state.log_history if "objective/scores" in line]
        assert trainer.state.global_step == 3 and len(figures) == 3
        assert all(0 <= line["objective/scores"] <= 1 for line in figures)
        assert totals.n == 3 * 2 * 4 and totals.judged < totals.n
    finally:
        torch.set_num_threads(threads)
