"""Topics, texts and gold: what is shown can be read back, and gold is what was shown."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.conversation import Pool, Prompt
from rubricate.domain.judgement import Verdict
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.domain.scoring import score
from rubricate.world.criteria import Claim, claim_of, forms_of
from rubricate.world.dials import ResponderDials
from rubricate.world.reading import read
from rubricate.world.responders import ABILITY, respond
from rubricate.world.topics import COMPOSITION, prompt_texts, topic_of
from rubricate.world.truth import gold_of, order_of, regret_of, tail_of
from rubricate.world.vocabulary import (
    ADVICE,
    ASKING,
    CONTEXTS,
    FIELDS,
    FILLER,
    FLATTERY,
    PASSING,
    STYLE_CRITERIA,
    STYLES,
)
from rubricate.world.world import World

THINGS = {thing for field in FIELDS for thing in field.things}
MODELS = ("weak-1", "good-1", "great-1", "somebody/else")


def test_only_advice_and_passing_words_name_a_thing() -> None:
    """No filler, style, reason, question or condition mentions a thing: nothing is read by accident."""
    others = [
        *FILLER,
        *CONTEXTS,
        *ASKING,
        FLATTERY,
        *STYLE_CRITERIA.values(),
        *itertools.chain(*STYLES.values()),
    ]
    for field in FIELDS:
        others += [*field.reasons, *field.conditions, *field.verbs]
        others += [task.format(subject) for task in field.tasks for subject in field.subjects]
    assert [text for text in others if read(text).things or read(text).advice] == []


def test_every_field_has_things_for_all_facets() -> None:
    """Every facet of a subject is about a thing of its own."""
    for field in FIELDS:
        assert len(set(field.things)) == len(field.things) >= sum(COMPOSITION.values())


@pytest.mark.parametrize("form", ADVICE)
def test_advice_is_read_back_from_every_sentence(form: str) -> None:
    """Whatever sentence a piece of advice stands in, it is read back, and nothing else is."""
    for seed, text in enumerate(itertools.islice(prompt_texts(0), 40)):
        topic = topic_of(seed, text)
        assert topic is not None
        for facet in topic.facets:
            said = form.format(
                advice=facet.advice, Advice=facet.advice.capitalize(), reason=facet.reason, thing=facet.thing
            )
            assert read(f"Well.\n\n  {said} So be it.").advice == {facet.advice}


@pytest.mark.parametrize("form", PASSING)
def test_a_thing_in_passing_is_no_advice(form: str) -> None:
    """A sentence that only mentions a thing gives no advice."""
    for thing in sorted(THINGS):
        assert read(form.format(thing=thing)).things == {thing}
        assert not read(form.format(thing=thing)).advice


def test_advice_against_is_no_advice() -> None:
    """A warning is not what it warns against."""
    assert read("Loosen the mulch before the first frost.").advice
    for word in ("Never", "Do not", "Don't"):
        assert not read(f"{word} loosen the mulch before the first frost.").advice


def test_the_subjects_come_first_and_texts_never_repeat() -> None:
    """The first 240 prompts are on 240 subjects; those after them are new texts on the same subjects."""
    texts = list(itertools.islice(prompt_texts(5), 2_000))
    assert len(set(texts)) == len(texts)
    topics = [topic_of(5, text) for text in texts]
    assert len({topic.phrase for topic in topics[:240] if topic}) == 240
    assert {topic.phrase for topic in topics if topic} == {topic.phrase for topic in topics[:240] if topic}


@given(
    seed=st.integers(0, 50), place=st.integers(0, 300), model=st.sampled_from(MODELS), draw=st.integers(0, 5)
)
def test_gold_is_the_weight_of_what_was_shown(seed: int, place: int, model: str, draw: int) -> None:
    """Gold counts each good facet of the text once, takes off each bad one, over all good weight."""
    prompt = next(itertools.islice(prompt_texts(seed), place, None))
    topic = topic_of(seed, prompt)
    assert topic is not None
    text = respond(ResponderDials(), seed, topic, prompt, model, draw)
    shown = [facet for facet in topic.facets if facet.advice in text.lower()]
    expected = max(0, sum(facet.weight for facet in shown)) / sum(max(0, f.weight) for f in topic.facets)
    assert topic.gold(text) == pytest.approx(expected)
    assert 0 <= topic.gold(text) <= 1
    assert {facet.advice for facet in shown} == read(text).advice
    assert topic.gold(f"{text} {' '.join(FILLER)} {FLATTERY}") == topic.gold(text)
    assert gold_of(seed, prompt, text) == topic.gold(text)
    assert gold_of(seed, "How much is 2 + 2?", text) is None


def test_the_best_answer_has_gold_one_and_a_pitfall_takes_from_it() -> None:
    """A text with all good advice has gold 1; one with nothing, or only bad advice, has 0."""
    topic = topic_of(0, next(prompt_texts(0)))
    assert topic is not None
    best = " ".join(f"{f.advice.capitalize()}." for f in topic.facets if f.weight > 0)
    bad = " ".join(f"{f.advice.capitalize()}." for f in topic.facets if f.weight < 0)
    assert topic.gold(best) == 1
    assert topic.gold(f"{best} {bad}") < 1
    assert topic.gold(bad) == topic.gold("") == topic.gold("No idea.") == 0


def test_better_models_give_better_answers(world: World) -> None:
    """Mean gold rises with ability; what is rare is in the best answers alone."""
    golds, rare = dict[str, float](), dict[str, float]()
    for ability in ABILITY:
        values, n_rare = [], 0
        for prompt in world.prompts(40):
            topic = topic_of(world.seed, prompt)
            assert topic is not None
            advice = {facet.advice for facet in topic.facets if facet.tier == "rare"}
            for response in world.pool(prompt, [f"{ability}-1"], 2).responses:
                values.append(topic.gold(response.text))
                n_rare += len(advice & read(response.text).advice)
        golds[ability], rare[ability] = math.fsum(values) / len(values), n_rare / len(values)
    assert golds["weak"] < golds["fair"] < golds["good"] - 0.05 < golds["great"] - 0.2
    assert rare["great"] > 2 * rare["good"] > 2 * rare["weak"]


def test_criteria_are_read_as_they_were_meant() -> None:
    """Every wording of every claim is understood as that claim."""
    topic = topic_of(0, next(prompt_texts(0)))
    assert topic is not None
    claims = [Claim("style", style) for style in STYLES] + [Claim("thing", thing) for thing in sorted(THINGS)]
    claims += [Claim("advice", f.advice, negated) for f in topic.facets for negated in (False, True)]
    claims += [Claim("words", "paracetamol")]
    for claim in claims:
        for form in forms_of(claim):
            assert claim_of(form) == claim, form


def test_a_perfect_rubric_scores_as_gold_does() -> None:
    """A rubric of all good facets with their weights, graded without error, orders responses as gold does
    wherever none gives bad advice."""
    topic = topic_of(2, next(prompt_texts(2)))
    assert topic is not None
    good = [facet for facet in topic.facets if facet.weight > 0]
    rubric = Rubric(
        tuple(
            Criterion(f"c{n}", forms_of(Claim("advice", facet.advice))[0], facet.weight)
            for n, facet in enumerate(good)
        )
    )
    for n in range(len(good)):
        text = " ".join(f"{facet.advice.capitalize()}." for facet in good[:n])
        met = [claim_of(criterion.text).holds(read(text)) for criterion in rubric.criteria]
        verdicts = [Verdict("met" if each else "unmet") for each in met]
        assert score(rubric, verdicts) == pytest.approx(topic.gold(text))


def test_the_order_of_pairs_by_hand() -> None:
    """Golds 1, .9, .8, .8 and scores 5, 5, 7, None: of five pairs with different golds one is a tie, the two
    of the first two with the third are wrong, and the two with the missing score count as wrong."""
    order = order_of([1, 0.9, 0.8, 0.8], [5, 5, 7, None], range(4))
    assert (order.n_pairs, order.right, order.ties, order.half) == (5, 0.0, 0.2, 0.1)
    assert order_of([1, 0.5], [2, 1], (0, 1)).right == 1
    assert order_of([1, 1], [2, 1], (0, 1)) == type(order)(0, None, None, None)


def test_the_tail_by_hand() -> None:
    """The top quarter of eight is two; what ties with the last of them belongs to it."""
    assert tail_of([0.1, 0.9, 0.8, 0.8, 0.2, 0.3, 0.1, 0.1]) == (1, 2, 3)
    assert tail_of([0.1, 0.9, 0.8, 0.7, 0.2, 0.3, 0.1, 0.1]) == (1, 2)
    assert tail_of([0.3]) == (0,)


def test_regret_by_hand() -> None:
    """What the score puts first has gold .5 and .7 on a tie, the best has .9: the regret is .3."""
    assert regret_of([0.9, 0.5, 0.7], [1, 2, 2]) == pytest.approx(0.3)
    assert regret_of([0.9, 0.5], [None, None]) is None


def test_pools_hold_gold_and_no_text_twice(world: World) -> None:
    """Every response of a pool carries its gold, and is there once."""
    prompt = world.prompts(1)[0]
    pool = world.pool(prompt, ["great-1", "weak-1", "great-1"], 3)
    topic = topic_of(world.seed, prompt)
    assert isinstance(pool, Pool) and pool.prompt == Prompt.of_text(prompt) and topic is not None
    assert len(pool.responses) == 6 == len({response.key for response in pool.responses})
    assert [response.gold for response in pool.responses] == [
        pytest.approx(topic.gold(response.text), abs=1e-6) for response in pool.responses
    ]
