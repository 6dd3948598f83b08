"""What a real inference engine makes of our requests. Its model is random: what is right is the schema's."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from llama_server import SLOTS, LlamaEndpoint

from rubricate.domain.rubric import Rubric
from rubricate.llm.chat import Reply, Schema
from rubricate.steps.grade import verdict_schema
from rubricate.steps.propose import read_rubric, rubric_schema

# The tiny model spells an entry of a verdict list with about 30 tokens, white space included.
TOKENS_PER_VERDICT = 40
# Beyond what most rubrics of the tiny model take; a list is free to go on.
RUBRIC_TOKENS = 3000
DRAWS = 8


def closed(**properties: object) -> dict[str, Any]:
    """An object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


async def ask(
    endpoint: LlamaEndpoint, schema: Schema | None, max_tokens: int, **body: object
) -> dict[str, Any]:
    """The parsed answer to one chat completion request; ends the test if it is not 200."""
    body |= {"model": endpoint.model, "messages": [{"role": "user", "content": "Grade 这个 — thoroughly."}]}
    body |= {"max_tokens": max_tokens}
    if schema is not None:
        wanted = {"name": schema.name, "strict": True, "schema": schema.body}
        body |= {"response_format": {"type": "json_schema", "json_schema": wanted}}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{endpoint.base_url}/chat/completions", json=body) as answer,
    ):
        assert answer.status == 200, await answer.text()
        parsed: dict[str, Any] = await answer.json()
        return parsed


async def draws(endpoint: LlamaEndpoint, schema: Schema, max_tokens: int) -> list[dict[str, Any]]:
    """The parsed answers of several seeds, one at temperature 0; no more at once than there are slots."""
    slots = asyncio.Semaphore(SLOTS)

    async def draw(seed: int) -> dict[str, Any]:
        async with slots:
            return await ask(endpoint, schema, max_tokens, seed=seed, temperature=float(seed > 0))

    return await asyncio.gather(*(draw(seed) for seed in range(DRAWS)))


def complete(answer: dict[str, Any]) -> Any:
    """The JSON of an answer that was not cut off."""
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "stop"
    return json.loads(choice["message"]["content"])


@pytest.mark.parametrize("n_criteria", [1, 5, 12])
async def test_verdicts_obey_our_schema(llama_endpoint: LlamaEndpoint, n_criteria: int):
    """One of the two words for each of the criteria, none left out, none added."""
    answers = await draws(llama_endpoint, verdict_schema(n_criteria), 50 + TOKENS_PER_VERDICT * n_criteria)
    ids = [f"c{number}" for number in range(1, n_criteria + 1)]
    for answer in answers:
        verdicts = complete(answer)
        assert list(verdicts) == ids
        assert set(verdicts.values()) <= {"met", "unmet"}


@pytest.mark.parametrize("pitfalls", [False, True])
async def test_a_rubric_obeys_our_schema(llama_endpoint: LlamaEndpoint, pitfalls: bool):
    """Whatever is complete can be read as a rubric, weights of 1 to 3 included."""
    read = 0
    for answer in await draws(llama_endpoint, rubric_schema(pitfalls), RUBRIC_TOKENS):
        if answer["choices"][0]["finish_reason"] == "stop":
            criteria = complete(answer)["criteria"]
            assert all(entry["weight"] in (1, 2, 3) for entry in criteria)
            assert all(3 <= len(entry["criterion"]) <= 600 for entry in criteria)
            if any(entry["kind"] != "pitfall" for entry in criteria):
                assert isinstance(read_rubric(Reply(json.dumps({"criteria": criteria}))), Rubric)
            read += 1
    assert read > DRAWS / 2


async def test_a_schema_with_patterns_is_obeyed(llama_endpoint: LlamaEndpoint):
    """Bounded strings of chosen signs, enumerations, and whole numbers in a range."""
    body = closed(
        title={"type": "string", "pattern": "^[A-Za-z ]{3,40}$"},
        weight={"type": "integer", "minimum": 1, "maximum": 3},
        kind={"enum": ["rule", "principle"]},
    )
    for answer in await draws(llama_endpoint, Schema("criterion", body), 300):
        entry = complete(answer)
        assert entry.keys() == {"title", "weight", "kind"}
        assert 3 <= len(entry["title"]) <= 40 and entry["title"].replace(" ", "a").isalpha()
        assert entry["weight"] in (1, 2, 3) and entry["kind"] in ("rule", "principle")


async def test_a_reply_that_is_cut_says_so_and_is_no_json(llama_endpoint: LlamaEndpoint):
    """`length` comes before any reading: what a schema began is worth nothing when it is cut."""
    answer = await ask(llama_endpoint, verdict_schema(5), 10, seed=1)
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 10
    with pytest.raises(json.JSONDecodeError):
        json.loads(choice["message"]["content"])


async def test_usage_is_counted(llama_endpoint: LlamaEndpoint):
    """Prompt and completion, in tokens, and their sum."""
    usage = (await ask(llama_endpoint, None, 7, seed=1))["usage"]
    assert usage["prompt_tokens"] > 3 and usage["completion_tokens"] <= 7
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_the_model_is_listed_under_its_name(llama_endpoint: LlamaEndpoint):
    """What readiness is told by."""
    async with aiohttp.ClientSession() as session, session.get(f"{llama_endpoint.base_url}/models") as answer:
        assert [model["id"] for model in (await answer.json())["data"]] == [llama_endpoint.model]
