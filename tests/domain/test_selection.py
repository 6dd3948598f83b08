"""Which two responses to compare next: pure functions of scores and of what was tried."""

from random import Random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.conversation import Response
from rubricate.domain.scoring import ranked, top_of
from rubricate.domain.selection import Choice, Policy, in_play, likeness, select
from tests.builders import responses

Scores = dict[str, float | None]
POLICIES: tuple[Policy, ...] = get_args(Policy)
SCORED = tuple(policy for policy in POLICIES if policy != "first_two")


def scores_of(pool: tuple[Response, ...], values: list[float | None]) -> Scores:
    """Score by key, in the order of the pool."""
    return {response.key: value for response, value in zip(pool, values, strict=True)}


@st.composite
def scored_pools(draw: st.DrawFn) -> tuple[tuple[Response, ...], Scores]:
    """Up to nine responses of up to three generators, few different scores, some without one."""
    n = draw(st.integers(0, 9))
    pool = tuple(
        Response(f"answer {place} {draw(st.sampled_from(['short', 'long and wide']))}", generator)
        for place, generator in enumerate(
            draw(st.lists(st.sampled_from(["x", "y", None]), min_size=n, max_size=n))
        )
    )
    value = st.none() | st.sampled_from([0.2, 0.5, 0.8, 0.9])
    return pool, scores_of(pool, draw(st.lists(value, min_size=n, max_size=n)))


def keys_of(choice: Choice) -> tuple[str, str] | None:
    """The keys of the pair, better first."""
    return choice.pair and (choice.pair[0].key, choice.pair[1].key)


def walk(
    policy: Policy, pool: tuple[Response, ...], scores: Scores, limit: int = 50
) -> list[tuple[str, str]]:
    """The pairs of round after round, under scores that stay as they are."""
    tried: list[tuple[str, str]] = []
    while len(tried) < limit and (keys := keys_of(select(policy, pool, scores, tried))) is not None:
        tried.append(keys)
    return tried


@given(scored_pools(), st.sampled_from(SCORED), st.randoms(use_true_random=False))
def test_the_order_of_the_file_is_never_seen(
    scored: tuple[tuple[Response, ...], Scores], policy: Policy, random: Random
) -> None:
    """Every policy but `first_two` gives the same pair for the same pool in any order."""
    pool, scores = scored
    shuffled, items = list(pool), list(scores.items())
    random.shuffle(shuffled)
    random.shuffle(items)
    for tried in ([], walk(policy, pool, scores, limit=1)):
        assert keys_of(select(policy, shuffled, dict(items), tried)) == keys_of(
            select(policy, pool, scores, tried)
        )


@given(scored_pools(), st.sampled_from(SCORED))
def test_a_pair_is_two_scored_responses_better_first(
    scored: tuple[tuple[Response, ...], Scores], policy: Policy
) -> None:
    """What has no score is never compared, and nothing is compared with itself."""
    pool, scores = scored
    for first, second in walk(policy, pool, scores, limit=3):
        assert first != second
        assert ranked(scores).index(first) < ranked(scores).index(second)
        assert scores[first] is not None
        assert scores[second] is not None


@given(scored_pools(), st.sampled_from(POLICIES))
def test_a_choice_says_why(scored: tuple[tuple[Response, ...], Scores], policy: Policy) -> None:
    """Also when there is no pair."""
    pool, scores = scored
    assert select(policy, pool, scores, []).why
    assert select(policy, pool, dict.fromkeys(scores), []).why


@pytest.mark.parametrize("policy", SCORED)
def test_a_silent_grader_is_not_a_small_pool(policy: Policy) -> None:
    """Without a pair for want of verdicts, the reason says so; for want of responses, it does not."""
    pool = responses(3)
    assert "too few verdicts" in select(policy, pool, scores_of(pool, [0.5, None, None]), []).why
    assert "verdicts" not in select(policy, pool[:1], scores_of(pool[:1], [0.5]), []).why


@given(scored_pools())
def test_exclude_used_walks_down_the_ranking(scored: tuple[tuple[Response, ...], Scores]) -> None:
    """The pairs are ranks 1-2, 3-4, 5-6, ...: no response comes twice, and all that have a score come."""
    pool, scores = scored
    best = [key for key in ranked(scores) if scores[key] is not None]
    assert walk("exclude_used", pool, scores) == list(zip(best[::2], best[1::2], strict=False))


def test_exclude_used_needs_scores_only_of_what_is_left() -> None:
    """What was used is out of play; for other policies all stay in it."""
    pool = responses(4)
    tried = [(pool[3].key, pool[0].key)]
    assert in_play("exclude_used", pool, tried) == (pool[1], pool[2])
    for policy in POLICIES:
        if policy != "exclude_used":
            assert in_play(policy, pool, tried) == pool


