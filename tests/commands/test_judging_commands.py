"""`rubricate compare`, `winrate` and `align` from the roof down, against a served judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.outside import outside
from tests.served import QUICK, Served, command

OFFLINE = ("models.verifier=offline", "models.rubric_generator=offline")


def write(name: str, rows: list[dict[str, Any]]) -> str:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return name


def pairs(n: int = 6) -> str:
    return write(
        "pairs.jsonl",
        [{"prompt": f"Q{k}?", "chosen": f"right {k}", "rejected": f"wrong {k}"} for k in range(n)],
    )


def reads(request: dict[str, Any]) -> str:
    """Finds the right text wherever it stands."""
    text = request["messages"][-1]["content"]
    return json.dumps({"better": 1 if text.index("\nright") < text.index("\nwrong") else 2})


def half_biased(request: dict[str, Any]) -> str:
    """Reads where the prompt's number is even; else says 1."""
    text = request["messages"][-1]["content"]
    number = int(text[text.index("Q") + 1 : text.index("?")])
    return reads(request) if number % 2 == 0 else '{"better": 1}'


def shown(*arguments: str) -> dict[str, Any]:
    outcome = command(*arguments, "--json")
    assert outcome.code == 0, outcome.text
    found: dict[str, Any] = json.loads(outcome.text)
    return found


class TestCompare:
    def test_a_judge_with_position_bias(self, desk):
        """Three of six pairs are read, three go by position: consistent 1/2, first position 9 of 12."""
        with Served(half_biased) as server:
            desk.ask(server)
            figures = shown("compare", pairs(), *QUICK, "--judge", "m")["figures"]
            assert server.n_requests == 12
        assert figures["consistent"]["value"] == 0.5
        assert figures["first_position"]["value"] == 9 / 12
        assert figures["accuracy"]["value"] == 0.5 and figures["decided_accuracy"]["value"] == 1
        assert figures["counts"]["tied"] == 3 and figures["counts"]["invalid"] == 0
        lines = [json.loads(line) for line in Path("preferences.jsonl").read_text().splitlines()]
        assert [line["winner"] == "tie" for line in lines] == [False, True] * 3
        assert all(len(line["answers"]) == 2 for line in lines)

    def test_one_random_order_of_the_same_judge_hides_it(self, desk):
        """The paper's way decides every pair, and cannot tell who goes by position."""
        with Served(half_biased) as server:
            desk.ask(server)
            figures = shown("compare", pairs(), *QUICK, "--judge", "m", "--order", "random")["figures"]
            assert server.n_requests == 6
        assert figures["counts"]["decided"] == 6 and figures["consistent"] is None

    def test_what_was_paid_serves_again(self, desk):
        """Again, in one order, by `winrate` and by `bench`: the same questions, nothing paid."""
        source = pairs(4)
        ours = write("ours.jsonl", [{"prompt": f"Q{k}?", "response": f"right {k}"} for k in range(4)])
        theirs = write("theirs.jsonl", [{"prompt": f"Q{k}?", "response": f"wrong {k}"} for k in range(4)])
        with Served(reads) as server:
            desk.ask(server)
            first = command("compare", source, *QUICK, "--judge", "m")
            assert first.code == 0 and server.n_requests == 8
            kept = Path("preferences.jsonl").read_bytes()
            again = command("compare", source, *QUICK, "--judge", "m")
            single = command(
                "compare", source, *QUICK, "--judge", "m", "--order", "random", "-o", "one.jsonl"
            )
            match = command("winrate", ours, theirs, *QUICK, "gate.judge=m")
            bench = command("bench", source, *QUICK, "--scorer", "judge:m")
            assert server.n_requests == 8
        for outcome in (again, single, match, bench):
            assert outcome.code == 0 and "calls: 0 paid" in outcome.text, outcome.text
        assert Path("preferences.jsonl").read_bytes() == kept
        assert "win rate, ties half" in match.text and "100.0%" in match.text

    def test_invalid_is_neither_tie_nor_loss(self, desk):
        """A judge that cannot be read has decided nothing, and the reason is told."""
        with Served(lambda request: "both are nice") as server:
            desk.ask(server)
            outcome = command(
                "compare", pairs(2), *QUICK, "api.max_retries=0", "api.stutter_retries=0", "--judge", "m"
            )
        assert outcome.code == 0
        assert "there is no JSON" in outcome.text
        lines = [json.loads(line) for line in Path("preferences.jsonl").read_text().splitlines()]
        assert {line["winner"] for line in lines} == {"unjudged"}

    def test_a_budget_stops_it_and_the_same_command_goes_on(self, desk):
        with Served(reads) as server:
            desk.ask(server)
            stopped = command("compare", pairs(), *QUICK, "--judge", "m", "--max-calls", "5")
            assert stopped.code == 3 and not Path("preferences.jsonl").exists()
            assert command("compare", pairs(), *QUICK, "--judge", "m").code == 0
            assert server.n_requests == 12

    def test_scores_instead_of_a_judge(self, desk):
        """The floor on real pairs: the longer one is better in 71% of Auto-J with ties half."""
        figures = shown("compare", outside("autoj_pairs_dev.jsonl.gz"), "--scorer", "longer")["figures"]
        assert round(figures["credited"]["value"], 2) == 0.71
        assert figures["consistent"] is None and figures["counts"]["answers"] == 0

    def test_the_offline_grader(self, desk):
        """Nothing is asked, and nothing but the preferences is written."""
        outcome = command("compare", pairs(), *OFFLINE, "--scorer", "rubric")
        assert outcome.code == 0 and "calls:" not in outcome.text
        assert {path.name for path in Path().iterdir()} == {"pairs.jsonl", "preferences.jsonl"}

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("nowhere.jsonl", "--judge", "m"), "nowhere.jsonl: no such file"),
            (("pairs.jsonl",), "who judges? give --judge MODEL"),
            (("pairs.jsonl", "--judge", "m", "--scorer", "longer"), "give one of them"),
            (("pairs.jsonl", "--judge", "m", "--order", "one"), "both or random"),
            (("pairs.jsonl", "--scorer", "longer", "--order", "random"), "--order goes with --judge"),
            (("pairs.jsonl", "--judge", "m", "--pairs", "some"), "all or top"),
            (("pairs.jsonl", "--scorer", "longer", "--pairs", "top"), "goes with a pool or a run"),
            (("pairs.jsonl", "--judge", "offline"), "the offline engine does not compare"),
            (("pairs.jsonl", "--scorer", "longer", "-o", "no/where.jsonl"), "there is no folder no"),
            (("pairs.jsonl", "--scorer", "longer", "--fail-under", "speed>1"), "there is no metric"),
            (("pairs.jsonl", "--scorer", "longer", "--format", "pear"), "there is no shape 'pear'"),
        ],
    )
    def test_mistakes(self, desk, arguments, said):
        """Exit code 2, with what would be right, and nothing written."""
        pairs()
        outcome = command("compare", *arguments)
        assert outcome.code == 2 and said in " ".join(outcome.text.split()), outcome.text
        assert [path.name for path in Path().iterdir()] == ["pairs.jsonl"]


