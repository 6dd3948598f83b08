"""Every reader against every reply of the zoo, and against whatever hypothesis can think of."""

import json
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rubricate.domain.rubric import Rubric
from rubricate.errors import ReplyError
from rubricate.llm.chat import Reply
from rubricate.steps.compare import read_better
from rubricate.steps.grade import read_verdicts
from rubricate.steps.propose import read_rubric
from rubricate.steps.reading import json_of
from tests.builders import marks_of
from tests.zoo import PREFERENCES, RUBRICS, VERDICTS, Animal, Refused


def named(animals: list[Animal]) -> pytest.MarkDecorator:
    """One test for each animal, under its name."""
    return pytest.mark.parametrize("animal", animals, ids=[animal.name for animal in animals])


def expect(animal: Animal, read: Callable[[Reply, Callable[[], None]], object]) -> None:
    """The animal is read as the zoo says, repairs are told exactly when there was one."""
    repairs: list[None] = []
    if isinstance(animal.read_as, Refused):
        with pytest.raises(ReplyError) as refusal:
            read(animal.reply, lambda: repairs.append(None))
        assert animal.read_as.saying in str(refusal.value)
        assert refusal.value.raw == animal.reply.text
        assert len(str(refusal.value)) < 500
    else:
        assert read(animal.reply, lambda: repairs.append(None)) == animal.read_as
    assert bool(repairs) == animal.repaired


@named(VERDICTS)
def test_verdicts(animal: Animal) -> None:
    """A verdict is what was said, once, of what was on offer; all else is unjudged and says why."""

    def read(reply: Reply, repaired: Callable[[], None]) -> str:
        verdicts = read_verdicts(reply, 3, "grader", repaired)
        assert all(verdict.is_judged or verdict.reason for verdict in verdicts)
        assert all(len(verdict.reason or "") < 200 for verdict in verdicts)
        assert {verdict.by for verdict in verdicts} == {"grader"}
        return marks_of(verdicts)

    expect(animal, read)


@named(RUBRICS)
def test_rubrics(animal: Animal) -> None:
    """A rubric is read whole or not at all; its ids are given anew."""

    def read(reply: Reply, repaired: Callable[[], None]) -> tuple[str, ...]:
        rubric = read_rubric(reply, repaired)
        assert [c.id for c in rubric.criteria] == [f"c{n}" for n in range(1, len(rubric.criteria) + 1)]
        assert rubric.key  # every text that is read has a content key
        return tuple(f"{c.kind} {c.weight:g}:{c.text}" for c in rubric.criteria)

    expect(animal, read)


@named(PREFERENCES)
def test_preferences(animal: Animal) -> None:
    """1 or 2, said once."""

    def read(reply: Reply, repaired: Callable[[], None]) -> int:
        better = read_better(reply)
        if json_of(reply)[1]:
            repaired()
        return better

    expect(animal, read)


@pytest.mark.parametrize("animals", [VERDICTS, RUBRICS, PREFERENCES])
def test_names_are_unique(animals: list[Animal]) -> None:
    """An animal is found by its name."""
    assert len({animal.name for animal in animals}) == len(animals)


@named([animal for animal in VERDICTS if len(animal.reply.text) > 100_000])
def test_a_huge_reply_does_not_hold_up_the_loop(animal: Animal) -> None:
    """Time grows with the length, not with its square: a megabyte of malice takes well under ten seconds of
    CPU even on a slow machine (a quadratic reader needs minutes)."""
    start = time.process_time()
    with pytest.raises(ReplyError):
        read_verdicts(animal.reply, 3, "grader")
    assert time.process_time() - start < 10


# Pieces of which replies are made, so that chance comes near to what models do.
pieces = st.sampled_from(
    ['{"', '"}', "{'", "'}", '"c1"', '"c2"', "c1", '": "', '"met"', '"unmet"', ", ", "[", "]", "{", "}", ":"]
) | st.sampled_from(
    [
        '"verdicts": [',
        '"criteria": [',
        '"weight": 3',
        '"better": 1',
        '{"c1": "yes"}',
        "{'c1': 'no'}",
        '{"better": 2}',
        '[{"criterion": "a", "weight": 1}]',
        *("NaN", "null", "```json\n", "1e999", "\\", "\ud800", "\x00"),
    ]
)
texts = st.text(max_size=60) | st.lists(pieces, max_size=14).map("".join)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["c1", "c2", "met", "unmet", "yes", "rule", "a", "\ud800"])
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["verdicts", "id", "verdict", "c1", "c2", "criteria", "criterion", "weight", "kind", "better"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
replies = st.builds(
    Reply, texts | values.map(json.dumps) | values.map(repr), st.sampled_from(["stop", "stop", "", "length"])
)


@given(replies)
@example(Reply("{'a':'\\ud800'}"))
def test_a_reader_raises_nothing_but_reply_error(reply: Reply) -> None:
    """Whatever a model says: a value of the domain, or an error that keeps the raw text."""
    for read in (
        lambda: read_verdicts(reply, 2, "g"),
        lambda: read_rubric(reply),
        lambda: read_better(reply),
    ):
        try:
            outcome: object = read()
        except ReplyError as error:
            assert error.raw == reply.text
            assert str(error)
            str(error).encode()
        else:
            if isinstance(outcome, Rubric):
                assert outcome.key
            elif isinstance(outcome, tuple):
                assert len(outcome) == 2
            else:
                assert outcome in (1, 2)


words = st.sampled_from(["met", "unmet", "yes", "no", "partly", "", None, 7, True])


@given(st.lists(st.tuples(st.integers(0, 4), words), max_size=6), st.sampled_from([json.dumps, repr]))
def test_never_a_verdict_that_was_not_said(
    said: list[tuple[int, object]], write: Callable[[object], str]
) -> None:
    """A criterion is met or unmet exactly if the reply names it once, with a word for that; so a missing one
    is never unmet. Holds for JSON and for Python's way of writing it."""
    reply = Reply(write({"verdicts": [{"id": f"c{number}", "verdict": word} for number, word in said]}))
    mark_by_word = {"met": "+", "yes": "+", True: "+", "unmet": "-", "no": "-"}
    words_of = {number: [word for about, word in said if about == number] for number in (1, 2, 3)}
    expected = "".join(mark_by_word.get(own[0], "?") if len(own) == 1 else "?" for own in words_of.values())
    if not any(1 <= number <= 3 for number, _ in said):
        with pytest.raises(ReplyError):
            read_verdicts(reply, 3, "g")
    else:
        assert marks_of(read_verdicts(reply, 3, "g")) == expected


@given(st.integers(0, 200))
def test_a_cut_reply_is_never_more_than_the_whole(length: int) -> None:
    """However a complete reply is cut, called complete or not: no verdict differs from the whole one's, and
    a rubric is whole or unread."""
    verdicts = next(animal for animal in VERDICTS if animal.name == "clean")
    rubric = next(animal for animal in RUBRICS if animal.name == "clean")
    try:
        marks = marks_of(read_verdicts(Reply(verdicts.reply.text[:length]), 3, "g"))
    except ReplyError:
        pass
    else:
        assert all(mark in ("?", whole) for mark, whole in zip(marks, str(verdicts.read_as), strict=True))
    try:
        read = read_rubric(Reply(rubric.reply.text[:length]))
    except ReplyError:
        pass
    else:
        assert read == read_rubric(rubric.reply)
