"""Round trips: what a dialect says no loss of comes back as it was, through the text of its files."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rubricate.dialects.levels import Ordinal, boundaries, even_levels
from rubricate.dialects.registry import DIALECTS, dialect_of
from rubricate.dialects.seam import Dialect, Entry, Loss
from rubricate.domain.conversation import Message, Prompt, derived_id
from rubricate.domain.rubric import Criterion, Lineage, Rubric
from rubricate.runs.documents import parsed, toml_of, yaml_of
from rubricate.runs.rows import Row

WRITABLE = [dialect for dialect in DIALECTS.values() if dialect.write is not None]
IDS = [dialect.name for dialect in WRITABLE]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(str.strip)
NAME = st.text(st.sampled_from("ab -_.01é/"), min_size=1, max_size=8).filter(str.strip)
ROLE = st.sampled_from(["system", "user", "assistant"])
PLAIN = TEXT.map(lambda text: Prompt.of_text(text))
TALK = st.lists(st.builds(Message, ROLE, TEXT), min_size=1, max_size=3).map(
    lambda turns: Prompt(derived_id(tuple(turns)), tuple(turns))
)
WHOLE = st.integers(1, 10).map(float)
SIGNED = st.builds(lambda size, sign: size * sign, WHOLE, st.sampled_from([1, -1]))
ANY = st.floats(-1e6, 1e6, allow_nan=False).filter(lambda weight: abs(weight) > 1e-6)

# What each dialect can say: prompts, whether these have ids, weights, ids of criteria, tags.
CAN: dict[str, tuple[st.SearchStrategy[Prompt], bool, st.SearchStrategy[float], bool, bool]] = {
    "paper": (PLAIN, True, ANY, False, False),
    "dataset": (PLAIN, False, ANY, False, False),
    "healthbench": (TALK, True, ANY, False, True),
    "rar": (PLAIN, False, SIGNED, True, False),
    "rubrichub": (PLAIN, True, WHOLE, False, False),
    "verifiers": (TALK, True, ANY, True, False),
    "autorubric": (TALK, True, ANY, True, False),
    "tinker": (TALK, False, st.sampled_from([1.0, -1.0]), False, False),
    "open-instruct": (TALK, False, ANY, True, False),
}


@st.composite
def everything(draw: st.DrawFn) -> Entry:
    """An entry with all that a rubric can have: kinds, decisive criteria, tags, ids, version and lineage."""
    prompt = draw(TALK)
    id = draw(NAME)
    texts = draw(st.lists(TEXT, min_size=1, max_size=5, unique=True))
    ids = draw(st.lists(NAME, min_size=len(texts), max_size=len(texts), unique=True))
    criteria = []
    for place, (name, text) in enumerate(zip(ids, texts, strict=True)):
        weight = abs(draw(ANY)) if place == 0 else draw(ANY)
        kind = "pitfall" if weight < 0 else draw(st.sampled_from(["rule", "principle"]))
        tags = tuple(draw(st.lists(NAME, max_size=2)))
        criteria.append(Criterion(name, text, weight, kind, draw(st.booleans()), tags))
    lineage = draw(st.sampled_from([None, Lineage("m", 2, "key", ("a", "b"))]))
    rubric = Rubric(tuple(criteria), draw(st.integers(0, 3)), lineage)
    return Entry(id, Prompt(id, prompt.messages), rubric)


@st.composite
def sayable(draw: st.DrawFn, name: str) -> Entry:
    """An entry of which a dialect can say all."""
    prompts, has_ids, weights, names, tags = CAN[name]
    prompt = draw(prompts)
    if has_ids:
        prompt = Prompt(draw(NAME), prompt.messages)
    texts = draw(st.lists(TEXT, min_size=1, max_size=5, unique=True))
    ids = (
        draw(st.lists(NAME, min_size=len(texts), max_size=len(texts), unique=True))
        if names
        else [f"c{number}" for number in range(1, len(texts) + 1)]
    )
    criteria = []
    for place, (id, text) in enumerate(zip(ids, texts, strict=True)):
        weight = draw(weights)
        weight = abs(weight) if place == 0 else weight
        given_tags = tuple(draw(st.lists(NAME, max_size=2))) if tags else ()
        kind = "pitfall" if weight < 0 else "principle"
        criteria.append(Criterion(id, text, weight, kind, tags=given_tags))
    return Entry(prompt.id, prompt, Rubric(tuple(criteria)))


def through(dialect: Dialect, entry: Entry) -> tuple[Entry, list[Loss], Any]:
    """The entry as it comes back from the text of a file, what was lost both ways, and the row."""
    assert dialect.write is not None
    written = dialect.write(entry)
    if dialect.layout == "toml":
        value = parsed(toml_of(written.value), "x.toml", ".toml")
    elif dialect.layout == "yaml":
        value = parsed(yaml_of(written.value), "x.yaml", ".yaml")
    else:
        value = json.loads(json.dumps(written.value, ensure_ascii=False))
    (taken,) = dialect.read(Row(value, "x", 1))
    return taken.entry, [*written.losses, *taken.losses], value


def same(one: Entry, other: Entry) -> bool:
    """Whether two entries are one: ids, turns, and every field of every criterion."""
    assert one.prompt is not None and other.prompt is not None
    return (one.name, one.prompt.messages, one.rubric) == (other.name, other.prompt.messages, other.rubric)


@pytest.mark.parametrize("dialect", WRITABLE, ids=IDS)
@given(entry=everything())
@settings(max_examples=40, deadline=None)
def test_what_is_not_said_to_be_lost_comes_back(dialect: Dialect, entry: Entry) -> None:
    """For any rubric at all: no loss said, nothing lost; and criteria change only where a loss is said."""
    back, losses, _ = through(dialect, entry)
    if not losses:
        assert same(back, entry)
    said = " ".join(loss.what for loss in losses)
    if "pitfall is left out" not in said:
        assert [c.text for c in back.rubric.criteria] == [c.text for c in entry.rubric.criteria]
        if "weight" not in said.replace("weighted criterion", ""):
            assert [c.weight for c in back.rubric.criteria] == [c.weight for c in entry.rubric.criteria]
    for word, fields in (("must-have", "decisive"), ("tags", "tags"), ("id of a criterion", "id")):
        if word not in said and "veto" not in said and "left out: there" not in said:
            assert [getattr(c, fields) for c in back.rubric.criteria] == [
                getattr(c, fields) for c in entry.rubric.criteria
            ]


@given(entry=everything())
@settings(max_examples=100, deadline=None)
def test_our_own_rows_lose_nothing(entry: Entry) -> None:
    """Kinds, must-haves, vetoes, tags, ids, conversations, version and lineage."""
    back, losses, _ = through(DIALECTS["rubricate"], entry)
    assert losses == [] and same(back, entry)


@pytest.mark.parametrize("name", sorted(CAN))
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_what_a_dialect_can_say_it_says_whole(name: str, data: st.DataObject) -> None:
    """Within its means a dialect is lossless, says so, and its rows are known as its own."""
    entry = data.draw(sayable(name))
    back, losses, value = through(DIALECTS[name], entry)
    assert losses == [] and same(back, entry)
    found = dialect_of(value)
    assert found is not None and found.name == name


LABELS = st.lists(TEXT, min_size=2, max_size=5, unique=True)


@pytest.mark.parametrize("name", ["verifiers", "autorubric"])
@given(labels=LABELS, text=TEXT, weight=WHOLE, name_=NAME, more=TEXT)
@settings(max_examples=60, deadline=None)
def test_levels_come_back_as_levels(
    name: str, labels: list[str], text: str, weight: float, name_: str, more: str
) -> None:
    """Boundaries of an ordinal criterion are joined on the way out and split on the way in."""
    parts = boundaries(Ordinal(name_, text, weight, even_levels(labels)))
    criteria = [Criterion(id, said, part) for id, said, part in parts]
    entry = Entry("p", Prompt.of_text("q", "p"), Rubric((*criteria, Criterion("else", more))))
    back, losses, value = through(DIALECTS[name], entry)
    is_plain = name == "verifiers" and labels in (["no", "yes"], ["yes", "no"])
    assert len(value["criteria"]) == 2 or is_plain
    assert {loss.what for loss in losses} <= {"an ordinal criterion becomes one criterion per level boundary"}
    for one, other in zip(back.rubric.criteria, entry.rubric.criteria, strict=True):
        assert (one.id, one.text, one.kind) == (other.id, other.text, other.kind)
        assert one.weight == pytest.approx(other.weight, rel=1e-9)
