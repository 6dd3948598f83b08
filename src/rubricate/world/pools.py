"""Prompts of the world with answers and their gold, as rows of a pool file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rubricate.world.world import World

DIVERSE = tuple(
    f"{ability}-{number}" for ability in ("great", "good", "fair", "weak") for number in range(1, 5)
)
"""Sixteen models of four abilities."""


def pool_rows(
    world: World, n_prompts: int, generators: Sequence[str], draws: int
) -> Iterator[dict[str, Any]]:
    """One row per prompt: `{id, prompt, responses: [{generator, response, gold}]}`, in order."""
    for number, text in enumerate(world.prompts(n_prompts)):
        pool = world.pool(text, generators, draws)
        yield {
            "id": f"world-{world.seed}-{number}",
            "prompt": text,
            "responses": [
                {"generator": response.generator, "response": response.text, "gold": response.gold}
                for response in pool.responses
            ],
        }
