"""The settings of trainings: the paper's run matrix, shared sections, every key read, and back to YAML."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import get_type_hints

import msgspec
import pytest
import typer.main

from rubricate.cli import _official, app
from rubricate.commands.run import folder_of as folder_of_run
from rubricate.errors import SettingsError
from rubricate.settings.loading import load_settings
from rubricate.settings.training.loading import (
    TRAINING,
    known_keys,
    load_training,
    recipe_of,
    settings_of_grader,
    training_of_file,
    yaml_of_training,
)
from rubricate.settings.training.schema import ELSEWHERE, SHAPES, GrpoSettings, TrainSettings
from rubricate.training.recipes.grpo import GrpoRecipe
from rubricate.training.recipes.sft import SftRecipe
from tests.commands.trainings import OFFLINE, prompts, train, write

CONFIGS = sorted(path.stem for path in TRAINING.glob("*.yaml"))
MATRIX = [
    "initial",
    "good_pair",
    "great_pair",
    "four_great",
    "four_great_diverse",
    "bt_on",
    "bt_off",
    "bt_both",
]


def kind_of(name: str) -> str:
    return name if name in ("sft", "dpo") else "grpo"


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_loads_and_says_how_its_material_is_made(name):
    """Each config is one, and each command in `made_by` can be typed; what they make is what the config
    reads."""
    settings = load_training(kind_of(name), name)
    if name in MATRIX:
        assert settings.made_by and settings.reward.rubrics
    group = typer.main.get_command(app)
    for said in settings.made_by:
        words = shlex.split(said)
        if words[0] != "rubricate":
            assert words[0] == "cat", said
            continue
        words = _official(words[1:])
        command, words = group.commands[words[0]], words[1:]
        if words[0] in getattr(command, "commands", {}):
            command, words = command.commands[words[0]], words[1:]
        given = command.make_context("rubricate", list(words)).params
        if said.split()[1] in ("run", "propose"):
            run = load_settings(given.get("config_name", "iterative"), given["overrides"] or ())
            assert str(folder_of_run(run)) == settings.reward.rubrics
        elif "output_dir" in given and name.startswith("bt_") and "train bt" in said:
            assert settings.reward.rubrics == f"checkpoint:{given['output_dir']}"


def test_the_matrix_is_one_recipe():
    """Of the configs of the matrix only the reward differs, and where it comes from; the recipe is the
    paper's Table 4."""
    base = load_training("grpo")
    assert isinstance(base, GrpoSettings) and recipe_of(base) == GrpoRecipe()
    for name in MATRIX:
        settings = load_training("grpo", name)
        assert isinstance(settings, GrpoSettings)
        same = msgspec.structs.replace(settings, made_by=(), reward=base.reward)
        assert same == base
    assert recipe_of(load_training("sft")) == SftRecipe()


def test_the_grader_is_that_of_a_run():
    """What a training says of its grader is what `iterative` says, and overrides arrive."""
    settings = load_training("grpo", overrides=["models.verifier=odd", "grade.coverage_floor=0.5"])
    assert isinstance(settings, GrpoSettings)
    asked = settings_of_grader(settings)
    plain = load_settings("iterative", ["models.verifier=odd", "grade.coverage_floor=0.5"])
    assert asked == plain


class TestOverrides:
    @pytest.mark.parametrize(
        ("override", "shows"),
        [
            ("trainer.use_vllm=true", {"use_vllm": True}),
            ("trainer.vllm_mode=server", {"vllm_mode": "server"}),
            ("trainer.vllm_server_base_url=http://host:8000", {"vllm_server_base_url": "http://host:8000"}),
            ("trainer.model_init_kwargs.dtype=bfloat16", {"model_init_kwargs": {"dtype": "bfloat16"}}),
            ("+trainer.deepspeed=zero3.json", {"deepspeed": "zero3.json"}),
        ],
    )
    def test_fields_of_trl_pass_through(self, override, shows):
        """Any field of TRL's config by its name, nested ones too."""
        assert recipe_of(load_training("grpo", overrides=[override])).trainer == shows

    def test_launch_lora_and_seed(self):
        """Flags of accelerate as they are, an adapter by its rank, and the seed of all."""
        settings = load_training(
            "grpo",
            overrides=[
                "launch.num_processes=8",
                "launch.config_file=z3.yaml",
                "lora.rank=8",
                "random_seed=3",
            ],
        )
        recipe = recipe_of(settings)
        assert settings.launch == {"num_processes": 8, "config_file": "z3.yaml"}
        assert recipe.lora is not None and recipe.lora.rank == 8 and recipe.seed == 3

    @pytest.mark.parametrize(
        ("overrides", "said"),
        [
            (["recipe.kl=-1"], "recipe.kl"),
            (["recipe.rollouts=many"], "recipe.rollouts"),
            (["recipe.kll=1"], "did you mean 'recipe.kl'"),
            (["recipe.seed=1"], "unknown key"),
            (["grade.reuse=false"], "is a key of `rubricate run`"),
            (["recipe.kl"], "is no override"),
            (["recipe.max_prompt=4000"], "leaves no token"),
        ],
    )
    def test_mistakes(self, overrides, said):
        """A wrong key names the nearest, a wrong value its key."""
        with pytest.raises(SettingsError, match=re.escape(said)):
            load_training("grpo", overrides=overrides)

    def test_a_config_of_ones_own(self, tmp_path):
        """It says what it starts from and what differs; a key of runs in it is not passed over."""
        (tmp_path / "mine.yaml").write_text("defaults: [four_great, _self_]\nrecipe:\n  kl: 0.1\n")
        mine = load_training("grpo", "mine", config_dir=tmp_path)
        assert recipe_of(mine).kl == 0.1 and mine.reward.rubrics == "workflow_outs/four_great"
        (tmp_path / "odd.yaml").write_text("defaults: [grpo, _self_]\nworkflow:\n  pitfalls: true\n")
        with pytest.raises(
            SettingsError, match=r"workflow\.pitfalls in the config 'odd' is a key of `rubricate run`"
        ):
            load_training("grpo", "odd", config_dir=tmp_path)


