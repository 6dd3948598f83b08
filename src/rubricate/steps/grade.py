"""prompt, response, criteria -> verdicts. A grader that stutters is not a bad response."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any, Literal

import msgspec

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.judgement import Verdict, unjudged
from rubricate.domain.rubric import Criterion
from rubricate.errors import BadAnswer, BadRequest, ReplyError, ServerFault
from rubricate.llm.chat import Chat, Reply, Request, Schema
from rubricate.steps.asking import FAULTS, Heard, Manner, fill, framed, template, told, unheard
from rubricate.steps.reading import Twice, complete_text, json_of

_MET = frozenset({"met", "yes", "true"})
_UNMET = frozenset({"unmet", "not met", "no", "false"})
_decode_plain = msgspec.json.Decoder(dict[str, Literal["met", "unmet"]]).decode


async def grade(
    chat: Chat,
    manner: Manner,
    prompt: Prompt,
    response: Response,
    criteria: Sequence[Criterion],
    *,
    repaired: Callable[[], None] = lambda: None,
    heard: Heard = unheard,
) -> tuple[Verdict, ...]:
    """One verdict per criterion, in order. One call, and further ones for the criteria that got no verdict.

    The targeted further asking (`manner.retries` times, at `manner.retry_temperature`) names only what is
    missing; whatever is still missing then is unjudged with its reason, and so is everything when the
    request itself is refused (too long, withheld). No reply makes this raise, unless `heard` does.

    Raises:
        ChatError: no answer could be had at all after all patience; the prompt is owed again.
    """
    verdicts: dict[int, Verdict] = {}
    missing, n_faults = list(range(len(criteria))), 0
    for draw in range(manner.retries + 1):
        if not missing or n_faults == FAULTS:
            break
        asked = [criteria[place] for place in missing]
        try:
            reply = await _asked(chat, manner, prompt, response, asked, draw)
            answers = read_verdicts(reply, len(asked), manner.model, repaired)
        except BadRequest as refused:  # and would be refused again
            verdicts.update(dict.fromkeys(missing, unjudged(str(refused), by=manner.model)))
            break
        except (BadAnswer, ServerFault) as fault:
            answers, n_faults = (unjudged(str(fault), by=manner.model),) * len(asked), n_faults + 1
        except ReplyError as unreadable:
            answers = (unjudged(unreadable.problem, by=manner.model),) * len(asked)
            heard(unreadable.problem)
        else:
            heard(None)
        verdicts.update(zip(missing, answers, strict=True))
        missing = [place for place in missing if not verdicts[place].is_judged]
    return tuple(verdicts[place] for place in range(len(criteria)))


async def _asked(
    chat: Chat,
    manner: Manner,
    prompt: Prompt,
    response: Response,
    criteria: Sequence[Criterion],
    draw: int,
) -> Reply:
    request = Request(
        model=manner.model,
        messages=told(question(prompt, response, criteria)),
        temperature=manner.temperature if draw == 0 else manner.retry_temperature,
        max_tokens=manner.max_tokens,
        schema=verdict_schema(len(criteria)),
        draw=draw,
    )
    return await chat.ask(request)


def question(prompt: Prompt, response: Response, criteria: Sequence[Criterion]) -> str:
    """The text of a grading question. Prompt and response stand first and the criteria last, so that a
    server's prefix cache serves the former again when only the latter differ."""
    listed = "\n".join(f"c{number}: {criterion.text}" for number, criterion in enumerate(criteria, 1))
    slots = {
        "prompt": framed("prompt", prompt.text),
        "response": framed("response", response.text),
        "criteria": framed("criteria", listed),
    }
    return fill(template("grade"), slots)


@cache
def verdict_schema(n_criteria: int) -> Schema:
    """The JSON schema of a grading reply: an object with one verdict for each of the criteria.

    An object rather than a list of entries: half the tokens, and no id can be left out or come twice. A
    model of random weights gave 100% of its verdicts so, and 27 to 36% of them in a list (docs/log.md).
    """
    verdict = {"type": "string", "enum": ["met", "unmet"]}
    ids = [f"c{number}" for number in range(1, n_criteria + 1)]
    return Schema(
        "verdicts",
        {
            "type": "object",
            "properties": dict.fromkeys(ids, verdict),
            "required": ids,
            "additionalProperties": False,
        },
    )


def read_verdicts(
    reply: Reply, n_criteria: int, by: str, repaired: Callable[[], None] = lambda: None
) -> tuple[Verdict, ...]:
    """The verdicts of a reply, one per criterion in order; unjudged where it gives none, or more than one.

    Reads the form that was asked for, the official one of "yes" and "no", and a list of `{id, verdict}`.
    A verdict that was not on offer is no verdict, nor is one for an id that comes twice.

    Raises:
        ReplyError: nothing in the reply can be read as verdicts.
    """
    plain = _plain(reply, n_criteria)
    if plain is not None:
        return tuple(_judged(plain[f"c{number}"], by) for number in range(1, n_criteria + 1))
    value, mended = json_of(reply)
    found: dict[str, list[Any]] = {}
    for name, said in _entries(value, reply.text):
        found.setdefault(name.strip().casefold(), []).append(said)
    if not any(f"c{number}" in found for number in range(1, n_criteria + 1)):
        raise ReplyError("the reply has no verdict on any of the criteria", reply.text)
    if mended:
        repaired()
    return tuple(_verdict(found.get(f"c{number}", []), by) for number in range(1, n_criteria + 1))


def _plain(reply: Reply, n_criteria: int) -> dict[str, Literal["met", "unmet"]] | None:
    """The verdicts by id of a reply that has the very form that was asked for, as nearly all have; None for
    any other, which is read with care. Five times as fast.

    Each id stands there once: they are as many as keys, and no verdict looks like the beginning of one.
    """
    text = complete_text(reply)
    try:
        found = _decode_plain(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    ids = verdict_schema(n_criteria).body["required"]
    is_plain = len(found) == n_criteria == text.count('"c') and all(id in found for id in ids)
    return found if is_plain else None


def _entries(value: Any, raw: str) -> list[tuple[str, Any]]:
    if isinstance(value, dict) and "verdicts" in value:
        value = value["verdicts"]
    if isinstance(value, dict):
        return [(name, said) for name, said in value.items()]
    if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
        return [
            (entry["id"], entry.get("verdict", entry.get("answer")))
            for entry in value
            if isinstance(entry.get("id"), str)
        ]
    raise ReplyError("the verdicts of the reply are neither a list of objects nor an object", raw)


def _verdict(said: list[Any], by: str) -> Verdict:
    if not said:
        return unjudged("the reply has no verdict on it", by=by)
    if len(said) > 1 or isinstance(said[0], Twice):
        return unjudged("the reply has more than one verdict on it", by=by)
    word = str(said[0]).strip().casefold() if isinstance(said[0], str | bool) else None
    if word in _MET:
        return _judged("met", by)
    if word in _UNMET:
        return _judged("unmet", by)
    shown = repr(said[0][:40]) if isinstance(said[0], str) else f"of type {type(said[0]).__name__}"
    return unjudged(f"the verdict {shown} was not on offer", by=by)


@lru_cache(maxsize=256)
def _judged(outcome: Literal["met", "unmet"], by: str) -> Verdict:
    """One verdict for all that are alike: there are two of each grader."""
    return Verdict(outcome, by=by)
