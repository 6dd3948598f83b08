"""The four rewards: each of what it says it is of."""

from __future__ import annotations

from collections import Counter

import pytest

pytest.importorskip("transformers")

from rubricate.rehearsal.ascent.climbing import marks_of, recipe_of
from rubricate.rehearsal.ascent.measuring import beats
from rubricate.rehearsal.ascent.rewards import (
    GoldPayment,
    off_policy_pairs,
    rubric_payment,
    rubrics_of,
)
from rubricate.rehearsal.plan import Plan, quick
from rubricate.rehearsal.pupil.lessons import School
from rubricate.world.criteria import claim_of
from rubricate.world.dials import PERFECT, Dials
from rubricate.world.pools import DIVERSE
from rubricate.world.reading import read

PLAN = Plan(subjects=3, asked=2, held_out=1, pairs=10)


def test_gold_pays_the_truth():
    school = School(PLAN, Dials(), 0)
    prompt = school.asked[0]
    texts = [school.answer("great-1", prompt), "Take it one step at a time."]
    payment = GoldPayment(school)
    assert payment.scores([prompt] * 2, texts) == [school.gold(prompt, texts[0]), 0.0]
    assert payment.function(prompts=[prompt] * 2, completions=texts, other=1) == payment.scores(
        [prompt] * 2, texts
    )


def test_rubrics_pay_by_their_criteria_before_and_after_the_loop():
    """With a crew without fault the score of a text is the weight of the criteria that it meets, and the
    rounds have made another rubric of most."""
    school = School(PLAN, PERFECT, 0)
    records = rubrics_of(school)
    assert [record.prompt for record in records] != []
    assert sum(record.rubric is not record.initial for record in records) >= 4
    assert all(len(record.rounds) <= 4 for record in records)
    for refined in (False, True):
        payment = rubric_payment(school, records, refined=refined)
        for prompt, record in zip(school.asked, records, strict=True):
            text = school.answer("good-1", prompt)
            rubric = record.rubric if refined else record.initial
            assert rubric is not None
            whole = sum(criterion.weight for criterion in rubric.criteria)
            met = sum(c.weight for c in rubric.criteria if claim_of(c.text).holds(read(text)))
            assert payment.scores([prompt], [text]) == [pytest.approx(met / whole)]
        payment.close()


def test_pairs_are_off_policy_and_as_the_judge_prefers():
    """Ten of each prompt, of sixteen models other than the policy; a judge without fault is right."""
    school = School(PLAN, PERFECT, 2)
    pairs = off_policy_pairs(school)
    assert set(Counter(pair.prompt.text for pair in pairs).values()) == {10}
    assert {side.generator for pair in pairs for side in (pair.chosen, pair.rejected)} <= set(DIVERSE)
    assert all(
        school.gold(pair.prompt.text, pair.chosen.text) >= school.gold(pair.prompt.text, pair.rejected.text)
        for pair in pairs
    )
    assert off_policy_pairs(School(PLAN, PERFECT, 2)) == pairs


def test_a_win_over_others_counts_ties_one_half():
    assert beats(0.5, [0.4, 0.5, 0.6, 0.2]) == 0.625


def test_marks_lie_close_at_the_beginning_and_end_at_the_end():
    for plan in (Plan(), quick(), Plan(steps=3, marks=12)):
        marks = marks_of(plan)
        assert (marks[0], marks[-1]) == (0, plan.steps)
        assert marks == sorted(set(marks))
        assert marks[2] - marks[1] <= marks[-1] - marks[-2]


def test_the_recipe_is_the_papers_in_small():
    recipe = recipe_of(Plan(), seed=3)
    assert (recipe.rollouts, recipe.kl, recipe.temperature, recipe.seed) == (16, 0.01, 1.0, 3)
    assert recipe.max_completion == Plan().budget
    assert recipe.steps_for(24) == Plan().steps
