"""`rubricate bench` from the roof down: real files and their floors, a served judge, gates, budgets."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.benchmarks import published_rows as rows
from tests.evaluation.outside import outside
from tests.served import QUICK, Served, command

OFFLINE = ("models.verifier=offline", "models.rubric_generator=offline")

FLOORS = [
    ("alpacaeval16_dev_pairs", "confident", 0.85),
    ("alpacaeval16_dev_pairs", "confident length_matched", 0.61),
    ("alpacaeval16_dev_pairs", "confident strong5", 0.62),
    ("bon16_dev_pairs", "confident", 0.65),
    ("llmbar_pairs_dev", "all", 0.29),
    ("rmbench_styles_dev", "all", 0.46),
    ("autoj_pairs_dev", "all", 0.71),
    ("pandalm_pairs_dev", "all", 0.70),
    ("ifbench_pairs_dev", "all", 0.48),
]
"""What the outside data says of "the longer response is better", by file and subset."""


def report(*arguments: str) -> dict[str, Any]:
    """What `bench --json` prints."""
    outcome = command("bench", *arguments, "--json")
    assert outcome.code == 0, outcome.text
    found: dict[str, Any] = json.loads(outcome.text)
    return found


def tallies(system: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["group"]: row for row in system["tallies"]}


class TestFloors:
    @pytest.mark.parametrize(("name", "group", "floor"), FLOORS)
    def test_longer_wins_to_the_digit(self, desk, name, group, floor):
        """Every floor that the data's own page prints, with equal lengths as half a win.

        Eight of the nine are the same with equal lengths as wrong; on Auto-J, where five pairs are equally
        long, that would print as 0.70.
        """
        measured = report(outside(f"{name}.jsonl.gz"), "--scorer", "longer")["systems"][0]
        assert round(tallies(measured)[group]["credited"]["value"], 2) == floor

    def test_better_generator_to_the_digit(self, desk):
        """The generator with the better average wins 0.90, 0.83 and 0.64 on the same three subsets."""
        systems = report(outside("alpacaeval16_dev_pairs.jsonl.gz"), "--scorer", "longer")["systems"]
        by_name = {system["name"]: tallies(system) for system in systems}
        groups = ("confident", "confident length_matched", "confident strong5")
        found = [round(by_name["better generator"][group]["accuracy"]["value"], 2) for group in groups]
        assert found == [0.90, 0.83, 0.64]
        assert by_name["random"]["tail"]["n"] == 91, "tail pairs are few"

    def test_the_offline_engine_on_real_pairs(self, desk):
        """Nothing is asked and nothing is written; ties and unjudged stand beside the accuracy."""
        outcome = command("bench", outside("ifbench_pairs_dev.jsonl.gz"), *OFFLINE, "--limit", "40")
        assert outcome.code == 0
        assert "pairs, 40 cases, 40 prompts" in outcome.text
        assert "rubric + offline-words/1" in outcome.text
        assert "calls:" not in outcome.text
        assert list(Path().iterdir()) == []


class TestFiles:
    def write(self) -> str:
        given = [
            rows.reward_bench("hep-cpp", "a long answer", "short"),
            rows.reward_bench("hep-go", "brief", "a much longer one"),
        ]
        return rows.write(Path("pairs.jsonl"), given)

    def test_json_and_csv(self, desk):
        """Both hold what the table shows, for every system."""
        source = self.write()
        outcome = command(
            "bench", source, "--scorer", "longer", "--json-file", "out.json", "--csv-file", "out.csv"
        )
        assert outcome.code == 0
        found = json.loads(Path("out.json").read_text())
        assert [system["name"] for system in found["systems"]] == ["longer wins", "longer wins", "random"]
        lines = list(csv.DictReader(io.StringIO(Path("out.csv").read_text())))
        mine = [line for line in lines if line["metric"] == "accuracy" and line["subset"] == "all"]
        assert [line["value"] for line in mine[:2]] == ["0.5", "0.5"]
        headline = next(
            line for line in lines if line["metric"] == "headline" and line["subset"] == "overall"
        )
        assert float(headline["value"]) == 0.5

    def test_the_gate(self, desk):
        """Exit code 1 when a condition does not hold, 2 when it is no condition."""
        source = self.write()
        measure = ("bench", source, "--scorer", "longer")
        assert command(*measure, "--fail-under", "accuracy@all>=0.5").code == 0
        failed = command(*measure, "--fail-under", "all>=0.5", "--fail-under", "headline@Reasoning>0.9")
        assert failed.code == 1 and "headline@Reasoning>0.9: it is 0.5" in failed.text
        for wrong in ("better", "speed@all>1", "accuracy@nothing>1"):
            outcome = command(*measure, "--fail-under", wrong)
            assert outcome.code == 2 and "--fail-under" in outcome.text

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("nowhere.jsonl",), "nowhere.jsonl: no such file"),
            (("pairs.jsonl", "--scorer", "rubrik"), "there is no such scorer; give rubric, judge:MODEL"),
            (("pairs.jsonl", "--scorer", "judge"), "write judge:MODEL"),
            (("pairs.jsonl", "--scorer", "longer", "--rubrics", "r.json"), "--rubrics goes with"),
            (("pairs.jsonl", "--format", "pear"), "there is no shape 'pear'"),
            (("pairs.jsonl", "--scorer", "longer", "--subset", "hep"), "no 'hep'; there are hep-cpp, hep-go"),
            (("pairs.jsonl", "--scorer", "http://h", "--http-body", "x"), "full or query"),
            (("pairs.jsonl", "--scorer", "http://h", "--http-key-env", "NOPE"), "NOPE is not set"),
            (("pairs.jsonl", "models.grader=x"), "unknown key 'models.grader'"),
        ],
    )
    def test_mistakes(self, desk, arguments, said):
        """Exit code 2, with what would be right, and nothing written."""
        self.write()
        outcome = command("bench", *arguments, "--json-file", "out.json")
        assert outcome.code == 2 and said in " ".join(outcome.text.split())
        assert sorted(path.name for path in Path().iterdir()) == ["pairs.jsonl"]

    def test_a_subset_alone(self, desk):
        found = report(self.write(), "--scorer", "longer", "--subset", "hep-go")
        assert (found["cases"], tallies(found["systems"][0])["all"]["won"]) == (1, 0)

    def test_points(self, desk):
        """HealthBench-style: negative points subtract, the mean is clipped and no answer is.

        Answers of 1, 0 and (0 - 3) / 5: the mean is 0.4 / 3 = 0.133. Clipped one by one it would be 1/3.
        """
        points = {
            'The response contains the word "rest".': 5,
            'The response contains the word "panic".': -3,
        }
        given = [
            rows.health_bench(points, "Please rest."),
            rows.health_bench(points, "I see."),
            rows.health_bench(points, "Time to panic."),
        ]
        source = rows.write(Path("health.jsonl"), given)
        (system,) = report(source, *OFFLINE)["systems"]
        (whole, theme) = system["points"]
        assert whole["mean"]["value"] == pytest.approx((1 + 0 - 3 / 5) / 3)
        assert (whole["n"], whole["below_zero"], theme["group"]) == (3, 1, "theme:hedging")
        outcome = command("bench", source, "--scorer", "longer")
        assert outcome.code == 2 and "longer wins has no verdicts" in outcome.text
        assert command("bench", source, *OFFLINE, "--fail-under", "points@all>=0.5").code == 1


class TestServed:
    def pairs(self) -> str:
        given = [rows.reward_bench("hep-cpp", f"right {n}", f"wrong {n}") for n in range(6)]
        return rows.write(Path("pairs.jsonl"), given)

    def test_a_judge_that_goes_by_position_gets_nothing(self, desk):
        """Both orders are asked, and a judge that always says 1 agrees with itself on no pair."""
        with Served(lambda request: '{"better": 1}') as server:
            desk.ask(server)
            found = report(self.pairs(), *QUICK, "--scorer", "judge:m")["systems"][0]
            assert server.n_requests == 12
        row = tallies(found)["all"]
        assert (row["won"], row["tied"], row["accuracy"]["value"]) == (0, 6, 0)
        assert found["consistent"]["value"] == 0

    def test_a_judge_that_reads(self, desk):
        """One that finds the right text wins them all; names and ids of the file never reach it."""

        def reads(request: dict[str, Any]) -> str:
            text = request["messages"][-1]["content"]
            return json.dumps({"better": 1 if text.index("\nright") < text.index("\nwrong") else 2})

        with Served(reads) as server:
            desk.ask(server)
            found = report(self.pairs(), *QUICK, "--scorer", "judge:m")["systems"][0]
            sent = json.dumps(server.requests)
        assert tallies(found)["all"]["won"] == 6
        assert found["consistent"]["value"] == 1
        assert "human" not in sent and "someone" not in sent

    def test_a_grader_is_resumed_for_nothing(self, desk):
        """A budget stops it with 3; the same command goes on, and a third time nothing is paid."""
        source = self.pairs()
        with Served() as server:
            desk.ask(server)
            arguments = ("bench", source, *QUICK, "models.verifier=m", "models.rubric_generator=m")
            outcome = command(*arguments, "--max-calls", "3")
            assert outcome.code == 3 and "the same command goes on" in " ".join(outcome.text.split())
            assert server.n_requests == 3
            whole = command(*arguments)
            assert whole.code == 0 and "from the ledger" in whole.text
            paid = server.n_requests
            again = command(*arguments)
            assert server.n_requests == paid and "calls: 0 paid" in again.text
        table = [line for line in again.text.splitlines() if line.startswith("all")]
        assert table == [line for line in whole.text.splitlines() if line.startswith("all")]

    def test_an_endpoint_that_is_gone_stops_it(self, desk, monkeypatch):
        monkeypatch.setenv("LITELLM_BASE_URL", "http://127.0.0.1:9")
        outcome = command(
            "bench", self.pairs(), *QUICK, "models.verifier=m", *OFFLINE[1:], "api.patience_s=0.1"
        )
        assert outcome.code == 3 and "looks down" in " ".join(outcome.text.split())
