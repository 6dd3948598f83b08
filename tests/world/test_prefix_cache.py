"""The world's prefix cache: what it serves, from where on, and that it stands in the usage of a reply."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.conversation import Message
from rubricate.llm.chat import Request
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.http import HttpChat
from rubricate.world.dials import Dials, ServerDials
from rubricate.world.prefix_cache import PrefixCache, cache_of
from rubricate.world.server import WorldServer
from rubricate.world.world import World, WorldChat


def said(*words: str) -> list[Message]:
    """One user turn of these words; a turn has four tokens of frame."""
    return [Message("user", " ".join(words))]


def test_whole_blocks_of_a_common_beginning_are_served() -> None:
    """Blocks of four: frame, then eight words. A question that agrees in the first five words is served frame
    and one block; an equal one all but what holds the last token."""
    cache = PrefixCache(block=4, least=4)
    assert cache.cached_of("m", said(*"abcdefgh")) == 0
    assert cache.cached_of("m", said(*"abcdeXYZ")) == 8
    assert cache.cached_of("m", said(*"abcdefgh")) == 8
    assert cache.cached_of("m", said(*"abcdefghi")) == 12
    assert cache.cached_of("m", said(*"Xbcdefgh")) == 4


def test_models_do_not_share() -> None:
    """What was computed for one model is of no use to another."""
    cache = PrefixCache(block=4, least=4)
    cache.cached_of("m", said(*"abcdefgh"))
    assert cache.cached_of("n", said(*"abcdefgh")) == 0


def test_below_the_least_length_nothing_is_served() -> None:
    """OpenAI's rule: from 1,024 tokens on, in steps of 128."""
    words = [f"w{n}" for n in range(2000)]
    cache = cache_of(ServerDials(cache_block=128))
    assert cache is not None
    assert cache.cached_of("m", said(*words)) == 0
    assert cache.cached_of("m", said(*words[:1000], "other")) == 0  # 1,004 tokens agree: 7 blocks, 896
    assert cache.cached_of("m", said(*words[:1020], "other", "more")) == 1024
    assert cache.cached_of("m", said(*words)) == 1920
    assert cache_of(ServerDials()) is None


@given(st.lists(st.lists(st.sampled_from("ab"), max_size=12), max_size=8), st.integers(1, 5))
def test_what_is_served_is_a_beginning_that_was_asked(questions: list[list[str]], block: int) -> None:
    """Never more than the longest common beginning with an earlier question, and no block less than it."""
    cache, asked = PrefixCache(block, block), list[list[str]]()
    for words in questions:
        tokens = ["<"] * 4 + words
        common = max((_common(tokens, other) for other in asked), default=0)
        most = min(common, len(tokens) - 1)
        assert cache.cached_of("m", said(*words)) == most // block * block
        asked.append(tokens)


def _common(one: list[str], other: list[str]) -> int:
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


async def test_it_stands_in_the_usage_over_http_and_within_the_process() -> None:
    """The same count through the server and without it; without the dial there is none."""
    dials = Dials(server=ServerDials(cache_block=16, cache_from=16))
    world = World(dials, seed=3)
    request = Request("good-1", tuple(said(*(f"word{n}" for n in range(40)))))
    near = WorldChat(world)
    async with WorldServer(world) as server, HttpChat(Endpoint(server.base_url)) as http:
        for expected in (0, 32):
            assert (await http.ask(request)).usage.cached_tokens == expected
            assert (await near.ask(request)).usage.cached_tokens == expected
    async with WorldServer(World(seed=3)) as server, HttpChat(Endpoint(server.base_url)) as http:
        await http.ask(request)
        assert (await http.ask(request)).usage.cached_tokens == 0
