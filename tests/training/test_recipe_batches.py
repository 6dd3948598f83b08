"""How a step is cut: the paper's counts, the same step on fewer devices, and what TRL makes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.errors import SettingsError
from rubricate.training.recipes.batches import batches_of
from rubricate.training.recipes.dpo import DpoRecipe
from rubricate.training.recipes.grpo import GrpoRecipe
from rubricate.training.recipes.sft import SftRecipe


def test_the_papers_counts():
    """5,000 prompts, two epochs, 96 prompts a step, 16 rollouts: 106 steps and 162,816 calls, on 8 devices in
    32 passes of 6 completions."""
    recipe = GrpoRecipe()
    cut = recipe.batches(8)
    assert (cut.per_device, cut.accumulation, cut.per_step) == (6, 32, 1536)
    assert recipe.steps_for(5000, 8) == 106
    assert cut.rollouts_in(106) == 162_816
    assert recipe.max_completion == 3584 - 1024


@pytest.mark.parametrize("devices", [1, 2, 4, 8, 16, 128])
def test_fewer_devices_train_the_same_step(devices):
    """The number of devices changes passes, never the step, their number or the calls."""
    recipe = GrpoRecipe()
    cut = recipe.batches(devices)
    assert cut.per_step == 1536 and cut.per_device <= 6
    assert recipe.steps_for(5000, devices) == 106 and cut.rollouts_in(106) == 162_816


def test_finance_counts_steps():
    """Table 5: 320 steps whatever the prompts."""
    recipe = GrpoRecipe(steps=320)
    assert recipe.fields(1147)["max_steps"] == 320
    assert recipe.fields(1147)["warmup_steps"] == 32


@given(
    prompts=st.integers(1, 64),
    rollouts=st.integers(2, 16),
    per_device=st.integers(1, 16),
    n=st.integers(1, 8),
)
def test_a_cut_is_whole(prompts, rollouts, per_device, n):
    """Whatever is asked for: the step is as large as asked, no pass is larger than allowed; or it is refused,
    and the prompts a step that are named instead can be cut."""
    try:
        cut = batches_of(prompts, rollouts, per_device, n)
    except SettingsError as refused:
        better = int(str(refused).partition("processes; ")[2].split()[0])
        assert prompts < better <= prompts + n
        cut, prompts = batches_of(better, rollouts, per_device, n), better
    assert cut.per_step == cut.generated == prompts * rollouts
    assert cut.per_device <= per_device and cut.prompts == prompts


def test_fields_by_name_have_the_last_word():
    """What is given as TRL calls it is taken, and the counts follow from it."""
    recipe = GrpoRecipe(
        prompts_per_step=8,
        trainer={"num_generations": 4, "per_device_train_batch_size": 8, "num_train_epochs": 3, "beta": 0.5},
    )
    fields = recipe.fields(16, 2)
    assert fields["gradient_accumulation_steps"] == 2 and fields["num_generations"] == 4
    assert fields["max_steps"] == 6 and fields["beta"] == 0.5 and "num_train_epochs" not in fields
    twice = GrpoRecipe(
        prompts_per_step=8, rollouts=2, trainer={"num_iterations": 2, "steps_per_generation": 6}
    )
    cut = twice.batches(1)
    assert (cut.per_device, cut.accumulation, cut.generated, cut.prompts) == (4, 4, 24, 12)
    assert twice.steps_for(12) == 6 and cut.rollouts_in(6) == 48  # a generation lasts 12 passes: 3 steps


@pytest.mark.parametrize(
    ("recipe", "devices", "said"),
    [
        (GrpoRecipe(prompts_per_step=5, rollouts=3), 2, "6 prompts a step do"),
        (GrpoRecipe(trainer={"num_generations": 1}), 1, "2 or more"),
        (GrpoRecipe(trainer={"num_generations": "x"}), 1, "trainer.num_generations"),
        (GrpoRecipe(trainer={"per_device_train_batch_size": 7}), 1, "do not divide by 7"),
        (GrpoRecipe(trainer={"steps_per_generation": 1}), 1, "groups of 16"),
    ],
)
def test_what_cannot_be_cut_is_refused(recipe, devices, said):
    """A step that no TRL config can express names what is wrong."""
    with pytest.raises(SettingsError, match=said):
        recipe.batches(devices)


def test_too_few_prompts_are_told():
    """TRL would train on nothing without a word."""
    with pytest.raises(SettingsError, match=r"recipe\.prompts_per_step to 10"):
        GrpoRecipe().fields(10)
    with pytest.raises(SettingsError, match="no example"):
        SftRecipe().fields(0)


@pytest.mark.parametrize(("n", "devices", "steps"), [(10_000, 8, 210), (96, 1, 2), (97, 2, 4)])
def test_steps_of_sft(n, devices, steps):
    """Two epochs of batches of 96, the last one not full: 2 x ceil(n / 96)."""
    recipe = SftRecipe()
    assert recipe.steps_for(n, devices) == steps
    size, passes = recipe.cut(devices)
    assert size * passes * devices == 96 and size <= 6
    assert DpoRecipe().fields(n, devices)["max_steps"] == steps // 2


@pytest.mark.parametrize("recipe", [GrpoRecipe, SftRecipe, DpoRecipe])
@pytest.mark.parametrize("name", ["max_steps", "num_train_epochs", "per_device_train_batch_size"])
def test_words_are_no_numbers(recipe, name):
    """A field of TRL that counts, and is no number, is told before anything is counted with it."""
    with pytest.raises(SettingsError, match=f"trainer.{name} is 'many'"):
        recipe(trainer={name: "many"}).fields(500)


def test_a_prompt_leaves_room():
    """A sequence that is all prompt has no room for a completion."""
    with pytest.raises(SettingsError, match="no token"):
        GrpoRecipe(max_sequence=100, max_prompt=100)


@given(n=st.integers(1, 40), prompts=st.integers(1, 8), steps=st.integers(1, 30), seed=st.integers(0, 3))
def test_the_order_of_prompts(n, prompts, steps, seed):
    """Each pass has every prompt, its last batch is filled up with prompts that it does not have, and fewer
    steps are the beginning of more."""
    if n < prompts:
        return
    cut = batches_of(prompts, 2, 4, 1)
    order = cut.order(n, steps, seed)
    assert len(order) == steps * prompts and order == cut.order(n, steps + 5, seed)[: len(order)]
    a_pass = cut.steps(n, 1) * prompts
    for start in range(0, len(order) - a_pass + 1, a_pass):
        assert set(order[start : start + a_pass]) == set(range(n))
    for start in range(0, len(order), prompts):
        assert len(set(order[start : start + prompts])) == prompts
