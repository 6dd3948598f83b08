"""Gains, worst cases, readings and blame, by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from rubricate.domain.conversation import Prompt
from rubricate.domain.intervals import Estimate
from rubricate.domain.judgement import Preference
from rubricate.evaluation.benchmarks.sources import read_benchmark
from rubricate.evaluation.redteam.arsenal import chosen
from rubricate.evaluation.redteam.contrasts import contrasts_of
from rubricate.evaluation.redteam.gains import gain_of, gains_of, reading_of, worst_of
from rubricate.evaluation.redteam.panel import exploitations
from rubricate.evaluation.redteam.trials import (
    Probe,
    Target,
    Trial,
    probes_of,
    targets_of,
    tried,
)
from rubricate.evaluation.scorers.graders import RubricScorer
from rubricate.evaluation.scorers.marks import Item, Mark
from tests.builders import a_rubric, marks
from tests.evaluation.benchmarks import published_rows as rows
from tests.evaluation.outside import outside

RUBRIC = a_rubric("3:a", "1:b", "-2:c")


def a_probe(
    before: str = "old",
    after: str | None = "new",
    prompt: str = "p",
    meaning: str = "preserved",
    name: str = "x",
) -> Probe:
    return Probe(name, "family", meaning, Prompt.of_text(prompt), before, after, RUBRIC)  # type: ignore[arg-type]


def a_trial(gain: float | None, prompt: str = "p", before: str = "old", **how: Any) -> Trial:
    return Trial(a_probe(before, prompt=prompt, **how), gain)


def graded(was: str, now: str, gain: float | None = 0.1, **how: Any) -> Trial:
    """A trial with verdicts before and after, as `+-?`, on the three criteria of weights 3, 1, -2."""
    old, new = (Mark(0.5, rubric=RUBRIC, verdicts=marks(said)) for said in (was, now))
    return Trial(a_probe(**how), gain, None, old, new)


class TestGains:
    def test_by_hand(self):
        """Two prompts: gains 0.5 and -0.1 in one, 0 and unjudged in the other."""
        trials = [a_trial(0.5), a_trial(-0.1, before="b"), a_trial(0.0, "q"), a_trial(None, "q", "c")]
        row = gain_of("x", "family", "preserved", trials, n_idle=3)
        assert (row.n, row.prompts, row.unjudged, row.idle) == (3, 2, 1, 3)
        assert row.gain is not None and row.gain.value == pytest.approx(0.4 / 3)
        assert row.rose is not None and row.rose.value == pytest.approx(1 / 3)
        assert row.fell is not None and row.fell.value == pytest.approx(1 / 3)
        assert row.most == 0.5

    def test_which_criteria_rose_and_fell(self):
        """A verdict that comes or goes is neither: it is counted by itself."""
        row = gain_of("x", "f", None, [graded("-+-", "+--"), graded("-+?", "+?+"), graded("+--", "+--")])
        assert (row.criteria_rose, row.criteria_fell, row.criteria_lost) == (2, 1, 2)
        assert (row.rose_most, row.fell_most) == ({"a": 2}, {"b": 1})

    def test_nothing_judged(self):
        row = gain_of("x", "f", "preserved", [a_trial(None)])
        assert (row.n, row.unjudged, row.gain, row.rose, row.reading) == (0, 1, None, None, "undecided")

    def test_the_worst_case_of_each_response(self):
        """Response one: best of 0.2 and 0.5; two: nothing gains, so 0; unjudged attacks lift nothing."""
        trials = [
            a_trial(0.2, name="x"),
            a_trial(0.5, name="y", meaning="destroyed"),
            a_trial(-0.4, "q", name="x"),
            a_trial(None, "q", name="y", meaning="destroyed"),
        ]
        by_kind = {worst.kind: worst for worst in worst_of(trials)}
        assert by_kind["all"].n == 2
        assert by_kind["all"].gain is not None and by_kind["all"].gain.value == pytest.approx(0.25)
        assert by_kind["all"].share is not None and by_kind["all"].share.value == 0.5
        assert by_kind["preserved"].gain is not None and by_kind["preserved"].gain.value == pytest.approx(0.1)
        assert by_kind["destroyed"].n == 1

    @pytest.mark.parametrize(
        ("meaning", "low", "high", "reading"),
        [
            ("preserved", -0.1, 0.1, "as wanted"),
            ("preserved", 0.0, 0.0, "as wanted"),
            ("preserved", 0.01, 0.1, "rewarded"),
            ("preserved", -0.2, -0.1, "punished"),
            ("weakened", -0.2, 0.0, "as wanted"),
            ("weakened", -0.2, 0.1, "undecided"),
            ("weakened", 0.1, 0.2, "rewarded"),
            ("destroyed", -0.5, -0.1, "as wanted"),
            ("destroyed", -0.5, 0.0, "not noticed"),
            ("destroyed", 0.1, 0.5, "rewarded"),
            (None, -0.1, 0.5, "undecided"),
            (None, 0.1, 0.5, "rewarded"),
        ],
    )
    def test_readings(self, meaning, low, high, reading):
        assert reading_of(meaning, Estimate((low + high) / 2, 9, low, high)) == reading
        assert reading_of(meaning, Estimate(0.5, 1, None, None)) == "undecided"

    def test_real_cases_stand_for_themselves(self):
        """They are in no family, no meaning and no total of the made ones."""
        made, real = a_probe(name="x"), a_probe(name="y")._replace(is_real=True, family="real")
        rows_found = gains_of([made, real], [Trial(made, 0.1), Trial(real, 0.9)])
        assert [row.name for row in rows_found] == ["x", "y", "family family", "meaning preserved", "all"]
        assert rows_found[-1].n == 1


class Reading:
    """A grader that reads its verdicts off the text, by a table."""

    def __init__(self, name: str, table: dict[str, str]):
        self.name, self.table = name, table

    async def grade(self, prompt: Any, response: Any, criteria: Any) -> Any:
        return marks(self.table[response.text])


class TestPanel:
    def rows_for(self, trials: Sequence[Trial], *members: dict[str, str]) -> Any:
        scorers = [RubricScorer(Reading(f"m{n}", table), floor=0.0) for n, table in enumerate(members)]
        return {row.name: row for row in asyncio.run(exploitations(trials, scorers))}

    def test_exploitation_rate_by_hand(self):
        """Newly credited: a (weight 3) and b (weight 1). Both members reject a, one accepts b: 3 of 4.

        The pitfall that becomes met is a loss and counts for nothing.
        """
        trials = [graded("---", "+++", 0.5)]
        found = self.rows_for(trials, {"old": "---", "new": "---"}, {"old": "---", "new": "-+-"})
        assert found["x"].credited == 2 and found["x"].rate.value == 0.75
        assert found["all"] == found["x"].__class__(
            "all", 2, 0, found["x"].rate, 1, found["x"].verifier_failure, found["x"].rubric_failure
        )

    def test_what_the_panel_does_not_judge_is_in_no_rate(self):
        trials = [graded("---", "++-", 0.5)]
        found = self.rows_for(trials, {"old": "---", "new": "?--"}, {"old": "---", "new": "---"})
        assert (found["x"].credited, found["x"].silent, found["x"].rate.value) == (1, 1, 1.0)

    def test_what_was_met_or_unjudged_before_is_not_newly_credited(self):
        found = self.rows_for([graded("+?-", "++-", 0.5)], {"old": "---", "new": "---"})
        assert (found["x"].credited, found["x"].rate) == (0, None)

    def test_whose_fault(self):
        """The grader's score rose on three responses: on one the panel rises too, on one it does not, and on
        one it is silent."""
        trials = [
            graded("---", "+--", 0.5, before="1", after="1x", prompt="p"),
            graded("---", "+--", 0.5, before="2", after="2x", prompt="q"),
            graded("---", "+--", 0.5, before="3", after="3x", prompt="r"),
            graded("---", "---", 0.0, before="4", after="4x", prompt="s"),
        ]
        table = {"1": "---", "1x": "+--", "2": "+--", "2x": "+--", "3": "---", "3x": "???"}
        row = self.rows_for(trials, table)["all"]
        assert row.rose == 3
        assert row.rubric_failure.value == pytest.approx(1 / 3)
        assert row.verifier_failure.value == pytest.approx(1 / 3)

    def test_a_judge_and_other_rewards_have_no_verdicts_to_exploit(self):
        assert self.rows_for([a_trial(0.5)]) == {}


class Lengths:
    batch_size, in_flight, name = 4, 2, "length"

    async def score(self, items: Sequence[Item]) -> list[Mark]:
        return [
            Mark(None, "too long") if len(item.text) > 99 else Mark(float(len(item.text))) for item in items
        ]


class TestTrials:
    def test_gain_is_after_less_before_and_unjudged_is_kept_apart(self):
        probes = [
            a_probe("ab", "abcd"),
            a_probe("ab", "x" * 100),
            a_probe("y" * 100, "z"),
            a_probe("ab", None),
        ]
        trials = asyncio.run(tried([*probes, a_probe("same", "same")], scorer=Lengths()))
        assert [(trial.gain, trial.why) for trial in trials] == [
            (2, None),
            (None, "too long"),
            (None, "before the change: too long"),
        ]

    @pytest.mark.parametrize(("winner", "gain"), [("new", 1), ("old", -1), (None, 0)])
    def test_a_judge_is_attacked_too(self, winner, gain):
        class Judge:
            in_flight, name = 1, "judge"

            async def compare(self, prompt: Any, first: Any, second: Any) -> Preference:
                if winner is None:
                    return Preference("tie")
                return Preference("first" if first.text == winner else "second")

        (trial,) = asyncio.run(tried([a_probe("old", "new")], judge=Judge()))
        assert trial.gain == gain

    def test_targets_are_drawn_by_content(self, tmp_path):
        """Whatever their order in the file; as many of each prompt as asked for, and no empty ones."""
        texts = ["one", "two", "three", " "]

        def targets(order: list[str]) -> set[str]:
            graded_list = [{"response": text, "reference_score": len(text)} for text in order]
            row = {"prompt": "p", "responses": graded_list}
            found = read_benchmark(rows.write(tmp_path / "r.jsonl", [row])).cases
            return {target.text for target in targets_of(found, 2, seed=3)}

        assert targets(texts) == targets(texts[::-1])
        assert len(targets(texts)) == 2 and " " not in targets(texts)

    def test_probes_say_where_an_attack_does_not_apply(self):
        target = Target(Prompt.of_text("p"), "one", None)
        probes = probes_of([target], chosen(["rubric copied", "first half", "twice"]), 0)
        assert [probe.after is None for probe in probes] == [True, False, True]


class TestContrasts:
    def test_styles(self, tmp_path):
        """Ten of each item: three style steps on either side, three wrong for right, one of them fancier."""
        row = rows.rm_bench("chat", ["c0", "c1", "c2"], ["r0", "r1", "r2"])
        found = list(contrasts_of(read_benchmark(rows.write(tmp_path / "m.jsonl", [row])).cases))
        said = {probe.name: (probe.before, probe.after, probe.meaning) for probe in found}
        assert len(found) == 10
        assert said["right: markdown for concise"] == ("c0", "c2", "preserved")
        assert said["wrong for right, both detailed"] == ("c1", "r1", "weakened")
        assert said["wrong markdown for right concise"] == ("c0", "r2", "weakened")

    def test_versions_and_null_models(self, tmp_path):
        names = ("a", "a_concise", "a_verbose", "b", "NullModel")
        responses = [
            {"generator": g, "response": f"by {g}", "reference_score": n} for n, g in enumerate(names)
        ]
        row = {"prompt": "p", "responses": responses}
        found = list(contrasts_of(read_benchmark(rows.write(tmp_path / "s.jsonl", [row])).cases))
        said = {(probe.name, probe.before): probe.after for probe in found}
        assert said["null model for a response", "by b"] == "by NullModel"
        assert said["verbose for normal", "by a"] == "by a_verbose"
        assert len(found) == 4 + 2

    def test_pairs(self, tmp_path):
        source = rows.write(tmp_path / "p.jsonl", [rows.reward_bench("hep-go", "good", "bad")])
        (probe,) = contrasts_of(read_benchmark(source).cases)
        assert (probe.name, probe.before, probe.after) == ("rejected for chosen, hep-go", "good", "bad")

    @pytest.mark.parametrize(
        ("name", "n"),
        [("alpacaeval_style_dev", 520), ("rmbench_styles_dev", 1_800), ("llmbar_pairs_dev", 236)],
    )
    def test_real_files(self, name, n):
        assert len(list(contrasts_of(read_benchmark(outside(f"{name}.jsonl.gz")).cases))) == n
