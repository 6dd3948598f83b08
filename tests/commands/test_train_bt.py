"""`rubricate train bt` and `rubricate score`: files to models, models to figures, and what goes wrong."""

from __future__ import annotations

import csv
import json
import random

import pytest

from rubricate.cli import app
from tests.reward_model.models import BAD, GOOD, PLAIN, an_encoder

pytest.importorskip("torch")
pytest.importorskip("trl")

LESSON = ["--epochs", "4", "--learning-rate", "3e-3", "--batch-size", "16", "--accumulation", "1"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    import torch

    torch.set_num_threads(1)
    return an_encoder(tmp_path_factory.mktemp("base"))


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    """Runs the command in a folder of its own; gives its exit code and what it said."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        from rubricate.errors import RubricateError

        code = 0
        try:
            app(args=list(map(str, words)), prog_name="rubricate")
        except SystemExit as leaving:
            code = leaving.code or 0
        except RubricateError as mistake:
            return 2, str(mistake)
        return code, capsys.readouterr().out

    return run


def a_text(chance, words, length):
    text = chance.choices(PLAIN, k=length)
    text[0] = chance.choice(words)
    return " ".join(text)


def pool_rows(n, seed=0):
    """Prompts with a good response and a bad one of the policy, and one of each of a greater model."""
    chance = random.Random(seed)
    rows = []
    for number in range(n):
        responses = [
            {
                "generator": who,
                "response": a_text(chance, words, chance.choice([4, 6])),
                "reference_score": gold,
            }
            for who, words, gold in (
                ("policy", GOOD, 0.8),
                ("policy", BAD, 0.2),
                ("great", GOOD, 0.9),
                ("great", BAD, 0.1),
            )
        ]
        rows.append({"id": f"s{seed}-{number}", "prompt": f"a b {seed} {number}", "responses": responses})
    return rows


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


class TestTraining:
    def test_three_seeds_from_pool_to_figures(self, base, call, tmp_path):
        """The models tell good from bad, length does not; and each seed is a model for bench and audit."""
        write(tmp_path / "pool.jsonl", pool_rows(60))
        write(tmp_path / "dev.jsonl", pool_rows(20, seed=1))
        words = [
            "train",
            "bt",
            "pool.jsonl",
            "-m",
            base,
            "-o",
            "rm",
            "--seeds",
            3,
            "--min-gap",
            "0.5",
            *LESSON,
        ]
        code, said = call(*words, "--eval", "dev.jsonl", "--held-out", "0.25")
        assert code == 0 and "mean over 3 seeds" in said and "ahead, over seeds" in said
        summary = json.loads((tmp_path / "rm" / "summary.json").read_text())
        held, dev = summary["measured"]
        assert held["source"] == "held-out pairs" and dev["source"] == "dev.jsonl"
        whole = dev["rows"][0]
        assert whole["group"] == "all" and whole["prompts"] == 20 and len(whole["seeds"]) == 3
        assert whole["won"]["value"] == pytest.approx(sum(whole["seeds"]) / 3)
        assert whole["ahead"]["value"] == pytest.approx(whole["won"]["value"] - whole["longer"]["value"])
        assert whole["ahead"]["low"] > 0 and whole["by_seed"]["n"] == 3
        assert {row["group"] for row in held["rows"]} >= {"all", "confident", "length_matched"}
        assert [card["seed"] for card in summary["cards"]] == [0, 1, 2]
        assert len({json.dumps(card["data"]) for card in summary["cards"]}) == 3  # each seed draws its order

        code, said = call("bench", "dev.jsonl", "--scorer", "checkpoint:rm/seed-1", "--json")
        tally = json.loads(said)["systems"][0]["tallies"][0]
        assert tally["accuracy"]["value"] == pytest.approx(whole["seeds"][1])

        code, said = call(
            "score",
            "dev.jsonl",
            "--scorer",
            "checkpoint:rm/seed-0",
            "--scorer",
            "longer",
            "-o",
            "scored.jsonl",
        )
        assert code == 0 and "80 responses to 20 prompts, seed-0_score, longer_score" in said
        code, said = call("audit", "scored.jsonl")
        assert code == 0 and "seed-0_score" in said and "longer_score" in said

        code, said = call(*words, "--eval", "dev.jsonl", "--held-out", "0.25", "--resume")
        assert code == 0 and said.count("done before") == 3
        code, said = call(*words, "--held-out", "0.25", "--resume", "--margin")
        assert code == 2 and "holds a model of other pairs or settings" in said

    def test_sources_with_exact_counts(self, base, call, tmp_path):
        """Table 6: one pair of a prompt and source: 30 on-policy, 30 off-policy, 60 of both; four pairs of
        each prompt that have one response of each."""
        write(tmp_path / "pool.jsonl", pool_rows(30))
        for source, n in (("on", 30), ("off", 30), ("mixed", 60)):
            code, said = call(
                *("train", "bt", "pool.jsonl", "-m", base, "-o", "rm", "--source", source, "--dry-run"),
                *("--policy-generator", "pol*", "--held-out", 0, "--pairs-per-prompt", 1),
            )
            assert code == 0 and f"{n} pairs of 30 prompts" in said
            assert "left out: 120 (one response of the policy, the other not)" in said
        assert "off-policy 30, on-policy 30" in said
        steps = {"mixed": -(-(60 // 4) // 4) * 10}
        assert f"{steps['mixed']} steps on one device, 10 epochs" in said
        assert not (tmp_path / "rm").exists()

    def test_evaluation_prompts_are_never_trained_on(self, base, call, tmp_path):
        rows = pool_rows(10)
        write(tmp_path / "pool.jsonl", rows)
        write(tmp_path / "dev.jsonl", rows[:4])
        code, said = call(
            "train",
            "bt",
            "pool.jsonl",
            "-m",
            base,
            "-o",
            "rm",
            "--eval",
            "dev.jsonl",
            "--held-out",
            0,
            "--dry-run",
        )
        assert code == 0 and "36 pairs of 6 prompts" in said and "24 (the prompt is in --eval)" in said

    def test_a_judge_in_place_of_gold(self, base, call, tmp_path):
        """What `rubricate compare` wrote counts, whatever gold says: here that the longer one is better."""
        write(tmp_path / "pool.jsonl", pool_rows(8))
        code, _ = call("compare", "pool.jsonl", "--scorer", "longer", "-o", "judged.jsonl")
        judged = [json.loads(line) for line in (tmp_path / "judged.jsonl").read_text().splitlines()]
        decided = sum(line["winner"] in ("first", "second") for line in judged)
        code, said = call(
            *("train", "bt", "pool.jsonl", "--preferences", "judged.jsonl", "-m", base, "-o", "rm"),
            *("--held-out", 0, "--dry-run"),
        )
        assert code == 0 and f"{decided} pairs of" in said
        assert f"left out: {len(judged) - decided} (the judge said tie)" in said

    def test_files_of_pairs_and_csv(self, base, call, tmp_path):
        """Chosen and rejected texts, and a table of scores, where the column has a name of its own."""
        write(
            tmp_path / "pairs.jsonl",
            [{"prompt": f"p {n}", "chosen": "sun a", "rejected": "mud"} for n in range(5)],
        )
        with (tmp_path / "scored.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["prompt", "response", "mine"])
            table.writerows(
                [
                    [f"q {n}", text, value]
                    for n in range(3)
                    for text, value in (("sun", 2), ("mud", 1), ("fog", ""))
                ]
            )
        code, said = call("train", "bt", "pairs.jsonl", "-m", base, "-o", "rm", "--held-out", 0, "--dry-run")
        assert code == 0 and "5 pairs of 5 prompts" in said
        code, said = call(
            "train",
            "bt",
            "scored.csv",
            "--gold",
            "mine",
            "-m",
            base,
            "-o",
            "rm",
            "--held-out",
            0,
            "--dry-run",
        )
        assert (
            code == 0
            and "3 pairs of 3 prompts" in said
            and "left out: 3 (a response without a score)" in said
        )


class TestMistakes:
    def test_are_told_before_anything_is_trained(self, base, call, tmp_path):
        write(tmp_path / "pool.jsonl", pool_rows(4))
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "file").touch()
        for words, why in [
            (["--source", "on"], "needs the names of the policy's generators"),
            (
                ["--source", "on", "--policy-generator", "nobody", "--held-out", 0],
                "the generators are great, policy",
            ),
            (["--min-gap", "5", "--held-out", 0], "no pair is left to train on"),
            (["--epochs", "0"], "epochs is 0"),
            (["--held-out", "1"], "a share below 1"),
            (["--seed", "1", "--seeds", "2"], "give one of them"),
            (["--seed", "1", "--seed", "1"], "named twice"),
            (["--eval", "nowhere.jsonl"], "no such file"),
            (["-o", "full"], "is not empty"),
            (["-o", "pool.jsonl"], "is a file"),
            (["-m", "./nowhere"], "cannot be loaded"),
        ]:
            given = ["train", "bt", "pool.jsonl"]
            given += [] if "-o" in words else ["-o", "rm"]
            given += [] if "-m" in words else ["-m", base]
            code, said = call(*given, *words)
            assert code == 2 and why in said, words
            assert not (tmp_path / "rm" / "config.json").exists()

    def test_of_scoring(self, call, tmp_path):
        write(tmp_path / "pool.jsonl", pool_rows(2))
        for words, why in [
            (["--scorer", "judge:m"], "a judge compares"),
            (["--scorer", "longer", "--column", "a", "--column", "b"], "one name for each"),
            (["--scorer", "longer", "--scorer", "longer"], "would share a name"),
            (["--scorer", "longer", "--column", "gold"], "another column of this name"),
            (["--scorer", "longer", "-o", "nowhere/x.jsonl"], "no folder"),
            (["--scorer", "checkpoint:./nowhere"], "cannot be loaded"),
        ]:
            code, said = call("score", "pool.jsonl", *words)
            assert code == 2 and why in said, words
        code, said = call("score", "pool.jsonl", "--scorer", "longer")
        rows = [json.loads(line) for line in (tmp_path / "scored.jsonl").read_text().splitlines()]
        assert code == 0 and all(row["score"] == len(row["response"]) for row in rows) and len(rows) == 8
