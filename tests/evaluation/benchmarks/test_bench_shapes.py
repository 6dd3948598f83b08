"""Files in their published shapes become cases, and what is no benchmark says what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rubricate.errors import DataError, SettingsError
from rubricate.evaluation.benchmarks import sources
from rubricate.evaluation.benchmarks.cases import Case
from rubricate.evaluation.benchmarks.sources import SHAPES, read_benchmark
from tests.evaluation.benchmarks import published_rows as rows
from tests.evaluation.outside import outside


def cases_of(path: Path, *given: rows.Row, shape: str | None = None) -> tuple[Case, ...]:
    return read_benchmark(rows.write(path / "b.jsonl", given), shape).cases


def beaten(case: Case) -> list[tuple[list[str], list[str]]]:
    """Texts that ought to beat others, contest by contest."""
    text = case.responses.__getitem__
    return [([text(i) for i in c.better], [text(i) for i in c.worse]) for c in case.contests]


class TestPublished:
    def test_reward_bench(self, tmp_path):
        (case,) = cases_of(tmp_path, rows.reward_bench("hep-go", "good", "bad"))
        assert beaten(case) == [(["good"], ["bad"])]
        assert case.groups == ("hep-go",)
        assert case.generators == ("human", "someone")

    def test_a_pair_of_conversations(self, tmp_path):
        """Preference sets whose sides are whole conversations: the prompt is what came before."""
        start = [{"role": "user", "content": "Hi"}]
        sides = {
            side: [*start, {"role": "assistant", "content": text}]
            for side, text in (("chosen", "yes"), ("rejected", "no"))
        }
        (case,) = cases_of(tmp_path, sides)
        assert (case.prompt.text, beaten(case)) == ("Hi", [(["yes"], ["no"])])

    def test_reward_bench_2(self, tmp_path):
        """Best of four, and several right answers in the subset Ties."""
        four = rows.reward_bench_2("Focus", ["a"], ["b", "c", "d"])
        ties = rows.reward_bench_2("Ties", ["red", "blue"], ["bread"], id="tied:3")
        best, tied = cases_of(tmp_path, four, ties)
        assert beaten(best) == [(["a"], ["b", "c", "d"])]
        assert beaten(tied) == [(["red", "blue"], ["bread"])]
        with pytest.raises(DataError, match=r"b.jsonl:1: id: .*ref:NUMBER"):
            cases_of(tmp_path, rows.reward_bench_2("Ties", ["a"], ["b"], id="nine"))

    def test_rm_bench_has_nine_distinct_cells(self, tmp_path):
        """Hard are the three cells with the plainer chosen style, easy the three with the fancier one."""
        (case,) = cases_of(tmp_path, rows.rm_bench("chat", ["c0", "c1", "c2"], ["r0", "r1", "r2"]))
        cells: dict[str, set[str]] = {"hard": set(), "normal": set(), "easy": set()}
        for contest, ((better,), (worse,)) in zip(case.contests, beaten(case), strict=True):
            cells[contest.groups[0]].add(better[1] + worse[1])
        assert cells == {
            "hard": {"01", "02", "12"},
            "normal": {"00", "11", "22"},
            "easy": {"10", "20", "21"},
        }
        with pytest.raises(DataError, match=r"b.jsonl:1: chosen: 3 styles"):
            cases_of(tmp_path, rows.rm_bench("chat", ["c0", "c1"], ["r0", "r1", "r2"]))

    def test_the_domain_of_rm_bench_may_be_its_file(self, tmp_path):
        """Published files of one domain say the source of an item where others say its domain."""
        row = rows.rm_bench("alpacaeval", ["c0", "c1", "c2"], ["r0", "r1", "r2"])
        assert cases_of(tmp_path, row)[0].groups == ("alpacaeval",)
        (case,) = read_benchmark(rows.write(tmp_path / "safety-refuse_filtered.json", [row])).cases
        assert case.groups == ("safety-refuse",)

    def test_rmb(self, tmp_path):
        (pair,) = cases_of(tmp_path, rows.rmb_pair())
        assert beaten(pair) == [(["long enough"], ["short"])]
        assert pair.groups == ("Helpfulness pairs",)
        (best,) = cases_of(tmp_path, rows.rmb_best("b", ["l1", "l2"]))
        assert beaten(best) == [(["b"], ["l1", "l2"])]
        assert best.groups == ("Harmlessness best of n",)
        assert [m.role for m in best.prompt.messages] == ["user", "assistant", "user"]

    def test_the_goal_of_rmb_may_stand_in_the_path(self, tmp_path):
        row = {**rows.rmb_pair(), "category_path": None}
        folder = tmp_path / "Pairwise_set" / "Harmlessness"
        assert cases_of(folder, row)[0].groups == ("Harmlessness pairs",)
        with pytest.raises(DataError, match="Helpfulness or Harmlessness"):
            cases_of(tmp_path, row)

    def test_judge_bench(self, tmp_path):
        first, second = cases_of(
            tmp_path,
            rows.judge_bench("A>B", "x", "y", "mmlu-pro-law"),
            rows.judge_bench("B>A", "x", "z", "livecodebench"),
        )
        assert [first.groups, second.groups] == [("Knowledge",), ("Coding",)]
        assert beaten(first) + beaten(second) == [(["x"], ["y"]), (["z"], ["x"])]
        with pytest.raises(DataError, match=r'b.jsonl:1: label: .*"A>B" or "B>A"'):
            cases_of(tmp_path, rows.judge_bench("A=B", "x", "y"))

    def test_llm_bar_is_a_folder_of_subsets(self, tmp_path):
        """One address for all of it: each file's folder is its subset."""
        for name, right in (("Natural", 1), ("Adversarial/Neighbor", 2)):
            file = tmp_path / "LLMBar" / name / "dataset.json"
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps([rows.llm_bar("one", f"two {name}", right)], indent=1))
        adversarial, natural = read_benchmark(str(tmp_path / "LLMBar")).cases
        assert adversarial.groups == ("Adversarial Neighbor", "Adversarial")
        assert natural.groups == ("Natural",)
        assert beaten(natural) == [(["one"], ["two Natural"])]
        assert beaten(adversarial) == [(["two Adversarial/Neighbor"], ["one"])]

    def test_health_bench(self, tmp_path):
        """Negative points make pitfalls; a conversation without an answer is left out and counted."""
        points = {"names the dose": 5, "frightens": -3}
        given = [rows.health_bench(points, "Rest."), rows.health_bench(points, None)]
        benchmark = read_benchmark(rows.write(tmp_path / "h.jsonl", given))
        (case,) = benchmark.cases
        assert case.rubric is not None
        assert [(c.text, c.weight, c.kind) for c in case.rubric.criteria] == [
            ("names the dose", 5, "principle"),
            ("frightens", -3, "pitfall"),
        ]
        assert (case.groups, case.responses) == (("theme:hedging",), ("Rest.",))
        assert benchmark.left_out == {"no answer to score": 1}
        with pytest.raises(DataError, match="one criterion with a positive weight"):
            cases_of(tmp_path, rows.health_bench({"frightens": -3}, "Rest."))

    @pytest.mark.parametrize("split", ["", "#test"])
    def test_from_the_hub(self, tmp_path, split):
        """`hf://` goes through `datasets`; a folder with Parquet files stands in for the hub's."""
        pytest.importorskip("datasets")
        import pyarrow as arrow
        import pyarrow.parquet

        given = [rows.reward_bench_2("Math", ["4"], ["5", "6", "7"])]
        folder = tmp_path / "data"
        folder.mkdir()
        part = "test" if split else "train"
        pyarrow.parquet.write_table(arrow.Table.from_pylist(given), folder / f"{part}-00000-of-00001.parquet")
        benchmark = read_benchmark(f"hf://{tmp_path}{split}")
        assert benchmark.shape == "rewardbench2"
        assert beaten(benchmark.cases[0]) == [(["4"], ["5", "6", "7"])]

    def test_a_dataset_of_several_splits(self, tmp_path, monkeypatch):
        """Where the address names no split, those that make up the benchmark are read one after the other."""
        pytest.importorskip("datasets")
        import pyarrow as arrow
        import pyarrow.parquet

        monkeypatch.setitem(sources.HUB_SPLITS, str(tmp_path), sources.HUB_SPLITS["ScalerLab/JudgeBench"])
        for split in ("claude", "gpt"):
            table = arrow.Table.from_pylist([rows.judge_bench("A>B", f"right by {split}", "wrong")])
            pyarrow.parquet.write_table(table, tmp_path / f"{split}-00000-of-00001.parquet")
        (tmp_path / "README.md").write_text(
            "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: claude\n    path: claude-*\n"
            "  - split: gpt\n    path: gpt-*\n---\n"
        )
        found = read_benchmark(f"hf://{tmp_path}").cases
        assert [case.responses[0] for case in found] == ["right by claude", "right by gpt"]