class TestWinRate:
    def files(self) -> tuple[str, str]:
        ours = [
            {"id": f"p{k}", "prompt": f"Q{k}?", "response": f"<think>a</think>right {k}"} for k in range(4)
        ]
        theirs = [
            {"id": f"p{k}", "prompt": f"Q{k}?", "response": f"<think>b</think>wrong {k}"} for k in range(5)
        ]
        return write("ours.jsonl", ours), write("theirs.jsonl", theirs)

    def test_figures_and_gate(self, desk):
        """Two wins and two ties of four: 75%; reasoning of neither side reaches the judge."""
        with Served(half_biased) as server:
            desk.ask(server)
            found = shown("winrate", *self.files(), *QUICK, "--judge", "m")
            assert "think" not in json.dumps(server.requests)
            gate = ("winrate", *self.files(), *QUICK, "--judge", "m", "--fail-under")
            assert command(*gate, "win_rate>=0.75").code == 0
            failed = command(*gate, "win_rate.low>0.8")
            assert failed.code == 1 and "win_rate.low@all>0.8: it is" in failed.text
            assert server.n_requests == 8
        assert found["counts"] == {"wins": 2, "ties": 2, "losses": 0, "invalid": 0}
        assert found["win_rate"]["value"] == 0.75
        assert found["without"] == {"only in the reference's file": ["p4"]}

    def test_equal_draws_are_two_matches_and_one_preference(self, desk):
        """Two equal samples of a policy weigh as two; the file of preferences still has each pair once."""
        ours = write("ours.jsonl", [{"prompt": "Q0?", "responses": ["right 0", "right 0"]}])
        theirs = write("theirs.jsonl", [{"prompt": "Q0?", "response": "wrong 0"}])
        with Served(reads) as server:
            desk.ask(server)
            found = shown("winrate", ours, theirs, *QUICK, "--judge", "m", "-o", "p.jsonl")
            assert server.n_requests == 2
        assert found["counts"]["wins"] == 2
        assert len(Path("p.jsonl").read_text().splitlines()) == 1

    def test_a_wrong_key_stops_it(self, desk, monkeypatch):
        """Nothing is decided and nothing written: a wrong key is no preference."""
        with Served(reads, api_key="another") as server:
            desk.ask(server)
            outcome = command("winrate", *self.files(), *QUICK, "--judge", "m", "-o", "p.jsonl")
        assert outcome.code in (2, 3) and not Path("p.jsonl").exists(), outcome.text

    def test_the_names_of_what_has_no_partner_are_told(self, desk):
        outcome = command("winrate", *self.files(), "--scorer", "longer")
        assert outcome.code == 0
        assert "only in the reference's file: 1 prompts (p4)" in outcome.text

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("ours.jsonl", "nowhere.jsonl", "--scorer", "longer"), "no such file"),
            (("ours.jsonl", "theirs.jsonl", "--scorer", "longer", "--by", "name"), "prompt or id"),
            (("ours.jsonl", "theirs.jsonl"), "who judges?"),
        ],
    )
    def test_mistakes(self, desk, arguments, said):
        self.files()
        outcome = command("winrate", *arguments)
        assert outcome.code == 2 and said in outcome.text


