"""What is journalled is read back as it was, and written again byte by byte."""

from typing import Any

import msgspec
import pytest

from rubricate.domain import conversation, judgement, record, rubric
from rubricate.domain.conversation import Message, Response, SetAside
from rubricate.domain.judgement import Answer, Preference, Scorecard, Verdict
from rubricate.domain.record import PromptRecord, Round, Spend, Standing
from rubricate.domain.rubric import Change, Lineage
from tests.builders import a_criterion, a_dialogue, a_pool, a_response, a_rubric, marks

STANDING = Standing("r1", 0.75, 0.9, "+-?", {"c3": "cut off"}, ".x.")
PLAIN = Standing("r2", None, 0.0, "???")
RUBRIC = msgspec.structs.replace(
    a_rubric("3:is right", "-2:lies", version=2), lineage=Lineage("m", 2, "parent", ("r1", "r2"))
)
ROUND = Round(
    1, "before", (STANDING, PLAIN), ("r1", "r2"), "accepted", "because", RUBRIC, (1.0, 0.5), (0.5, None)
)
RECORD = PromptRecord(
    "k",
    "p1",
    "prompt-key",
    "refined",
    "all rounds were played",
    initial=a_rubric(),
    rubric=RUBRIC,
    rounds=(ROUND, Round(2, "b", (), ("r1", "r2"), "failed", "no new rubric")),
    standings=(STANDING,),
    tie_share_before=0.5,
    tie_share_after=0.0,
    set_aside=(SetAside("p1", "response 3", "it is empty"),),
    spend={"grade": Spend(3, 100, 20, 50, 0.25, 8, 2, 1, 1, 1), "propose": Spend(cost_usd=None)},
)

RECORDS: list[msgspec.Struct] = [
    Message("user", "Grüße \u2028 \x00 😀"),
    a_dialogue("a", "b"),
    a_response("text", None),
    Response("t", "m", 0.5, "length"),
    a_pool(3),
    a_criterion("pitfall -2:lies"),
    RUBRIC,
    a_rubric(),
    Change("reweighted", "a", 1.0, 2.0),
    *marks("+-?", by="m"),
    Verdict("met", "m", None, 0.9, (2, 3), "quoted"),
    Scorecard("rubric", "response", marks("+-?")),
    Preference("tie", "the two orders disagree"),
    Answer("second", 1),
    Answer("first", None, "no JSON"),
    STANDING,
    PLAIN,
    ROUND,
    Spend(),
    RECORD,
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_survive_json(record: msgspec.Struct) -> None:
    """Read back equal, and written again to the same bytes."""
    written = msgspec.json.encode(record)
    back: Any = msgspec.json.decode(written, type=type(record))
    assert back == record
    assert msgspec.json.encode(back) == written


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_refuse_unknown_fields_and_changes(record: msgspec.Struct) -> None:
    """A field that nobody reads is a mistake of somebody; a record is never edited in place."""
    fields = msgspec.to_builtins(record) | {"surplus": 1}
    with pytest.raises(msgspec.ValidationError, match="surplus"):
        msgspec.convert(fields, type(record))
    with pytest.raises(AttributeError):
        setattr(record, record.__struct_fields__[0], "other")


def test_the_three_states_are_all() -> None:
    """A prompt ends refined, kept or failed, and nothing else can be read."""
    fields = msgspec.to_builtins(RECORD) | {"state": "skipped"}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(fields, PromptRecord)


def test_empty_records_share_nothing() -> None:
    """Defaults that are mappings belong to their record alone."""
    one, two = Standing("a", None, 0.0, ""), Standing("b", None, 0.0, "")
    one.reasons["c1"] = "x"
    assert two.reasons == {}


def test_every_record_of_the_ground_is_tried_here() -> None:
    """A new record joins the round trip above."""
    modules = (conversation, judgement, record, rubric)
    made_here = {
        thing
        for module in modules
        for thing in vars(module).values()
        if isinstance(thing, type)
        and issubclass(thing, msgspec.Struct)
        and thing.__module__ == module.__name__
    }
    inside_others = {SetAside, Lineage}
    assert made_here - inside_others == {type(record) for record in RECORDS}
