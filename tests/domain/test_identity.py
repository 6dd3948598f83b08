"""Content keys are a promise to every ledger ever written: these values never change."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.conversation import Message, Prompt
from rubricate.domain.identity import chance_of, key_of
from rubricate.domain.rubric import Criterion
from rubricate.llm.chat import Request, Schema
from tests.builders import a_pool, a_prompt, a_response, a_rubric

GOLDEN = {
    "prompt": "fdabfa952bb8784650b72d6758c48486",
    "response": "3a83bbf589d71d58c63257c4cad6c6ad",
    "text": "f4eb9830229de994dc3fee8f100a279e",
    "criterion": "92b6021a5d2c9c0e1d5a1a37c84f5b6a",
    "rubric": "553451f22f00a37d5b782fde448ee002",
    "pool": "cd6475161e106fa6411389e3b9d4d4d4",
    "request": "3a70d4d0c63cf7b21f456b0c3f017e8d",
}


def golden_keys() -> dict[str, str]:
    """The keys of a few fixed records."""
    request = Request("m", (Message("user", "é"),), 0.0, None, 9, Schema("s", {"b": 1, "a": [2.5]}), 1)
    return {
        "prompt": a_prompt("Wie geht es dir, Jörg?").key,
        "response": a_response("At most 4 g.", "model-a").key,
        "text": a_response("At most 4 g.", "model-b").text_key,
        "criterion": Criterion("any", "names the daily maximum", 2).key,
        "rubric": a_rubric("3:names the daily maximum", "-1:invents a brand").key,
        "pool": a_pool(2).key,
        "request": request.key,
    }


def test_keys_have_the_values_that_old_ledgers_hold() -> None:
    """Same content, same key, in every version: a changed value orphans everything that was paid."""
    assert golden_keys() == GOLDEN


def test_keys_are_the_same_in_another_process() -> None:
    """No hash seed, locale or import order is part of a key."""
    program = (
        "import json; from tests.domain.test_identity import golden_keys;"
        "print(golden_keys() == json.loads(input()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(GOLDEN),
        env={**os.environ, "PYTHONHASHSEED": "12345", "LC_ALL": "C", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "True"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


def backwards(value: object) -> object:
    """The same value with the fields of every mapping in the opposite order."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(item) for item in value] if isinstance(value, list) else value


@given(json_values)
def test_fields_count_in_any_order(value: object) -> None:
    """A mapping's key does not depend on the order in which its fields were written, at any depth."""
    assert key_of("k", value) == key_of("k", backwards(value))


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=6), min_size=2, max_size=4, unique=True))
def test_order_and_borders_of_parts_count(parts: list[str]) -> None:
    """Parts in another order, or cut at other places, are other content."""
    assert key_of("k", *parts) != key_of("k", *reversed(parts))
    assert key_of("k", *parts) != key_of("k", "".join(parts))


def test_kinds_are_name_spaces() -> None:
    """A prompt, a response and a criterion of one text have three keys."""
    text = "the same"
    keys = {
        Prompt.of_text(text).key,
        a_response(text).key,
        a_response(text).text_key,
        Criterion("c1", text).key,
    }
    assert len(keys) == 4


def test_a_key_has_32_hexadecimal_digits() -> None:
    """128 bits, in lower case."""
    key = key_of("k")
    assert len(key) == 32
    assert int(key, 16) >= 0
    assert key == key.lower()


def test_what_is_no_text_has_no_key() -> None:
    """Half a surrogate pair is not UTF-8: a key of it would differ between encoders."""
    with pytest.raises(UnicodeEncodeError):
        key_of("k", "\ud800")


def test_chance_is_even_and_fixed() -> None:
    """Chance lies in [0, 1), is even (mean 0.5, half below), and is fixed by seed and content."""
    draws = [chance_of(7, place) for place in range(4000)]
    assert all(0 <= draw < 1 for draw in draws)
    assert abs(sum(draws) / 4000 - 0.5) < 0.02
    assert abs(sum(draw < 0.5 for draw in draws) / 4000 - 0.5) < 0.04
    assert draws == [chance_of(7, place) for place in range(4000)]
    assert chance_of(7, "x") != chance_of(8, "x")
