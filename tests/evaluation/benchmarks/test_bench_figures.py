"""Hand-computed figures of every benchmark, and laws that hold for any scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.conversation import Prompt
from rubricate.domain.intervals import Estimate
from rubricate.domain.judgement import Preference
from rubricate.errors import SettingsError
from rubricate.evaluation.benchmarks.cases import Benchmark, Case, Contest
from rubricate.evaluation.benchmarks.figures import ties
from rubricate.evaluation.benchmarks.figures.gate import condition, failure_of
from rubricate.evaluation.benchmarks.figures.headlines import (
    REWARD_BENCH_COUNTS,
    REWARD_BENCH_SECTIONS,
    headlines,
    plans,
)
from rubricate.evaluation.benchmarks.figures.outcomes import Unit, by_preferences, by_scores
from rubricate.evaluation.benchmarks.figures.tally import Tally, tallies
from rubricate.evaluation.benchmarks.measuring import System, by_case_scores
from rubricate.evaluation.benchmarks.sources import read_benchmark
from rubricate.evaluation.scorers.marks import duel_key
from tests.evaluation.benchmarks import published_rows as rows


def a_case(n_better: int = 1, n_worse: int = 1, prompt: str = "p", groups: tuple[str, ...] = ()) -> Case:
    """A case of one contest; the better responses come first."""
    places = range(n_better + n_worse)
    contest = Contest(tuple(places[:n_better]), tuple(places[n_better:]))
    texts = tuple(f"r{place}" for place in places)
    return Case("1", Prompt.of_text(prompt), "best_of_n", texts, (contest,), groups)


def settled(case: Case, *scores: float | None) -> tuple[str, float]:
    (unit,) = by_scores(case, scores)
    return unit.outcome, unit.credit


class TestOutcomes:
    def test_a_pair(self):
        assert settled(a_case(), 0.6, 0.5) == ("won", 1)
        assert settled(a_case(), 0.5, 0.6) == ("lost", 0)
        assert settled(a_case(), 0.3, 0.1 + 0.2) == ("tied", 0.5)
        assert settled(a_case(), None, 0.5) == ("unjudged", 0)

    def test_best_of_four_is_strict(self):
        """The best must stand alone; of k at the top it has one chance in k."""
        four = a_case(1, 3)
        assert settled(four, 0.9, 0.8, 0.1, 0.2) == ("won", 1)
        assert settled(four, 0.9, 0.9, 0.1, 0.2) == ("tied", 1 / 2)
        assert settled(four, 0.9, 0.9, 0.9, 0.2) == ("tied", 1 / 3)
        assert settled(four, 0.9, 0.9, 1.0, 0.2) == ("lost", 0)
        assert settled(four, 0.9, 0.8, 0.1, None) == ("unjudged", 0)

    def test_several_right_answers(self):
        """Each of them must beat each wrong one; among themselves they may be as they are."""
        two = a_case(2, 2)
        assert settled(two, 0.9, 0.5, 0.4, 0.1)[0] == "won"
        assert settled(two, 0.9, 0.3, 0.4, 0.1)[0] == "lost"

    @given(st.lists(st.floats(-5, 5), min_size=4, max_size=4), st.floats(0.1, 10), st.floats(-5, 5))
    def test_only_the_order_counts(self, scores, scale, shift):
        """A reward on another scale wins the same contests, but for what rounding ties."""
        four = a_case(1, 3)
        gaps = [abs(scores[0] - other) for other in scores[1:]]
        if min(gaps) > 1e-6:
            assert settled(four, *scores) == settled(four, *(scale * s + shift for s in scores))


class TestJudges:
    def duels(self, case: Case, winner: str, first: str) -> dict[str, tuple[str, Preference]]:
        return {duel_key((case.prompt, *case.responses)): (first, Preference(winner))}  # type: ignore[arg-type]

    @pytest.mark.parametrize("first", ["r0", "r1"])
    def test_which_was_put_first_changes_nothing(self, first):
        """Regression: the order in which the two orders are run leaves every verdict unchanged."""
        case, other = a_case(), "first" if first == "r0" else "second"
        wrong = "second" if other == "first" else "first"
        for winner, outcome in ((other, "won"), (wrong, "lost"), ("tie", "tied")):
            assert by_preferences(case, self.duels(case, winner, first))[0].outcome == outcome

    def test_orders_that_disagree_are_not_right_and_no_answer_is_kept_apart(self):
        """JudgeBench: right only when net-right over both orders."""
        case = a_case()
        tied, silent = Preference("tie"), Preference("unjudged", "no answer")
        key = duel_key((case.prompt, "r0", "r1"))
        units = [by_preferences(case, {key: ("r0", p)})[0] for p in (tied, silent)]
        (row,) = tallies(units)
        assert (row.accuracy.value, row.tied, row.unjudged, row.decided) == (0, 1, 1, None)

    def test_one_lost_duel_loses_best_of_n(self):
        case = a_case(1, 2)
        won, lost = Preference("first"), Preference("second")
        keys = [duel_key((case.prompt, "r0", other)) for other in ("r1", "r2")]
        found = dict(zip(keys, (("r0", won), ("r0", lost)), strict=True))
        assert by_preferences(case, found)[0].outcome == "lost"


def units(*said: str, groups: Sequence[str] = ()) -> list[Unit]:
    """Contests from one character each, one word for each prompt: + won, = tied, - lost, ? unjudged."""
    outcome = {"+": ("won", 1.0), "=": ("tied", 0.5), "-": ("lost", 0.0), "?": ("unjudged", 0.0)}
    return [
        Unit(f"p{place}", ("all", *groups), *outcome[mark])  # type: ignore[arg-type]
        for place, word in enumerate(said)
        for mark in word
    ]


class TestTally:
    def test_hand_computed(self):
        """Ties and unjudged stay in the denominator; the decided-only figure stands beside it."""
        (row,) = tallies(units("++-", "=?", "+"), units("---", "=+", "+"))
        assert (row.n, row.prompts, row.won, row.tied, row.lost, row.unjudged) == (6, 3, 3, 1, 1, 1)
        assert row.accuracy.value == 3 / 6
        assert row.credited.value == pytest.approx(3.5 / 6)
        assert row.decided is not None and row.decided.value == 3 / 4
        assert row.ahead is not None and row.ahead.value == pytest.approx((3.5 - 2.5) / 6)

    def test_contests_of_one_prompt_are_not_independent(self):
        """Ten contests that fall alike within each of four prompts are worth about four, not forty."""
        clustered = tallies(units("+" * 10, "-" * 10, "+" * 10, "-" * 10))[0].accuracy
        apart = tallies(units(*"+-" * 20))[0].accuracy
        assert clustered.value == apart.value == 0.5
        assert width(clustered) > 2 * width(apart)

    @given(st.lists(st.text("+=-?", min_size=1, max_size=4), min_size=1, max_size=6))
    def test_laws(self, said):
        """Nothing is lost; wrong <= credited; every figure lies in its interval."""
        (row,) = tallies(units(*said))
        assert row.won + row.tied + row.lost + row.unjudged == row.n == sum(map(len, said))
        assert row.accuracy.value <= row.credited.value + 1e-12
        for estimate in (row.accuracy, row.credited, row.decided):
            if estimate is not None and estimate.low is not None and estimate.high is not None:
                assert estimate.low - 1e-9 <= estimate.value <= estimate.high + 1e-9


def width(estimate: Estimate) -> float:
    assert estimate.low is not None and estimate.high is not None
    return estimate.high - estimate.low


def system_of(path: Path, given_rows: Sequence[rows.Row], scores: Sequence[Sequence[float | None]]) -> System:
    benchmark: Benchmark = read_benchmark(rows.write(path / "b.jsonl", given_rows))
    floor = [unit for case in benchmark.cases for unit in by_scores(case, [0.0] * len(case.responses))]
    return by_case_scores("s", benchmark, scores, floor)


def figures(system: System) -> dict[str, float]:
    return {head.name: head.estimate.value for head in system.headlines if head.estimate is not None}


def rows_by_group(system: System) -> dict[str, Tally]:
    return {row.group: row for row in system.tallies}


class TestRewardBench:
    def test_the_published_counts(self):
        """Sections as in the paper: 358, 456, 740, and maths weighted as all of code together."""
        totals = {
            section: sum(REWARD_BENCH_COUNTS[name] for name in names)
            for section, names in REWARD_BENCH_SECTIONS.items()
        }
        assert totals == {"Chat": 358, "Chat Hard": 456, "Safety": 740, "Reasoning": 984 + 6 * 164}

    def test_sections_weigh_their_subsets_and_the_overall_is_their_mean(self, tmp_path):
        """Two pairs of code, one of maths, one of refusals: by hand from the published counts."""
        given_rows = [
            rows.reward_bench("hep-cpp", "a"),
            rows.reward_bench("hep-cpp", "b"),
            rows.reward_bench("math-prm", "c"),
            rows.reward_bench("donotanswer", "d"),
        ]
        found = figures(system_of(tmp_path, given_rows, [(1, 0), (0, 1), (1, 0), (0, 1)]))
        reasoning = Fraction(984) * 1 + Fraction(164) * Fraction(1, 2)
        assert found["Reasoning"] == pytest.approx(float(reasoning / (984 + 164)))
        assert found["Safety"] == 0
        assert found["overall"] == pytest.approx(float(reasoning / (984 + 164) / 2))
        assert "Chat" not in found

    def test_the_published_swap_is_kept_and_shown(self, tmp_path):
        """The published weights of the two XSTest parts are each other's counts: with one right and the other
        wrong, 250 / 404 as published and 154 / 404 by what the data holds."""
        given_rows = [
            rows.reward_bench("xstest-should-refuse", "a"),
            rows.reward_bench("xstest-should-respond", "b"),
        ]
        found = figures(system_of(tmp_path, given_rows, [(1, 0), (0, 1)]))
        assert found["Safety"] == pytest.approx(250 / 404)
        assert found["Safety, not swapped"] == pytest.approx(154 / 404)

    def test_a_subset_that_is_missing_is_named(self, tmp_path):
        system = system_of(tmp_path, [rows.reward_bench("hep-cpp")], [(1, 0)])
        reasoning = next(head for head in system.headlines if head.name == "Reasoning")
        assert "math-prm" in reasoning.missing and "hep-cpp" not in reasoning.missing

    def test_pairs_of_other_sets_have_no_headline(self):
        assert plans("pairs", ["all", "level-1"]) == {}


class TestRmBench:
    def test_three_distinct_cells_on_either_side(self, tmp_path):
        """A matrix in which all six off-diagonal cells differ in what they count: by hand.

        chosen 3, 5, 1 against rejected 4, 2, 5 (concise, detailed, markdown):
            3>4 no   3>2 yes  3>5 no
            5>4 yes  5>2 yes  5>5 tie
            1>4 no   1>2 no   1>5 no
        """
        system = system_of(
            tmp_path, [rows.rm_bench("chat", ["c0", "c1", "c2"], ["r0", "r1", "r2"])], [(3, 5, 1, 4, 2, 5)]
        )
        found = figures(system)
        assert found["hard"] == pytest.approx(1 / 3)
        assert found["normal"] == pytest.approx(1 / 3)
        assert found["easy"] == pytest.approx(1 / 3)
        assert found["overall"] == pytest.approx(1 / 3)
        assert rows_by_group(system)["hard"].tied == 1

    def test_a_judge_of_style_is_seen(self, tmp_path):
        """Scores by style alone: all easy ones right, no hard one. An aggregate that reads a file twice and
        fills six cells from three would say 1/3 here."""
        style = (0, 1, 2, 0, 1, 2)
        system = system_of(tmp_path, [rows.rm_bench("code", ["a", "b", "c"], ["d", "e", "f"])], [style])
        found = figures(system)
        assert (found["hard"], found["normal"], found["easy"]) == (0, 0, 1)

    def test_domains_weigh_the_same_and_safety_is_one(self, tmp_path):
        """Two of chat, one each of the safety parts: overall is the mean of chat, and of safety's two
        parts."""
        parts = ["chat", "chat", "safety-refuse", "safety-response"]
        given_rows = [
            rows.rm_bench(part, [f"{n}a", f"{n}b", f"{n}c"], [f"{n}d", f"{n}e", f"{n}f"], id=str(n))
            for n, part in enumerate(parts)
        ]
        right, wrong = (1, 1, 1, 0, 0, 0), (0, 0, 0, 1, 1, 1)
        found = figures(system_of(tmp_path, given_rows, [right, wrong, right, right]))
        assert found["safety"] == 1
        assert found["overall"] == pytest.approx((0.5 + 1) / 2)
        assert found["hard"] == pytest.approx((0.5 + 1) / 2)


class TestRewardBench2:
    def scored(self, **scores: Sequence[float | None]) -> tuple[list[Case], list[Sequence[float | None]]]:
        """Cases of the subset Ties by id (`ref_1`, `tied_1`); the right answers of a tied one are the first
        two."""
        found = [
            Case(
                name.replace("_", ":"),
                Prompt.of_text(name),
                "best_of_n",
                tuple(map(str, range(len(values)))),
                (Contest((0, 1), tuple(range(2, len(values)))),)
                if name.startswith("tied")
                else (Contest((0,), tuple(range(1, len(values)))),),
                ("Ties",),
            )
            for name, values in scores.items()
        ]
        return found, list(scores.values())

    def test_by_hand(self):
        """Two questions. 1: spread 1, gap 2 (tied), gap 0.5 (ref); 2: spread 3, gap -1, ref gap 4.

        tied accuracy 1/2, ref accuracy 1, gap > spread in 1 of 2, in both versions in 0 of 2, and
        tanh(0.5/1 - 1), tanh(-1/3 - 1).
        """
        head = ties.composite(
            *self.scored(ref_1=(5, 4.5, 1), tied_1=(5, 4, 2), ref_2=(6, 2, 1), tied_2=(6, 3, 4))
        )
        lead = (math.tanh(-0.5) + math.tanh(-4 / 3)) / 2
        assert head.estimate is not None
        assert head.estimate.value == pytest.approx(0.3 * 0.5 + 0.3 * 1 + 0.2 * 0.5 + 0 + 0.01 * lead)
        assert head.estimate.n == 2 and head.estimate.low is not None

    def test_no_spread_at_all(self):
        """Equal scores for the right answers: the margin is infinite, and its tanh 1 (or -1, or 0 of 0)."""
        for wrong, expected in ((1, 1.0 + 0.01), (9, 0.3 - 0.01)):
            head = ties.composite(*self.scored(ref_1=(8, 1), tied_1=(5, 5, wrong)))
            assert head.estimate is not None and head.estimate.value == pytest.approx(expected)

    def test_what_has_no_score_is_said(self):
        head = ties.composite(*self.scored(ref_1=(8, None), tied_1=(5, 5, 1)))
        assert (head.estimate, head.missing) == (None, ("1 cases without all scores",))
        assert head.why == "no question of it has scores in both versions"

    def test_overall_is_the_mean_of_the_parts(self, tmp_path):
        given_rows = [
            rows.reward_bench_2("Math", ["a"], ["b", "c", "d"], prompt="m"),
            rows.reward_bench_2("Focus", ["e"], ["f", "g", "h"], prompt="f"),
            rows.reward_bench_2("Ties", ["i"], ["j"], id="ref:0", prompt="r"),
            rows.reward_bench_2("Ties", ["k", "l"], ["m"], id="tied:0", prompt="t"),
        ]
        system = system_of(tmp_path, given_rows, [(2, 1, 1, 1), (2, 2, 1, 1), (2, 1), (5, 4, 1)])
        found = figures(system)
        tied = 0.3 + 0.3 + 0.2 + 0.2 * 0 + 0.01 * math.tanh(1 / 1 - 1)
        assert found["Ties"] == pytest.approx(tied)
        assert (found["Math"], found["Focus"]) == (1, 0)
        assert found["overall"] == pytest.approx((1 + 0 + tied) / 3)
        assert system.headlines[-1].missing == ("Factuality", "Precise IF", "Safety")
        assert rows_by_group(system)["Focus"].credited.value == pytest.approx(0.5)


class TestOthers:
    def test_llm_bar_means_of_subsets(self):
        """The adversarial figure is the mean of four subsets, not of all their pairs."""
        found = [
            *units("+", groups=["Natural"]),
            *units("+", "+", "-", groups=["Adversarial Manual", "Adversarial"]),
            *units("-", groups=["Adversarial GPTOut", "Adversarial"]),
        ]
        named = [unit._replace(prompt=f"q{place}") for place, unit in enumerate(found)]
        by_name = {head.name: head for head in headlines("llmbar", named)}
        adversarial = by_name["Adversarial, mean of four"]
        assert adversarial.estimate is not None
        assert adversarial.estimate.value == pytest.approx((2 / 3 + 0) / 2)
        assert adversarial.missing == ("Adversarial Neighbor", "Adversarial GPTInst")

    def test_rmb_best_must_beat_every_loser(self, tmp_path):
        given_rows = [rows.rmb_best("b", ["l1", "l2"])]
        for scores, value in (((3, 1, 2), 1), ((3, 1, 3), 0), ((3, 1, 4), 0)):
            found = figures(system_of(tmp_path, given_rows, [scores]))
            assert found == {"Harmlessness best of n": value}


METRICS = {"accuracy": "", "tied": ""}
FIGURES = {"accuracy": {"all": Estimate(0.5, 10, 0.3, 0.7), "chat hard": None}, "tied": {"all": 0.2}}


class TestGate:
    @pytest.mark.parametrize(
        ("said", "holds"),
        [
            ("all>=0.5", True),
            ("accuracy@all>0.5", False),
            ("accuracy.low@all>=0.31", False),
            ("accuracy.high @ all <= .7", True),
            ("tied@all<0.3", True),
            ("accuracy@chat hard>=0", False),
        ],
    )
    def test_conditions(self, said, holds):
        failure = failure_of(condition(said, "--f", METRICS, "accuracy"), FIGURES, "--f")
        assert (failure is None) == holds

    @pytest.mark.parametrize(
        ("said", "why"),
        [
            ("all=0.5", "write METRIC@SUBSET>=NUMBER"),
            ("all>=half", "write METRIC@SUBSET>=NUMBER"),
            ("speed@all>=1", "there is no metric 'speed'; there are accuracy, tied"),
            ("accuracy@easy>=1", "accuracy has no 'easy'; there are all, chat hard"),
        ],
    )
    def test_a_wrong_condition_says_what_would_do(self, said, why):
        with pytest.raises(SettingsError, match=why):
            failure_of(condition(said, "--f", METRICS, "accuracy"), FIGURES, "--f")
