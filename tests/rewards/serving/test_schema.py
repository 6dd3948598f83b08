"""The server holds to its own description: OpenAPI 3.1, whatever is posted."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rubricate.settings.reward import rubric_in_column
from tests.builders import marks
from tests.rewards.players import PROMPT, a_reward
from tests.rewards.serving.serving import desk


class Easy:
    """A grader that judges any text on any criteria: "y" not at all, of others every second one is met."""

    name = "easy"

    async def grade(self, prompt, response, criteria):
        return marks("".join("?" if response.text == "y" else "+-"[n % 2] for n in range(len(criteria))))


@pytest.fixture(scope="module")
def url():
    """A server on a loop of its own."""
    ready, found = threading.Event(), []

    async def stay():
        ending = asyncio.Event()
        with a_reward(Easy(), read_column=rubric_in_column, unseen="skip") as reward:
            async with desk(reward, unjudged=0.0) as at:
                found.extend((at.server.url, asyncio.get_running_loop(), ending))
                ready.set()
                await ending.wait()

    thread = threading.Thread(target=lambda: asyncio.run(stay()))
    thread.start()
    assert ready.wait(20)
    yield found[0]
    found[1].call_soon_threadsafe(found[2].set)
    thread.join(20)


def _answer(url, path, body):
    from http.client import HTTPConnection

    line = HTTPConnection(url.removeprefix("http://"), timeout=20)
    line.request("POST", path, body, {"Content-Type": "application/json"})
    answer = line.getresponse()
    said = json.loads(answer.read())
    line.close()
    return answer.status, said


def test_the_description_is_openapi(url):
    """By the validator of its specification."""
    from urllib.request import urlopen

    validator = pytest.importorskip("openapi_spec_validator")
    with urlopen(url + "/openapi.json") as answer:
        document = json.loads(answer.read())
    validator.validate(document)
    assert {"/v1/rewards", "/v1/chat/completions", "/openrlhf", "/slime", "/verify"} <= set(document["paths"])


def test_it_does_what_it_says(url):
    """schemathesis makes requests of the description, right ones and wrong ones: no answer is a 500, and each
    is of the kind that is described for its status."""
    schemathesis = pytest.importorskip("schemathesis")
    checks = schemathesis.checks
    schema = schemathesis.openapi.from_url(url + "/openapi.json")
    chosen = [checks.not_a_server_error]
    for name in ("response_schema_conformance", "status_code_conformance", "content_type_conformance"):
        chosen.append(checks.CHECKS.get_one(name) if hasattr(checks, "CHECKS") else getattr(checks, name))
    n = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        def holds(case):
            case.call_and_validate(checks=chosen)

        holds()
        n += 1
    assert n >= 12


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
items = st.fixed_dictionaries(
    {"prompt": st.just(PROMPT) | json_values, "completion": st.sampled_from(["x", "y", ""]) | json_values},
    optional={
        "rubric": st.just([{"criterion": "a", "weight": 3}, {"criterion": "b", "weight": 1}]) | json_values
    },
)


@given(body=st.fixed_dictionaries({"items": st.lists(items, max_size=4)}) | json_values)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_never_a_number_that_is_none(url, body):
    """Whatever is posted: a refusal, or for each item a reward in [0, 1] or null with a reason."""
    status, said = _answer(url, "/v1/rewards", json.dumps(body).encode())
    if status != 200:
        assert status in (400, 422) and said["error"]["message"]
        return
    for one in said["items"]:
        assert (one["reward"] is None and one["why"]) or 0 <= one["reward"] <= 1