@pytest.mark.parametrize("name", CONFIGS)
def test_there_and_back(name, tmp_path):
    """What is written into the folder of a training is read again as the same settings."""
    overrides = ["trainer.optim=adafactor", "launch.num_processes=2", "ledger=some.sqlite"]
    settings = load_training(kind_of(name), name, overrides if kind_of(name) == "grpo" else overrides[:2])
    (tmp_path / "config.yaml").write_text(yaml_of_training(settings))
    assert training_of_file(kind_of(name), tmp_path / "config.yaml") == settings


@pytest.mark.parametrize("kind", ["grpo", "sft", "dpo"])
def test_every_key_has_a_line_with_a_comment(kind):
    """Each key of a kind stands in its config with what it means; those of the grader in `iterative`."""
    text = (TRAINING / f"{kind}.yaml").read_text()
    shared = {key for key in known_keys(kind) if key.split(".")[0] in SHARED}
    section, told = "", set()
    for line in text.splitlines():
        if match := re.match(r"(\w+):\s*(.*)$", line):
            section = match[1]
            if match[2] and not match[2].startswith("#") and "#" in line:
                told.add(section)
        elif match := re.match(r"  (\w+):.*\s# \w", line):
            told.add(f"{section}.{match[1]}")
    assert known_keys(kind) - shared - told - {"made_by"} == set()


SHARED = ("models", "vllm", "llamacpp", "api", "grade", "budget", "ledger")
"""Sections of runs, whose keys are commented and read there (tests/settings/test_every_key.py)."""


def watch_keys(monkeypatch, shape: type[msgspec.Struct], seen: set[str], prefix: str = "") -> None:
    """Tells of each look at a field of the settings."""
    hints = get_type_hints(shape)
    for field in msgspec.structs.fields(shape):
        if field.name in ELSEWHERE and prefix == "recipe.":
            continue
        kind, key = hints[field.name], prefix + field.name
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            watch_keys(monkeypatch, kind, seen, f"{key}.")
        member = shape.__dict__.get(field.name)
        if member is None:  # inherited: the recipes of SFT and DPO
            owner = next(base for base in shape.__mro__ if field.name in base.__dict__)
            member = owner.__dict__[field.name]
        monkeypatch.setattr(shape, field.name, _told(member, key, seen), raising=False)


def _told(member, key, seen):
    def value(self):
        seen.add(key)
        return member.__get__(self)

    return property(value)


@pytest.mark.parametrize("kind", ["grpo", "sft", "dpo"])
def test_every_key_is_read(kind, desk, monkeypatch, tmp_path_factory):
    """A training looks at every key that is its own; and each look is one of the code's, since loading and
    writing settings go past the fields."""
    pytest.importorskip("trl")
    from tests.training.tiny_policy import tiny_policy

    policy = tiny_policy(tmp_path_factory.mktemp(kind))
    seen: set[str] = set()
    watch_keys(monkeypatch, SHAPES[kind], seen)
    load_training(kind)
    seen.clear()
    rows = prompts()
    texts = [("rain", 0.9), ("snow", 0.1)]
    for row in rows:
        row["responses"] = [{"generator": "g", "response": text, "gold": gold} for text, gold in texts]
    write(desk.path / "p.json", rows)
    held_out = [{**rows[0], "id": "e", "prompt": "the d c"}]
    write(desk.path / "e.json", held_out)
    more = ["recipe.epochs=1", "lora.rank=2", "files.output_dir=out", "files.evaluation_file=e.json"]
    watched = ("monitor.prompts=m.json", "monitor.gold=grader:offline", "monitor.max_tokens=4")
    write(desk.path / "m.json", [{**rows[0], "id": "m", "prompt": "c d"}])
    more += (*OFFLINE, *watched, "online.enabled=true", "online.every=1") if kind == "grpo" else ()
    told = train(kind, policy, "files.responses_file=p.json", *more)
    assert told.code == 0, told.text
    if kind == "grpo":  # who is learned, asked for more money, or missing, is read elsewhere
        given: TrainSettings = load_training(kind, overrides=["reward.rubrics=checkpoint:."])
        from rubricate.settings.training.reward import Till, reward_of_training

        with pytest.raises(SettingsError):
            reward_of_training(given, Till(), Path("online"))
        Path("model").mkdir()
        Path("model/config.json").write_text("{}")
        reward_of_training(
            load_training(kind, overrides=["reward.rubrics=checkpoint:./model"]), Till(), Path("online")
        )
    with pytest.raises(SettingsError):
        train_without(kind, policy)
    own = {key for key in known_keys(kind) if key.split(".")[0] not in SHARED}
    assert own - seen == set()


def train_without(kind: str, policy: str) -> None:
    """A training without its file, which looks at who makes it."""
    from rubricate.commands.train_data import data_of

    data_of(load_training(kind))