class TestLists:
    def test_ranked(self, tmp_path):
        """A contest for each two different grades; what has none takes no part."""
        grades = {"a": 0.5, "b": 0.9, "c": 0.5, "d": None}
        responses = [
            {"generator": f"m-{text}", "response": text, "reference_score": gold}
            for text, gold in grades.items()
        ]
        (case,) = cases_of(tmp_path, {"id": "1", "prompt": "p", "responses": responses})
        assert beaten(case) == [(["b"], ["a"]), (["b"], ["c"])]
        assert read_benchmark(str(tmp_path / "b.jsonl")).left_out == {"responses without a grade": 1}
        assert case.prompt.id != "1", "what the file calls it is not passed on"

    def test_criteria(self, tmp_path):
        """Rows of one prompt become one list, graded by their labels; null leaves both sums."""

        def row(response: str, *labels: bool | None) -> dict[str, Any]:
            texts = zip("xyz", (3, 1, -2), labels, strict=True)
            criteria = [{"criterion": t, "weight": w, "label": label} for t, w, label in texts]
            return {
                "id": response,
                "prompt_id": "p",
                "prompt": "q",
                "response": response,
                "criteria": criteria,
            }

        (case,) = cases_of(
            tmp_path, row("r1", True, True, True), row("r2", True, False, False), row("r3", None, True, False)
        )
        assert case.gold == (2 / 4, 3 / 4, 1.0)
        assert beaten(case) == [(["r2"], ["r1"]), (["r3"], ["r1"]), (["r3"], ["r2"])]
        assert case.rubric is not None and [c.weight for c in case.rubric.criteria] == [3, 1, -2]
        assert case.cluster == "p", "prompts whose texts are left out are still several"

    def test_index(self, tmp_path):
        """Pairs by generator into the ranked file beside, in the groups that their flags give."""
        responses = [{"generator": g, "response": f"text {g}", "reference_score": 0.1} for g in "abc"]
        rows.write(tmp_path / "pool.jsonl", [{"id": "1", "prompt": "p", "responses": responses}])
        pair = {"prompt_id": "1", "chosen": "b", "rejected": "a", "margin": 0.6, "confident": True}
        pairs = [
            {**pair, "length_matched": True},
            {**pair, "rejected": "c", "tail": True, "confident": False},
        ]
        (case,) = read_benchmark(rows.write(tmp_path / "pool_pairs.jsonl", pairs)).cases
        assert beaten(case) == [(["text b"], ["text a"]), (["text b"], ["text c"])]
        assert [c.groups for c in case.contests] == [("confident", "confident length_matched"), ("tail",)]
        for field, wrong in (("prompt_id", "2"), ("chosen", "nobody")):
            source = rows.write(tmp_path / "pool_pairs.jsonl", [pair, {**pair, field: wrong}])
            with pytest.raises(DataError, match=rf"pool_pairs.jsonl:2: {field}: '{wrong}'"):
                read_benchmark(source)
        with pytest.raises(DataError, match="needs its ranked file beside it"):
            read_benchmark(rows.write(tmp_path / "other_pairs.jsonl", [pair]))


