"""Prompts x models -> responses, in the file shape of the official sampler; failures are records apart."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from rubricate.domain.conversation import Message, Pool, Prompt, Response, SetAside
from rubricate.errors import AccountError, ChatError, ReplyError
from rubricate.llm.chat import Chat, Usage
from rubricate.llm.meter import Meter, MeteredChat
from rubricate.runs.rows import rows_of
from rubricate.steps.asking import gathered
from rubricate.steps.sample import Sampling, sample

# The sixteen models of the paper (Chasing the Tail, section 4.2), under the official names for LiteLLM.
PAPER_MODELS = (
    "openai/gpt-5",
    "openai/gpt-4o-2024-05-13",
    "openai/gpt-4.1",
    "openai/o3",
    "openai/o1-2024-12-17",
    "openai/o4-mini",
    "gemini/gemini-2.5-flash",
    "gemini/gemini-2.5-pro",
    "anthropic/claude-sonnet-4-20250514",
    "anthropic/claude-3-7-sonnet-20250219",
    "fireworks_ai/deepseek-v3",
    "fireworks_ai/deepseek-r1",
    "fireworks_ai/kimi-k2-instruct",
    "fireworks_ai/glm-4p5",
    "fireworks_ai/qwen3-235b-a22b-instruct-2507",
    "mistral/mistral-medium-latest",
)
MODEL_LISTS: Mapping[str, tuple[str, ...]] = {"paper": PAPER_MODELS}


class Sampled(msgspec.Struct, frozen=True, omit_defaults=True):
    """One draw: a response, or why there is none. Written as it is."""

    generator: str
    response: str | None = None
    draw: int = 0
    finish_reason: str = ""
    usage: Usage | None = None
    error: str | None = None


@dataclass
class Counts:
    """What became of a sampling run. Grows while it runs."""

    owed: int = 0
    kept: int = 0
    drawn: int = 0
    cut: int = 0
    failed: int = 0
    failures: list[tuple[str, str, str]] = field(default_factory=list)


def models_of(names: Sequence[str]) -> tuple[str, ...]:
    """Model names with named lists (`paper`) put out at length; each model once, in order."""
    wide = [model for name in names for model in MODEL_LISTS.get(name, (name,))]
    return tuple(dict.fromkeys(wide))


async def draw_all(
    chats: Mapping[str, Chat],
    samplings: Sequence[Sampling],
    prompt: Prompt,
    n_each: int,
    kept: Sequence[dict[str, Any]] = (),
) -> list[Sampled]:
    """The draws of one prompt that are still owed: by model in order, then by draw.

    `kept` are the responses that the prompt has already: as many draws fewer are owed of their generators.
    """
    have = {sampling.model: 0 for sampling in samplings}
    for response in kept:
        if response.get("generator") in have:
            have[response["generator"]] += 1
    return await gathered(
        _drawn(chats[sampling.model], sampling, prompt, number)
        for sampling in samplings
        for number in range(have[sampling.model], n_each)
    )


async def _drawn(chat: Chat, sampling: Sampling, prompt: Prompt, draw: int) -> Sampled:
    try:
        reply = await sample(chat, sampling, prompt, draw)
    except AccountError:
        raise
    except (ReplyError, ChatError) as failure:
        return Sampled(sampling.model, draw=draw, error=str(failure))
    return Sampled(sampling.model, reply.text.strip(), draw, reply.finish_reason, reply.usage)


async def fill_up(
    pool: Pool, meter: Meter, chats: Mapping[str, Chat], samplings: Sequence[Sampling], n_each: int
) -> Pool:
    """The pool with the draws that it lacks; failed draws are set aside by name."""
    metered = {model: MeteredChat(chat, meter, "sample") for model, chat in chats.items()}
    kept = [{"generator": response.generator} for response in pool.responses]
    draws = await draw_all(metered, samplings, pool.prompt, n_each, kept)
    texts = {response.text.strip() for response in pool.responses}
    responses, aside = list(pool.responses), list(pool.set_aside)
    for draw in draws:
        name = f"{draw.generator} (draw {draw.draw})"
        if draw.response is None:
            aside.append(SetAside(pool.prompt.id, name, f"a failed call: {draw.error}"))
        elif draw.response.strip() in texts:
            aside.append(SetAside(pool.prompt.id, name, "the same text as another response"))
        else:
            texts.add(draw.response.strip())
            responses.append(Response(draw.response, draw.generator, finish_reason=draw.finish_reason))
    return Pool(pool.prompt, tuple(responses), tuple(aside))


def read_existing(source: Path) -> dict[str, dict[str, Any]]:
    """Rows of an earlier output by prompt id, with their good responses; failures are owed again.

    Keeps responses of any generator, and all other fields of a row.
    """
    rows: dict[str, dict[str, Any]] = {}
    for row in rows_of(str(source)):
        if not isinstance(row.value, dict) or not isinstance(row.value.get("responses", []), list):
            raise row.error("a row is an object with a list of responses", "responses")
        id = row.value.get("id", row.value.get("task_id", row.name))
        if id is None:
            raise row.error("missing; a row of responses needs its id", "id")
        responses = [_as_object(response) for response in row.value.get("responses", [])]
        good = [response for response in responses if _is_good(response)]
        rows[str(id)] = {**row.value, "id": str(id), "responses": good, "failures": []}
    return rows


def _as_object(response: Any) -> dict[str, Any]:
    return response if isinstance(response, dict) else {"generator": None, "response": response}


def _is_good(response: dict[str, Any]) -> bool:
    text = response.get("response")
    return isinstance(text, str) and bool(text.strip()) and not text.lstrip().startswith("[ERROR")


async def roll_out(
    prompts: Sequence[tuple[str, tuple[Message, ...]]],
    chats: Mapping[str, Chat],
    samplings: Sequence[Sampling],
    n_each: int,
    output: Path,
    *,
    existing: Mapping[str, dict[str, Any]],
    in_flight: int,
    counts: Counts,
    told: Callable[[], None] = lambda: None,
) -> None:
    """Draws what is owed and writes the whole output at once, in input order; rows of `existing` that are
    not asked for again are kept behind. Results wait on disk, not in memory."""
    places: dict[int, int] = {}
    queue = iter(enumerate(prompts))
    with tempfile.TemporaryFile() as spool:

        async def worker() -> None:
            for place, (id, messages) in queue:
                row = await _row(Prompt(id, messages), chats, samplings, n_each, existing.get(id, {}), counts)
                places[place] = spool.seek(0, 2)
                spool.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
                told()

        await gathered(worker() for _ in range(max(1, min(in_flight, len(prompts)))))
        asked = {id for id, _ in prompts}
        rest = [row for id, row in existing.items() if id not in asked]
        output.parent.mkdir(parents=True, exist_ok=True)
        draft = output.with_name(f".{output.name}.tmp")
        with draft.open("w", encoding="utf-8") as target:
            target.write("[")
            for number in range(len(prompts) + len(rest)):
                if number < len(prompts):
                    spool.seek(places[number])
                    row = json.loads(spool.readline())
                else:
                    row = rest[number - len(prompts)]
                text = json.dumps(row, indent=2, ensure_ascii=False).replace("\n", "\n  ")
                target.write(f"{',' if number else ''}\n  {text}")
            target.write("\n]\n")
        draft.replace(output)


async def _row(
    prompt: Prompt,
    chats: Mapping[str, Chat],
    samplings: Sequence[Sampling],
    n_each: int,
    existing: dict[str, Any],
    counts: Counts,
) -> dict[str, Any]:
    kept = existing.get("responses", [])
    draws = await draw_all(chats, samplings, prompt, n_each, kept)
    good = [draw for draw in draws if draw.error is None]
    failed = [draw for draw in draws if draw.error is not None]
    counts.kept += len(kept)
    counts.drawn += len(good)
    counts.cut += sum(draw.finish_reason == "length" for draw in good)
    counts.failed += len(failed)
    counts.failures += [(prompt.id, draw.generator, draw.error or "") for draw in failed]
    single = len(prompt.messages) == 1 and prompt.messages[0].role == "user"
    row = {
        **existing,
        "id": prompt.id,
        "prompt": prompt.text if single else msgspec.to_builtins(prompt.messages),
        "responses": [*kept, *(msgspec.to_builtins(draw) for draw in good)],
    }
    row["failures"] = [msgspec.to_builtins(draw) for draw in failed]
    return {name: value for name, value in row.items() if name != "failures" or value}
