"""Prompts, responses and pools: what counts as the same."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.conversation import Message, Pool, Prompt, Response, derived_id
from tests.builders import a_dialogue, a_pool, a_prompt, a_response

texts = st.text(st.characters(codec="utf-8"), max_size=20)


def test_a_renamed_prompt_is_the_same_prompt() -> None:
    """The id is the user's name for it; what was paid for the content stays valid."""
    assert a_prompt("hello", id="1").key == a_prompt("hello", id="2").key


@given(texts, texts)
def test_another_text_is_another_prompt(one: str, two: str) -> None:
    """Prompts have equal keys exactly when their messages are equal."""
    assert (a_prompt(one).key == a_prompt(two).key) == (one == two)


def test_roles_and_turns_are_content() -> None:
    """The same words under another role, or cut into turns elsewhere, are another prompt."""
    prompts = [
        Prompt("x", (Message("user", "ab"),)),
        Prompt("x", (Message("system", "ab"),)),
        Prompt("x", (Message("user", "a"), Message("user", "b"))),
        a_dialogue("a", "b"),
    ]
    assert len({prompt.key for prompt in prompts}) == len(prompts)


def test_a_missing_id_comes_from_the_content() -> None:
    """Equal texts get equal ids, other texts other ids; an id that is given, even "", is kept."""
    assert Prompt.of_text("a").id == Prompt.of_text("a").id == derived_id((Message("user", "a"),))
    assert Prompt.of_text("a").id != Prompt.of_text("b").id
    assert Prompt.of_text("a").id.startswith("p-")
    assert Prompt.of_text("a", id="").id == ""


def test_the_text_of_one_turn_is_the_turn_itself() -> None:
    """A single turn is shown as it is, several under their roles and in order."""
    assert a_prompt("  as it is\n").text == "  as it is\n"
    assert a_dialogue("hi", "hello", "and?").text == "[user]\nhi\n\n[assistant]\nhello\n\n[user]\nand?"


@given(texts, st.none() | texts, texts, st.none() | texts)
def test_a_response_is_its_text_and_its_generator(
    text: str, generator: str | None, other: str, another: str | None
) -> None:
    """Equal texts of two models stay two responses, with one text that verdicts are about."""
    one, two = Response(text, generator), Response(other, another)
    assert (one.key == two.key) == ((text, generator) == (other, another))
    assert (one.text_key == two.text_key) == (text == other)


def test_gold_and_finish_reason_are_no_content() -> None:
    """What only reports read does not change what was answered."""
    assert Response("a", "m", 0.5, "stop").key == Response("a", "m").key


def test_a_pool_is_its_prompt_its_id_and_its_responses_in_order() -> None:
    """Any of the three changed is another pool; what was set aside is not."""
    pool = a_pool(3)
    replace = msgspec.structs.replace
    others = [
        replace(pool, prompt=a_prompt("another")),
        replace(pool, prompt=replace(pool.prompt, id="renamed")),
        replace(pool, responses=pool.responses[::-1]),
        replace(pool, responses=pool.responses[:2]),
        replace(pool, responses=(*pool.responses, a_response("one more"))),
    ]
    assert len({pool.key, *(other.key for other in others)}) == 6
    assert Pool(pool.prompt, pool.responses, ()).key == pool.key