@given(scored_pools())
def test_top2_is_always_the_best_two(scored: tuple[tuple[Response, ...], Scores]) -> None:
    """Whatever was tried before: the paper compares the same pair again."""
    pool, scores = scored
    best = [key for key in ranked(scores) if scores[key] is not None][:2]
    expected = [(best[0], best[1])] * 3 if len(best) == 2 else []
    assert walk("top2", pool, scores, limit=3) == expected


@given(scored_pools())
def test_contested_never_compares_a_pair_twice_and_ends(scored: tuple[tuple[Response, ...], Scores]) -> None:
    """It goes through the pairs of the top, each once, the smallest margins first (so ties before all)."""
    pool, scores = scored
    pairs = walk("contested", pool, scores)
    top = top_of(scores)[:8]
    assert len({frozenset(pair) for pair in pairs}) == len(pairs) == len(top) * (len(top) - 1) // 2
    margins = [round((scores[first] or 0) - (scores[second] or 0), 9) for first, second in pairs]
    assert margins == sorted(margins)
    assert {key for pair in pairs for key in pair} <= set(top)


def test_contested_knows_a_pair_in_either_order() -> None:
    """A pair that was tried the other way round was tried."""
    pool = responses(2)
    scores = scores_of(pool, [0.5, 0.5])
    for tried in ([(pool[0].key, pool[1].key)], [(pool[1].key, pool[0].key)]):
        assert select("contested", pool, scores, tried).pair is None


@given(st.permutations(["v", "w", "x", "y"]), st.permutations([1, 2, 4, 8]))
def test_among_equal_margins_and_foreign_generators_the_most_different_texts_come_first(
    generators: list[str], lengths: list[int]
) -> None:
    """Every text is the head of the next longer one, so the shortest and the longest have least in common."""
    pool = tuple(
        Response(" ".join(f"word{place}" for place in range(length)), generator)
        for generator, length in zip(generators, lengths, strict=True)
    )
    first, second = select("contested", pool, scores_of(pool, [0.5] * 4), []).pair or pool[:2]
    assert {len(first.text.split()), len(second.text.split())} == {1, 8}


def test_different_generators_come_before_different_texts() -> None:
    """Of two models the ways to be good differ more than of one."""
    alike, foreign = Response("one two three", "x"), Response("one two three four", "y")
    unlike = Response("quite other words", "x")
    pool = (alike, unlike, foreign)
    pairs = [{first, second} for first, second in walk("contested", pool, scores_of(pool, [0.5] * 3))]
    assert pairs == [{unlike.key, foreign.key}, {alike.key, foreign.key}, {alike.key, unlike.key}]


def test_unknown_generators_are_not_the_same_generator() -> None:
    """Two answers of nobody in particular may well be of two models."""
    one, two = Response("a b c d"), Response("a b c d e")
    pool = (one, two, Response("f", "x"), Response("g", "x"))
    scores = scores_of(pool, [0.5, 0.5, 0.3, 0.3])
    assert set(walk("contested", pool, scores)[0]) == {one.key, two.key}


def test_equal_margins_are_equal_despite_rounding() -> None:
    """27ths: 25-24 and 24-23 are one margin, though their floats differ; so the generators decide."""
    assert 25 / 27 - 24 / 27 != 24 / 27 - 23 / 27
    for swapped in (False, True):
        names = ["x", "x", "y"] if swapped else ["y", "x", "x"]
        pool = tuple(Response(f"answer {place}", name) for place, name in enumerate(names))
        scores = scores_of(pool, [25 / 27, 24 / 27, 23 / 27])
        pair = select("contested", pool, scores, []).pair
        assert pair is not None
        assert pair[0].generator != pair[1].generator


def test_contested_stays_a_handful_when_all_are_tied() -> None:
    """A saturated rubric ties the whole pool; then eight responses, 28 pairs, are enough."""
    pool = responses(30)
    assert len(walk("contested", pool, scores_of(pool, [1.0] * 30))) == 28


def test_first_two_are_of_the_file_and_come_once() -> None:
    """No scores are needed; a second round has no pair."""
    pool = responses(4)
    assert select("first_two", pool, {}, []).pair == (pool[0], pool[1])
    assert select("first_two", pool[::-1], {}, []).pair == (pool[3], pool[2])
    assert select("first_two", pool, {}, [(pool[0].key, pool[1].key)]).pair is None
    assert select("first_two", pool[:1], {}, []).pair is None


@given(st.text(max_size=30), st.text(max_size=30))
def test_likeness_is_symmetric_and_in_0_to_1(one: str, two: str) -> None:
    """1 for a text and itself."""
    assert likeness(one, two) == likeness(two, one)
    assert 0 <= likeness(one, two) <= 1
    assert likeness(one, one) == 1


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [("a b c", "b c d", 2 / 4), ("A b", "a B b", 1.0), ("", "", 1.0), ("a", "", 0.0), ("a b", "c d", 0.0)],
)
def test_likeness_by_hand(one: str, two: str, expected: float) -> None:
    """Words in common over all words, whatever their case and number."""
    assert likeness(one, two) == expected
