"""Rubrics refreshed during training against rubrics that stay, in the simulated world whose truth is known.

The policy under training is played by models of the world that get better: fair, good, great. Each step every
prompt has a group of 16 completions, graded by the real reward; online a refresh follows every `--every`
steps. Then the policy as it is in the end writes 48 fresh responses to each prompt, and the rubric
orders them: how many pairs of its top it ties, and how much of the tail it orders as gold does. All figures
have 95% intervals over prompts; differences are paired by prompt.

    python benchmarks/online.py --prompts 120
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from rubricate.domain.conversation import Prompt
from rubricate.domain.intervals import mean
from rubricate.domain.rubric import Rubric
from rubricate.domain.scoring import top_tie_share
from rubricate.llm.chat import Reply, Request
from rubricate.rewards.panel import Panel
from rubricate.rewards.reward import RubricReward
from rubricate.runs.refinement import Rules, refine_prompt
from rubricate.steps.asking import Manner
from rubricate.steps.crew import Crew, ModelGrader, ModelProposer, RecallingGrader
from rubricate.training.online.refresh import refresh
from rubricate.training.online.rubrics import OnlineRubrics
from rubricate.training.online.rules import OnlineRules
from rubricate.world.dials import Dials
from rubricate.world.judging import WorldGrader
from rubricate.world.truth import gold_of, order_of, scores_under, tail_of
from rubricate.world.world import World, WorldChat

PER_SEED, GROUP, FRESH = 10, 16, 48
COURSE = ("fair-1", "fair-1", "good-1", "good-1", "great-1", "great-1", "great-1", "great-1")
"""Who plays the policy at each step."""
FIGURES = "ties at its top | ties in the tail | tail, ties wrong | tail, ties half"


class Way(NamedTuple):
    """One way to have rubrics: `offline` rounds before training on the responses of `pool`, 16 in all, and
    refreshes or none; with `reference` also against the first policy."""

    name: str
    rules: OnlineRules | None = None
    offline: int = 0
    pool: tuple[str, ...] = ()
    reference: bool = False


class Value(NamedTuple):
    """What one prompt's rubric is worth in the end, and what the prompt took."""

    top: float
    ties: float
    right: float
    half: float
    criteria: float
    gradings: float
    proposals: float


class Counted:
    """The world's chat, counted by what is asked."""

    def __init__(self, world: World):
        self._chat, self.calls = WorldChat(world), Counter[str]()

    async def ask(self, request: Request) -> Reply:
        self.calls[request.schema.name if request.schema else "sample"] += 1
        return await self._chat.ask(request)


def ways(every: int) -> list[Way]:
    """The ways that are put beside each other."""
    great = tuple(f"great-{number}" for number in range(11, 27))
    few = {"every": every, "groups": 2, "min_verdicts": 16}
    return [
        Way("stays as proposed"),
        Way("offline, 4 rounds on the first policy", offline=4, pool=COURSE[:1]),
        Way("offline, 4 rounds on 16 great models", offline=4, pool=great),
        Way("online, top2", OnlineRules(**few)),
        Way("online, contested", OnlineRules(policy="contested", **few)),
        Way("online, nothing retires", OnlineRules(**{**few, "min_verdicts": 10**9}, look_again=0)),
        Way("online, no gate", OnlineRules(gate=False, **few)),
        Way("online, two pairs", OnlineRules(pairs=2, policy="contested", **few)),
        Way("online, and against the first policy", OnlineRules(**few), reference=True),
    ]


def beside(cases: Sequence[Way]) -> list[tuple[str, str]]:
    """Which of the ways are compared by prompt."""
    stays, _, great, usual, *others, two, against = (way.name for way in cases)
    return [
        *((name, stays) for name in (great, usual, against)),
        (usual, great),
        *((name, usual) for name in (*others, two)),
        (against, two),
    ]


def said(world: World, prompt: str, model: str, first: int, n: int) -> list[str]:
    """`n` completions of a model."""
    messages = Prompt.of_text(prompt).messages
    return [world.answer(model, messages, draw=draw) for draw in range(first, first + n)]


