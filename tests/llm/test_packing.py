"""Packed values: small, whole, and readable for ever."""

from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.identity import key_of
from rubricate.llm.chat import Reply, Usage
from rubricate.llm.packing import Packer, decoded, encoded

PACKER = Packer()


@given(st.binary(max_size=4000))
def test_what_is_packed_is_unpacked(text):
    """Any bytes, whatever they are."""
    assert PACKER.unpack(PACKER.pack(text)) == text


def test_a_header_that_lost_its_size_is_damage():
    """Found by the property below: one flipped bit says that a frame is empty."""
    packed = bytearray(PACKER.pack(bytes(60)))
    packed[5] ^= 2
    with pytest.raises(ValueError, match="damaged"):
        PACKER.unpack(bytes(packed))


@given(st.binary(min_size=1, max_size=400), st.data())
def test_no_damaged_value_is_taken_for_another(text, data):
    """A flipped bit in a compressed value is an error or harmless, never a different text."""
    packed = bytearray(PACKER.pack(text * 60))
    place = data.draw(st.integers(1, len(packed) - 1))
    packed[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        assert PACKER.unpack(bytes(packed)) == text * 60
    except ValueError as error:
        assert "damaged" in str(error)


def test_a_grading_reply_becomes_a_fifth():
    """The dictionary knows what replies look like."""
    text = '{"verdicts": [' + ", ".join(f'{{"id": "c{n}", "verdict": "met"}}' for n in range(1, 8)) + "]}"
    reply = encoded(Reply(text, usage=Usage(1234, 56, 1024), model="gpt-4.1-mini-2025-04-14"))
    assert len(PACKER.pack(reply)) < len(reply) / 5


def test_the_dictionary_is_never_edited():
    """What was packed with it in older ledgers would be lost; a better one gets another number."""
    content = files("rubricate.data").joinpath("ledger_dictionary_1.txt").read_bytes()
    assert key_of("dictionary", content.decode()) == "30ba423c753c292f837b68b59c29a763"


@pytest.mark.parametrize(("value", "said"), [(b"", "empty"), (b"\x02abc", "newer"), (b"\x01abc", "damaged")])
def test_a_value_that_cannot_be_unpacked_says_why(value, said):
    """Empty, packed with a dictionary of the future, damaged."""
    with pytest.raises(ValueError, match=said):
        PACKER.unpack(value)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"text": 3}', b'{"text": "", "colour": 1}', b"\xff"])
def test_json_of_another_shape_is_no_record(text):
    """A ValueError that says how, not a half-filled reply."""
    with pytest.raises(ValueError, match=r"."):
        decoded(text, Reply)
