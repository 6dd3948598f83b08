"""Prompts x models -> responses, in the file shape of the official sampler; failures are records apart."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import msgspec

from rubricate.domain.conversation import Pool, Prompt, Response, SetAside
from rubricate.errors import AccountError, ChatError, ReplyError
from rubricate.llm.chat import Chat, Usage
from rubricate.llm.meter import Meter, MeteredChat
from rubricate.runs.earlier import Earlier, shared_out, without_empty_failures
from rubricate.runs.intake import Messages
from rubricate.runs.writing import replacing, writing
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
    """One draw: a response, or why there is none. Written as it is.

    `is_answered` marks a failure that was an answer (empty, withheld): it was paid for, so the same draw
    would be answered by the ledger, and another one is owed in its place.
    """

    generator: str
    draw: int
    response: str | None = None
    finish_reason: str = ""
    usage: Usage | None = None
    error: str | None = None
    is_answered: bool = False


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
    row: Mapping[str, Any] = MappingProxyType({}),
) -> list[Sampled]:
    """The draws of one prompt that are still owed: by model in order, then by draw. `row` is what the
    prompt has already."""
    return await gathered(
        _drawn(chats[sampling.model], sampling, prompt, number)
        for sampling in samplings
        for number in owed_draws(sampling.model, n_each, row)
    )


def owed_draws(model: str, n_each: int, row: Mapping[str, Any]) -> list[int]:
    """Numbers of the draws that a model owes a prompt: as many as it has responses too few, and none that
    was answered before. Responses without a number (official files) count as the first ones."""
    mine = [response for response in row.get("responses", ()) if response.get("generator") == model]
    numbers = [response["draw"] for response in mine if isinstance(response.get("draw"), int)]
    failures = [failure for failure in row.get("failures", ()) if failure.get("generator") == model]
    answered = {*numbers, *(failure["draw"] for failure in failures if failure.get("is_answered"))}
    free = (number for number in itertools.count() if number not in answered)
    unnumbered = len(mine) - len(numbers)
    return list(itertools.islice(free, unnumbered, unnumbered + max(0, n_each - len(mine))))


async def _drawn(chat: Chat, sampling: Sampling, prompt: Prompt, draw: int) -> Sampled:
    if not prompt.text.strip():
        return Sampled(sampling.model, draw, error="the prompt is empty")
    try:
        reply = await sample(chat, sampling, prompt, draw)
    except AccountError:
        raise
    except ReplyError as failure:
        return Sampled(sampling.model, draw, error=str(failure), is_answered=True)
    except ChatError as failure:
        return Sampled(sampling.model, draw, error=str(failure))
    return Sampled(sampling.model, draw, reply.text.strip(), reply.finish_reason, reply.usage)


async def fill_up(
    pool: Pool, meter: Meter, chats: Mapping[str, Chat], samplings: Sequence[Sampling], n_each: int
) -> Pool:
    """The pool with the draws that it lacks; failed draws are set aside by name."""
    metered = {model: MeteredChat(chat, meter, "sample") for model, chat in chats.items()}
    row = {"responses": [{"generator": response.generator} for response in pool.responses]}
    draws = await draw_all(metered, samplings, pool.prompt, n_each, row)
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


async def roll_out(
    prompts: Sequence[tuple[str, Messages]],
    chats: Mapping[str, Chat],
    samplings: Sequence[Sampling],
    n_each: int,
    output: Path,
    *,
    earlier: Iterable[Earlier] = (),
    in_flight: int,
    counts: Counts,
    told: Callable[[], None] = lambda: None,
) -> None:
    """Draws what is owed and writes the whole output at once, in input order; rows of `earlier` that are
    not asked for again are kept behind. Results wait on disk, not in memory.

    Raises:
        RunStopped: no further call can fare better; nothing is written.
        RunError: the output cannot be written.
    """
    mine, rest = shared_out(prompts, earlier)
    places: dict[int, int] = {}
    queue = iter(enumerate(prompts))

    async def worker(spool: IO[bytes]) -> None:
        for place, (id, messages) in queue:
            row = await _row(Prompt(id, messages), chats, samplings, n_each, mine[place], counts)
            places[place] = spool.seek(0, 2)
            spool.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            told()

    def rows(spool: IO[bytes]) -> Iterator[dict[str, Any]]:
        for place in range(len(prompts)):
            spool.seek(places[place])
            yield json.loads(spool.readline())
        yield from rest

    with writing(output), tempfile.TemporaryFile() as spool:
        await gathered(worker(spool) for _ in range(max(1, min(in_flight, len(prompts)))))
        _write(rows(spool), output)


def _write(rows: Iterable[dict[str, Any]], output: Path) -> None:
    """Writes JSON Lines to a `.jsonl`, and a JSON list, as the official sampler does, to a `.json`."""
    lines = output.suffix == ".jsonl"
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as draft, draft.open("w", encoding="utf-8") as target:
        for number, row in enumerate(rows):
            if lines:
                target.write(json.dumps(row, ensure_ascii=False) + "\n")
            else:
                text = json.dumps(row, indent=2, ensure_ascii=False).replace("\n", "\n  ")
                target.write(f"{',' if number else '['}\n  {text}")
        target.write("" if lines else "\n]\n")


async def _row(
    prompt: Prompt,
    chats: Mapping[str, Chat],
    samplings: Sequence[Sampling],
    n_each: int,
    earlier: dict[str, Any],
    counts: Counts,
) -> dict[str, Any]:
    kept = earlier.get("responses", [])
    draws = await draw_all(chats, samplings, prompt, n_each, earlier)
    good = [draw for draw in draws if draw.error is None]
    failed = [draw for draw in draws if draw.error is not None]
    counts.kept += len(kept)
    counts.drawn += len(good)
    counts.cut += sum(draw.finish_reason == "length" for draw in good)
    counts.failed += len(failed)
    counts.failures += [(prompt.id, draw.generator, draw.error or "") for draw in failed]
    asked_again = {(draw.generator, draw.draw) for draw in draws}
    before = [
        failure
        for failure in earlier.get("failures", [])
        if (failure["generator"], failure["draw"]) not in asked_again
    ]
    single = len(prompt.messages) == 1 and prompt.messages[0].role == "user"
    return without_empty_failures(
        {
            **earlier,
            "id": prompt.id,
            "prompt": prompt.text if single else msgspec.to_builtins(prompt.messages),
            "responses": [*kept, *map(msgspec.to_builtins, good)],
            "failures": [*before, *map(msgspec.to_builtins, failed)],
        }
    )
