"""Which two responses to compare next. Every policy is a pure function of scores and of what was tried."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Literal

import msgspec

from rubricate.domain.conversation import Response
from rubricate.domain.scoring import ranked, top_of

Policy = Literal["exclude_used", "top2", "contested", "first_two"]
Pair = tuple[Response, Response]

FEW = 8
"""How many of the top `contested` looks at: the four best and their ties, but no more than these."""


class Choice(msgspec.Struct, frozen=True):
    """The pair to compare next, better first, or None; `why` is a sentence."""

    pair: Pair | None
    why: str


def select(
    policy: Policy,
    responses: Sequence[Response],
    score_by_key: dict[str, float | None],
    tried: Sequence[tuple[str, str]],
) -> Choice:
    """The pair that `policy` compares next, given the pairs of keys already tried.

    Responses without a score are never compared, except by `first_two`, which asks for no scores. Ties are
    broken by content key, never by the order of `responses` (except, again, `first_two`).
    """
    return _POLICIES[policy](responses, score_by_key, tried)


def in_play(
    policy: Policy, responses: Sequence[Response], tried: Sequence[tuple[str, str]]
) -> tuple[Response, ...]:
    """The responses that `policy` may still choose from, in their order: only these need a score."""
    if policy != "exclude_used":
        return tuple(responses)
    used = {key for pair in tried for key in pair}
    return tuple(response for response in responses if response.key not in used)


def _exclude_used(
    responses: Sequence[Response], score_by_key: dict[str, float | None], tried: Sequence[tuple[str, str]]
) -> Choice:
    """The best two that were in no earlier pair: the official default. Pairs walk down the ranking."""
    left = _scored(in_play("exclude_used", responses, tried), score_by_key)
    if len(left) < 2:
        why = "fewer than two scored responses are left that were in no earlier pair"
        return _too_few(why, in_play("exclude_used", responses, tried), score_by_key)
    return Choice((left[0], left[1]), "the best two that were in no earlier pair")


def _top2(
    responses: Sequence[Response], score_by_key: dict[str, float | None], tried: Sequence[tuple[str, str]]
) -> Choice:
    """The best two, also if they were compared before: the paper's Algorithm 1."""
    del tried
    best = _scored(responses, score_by_key)
    if len(best) < 2:
        return _too_few("fewer than two responses have a score", responses, score_by_key)
    return Choice((best[0], best[1]), "the best two under the rubric")


def _contested(
    responses: Sequence[Response], score_by_key: dict[str, float | None], tried: Sequence[tuple[str, str]]
) -> Choice:
    """Among the top few, the untried pair with the smallest margin; then different generators, then the
    most different texts. Ours: the pair that says most about the top, and never the same pair twice."""
    top = [response for response in _scored(responses, score_by_key) if response.key in _few(score_by_key)]
    if len(top) < 2:
        return _too_few("fewer than two responses have a score", responses, score_by_key)
    done = {frozenset(pair) for pair in tried}
    open_pairs = [pair for pair in combinations(top, 2) if frozenset((pair[0].key, pair[1].key)) not in done]
    if not open_pairs:
        return Choice(None, "every pair among the top was compared already")

    def contest(pair: Pair) -> tuple[float, bool, float, str, str]:
        first, second = pair
        difference = (score_by_key[first.key] or 0.0) - (score_by_key[second.key] or 0.0)
        margin = round(difference, 9)  # equal margins differ in their last bits: 3/27 - 2/27 and 2/27 - 1/27
        same_source = first.generator is not None and first.generator == second.generator
        return (margin, same_source, likeness(first.text, second.text), first.key, second.key)

    return Choice(min(open_pairs, key=contest), "the most contested untried pair among the top")


def _first_two(
    responses: Sequence[Response], score_by_key: dict[str, float | None], tried: Sequence[tuple[str, str]]
) -> Choice:
    """The first two responses of the file, unscored, once: the official single round."""
    del score_by_key
    if len(responses) < 2:
        return Choice(None, "there are fewer than two responses")
    if tried:
        return Choice(None, "the first two responses were compared already")
    return Choice((responses[0], responses[1]), "the first two responses of the file")


def _too_few(why: str, responses: Sequence[Response], score_by_key: dict[str, float | None]) -> Choice:
    """No pair; where that is the grader's silence and not the size of the pool, `why` says so."""
    is_silent = any(score_by_key.get(response.key) is None for response in responses)
    return Choice(None, f"{why}; the others have too few verdicts for a score" if is_silent else why)


_Rule = Callable[[Sequence[Response], dict[str, float | None], Sequence[tuple[str, str]]], Choice]
_POLICIES: dict[Policy, _Rule] = {
    "exclude_used": _exclude_used,
    "top2": _top2,
    "contested": _contested,
    "first_two": _first_two,
}


def _few(score_by_key: dict[str, float | None]) -> frozenset[str]:
    """The top and its ties, but never more than a handful: a saturated rubric may tie the whole pool."""
    return frozenset(top_of(score_by_key)[:FEW])


def _scored(responses: Sequence[Response], score_by_key: dict[str, float | None]) -> list[Response]:
    by_key = {response.key: response for response in responses if score_by_key.get(response.key) is not None}
    return [by_key[key] for key in ranked({key: score_by_key[key] for key in by_key})]


def likeness(first: str, second: str) -> float:
    """Share of distinct words that two texts have in common (Jaccard), in [0, 1]."""
    a, b = (set(re.findall(r"\w+", text.casefold())) for text in (first, second))
    return len(a & b) / len(a | b) if a or b else 1.0
