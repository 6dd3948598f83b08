"""`rubricate plan`: the bill before anything is spent, held against the bill of a real run."""

from __future__ import annotations

import json
import re

import pytest

from tests.served import QUICK, Served, command, tree, write_pool

WORDS = ["alder", "birch", "cedar", "elder", "hazel", "larch", "maple", "rowan"]


def climbing(n_prompts: int, n_responses: int) -> list[dict]:
    """Pools in which response number n names the first n trees: a rubric of trees ties nobody, and every
    refinement that adds one is accepted."""
    filler = "It is a long story, and none of it is about trees. " * 30
    return [
        {
            "id": f"p{place}",
            "prompt": f"Question {place}: which trees grow here? " * 20,
            "responses": [
                {"generator": f"m{n}", "response": f"{filler} {' '.join(WORDS[:n])} ({place})"}
                for n in range(n_responses)
            ],
        }
        for place in range(n_prompts)
    ]


def answer(request) -> str:
    """A proposer that starts with eight trees and adds four new criteria a round, and a strict grader."""
    text = request["messages"][-1]["content"]
    if "You write grading rubrics" in text:
        return _rubric(
            [f"The response names the {word} tree." for word in WORDS] + [_padding(n) for n in range(4)]
        )
    if "You improve grading rubrics" in text:
        kept = re.findall(r"^- \[[^\]]*\] (.*)$", text, re.M)
        return _rubric([*kept, *(_padding(len(kept) + n) for n in range(4))])
    said = re.search(r"<(response-\w+)>\n(.*?)\n</\1>", text, re.S)[2]
    asked = re.search(r"<(criteria-\w+)>\n(.*?)\n</\1>", text, re.S)[2].split("\n")
    verdicts = []
    for line in asked:
        id, _, criterion = line.partition(": ")
        tree_named = re.match(r"The response names the (\w+) tree", criterion)
        met = tree_named[1] in said if tree_named else True
        verdicts.append({"id": id, "verdict": "met" if met else "unmet"})
    return json.dumps({"verdicts": verdicts})


def _padding(n: int) -> str:
    return (
        f"The response keeps to point {n} of the matter, " + "which is to be said in so many words " * 2 + "."
    )


def _rubric(criteria: list[str]) -> str:
    return json.dumps(
        {"criteria": [{"criterion": text, "weight": 3, "kind": "principle"} for text in criteria]}
    )


CONFIGS = [
    ("paper", 6, ()),
    ("paper", 1, ()),
    ("paper", 6, ("grade.criteria_per_call=5",)),
    ("iterative", 8, ("grade.coverage=all",)),
    ("iterative", 5, ("grade.coverage=all",)),
    ("iterative", 8, ("grade.reuse=false", "grade.coverage=all")),
    ("iterative", 8, ("workflow.score_final=false", "grade.coverage=all")),
    ("iterative", 8, ("workflow.max_iterations=0",)),
    ("single", 2, ()),
    ("single", 6, ("workflow.initial_responses_per_prompt=6",)),
]


@pytest.mark.parametrize(("config", "n_responses", "overrides"), CONFIGS)
def test_the_calls_are_those_of_a_run(desk, config, n_responses, overrides):
    """Where every refinement is accepted and brings as many criteria as is assumed, the plan's calls are
    those of the run, step by step; and tokens are within a quarter where the texts are known."""
    write_pool(desk.path / "pool.json", climbing(2, n_responses))
    options = ["--config-name", config, "files.responses_file=pool.json", *overrides]
    planned = json.loads(command("plan", *options, "--json").text)
    with Served(answer) as server:
        desk.ask(server)
        outcome = command("run", *options, *QUICK, "files.output_dir=out")
        assert outcome.code == 0, outcome.text
    summary = json.loads((desk.path / "workflow_outs/out/summary.json").read_bytes())
    spent = {step: spend for step, spend in summary["spend"].items() if spend["calls"]}
    if n_responses > 1 and "workflow.max_iterations=0" not in overrides:
        assert summary["by_state"]["refined"] == 2
        assert {played["accepted_share"]["value"] for played in summary["rounds"]} == {1.0}
    assert {step: spend["calls"] for step, spend in planned.items()} == {
        step: spend["calls"] for step, spend in spent.items()
    }
    for step, spend in planned.items():
        assert spend["prompt_tokens"] == pytest.approx(spent[step]["prompt_tokens"], rel=0.25), step