class TestAlign:
    def test_scores_against_preferences(self, desk):
        """Four pairs: two right, one tied, one wrong: 1/2 and 5/8."""
        source = pairs(4)
        scores = []
        for k, (right, wrong) in enumerate([(1, 0), (1, 0), (1, 1), (0, 1)]):
            for text, score in ((f"right {k}", right), (f"wrong {k}", wrong)):
                scores.append({"prompt": f"Q{k}?", "response": text, "score": score})
        graded = write("scores.jsonl", scores)
        with Served(reads) as server:
            desk.ask(server)
            assert command("compare", source, *QUICK, "--judge", "m").code == 0
        found = shown("align", graded, "--preferences", "preferences.jsonl")
        assert (found["paper_accuracy"]["value"], found["alignment"]["value"]) == (0.5, 0.625)
        assert (found["tied"]["value"], found["untied_accuracy"]["value"]) == (0.25, 2 / 3)
        assert found["judge"]["consistent"]["value"] == 1
        labels = shown("align", graded, "--preferences", source)
        assert labels["paper_accuracy"] == found["paper_accuracy"]

    def test_rubrics_and_five_draws(self, desk):
        """Rubrics in official shapes through a grader; again it pays nothing."""
        source = pairs(3)
        rows = [
            {"id": f"p{k}", "prompt": f"Q{k}?", "criteria": [{"criterion": "is right", "weight": 2}]}
            for k in range(3)
        ]
        Path("bare.json").write_text(json.dumps(rows))
        Path("dict.json").write_text(json.dumps({"rubrics": rows}))

        def grades(request: dict[str, Any]) -> str:
            text = request["messages"][-1]["content"]
            return json.dumps({"c1": "met" if "\nright" in text else "unmet"})

        with Served(grades) as server:
            desk.ask(server)
            arguments = ("--preferences", source, *QUICK, "models.verifier=m")
            found = shown("align", "bare.json", *arguments)
            assert server.n_requests == 3 * 2 * 5
            outcome = command("align", "dict.json", *arguments)
            assert server.n_requests == 30 and "calls: 0 paid, 30 from the ledger" in outcome.text
        assert found["paper_accuracy"]["value"] == 1 and found["draws"] == [5, 5]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("rubrics.json", "--preferences", "preferences.jsonl"), "--responses must name the file"),
            (("rubrics.json", "--preferences", "nowhere.jsonl"), "no such file"),
            (
                ("scores.jsonl", "--preferences", "pairs.jsonl"),
                "no pair is both decided by the judge and graded",
            ),
        ],
    )
    def test_mistakes(self, desk, arguments, said):
        assert command("compare", pairs(2), "--scorer", "longer").code == 0
        Path("rubrics.json").write_text('[{"id": "p", "prompt": "Q?", "criteria": ["good"]}]')
        write("scores.jsonl", [{"id": "p", "response": "a", "score": 1}])
        outcome = command("align", *arguments)
        assert outcome.code == 2 and said in " ".join(outcome.text.split()), outcome.text

    def test_official_files_of_a_run(self, desk):
        """A run offline, compared by length, aligned from its folder, its scores and its official files."""
        done = command(
            "run",
            "-cn",
            "iterative",
            *OFFLINE,
            "files.responses_file=sample",
            "files.output_dir=./out",
            "grade.coverage=all",
        )
        assert done.code == 0, done.text
        assert command("compare", "./out", "--scorer", "longer").code == 0
        assert command("export", "./out", "--format", "official", "-o", "official").code == 0
        by = ("--preferences", "preferences.jsonl")
        whole, scores = shown("align", "./out", *by), shown("align", "./out/scores.jsonl", *by)
        assert whole["counts"] == scores["counts"] and whole["counts"]["decided"] > 10
        assert whole["alignment"] == scores["alignment"]
        rounds = sorted(Path("official").glob("iteration_*_scored_responses.json"))
        assert shown("align", str(rounds[0]), *by)["counts"]["decided"] > 10
        rubrics = shown("align", "./out/rubrics.jsonl", *by, "--responses", "./out", *OFFLINE)
        assert rubrics["alignment"] == whole["alignment"]
