"""The language: every text goes in and comes out unchanged, and those of the world in a token a phrase."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("transformers")

from rubricate.domain.conversation import Prompt
from rubricate.rehearsal.ascent.measuring import REFERENCES
from rubricate.rehearsal.ascent.rewards import GREAT
from rubricate.rehearsal.plan import Plan
from rubricate.rehearsal.pupil.language import END, new_tokenizer
from rubricate.rehearsal.pupil.lessons import School, within
from rubricate.world.dials import Dials, dials_of
from rubricate.world.pools import DIVERSE
from rubricate.world.topics import prompt_texts
from rubricate.world.world import World

TOKENIZER = new_tokenizer()


def pieces(text: str) -> list[str]:
    return TOKENIZER.convert_ids_to_tokens(TOKENIZER(text).input_ids)


def test_every_question_of_the_world_is_a_handful_of_phrases():
    """All subjects, in more circumstances than a rehearsal ever asks: unchanged, and no letter on its own."""
    for text in islice(prompt_texts(3), 700):
        found = pieces(text)
        assert TOKENIZER.decode(TOKENIZER(text).input_ids) == text
        assert len(found) <= 8, found
        assert all(len(piece) > 1 or piece in ".?" for piece in found), found


def test_every_answer_of_the_world_is_made_of_phrases():
    """Of all abilities and on all subjects, those that praise themselves as well."""
    world = World(dials_of(["responder.flattery=0.5"]), 1)
    for number, text in enumerate(world.prompts(240)):
        answer = " " + world.answer(DIVERSE[number % 16], Prompt.of_text(text).messages)
        found = pieces(answer)
        assert TOKENIZER.decode(TOKENIZER(answer).input_ids) == answer
        assert all(len(piece) > 1 or piece in ".,:" for piece in found), found


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_comes_out_unchanged(text: str):
    """Also what the world never says; text that spells a special token is left out, as everywhere."""
    if "<|" not in text:
        assert TOKENIZER.decode(TOKENIZER(text).input_ids) == text


def test_a_sentence_of_advice_is_five_phrases():
    assert pieces(" It pays to taste the stock over a low flame.") == [
        " It pays to",
        " taste",
        " the stock",
        " over a low flame",
        ".",
    ]


def test_a_chat_reads_as_a_trainer_sees_it():
    """Prompt, blank, answer, end; a blank that an answer brings along is not doubled."""
    for said in ("Taste the stock.", " Taste the stock."):
        chat = [{"role": "user", "content": "How?"}, {"role": "assistant", "content": said}]
        assert TOKENIZER.apply_chat_template(chat, tokenize=False) == f"How? Taste the stock.{END}"


def test_answers_are_cut_to_whole_sentences_within_the_budget():
    """Two sentences of five tokens and the end are eleven; with ten the second does not fit."""
    text = "Taste the stock over a low flame. Rest the dough while it cools. Take it one step at a time."
    first, second = text.split(". ")[:2]
    assert within(TOKENIZER, text, 4) == ""
    assert within(TOKENIZER, text, 5) == f"{first}."
    assert within(TOKENIZER, text, 8) == f"{first}."
    assert within(TOKENIZER, text, 9) == f"{first}. {second}."
    assert within(TOKENIZER, text, 10) == text


def test_held_out_prompts_are_other_circumstances_of_the_same_subjects():
    """And nobody who gives lessons has a part in a reward or stands as a reference."""
    plan = Plan(subjects=5, asked=2, held_out=3, lessons=7)
    school = School(plan, Dials(), 4)
    assert len(set(school.asked)) == 10
    assert len(set(school.held_out)) == 15
    assert not set(school.asked) & set(school.held_out)
    phrases = {school.topic(prompt).phrase for prompt in school.asked}
    assert len(phrases) == 5
    assert {school.topic(prompt).phrase for prompt in school.held_out} == phrases
    lessons = list(school.lessons())
    assert len(lessons) == 70
    assert {prompt for prompt, _ in lessons} == set(school.asked)
    assert not {*GREAT, *DIVERSE} & set(REFERENCES)
    for name in (*GREAT, *DIVERSE, *REFERENCES):
        assert "pupil" not in name