async def begun(chat: Counted, prompt: str, world: World, way: Way) -> Rubric:
    """The rubric that training begins with."""
    pool = world.pool(prompt, way.pool or COURSE[:1], GROUP // max(1, len(way.pool)))
    crew = Crew(
        ModelProposer(chat, chat, Manner("proposer")),
        RecallingGrader(ModelGrader(chat, Manner("grader")), {}),
    )
    record = await refine_prompt(pool, crew, Rules(way.offline, score_final=False))
    assert record.rubric is not None
    return record.rubric


def values_of(seed: int, way: Way, place: Path) -> list[Value]:
    """The values of the prompts of one seed."""
    world = World(Dials(), seed)
    chat, prompts = Counted(world), world.prompts(PER_SEED)

    @asynccontextmanager
    async def opening() -> AsyncIterator[Panel]:
        yield Panel(ModelGrader(chat, Manner("grader")), ModelProposer(chat, chat, Manner("proposer")))

    given = {prompt: asyncio.run(begun(chat, prompt, world, way)) for prompt in prompts}
    reference = {
        Prompt.of_text(prompt).key: said(world, prompt, COURSE[0], 900, 2)
        for prompt in prompts
        if way.reference
    }
    online = None if way.rules is None else OnlineRubrics(place, way.rules, reference)
    with RubricReward(opening, versions=online) as reward:
        for step, model in enumerate(COURSE):
            texts = [text for prompt in prompts for text in said(world, prompt, model, step * GROUP, GROUP)]
            asked = [prompt for prompt in prompts for _ in range(GROUP)]
            reward.grade(asked, texts, [given[prompt] for prompt in asked], step=step)
            if way.rules is not None and (step + 1) % way.rules.every == 0:
                refresh(reward, step + 1)
    found = []
    for prompt in prompts:
        rubric = given[prompt]
        if online is not None:
            version = online.version(Prompt.of_text(prompt).key)
            rubric = version.rubric if version is not None else rubric
        texts = list(dict.fromkeys(said(world, prompt, COURSE[-1], 1_000, FRESH)))
        golds = [gold(world, prompt, text) for text in texts]
        scores = scores_under(rubric, WorldGrader(world.dials.grader, seed, "grader"), texts)
        order = order_of(golds, scores, tail_of(golds))
        top = top_tie_share(dict(zip(map(str, range(len(texts))), scores, strict=True)))
        if order.right is None or order.half is None or order.ties is None or top is None:
            continue  # the golds of its tail are all equal: there is nothing to order, whatever the rubric
        asked = (chat.calls["verdicts"] / PER_SEED, chat.calls["rubric"] / PER_SEED)
        found.append(Value(top, order.ties, order.right, order.half, len(rubric.criteria), *asked))
    return found


def gold(world: World, prompt: str, text: str) -> float:
    """The gold of a text."""
    value = gold_of(world.seed, prompt, text)
    assert value is not None
    return value


def told(values: Sequence[float], digits: int = 3) -> str:
    """A mean with its interval."""
    estimate = mean(values)
    assert estimate is not None
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=120)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=100)
    given = parser.parse_args()
    started, cases = time.monotonic(), ways(given.every)
    table: dict[str, list[Value]] = {way.name: [] for way in cases}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(given.first_seed, given.first_seed + given.prompts // PER_SEED):
            for number, way in enumerate(cases):
                table[way.name] += values_of(seed, way, Path(folder) / f"{seed}-{number}")
    n = len(table[cases[0].name])
    command = f"python benchmarks/online.py --prompts {given.prompts} --every {given.every}"
    print(f"`{command}`: {n} prompts whose tail can be ordered.\n")
    print(f"| rubric | {FIGURES} | criteria | gradings | proposals |")
    print("|---|---|---|---|---|---|---|---|")
    for name, values in table.items():
        columns = list(zip(*values, strict=True))
        counts = " | ".join(f"{sum(column) / n:.1f}" for column in columns[4:])
        print(f"| {name} | {' | '.join(told(column) for column in columns[:4])} | {counts} |")
    print(f"\nPaired by prompt:\n\n| rubric | less | {FIGURES} |\n|---|---|---|---|---|---|")
    for name, base in beside(cases):
        gains = [
            [one[place] - other[place] for one, other in zip(table[name], table[base], strict=True)]
            for place in range(4)
        ]
        print(f"| {name} | {base} | {' | '.join(told(gain) for gain in gains)} |")
    print(f"\nAll of it took {time.monotonic() - started:.0f} s.")


if __name__ == "__main__":
    main()
