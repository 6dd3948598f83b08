"""The monitor inside of real trainings by TRL: it changes nothing, is resumed, and ends what has turned."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest

from rubricate.domain.judgement import Preference
from rubricate.errors import DataError, Unavailable
from rubricate.training.monitors.live.gold import JudgeGold
from rubricate.training.monitors.live.held_out import held_out_of, with_rubric
from rubricate.training.monitors.live.journal import read_journal
from rubricate.training.monitors.live.making import monitor_callback
from rubricate.training.monitors.live.policy import Sampling, sampled, undisturbed
from rubricate.training.monitors.logs.reading import read_course
from rubricate.training.monitors.series.points import GAP, GOLD, KL
from rubricate.training.recipes.fields import loaded_tokenizer
from rubricate.training.recipes.grpo import GrpoRecipe, grpo_trainer
from tests.training.tiny_policy import tiny_policy

ROWS = [{"prompt": text} for text in ("the sun is", "the rain")]
HELD_OUT = [
    f"{one} {two}" for one in ("the", "a", "b", "is", "d") for two in ("wind", "snow", "dune", "c", "amber")
]
RECIPE = {
    "prompts_per_step": 2, "rollouts": 8, "per_device_batch": 8, "max_sequence": 16, "max_prompt": 10,
    "learning_rate": 2e-2, "kl": 0.0, "save_every": 1,
    "trainer": {"gradient_checkpointing": False, "use_cpu": True},
}  # fmt: skip


def rain(completions, **_):
    """A reward that the policy can climb: the share of words that are "rain"."""
    return [text.split().count("rain") / 6 for text in completions]


def no_rain(prompts, answers):
    """Gold of which that reward is the opposite."""
    return [1.0 - min(1.0, answer.split().count("rain") / 3) for answer in answers]


def trained(policy, folder, steps, monitor=None, *, resume=False):
    recipe = GrpoRecipe(**RECIPE, steps=steps)
    trainer = grpo_trainer(recipe, model=policy, rows=ROWS, reward_funcs=rain, folder=folder)
    if monitor is not None:
        monitor.attach(trainer)
    trainer.train(resume_from_checkpoint=resume or None)
    return trainer


@pytest.fixture
def policy(tmp_path, one_thread):
    pytest.importorskip("trl")
    return tiny_policy(tmp_path / "policy")


def test_gold_falls_while_the_reward_climbs(policy, tmp_path):
    """A real training on the opposite of gold: it is ended before its last step, with the reason in the
    journal, and the same finding in what is read afterwards."""
    monitor = monitor_callback(
        HELD_OUT,
        no_rain,
        every=1,
        stop=True,
        temperature=1.0,
        max_tokens=6,
        journal=tmp_path / "monitor.jsonl",
    )
    trainer = trained(policy, tmp_path / "out", 60, monitor)
    assert 3 <= trainer.state.global_step < 60
    assert monitor.stopped_by is not None and "Gold has turned" in monitor.stopped_by
    read = read_journal(tmp_path / "monitor.jsonl")
    golds = [point.readings[GOLD].value for point in read.points if GOLD in point.readings]
    rewards = [point.value("reward") for point in read.points if point.value("reward") is not None]
    assert golds[-1] < golds[0] and rewards[-1] > rewards[0]
    assert read.has_ended and any("Gold has turned" in note for note in read.notes)
    found = [one for one in monitor.watched().findings if one.kind == "gold_turned"]
    assert found and found[0].holds
    course = read_course([tmp_path / "monitor.jsonl"])
    assert course.points[0].step == 0 and course.has_ended


def test_looking_changes_nothing(policy, tmp_path):
    """The same losses and rewards with and without a monitor that samples at every step."""
    plain = trained(policy, tmp_path / "plain", 3)
    monitor = monitor_callback(HELD_OUT, no_rain, every=1, temperature=1.0, max_tokens=6)
    seen = trained(policy, tmp_path / "seen", 3, monitor)

    def losses(trainer):
        return [(line["loss"], line["reward"]) for line in trainer.state.log_history if "loss" in line]

    assert losses(plain) == losses(seen) and len(losses(seen)) == 3
    assert any("monitor/gold" in line for line in seen.state.log_history)


def test_kl_against_the_reference(policy, tmp_path):
    """Before the first step it is 0; after steps of a high rate it is not."""
    from transformers import AutoModelForCausalLM

    monitor = monitor_callback(
        HELD_OUT, no_rain, every=2, temperature=1.0, max_tokens=6,
        reference=AutoModelForCausalLM.from_pretrained(policy),
    )  # fmt: skip
    trained(policy, tmp_path / "out", 4, monitor)
    kls = {point.step: point.value(KL) for point in monitor.watched().points if KL in point.readings}
    assert kls[0] == pytest.approx(0, abs=1e-5) and abs(kls[4]) > 1e-3


def test_a_resumed_training_takes_back_what_was_seen_later(policy, tmp_path):
    """Three steps, then on from the checkpoint of the second: the third of the first walk counts no more."""
    journal = tmp_path / "monitor.jsonl"
    first = monitor_callback(HELD_OUT, no_rain, every=1, max_tokens=6, journal=journal)
    trained(policy, tmp_path / "out", 3, first)
    lines = journal.read_bytes()
    journal.write_bytes(lines + b'{"kind":"seen","st')  # a kill
    second = monitor_callback(HELD_OUT, no_rain, every=1, max_tokens=6, journal=journal)
    trained(policy, tmp_path / "out", 4, second, resume=str(tmp_path / "out" / "checkpoint-2"))
    assert journal.read_bytes().startswith(lines)
    read = read_journal(journal)
    assert [point.step for point in read.points if GOLD in point.readings] == [0, 1, 2, 3, 4]
    assert any("went on from step 2" in note for note in read.notes)


def test_what_trl_writes_is_read(policy, tmp_path):
    """The state of a checkpoint, as TRL leaves it."""
    trained(policy, tmp_path / "out", 2)
    points = read_course([tmp_path / "out"]).points
    assert [point.step for point in points] == [1, 2]
    assert all({"reward", "length", "zero_advantage"} <= set(point.figures) for point in points)
    state = json.loads((tmp_path / "out" / "checkpoint-2" / "trainer_state.json").read_text())
    assert points[0].value("reward") == state["log_history"][0]["reward"]


def test_the_best_step_is_kept(policy, tmp_path):
    """Gold that is best at step 2 and then falls: its checkpoint is named, and outlives the rotation."""
    golds = iter([0.1, 0.2, 0.9, 0.3, 0.3, 0.3])
    monitor = monitor_callback(
        HELD_OUT, lambda prompts, answers: [next(golds)] * len(answers), every=1, max_tokens=6
    )
    trained(policy, tmp_path / "out", 5, monitor)
    told = json.loads((tmp_path / "out" / "monitor_best.json").read_text())
    assert (told["step"], told["checkpoint"], told["gold"]) == (2, "checkpoint-2", 0.9)
    kept = sorted(path.name for path in (tmp_path / "out").glob("checkpoint-*"))
    assert kept == ["checkpoint-2", "checkpoint-5"]


def test_the_gap_is_what_its_formula_says(policy, tmp_path):
    """The mean log-probability of a token without the rubric less that with it, over answers drawn with it,
    against a pass of the model for each answer alone; a prompt without a rubric has none."""
    import torch
    from transformers import AutoModelForCausalLM

    rows = [{"prompt": "the sun is", "criteria": [{"criterion": "speaks of rain", "weight": 1}]},
            {"prompt": "the rain"},
            {"prompt": "a", "criteria": [{"criterion": "snow is the sun", "weight": 2}]}]  # fmt: skip
    monitor = monitor_callback(rows, no_rain, every=2, max_tokens=6, gap_samples=3, seed=5)
    trained(policy, tmp_path / "out", 2, monitor)
    found = monitor.watched().points[0].readings[GAP]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(policy).eval(), loaded_tokenizer(policy)
    prompts = held_out_of(rows).prompts
    told = [prompts[0], prompts[2]]
    gaps = [[], []]
    with undisturbed(model, tokenizer):
        for draw in range(3):
            how = Sampling(max_tokens=6, temperature=1.0, seed=5 + draw)
            said = sampled(model, tokenizer, [with_rubric(one, one.rubric) for one in told], how)
            for place, (one, answer) in enumerate(zip(told, said, strict=True)):
                logs = []
                for given in (one.given, with_rubric(one, one.rubric)):
                    start = tokenizer(given)["input_ids"]
                    scores = model(torch.tensor([start + answer.tokens])).logits[0].log_softmax(-1)
                    each = [scores[len(start) - 1 + at, token] for at, token in enumerate(answer.tokens)]
                    logs.append(float(sum(each)) / len(each))
                gaps[place].append(logs[0] - logs[1])
    first, last = (sum(each) / 3 for each in gaps)
    assert found.values[1] is None
    assert [found.values[0], found.values[2]] == pytest.approx([first, last], abs=1e-6)
    assert abs(first) > 1e-4


def test_gold_by_a_judge():
    """1 for a win over the reference, a half for a tie, 0 for a loss, None where the judge has none; an empty
    answer is not judged, and the reference itself ties unasked."""
    asked = []

    class Longer:
        async def compare(self, prompt, first, second):
            asked.append((first.text, second.text))
            if "mute" in first.text:
                return Preference("unjudged", "neither 1 nor 2")
            if "gone" in first.text:
                raise Unavailable("no connection")
            sizes = len(first.text), len(second.text)
            winner = "tie" if sizes[0] == sizes[1] else "first" if sizes[0] > sizes[1] else "second"
            return Preference(winner)

    @asynccontextmanager
    async def opening():
        yield Longer()

    held_out = held_out_of([{"prompt": f"p{n}", "reference": "four"} for n in range(7)])
    gold = JudgeGold(opening)
    told = gold.of(held_out, ["longer", "same", "x", " ", "four", "mute", "gone"])
    gold.close()
    assert [one.value for one in told] == [1.0, 0.5, 0.0, None, 0.5, None, None]
    assert [one.why for one in told[5:]] == ["neither 1 nor 2", "no connection"] and len(asked) == 5
    with pytest.raises(DataError, match="a judge needs a reference"):
        gold.of(held_out_of(["p"]), ["x"])
