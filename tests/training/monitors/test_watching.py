"""When the monitor speaks, and when it keeps silent: on the paper's curves, and on known truths."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rubricate.errors import SettingsError
from rubricate.training.monitors.rules.limits import Limits
from rubricate.training.monitors.rules.watching import watch
from rubricate.training.monitors.series.points import GAP, GOLD, KL, Point, Reading, merged, reading_of

PAPER = {
    "Initial": (8.3, 16.9, 23.6, 18.7, 19.0, 16.9, 14.7, 15.9, 15.1, 15.9, 13.7),
    "1 Great": (8.3, 17.1, 26.2, 30.6, 28.0, 21.6, 21.8, 25.2, 17.3, 21.2, 18.7),
    "4 Great": (8.3, 17.5, 24.8, 29.8, 33.5, 31.5, 29.6, 33.9, 29.2, 30.0, 26.6),
    "4 Great & Div": (8.3, 15.1, 25.6, 31.2, 30.6, 31.7, 31.0, 31.5, 29.4, 26.2, 28.4),
}
"""Health win rates of "Chasing the Tail" (arXiv 2509.21500), Figure 4, every 20 steps, on 504 prompts."""


def course(wins, rewards=None, *, n=504, every=20):
    """Gold by win rates in percent, and a reward that climbs unless another is given."""
    points = [Point(every * place, {}, {GOLD: Reading(win / 100, n)}) for place, win in enumerate(wins)]
    last = every * (len(wins) - 1)
    walk = rewards or (lambda step: 0.4 + 0.3 * step / last)
    logged = [Point(step, {"reward": walk(step)}) for step in range(1, last + 1)]
    return merged([*points, *logged])[0]


def kinds(points, limits=None):
    return [finding.kind for finding in watch(points, limits).findings]


class TestThePapersCurves:
    def test_the_initial_rubric_turns_early(self):
        """Its top is at step 40; the monitor says so with the readings of steps 100 and 120."""
        found = next(one for one in watch(course(PAPER["Initial"])).findings if one.kind == "gold_turned")
        assert watch(course(PAPER["Initial"])).best == 40
        assert found.step <= 120 and found.holds and "step 40" in found.text

    def test_one_great_pair_turns_later(self):
        """Its top is at step 60, and it is told no earlier."""
        first = next(one for one in watch(course(PAPER["Initial"])).findings if one.kind == "gold_turned")
        found = next(one for one in watch(course(PAPER["1 Great"])).findings if one.kind == "gold_turned")
        assert found.step >= first.step and "step 60" in found.text

    @pytest.mark.parametrize("name", ["4 Great", "4 Great & Div"])
    def test_the_refined_ones_do_not_turn_before_the_end(self, name):
        """What falls at the end of these is within what 504 prompts can show."""
        assert "gold_turned" not in kinds(course(PAPER[name])[:161])
        assert "gold_turned" not in kinds(course(PAPER[name]))

    def test_a_reward_that_falls_too_is_another_finding(self):
        """Then it is not over-optimisation, but a training that goes wrong."""
        falling = course(PAPER["Initial"], lambda step: 0.7 - 0.3 * step / 200)
        assert "gold_fell" in kinds(falling) and "gold_turned" not in kinds(falling)


def simulated(rng, truth, n=100, *, paired):
    """Wins of n prompts at each step, each with a leaning of its own."""
    leaning = rng.normal(0, 1.0, n)
    points = []
    for place, level in enumerate(truth):
        chance = 1 / (1 + np.exp(-(leaning + math.log(level / (1 - level)))))
        wins = (rng.random(n) < chance).astype(float).tolist()
        reading = reading_of(wins, "held" if paired else "")
        if not paired:
            reading = Reading(reading.value, reading.n)
        points.append(Point(10 * place, {"reward": 0.3 + 0.02 * place}, {GOLD: reading}))
    return points


class TestKnownTruths:
    @pytest.mark.parametrize("paired", [True, False])
    @pytest.mark.parametrize(
        "truth", [[0.4] * 15, [0.1 + 0.04 * step for step in range(15)]], ids=["flat", "rising"]
    )
    def test_false_alarms_are_as_rare_as_promised(self, truth, paired):
        """Of 200 trainings in which gold never falls, at most 5% (and what chance adds) are said to have
        turned, though each is looked at fifteen times."""
        rng = np.random.default_rng(7)
        told = sum("gold_turned" in kinds(simulated(rng, truth, paired=paired)) for _ in range(200))
        assert told <= 0.05 * 200 + 2.5 * math.sqrt(0.05 * 0.95 * 200)

    @pytest.mark.parametrize("paired", [True, False])
    def test_a_real_turn_is_told_while_it_matters(self, paired):
        """Up by 30 points, then down by 24 over eight readings of 200 prompts: told in most trainings, and at
        the reading in which 15 points are lost in half of them."""
        truth = [0.2, 0.3, 0.4, 0.5, *[0.5 - 0.03 * step for step in range(1, 9)]]
        rng, steps = np.random.default_rng(8), []
        for _ in range(60):
            points = simulated(rng, truth, n=200, paired=paired)
            steps += [one.step for one in watch(points).findings if one.kind == "gold_turned"]
        assert len(steps) >= 48
        assert sorted(steps)[len(steps) // 2] <= 100

    def test_more_points_never_take_back_what_was_seen(self):
        """A finding of the first points is among those of all; it may only hold no more."""
        points = course(PAPER["Initial"])
        early = [one for one in watch(points[:130]).findings if one.kind == "gold_turned"]
        late = [one for one in watch(points).findings if one.kind == "gold_turned"]
        assert [one.step for one in early] == [one.step for one in late]


class TestOtherFindings:
    def test_levels_and_drifts(self):
        """A run that ties, is silent, grows long and loses its grader; each is told with what to do."""
        rng = np.random.default_rng(3)
        points = [
            Point(
                step,
                {
                    "reward": 0.97 + 0.001 * rng.random(),
                    "tie_share": min(0.9, 0.2 + 0.02 * step) + 0.01 * rng.random(),
                    "zero_advantage": 0.8 + 0.01 * rng.random(),
                    "unjudged": 0.005 * step + 0.001 * rng.random(),
                    "length": 100 + 10 * step + rng.random(),
                    "never_varying": 0.9 + 0.01 * rng.random(),
                },
            )
            for step in range(1, 61)
        ]
        found = watch(points).findings
        assert {one.kind for one in found} == {
            "reward_saturated", "ties_climbing", "zero_advantage", "unjudged_climbing", "length_drift",
            "criteria_mute",
        }  # fmt: skip
        assert all(one.text and one.do and one.figures for one in found)

    def test_gold_that_falls_silent_is_told(self):
        """A policy whose answers gold cannot judge has no gold that could turn; that is said."""
        points = [
            Point(
                10 * place,
                {"gold_unjudged": float(place > 6), "reward": 0.3 + 0.03 * place},
                {} if place > 6 else {GOLD: Reading(0.4, 100)},
            )
            for place in range(15)
        ]
        (found,) = watch(points).findings
        assert found.kind == "unjudged_climbing" and "not judged by gold" in found.text

    def test_beyond_the_kl_of_the_audit(self):
        """Twice in a row above; one noisy step is none. A tail of 10% reversed turns at 2.29 nats."""
        points = [Point(step, {"kl": value}) for step, value in enumerate((0.5, 3.0, 1.0, 2.4, 2.6), 1)]
        assert kinds(points, Limits(tail=0.1)) == ["kl_beyond_turn"]
        assert kinds(points[:4], Limits(tail=0.1)) == []
        assert kinds(points, Limits(turning_kl=2.5)) == []

    def test_the_gap_turns_without_gold(self):
        """Self-internalisation: it climbs, then falls."""
        values = [0.1, 0.3, 0.5, 0.4, 0.2, 0.1, 0.0]
        points = [
            Point(step, {}, {GAP: reading_of([value + 0.01 * n for n in range(20)], "h", may_be_hits=False)})
            for step, value in enumerate(values)
        ]
        assert kinds(points) == ["gap_turned"]

    def test_kl_of_a_token_is_that_of_a_completion_by_its_length(self):
        """0.01 nats a token of 300 tokens are 3 nats; without a length nothing is known."""
        assert Point(1, {"token_kl": 0.01, "length": 300.0}).value(KL) == pytest.approx(3)
        assert Point(1, {"token_kl": 0.01}).value(KL) is None

    def test_gold_without_an_error_shows_nothing(self):
        """And that is said."""
        points = [Point(step, {}, {GOLD: Reading(value)}) for step, value in enumerate((0.1, 0.9, 0.1, 0.1))]
        watched = watch(points)
        assert not watched.findings and any("say how many" in note for note in watched.notes)

    def test_no_points(self):
        """Nothing is known, nothing is said."""
        watched = watch([])
        assert (watched.findings, watched.best, watched.points) == ((), None, ())

    @pytest.mark.parametrize("wrong", [{"error": 0.0}, {"tail": 2.0}, {"turning_kl": 0.0}, {"sustained": 0}])
    def test_limits_are_checked(self, wrong):
        """A mistake names itself."""
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            Limits(**wrong)