class TestBadInput:
    def test_an_unknown_shape_says_what_it_found_and_what_would_do(self, tmp_path):
        with pytest.raises(DataError) as problem:
            cases_of(tmp_path, {"question": "q", "answers": []})
        said = str(problem.value)
        assert "b.jsonl:1: unknown benchmark shape: an object with answers, question" in said
        assert all(name in said for name in SHAPES)
        with pytest.raises(DataError, match="unknown benchmark shape: a list"):
            read_benchmark(rows.write(tmp_path / "c.jsonl", [[1]]))  # type: ignore[list-item]

    def test_a_given_shape_must_fit(self, tmp_path):
        with pytest.raises(SettingsError, match="there is no shape 'rmbenhc'; there are judgebench"):
            cases_of(tmp_path, rows.llm_bar("a", "b", 1), shape="rmbenhc")
        with pytest.raises(DataError, match=r"b.jsonl:1: prompt: missing; a row of the shape rmbench needs"):
            cases_of(tmp_path, rows.llm_bar("a", "b", 1), shape="rmbench")

    @pytest.mark.parametrize(
        ("second", "said"),
        [
            (rows.llm_bar("a", "b", 1), "2: chosen: missing"),
            ({**rows.reward_bench(), "rejected": None}, "2: rejected: missing"),
            ({**rows.reward_bench(), "chosen": 3}, "2: chosen: .*not a number"),
            ({**rows.reward_bench(), "prompt": {}}, "2: prompt: .*not an object"),
            ({**rows.reward_bench(), "subset": 3}, "2: subset: .*not a number"),
        ],
    )
    def test_a_row_that_is_not_as_the_first(self, tmp_path, second, said):
        """File, line and field, whatever the row that detection looked at was like."""
        with pytest.raises(DataError, match=f"b.jsonl:{said}"):
            cases_of(tmp_path, rows.reward_bench(), second)

    @pytest.mark.parametrize("gold", ["NaN", "Infinity", '"high"', "true"])
    def test_a_grade_is_a_finite_number(self, tmp_path, gold):
        path = tmp_path / "b.jsonl"
        path.write_text('{"prompt": "p", "responses": [{"response": "r", "reference_score": %s}]}' % gold)  # noqa: UP031
        with pytest.raises(DataError, match=r"b.jsonl:1: responses\[0\].reference_score: a (finite )?number"):
            read_benchmark(str(path))

    def test_nothing_to_measure(self, tmp_path):
        """One response per prompt, all tied, no row at all: said, not measured."""
        one = {"prompt": "p", "responses": [{"response": "r", "reference_score": 1}]}
        tied = {"prompt": "p", "responses": [{"response": r, "reference_score": 1} for r in "ab"]}
        with pytest.raises(DataError, match=r"no case in it can be used: no two grades differ \(2\)"):
            cases_of(tmp_path, one, tied)
        (tmp_path / "empty.jsonl").write_text("")
        with pytest.raises(DataError, match="there is no row in it"):
            read_benchmark(str(tmp_path / "empty.jsonl"))
        with pytest.raises(DataError, match="no such file"):
            read_benchmark(str(tmp_path / "nowhere.jsonl"))

    def test_repeated_cases_are_kept_and_counted(self, tmp_path):
        source = rows.write(tmp_path / "b.jsonl", [rows.reward_bench()] * 3)
        benchmark = read_benchmark(source)
        assert (len(benchmark.cases), benchmark.repeated) == (3, 2)


@pytest.mark.parametrize(
    ("name", "shape", "n"),
    [
        ("alpacaeval16_dev", "ranked", 100),
        ("alpacaeval16_dev_pairs", "pair-index", 100),
        ("bon16_dev_pairs", "pair-index", 100),
        ("llmbar_pairs_dev", "pairs", 236),
        ("rmbench_styles_dev", "rmbench", 180),
        ("ifeval_criteria_dev", "criteria", 115),
        ("realsumm_criteria_dev", "criteria", 32),
        ("hanna_stories_dev", "ranked", 28),
        ("qa_feedback4_dev", "ranked", 252),
        ("vicuna_rubric_scored", "ranked", 6),
    ],
)
def test_real_files(name, shape, n):
    """Every shape of the outside data is told by its fields."""
    benchmark = read_benchmark(outside(f"{name}.jsonl.gz"))
    assert (benchmark.shape, len(benchmark.cases)) == (shape, n)