@pytest.mark.parametrize("final", ["true", "false"])
def test_with_bounds_a_plan_lies_above_the_run_and_below_full_coverage(desk, final):
    """Whom a round asks hangs on the verdicts. Of these pools, where nothing is close, a run asks less than
    is planned, and the plan says what it assumed."""
    write_pool(desk.path / "pool.json", climbing(2, 8))
    options = [
        "--config-name",
        "iterative",
        "files.responses_file=pool.json",
        f"workflow.score_final={final}",
    ]
    plans = {
        coverage: json.loads(command("plan", *options, f"grade.coverage={coverage}", "--json").text)
        for coverage in ("top", "all")
    }
    assert "6 responses asked in a round after the first" in command("plan", *options).text
    assert "after the first" not in command("plan", *options, "grade.coverage=all").text
    with Served(answer) as server:
        desk.ask(server)
        assert command("run", *options, *QUICK, "files.output_dir=out").code == 0
    summary = json.loads((desk.path / "workflow_outs/out/summary.json").read_bytes())
    run, top, full = (spend["grade"]["calls"] for spend in (summary["spend"], plans["top"], plans["all"]))
    assert run <= top <= full
    assert summary["rounds"][1]["responses_not_asked"] > 0


class TestWords:
    def test_nothing_is_written_and_nobody_is_asked(self, desk):
        """A plan leaves no trace; `run --dry-run` says the same words."""
        write_pool(desk.path / "pool.json", climbing(2, 4))
        before = tree(desk.path)
        with Served(answer) as server:
            desk.ask(server)
            options = ["--config-name", "iterative", "files.responses_file=pool.json"]
            planned, dry = command("plan", *options), command("run", *options, "--dry-run")
            assert server.n_requests == 0
        assert planned.code == dry.code == 0
        assert planned.text == dry.text
        assert "2 prompts, 8 responses" in planned.text and "Assumed:" in planned.text
        assert tree(desk.path) == before

    def test_unknown_prices_are_said(self, desk):
        """A price that is not known is no zero: the sum is unknown, and the model is named."""
        write_pool(desk.path / "pool.json", climbing(1, 4))
        options = ["files.responses_file=pool.json", "models.verifier=nobody/knows"]
        outcome = command("plan", "--config-name", "iterative", *options)
        assert "No price is known for nobody/knows" in outcome.text
        total = next(line for line in outcome.text.splitlines() if line.startswith("total"))
        assert total.endswith("unknown")

    def test_a_table_of_ones_own(self, desk):
        """`budget.prices` fills the gap, and the bill is what it says."""
        write_pool(desk.path / "pool.json", climbing(1, 4))
        price = {"prompt_usd": 1000000, "completion_usd": 0}
        (desk.path / "prices.json").write_text(json.dumps({"models": {"mine": price}}))
        models = ["models.verifier=mine", "models.rubric_generator=mine", "budget.prices=prices.json"]
        bill = json.loads(command("plan", "files.responses_file=pool.json", *models, "--json").text)
        assert all(spend["cost_usd"] == spend["prompt_tokens"] for spend in bill.values())

    def test_offline_costs_nothing(self, desk):
        """The engine that needs no key needs no money."""
        write_pool(desk.path / "pool.json", climbing(1, 4))
        models = ["models.verifier=offline", "models.rubric_generator=offline"]
        outcome = command("plan", "files.responses_file=pool.json", *models)
        assert outcome.code == 0 and "no call, no token, no cost" in outcome.text

    def test_sampling_and_judging_are_on_the_bill(self, desk):
        """Prompts without responses: the draws of each model; a judge: two calls a round."""
        write_pool(desk.path / "pool.json", [{"id": "p", "prompt": "Which trees?"}])
        options = ["rollouts.models=[a,b]", "rollouts.responses_per_model=3", "gate.judge=j"]
        bill = json.loads(
            command(
                "plan", "--config-name", "iterative", "files.responses_file=pool.json", *options, "--json"
            ).text
        )
        assert bill["sample"]["calls"] == 6
        assert bill["judge"]["calls"] == 2 * 3
