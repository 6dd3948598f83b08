"""`rubricate train --dry-run`: the paper's counts, money with its bounds, without torch or a question."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rubricate.commands.train_plan import field_names
from rubricate.training.recipes.fields import field_names_of
from tests.commands.trainings import OFFLINE, command_json, prompts, train, write
from tests.served import Served, command

RUBRIC = [{"criterion": "The response explains why.", "weight": 2}, {"criterion": "It is kind.", "weight": 1}]


def test_the_papers_run(desk):
    """5,000 prompts and two epochs: 53 steps an epoch, 106 in all, 162,816 calls to the grader at most, the
    same on one device and on eight."""
    rows = [{"id": str(n), "prompt": f"Question {n}?", "criteria": RUBRIC} for n in range(5000)]
    write(desk.path / "p.json", rows)
    for devices in (1, 8):
        told = command_json(
            "train", "grpo", "--dry-run", "files.responses_file=p.json", f"launch.num_processes={devices}"
        )
        assert (told["steps_per_epoch"], told["steps"]) == (53, 106)
        assert told["rollouts"] == told["grader_calls"] == 162_816
        assert told["cut"]["per_device"] == 6 and told["cut"]["accumulation"] == 256 // devices
    printed = command("train", "grpo", "--dry-run", "files.responses_file=p.json").text
    for said in (
        "106 steps: 53 an epoch",
        "162,816 rollouts, at most 162,816 grader calls",
        "list prices as of",
    ):
        assert said in printed, printed


def test_money_is_counted_from_the_question(desk):
    """One prompt, two steps of four rollouts: the tokens of the real question times eight, by hand."""
    from rubricate.domain.conversation import Prompt, Response
    from rubricate.domain.rubric import Criterion
    from rubricate.steps.grade import question

    write(desk.path / "p.json", [{"id": "p", "prompt": "Why?", "criteria": RUBRIC}])
    (desk.path / "prices.json").write_text(
        json.dumps({"models": {"m": {"prompt_usd": 1000, "completion_usd": 10000}}})
    )
    told = command_json(
        "train", "grpo", "--dry-run", "files.responses_file=p.json", "recipe.prompts_per_step=1",
        "recipe.rollouts=4", "recipe.max_sequence=110", "recipe.max_prompt=10", "models.verifier=m",
        "budget.prices=prices.json",
    )  # fmt: skip
    assert told["steps"] == 2 and told["grader_calls"] == 8
    assert told["completion_tokens"] == {"short": 25, "usual": 100, "long": 100}
    criteria = [Criterion(f"c{n}", one["criterion"], one["weight"]) for n, one in enumerate(RUBRIC, 1)]
    whole = len(question(Prompt.of_text("Why?"), Response("x" * 400), criteria))
    spend = told["spend"]["usual"]["grade"]
    assert spend["completion_tokens"] == 8 * 2 * 8
    assert abs(spend["prompt_tokens"] - 8 * whole / 4) <= 8
    assert told["usd"]["usual"] == pytest.approx(
        (spend["prompt_tokens"] * 1000 + spend["completion_tokens"] * 10000) / 1e6, abs=0.01
    )
    assert told["usd"]["short"] < told["usd"]["usual"] == told["usd"]["long"]


def test_what_a_program_decides_is_not_asked(desk):
    """A rubric of which a program decides all asks nobody; with grade.checks=false it does."""
    row = {"id": "p", "prompt": "Why?", "criteria": ["The response has exactly three lines."]}
    write(desk.path / "p.json", [row])
    given = ("train", "grpo", "--dry-run", "files.responses_file=p.json", "recipe.prompts_per_step=1")
    assert command_json(*given)["grader_calls"] == 0
    assert command_json(*given, "grade.checks=false")["grader_calls"] == 32


def test_rubrics_to_be_made(desk):
    """Prompts without a rubric cost a call to the proposer each, and the assumed criteria."""
    write(desk.path / "p.json", [*prompts(2), *prompts(5, rubric=False)[2:]])
    told = command_json(
        "train", "grpo", "--dry-run", "files.responses_file=p.json", "recipe.prompts_per_step=5",
        "reward.unseen=make", "recipe.epochs=1",
    )  # fmt: skip
    assert told["proposer_calls"] == told["rubrics_made"] == 3 and told["grader_calls"] == 80
    assert told["spend"]["usual"]["propose"]["calls"] == 3


def test_rubrics_that_are_not_there_yet(desk):
    """The bill comes before the rubrics: they are assumed, nobody is asked to propose them, and the commands
    that make them are told."""
    write(desk.path / "p.json", prompts(4, rubric=False))
    given = ("train", "grpo", "--dry-run", "--config-name", "great_pair", "files.responses_file=p.json")
    told = command_json(*given, "recipe.prompts_per_step=4")
    assert told["rubrics_to_come"] == "workflow_outs/great_pair"
    assert told["grader_calls"] == 2 * 4 * 16 and told["proposer_calls"] == 0
    printed = command(*given, "recipe.prompts_per_step=4").text
    assert "rubricate run --config-name single" in printed and "assumed here" in printed


def test_what_the_ledger_holds(desk, tmp_path_factory):
    """Replies of the models that will be asked are counted; a training that was begun tells its steps."""
    pytest.importorskip("trl")
    from tests.training.tiny_policy import tiny_policy

    policy = tiny_policy(tmp_path_factory.mktemp("policy"))
    write(desk.path / "p.json", prompts())
    given = ("files.responses_file=p.json", "recipe.steps=2", "ledger=some.sqlite", "files.output_dir=x")
    with Served() as server:
        desk.ask(server)
        assert train("grpo", policy, *given).code == 0
        n = server.n_requests
    told = train("grpo", policy, *given, "--dry-run", "--resume", "--json")
    assert json.loads(told.text)["ledger"]["replies"] == {"openai/gpt-4.1-mini": n}
    assert json.loads(told.text)["done_steps"] == 2


def test_learned_and_offline_rewards_cost_nothing(desk):
    """No call, no token, no cost; and no rubric is needed for a learned one."""
    write(desk.path / "p.json", prompts(rubric=False))
    small = ("files.responses_file=p.json", "recipe.prompts_per_step=2")
    learned = command("train", "grpo", "--dry-run", *small, "reward.rubrics=checkpoint:x")
    assert learned.code == 0 and "a learned reward: no call" in learned.text
    write(desk.path / "p.json", prompts())
    offline = command("train", "grpo", "--dry-run", *small, *OFFLINE)
    assert "'offline': no call" in offline.text


def test_sft_and_dpo(desk):
    """Examples, steps and tokens; nobody is asked."""
    rows = [
        {"id": f"{n}", "prompt": f"q{n}", "responses": [{"generator": g, "response": f"{g} {n}", "gold": gold}
         for g, gold in (("a", 0.1), ("b", 0.9), ("c", 0.5))]}
        for n in range(100)
    ]  # fmt: skip
    write(desk.path / "pool.json", rows)
    told = command_json("train", "sft", "--dry-run", "files.responses_file=pool.json")
    assert (told["rows"], told["steps_per_epoch"], told["steps"], told["batch"]) == (200, 3, 6, 96)
    told = command_json("train", "dpo", "--dry-run", "files.responses_file=pool.json", "pairs.which=all")
    assert (told["rows"], told["steps"]) == (300, 4)
    assert "nobody is asked" in command("train", "dpo", "--dry-run", "files.responses_file=pool.json").text


def test_mistakes_are_found_without_torch(desk):
    """A field that TRL does not have is found in the text of its config, and torch is not imported."""
    write(desk.path / "p.json", prompts())
    words = ["train", "grpo", "--dry-run", "files.responses_file=p.json", "recipe.prompts_per_step=2"]
    program = (
        "import sys\nfrom rubricate.cli import main\n"
        f"sys.argv = ['rubricate', *{words!r}]\n"
        "try:\n    main()\nexcept SystemExit as code:\n    assert not code.code, code\n"
        "assert not {'torch', 'transformers', 'trl', 'datasets'} & set(sys.modules), 'heavy'\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not Path("workflow_outs").exists(), "nothing is written"
    pytest.importorskip("trl")
    wrong = command(*words, "trainer.num_generation=8")
    assert wrong.code == 2 and "did you mean 'num_generations'" in wrong.text
    few = command(*words[:-1])
    assert few.code == 2 and "4 prompts do not fill a step of 96" in few.text


@pytest.mark.parametrize("kind", ["grpo", "sft", "dpo"])
def test_the_text_of_the_config_is_read_right(kind):
    """The names that are read from TRL's text are the fields of its class."""
    pytest.importorskip("trl")
    assert field_names(kind) is not None
    assert field_names_of(kind) <= field_names(kind)
