"""What is asked of a ledger in PostgreSQL, answered many at a time: one statement for each kind."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rubricate.llm.postgres.claims import Claims
from rubricate.llm.postgres.link import Link
from rubricate.llm.postgres.schema import VERDICTS


@dataclass(frozen=True)
class ReplyOf:
    """The packed reply of a key, or None."""

    key: bytes


@dataclass(frozen=True)
class VerdictsOf:
    """The packed verdicts by key, of those up to the watermark."""

    keys: tuple[bytes, ...]
    watermark: int


@dataclass(frozen=True)
class FactOf:
    """The text of a fact, or None."""

    key: str


@dataclass(frozen=True)
class Watermark:
    """The number of the latest verdict."""


@dataclass(frozen=True)
class Claim:
    """Whether the key is claimed now."""

    key: bytes


@dataclass(frozen=True)
class Release:
    """Nothing, once the claim is given back."""

    key: bytes


Question = ReplyOf | VerdictsOf | FactOf | Watermark | Claim | Release


def n_keys(question: Question) -> int:
    """How many rows a question looks for."""
    return max(1, len(question.keys)) if isinstance(question, VerdictsOf) else 1


async def answer(link: Link, claims: Claims, questions: Sequence[Question]) -> list[object]:
    """One answer for each question. Claims and releases of one key are done in the order of their asking.

    Raises:
        RunError: the server was lost, or refuses.
    """
    taken = await _claimed(link, claims, questions)
    replies = await _replies(link, {question.key for question in questions if isinstance(question, ReplyOf)})
    verdicts = await _verdicts(link, [question for question in questions if isinstance(question, VerdictsOf)])
    facts = await _facts(link, {question.key for question in questions if isinstance(question, FactOf)})
    is_mark_asked = any(isinstance(question, Watermark) for question in questions)
    mark = await _watermark(link, claims.space) if is_mark_asked else 0
    answers: list[object] = []
    for place, question in enumerate(questions):
        match question:
            case ReplyOf(key):
                answers.append(replies.get(key))
            case VerdictsOf(keys, watermark):
                known = verdicts[watermark]
                answers.append({key: known[key] for key in keys if key in known})
            case FactOf(name):
                answers.append(facts.get(name))
            case Watermark():
                answers.append(mark)
            case Claim():
                answers.append(place in taken)
            case Release():
                answers.append(None)
    return answers


async def _claimed(link: Link, claims: Claims, questions: Sequence[Question]) -> set[int]:
    """The places of the claims that were granted. What is asked of one key is done in turns."""
    granted, n_before = set[int](), Counter[bytes]()
    turns = defaultdict[int, list[tuple[int, Claim | Release]]](list)
    for place, question in enumerate(questions):
        if isinstance(question, Claim | Release):
            turns[n_before[question.key]].append((place, question))
            n_before[question.key] += 1
    for _, moves in sorted(turns.items()):
        wanted = {move.key for _, move in moves if isinstance(move, Claim)}
        given = {move.key for _, move in moves if isinstance(move, Release)}
        if given:
            await link.run(partial(claims.give_back, keys=given))
        if wanted:
            taken = await link.run(partial(claims.take, keys=wanted))
            granted |= {place for place, move in moves if move.key in taken}
    return granted


async def _replies(link: Link, keys: set[bytes]) -> dict[bytes, bytes]:
    question = "SELECT key, value FROM reply WHERE key = ANY ($1::bytea[])"
    return dict(await link.fetch(question, list(keys))) if keys else {}


async def _verdicts(link: Link, questions: Sequence[VerdictsOf]) -> dict[int, dict[bytes, bytes]]:
    """By watermark, of which a run has one."""
    keys_by_mark = defaultdict[int, set[bytes]](set)
    for question in questions:
        keys_by_mark[question.watermark].update(question.keys)
    asked = "SELECT key, value FROM verdict WHERE key = ANY ($1::bytea[]) AND id <= $2"
    return {mark: dict(await link.fetch(asked, list(keys), mark)) for mark, keys in keys_by_mark.items()}


async def _facts(link: Link, keys: set[str]) -> dict[str, str]:
    question = "SELECT key, value FROM fact WHERE key = ANY ($1::text[])"
    return dict(await link.fetch(question, list(keys))) if keys else {}


async def _watermark(link: Link, space: int) -> int:
    """The last number that was given out, once nobody is about to commit a lower one."""
    rows = await link.fetch(
        "SELECT coalesce(pg_sequence_last_value('verdict_id_seq'), 0)"
        " FROM (SELECT pg_advisory_xact_lock_shared($1, $2) OFFSET 0) AS turn",
        space,
        VERDICTS,
    )
    return int(rows[0][0])
