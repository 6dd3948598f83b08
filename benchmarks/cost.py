"""What a rubric costs: regrading everything every round, against reuse, against reuse and bounds.

    python benchmarks/cost.py [--units 100] [--sweep-units 30] [--jobs 2]

The same pools of the simulated world, the same crew, the same gate; the grader is deterministic by response
and criterion. "regrade" is what the official code does: every response in play on all criteria, every round
(16 + 14 + 12 + 10 = 52 gradings a prompt), and what the gate looks at as well. "reuse" asks only criteria
that a response was not asked before. "bounds" (`grade.coverage=top`) asks only responses that could still
matter. Pairs, decisions with their words and final rubrics of the three must be the same, or this fails.

Tokens are the world's (words, cut into pieces of six letters). Cached tokens are those of a prefix cache that
forgets nothing within a prompt, asked in a fixed order: by OpenAI's rule (from 1,024 tokens, in steps of 128)
or by vLLM's (blocks of 16). All three ways have it. Money is at list prices, less for cached tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import msgspec

from rubricate.domain.conversation import Pool
from rubricate.domain.record import PromptRecord, Spend, Step
from rubricate.domain.selection import Policy
from rubricate.llm.meter import Meter, MeteredChat
from rubricate.llm.prices import known_prices
from rubricate.runs.refinement import Rules, refine_prompt
from rubricate.steps.asking import Manner
from rubricate.steps.crew import Crew, ModelGrader, ModelProposer, RecallingGrader
from rubricate.world.dials import Dials, ProposerDials, ServerDials
from rubricate.world.tokens import n_tokens
from rubricate.world.vocabulary import FILLER
from rubricate.world.world import World, WorldChat

GRADER, PROPOSER = "openai/gpt-4.1-mini", "openai/gpt-4.1"
PER_SEED = 10
CACHES = {"OpenAI": (128, 1024), "vLLM": (16, 16)}
WAYS = {"regrade": (False, "all"), "reuse": (True, "all"), "bounds": (True, "top")}
STEPS: tuple[Step, ...] = ("propose", "grade", "refine")


class Setting(NamedTuple):
    """One line of a table. `longer` adds so many tokens of filler to every response."""

    name: str
    policy: Policy = "exclude_used"
    responses: int = 16
    rounds: int = 4
    longer: int = 0
    final: bool = False
    proposer: ProposerDials = ProposerDials()
    cache: str = "OpenAI"


class Bill(NamedTuple):
    """What one way took on one prompt, by step."""

    steps: dict[Step, Spend]


def padded(pool: Pool, tokens: int) -> Pool:
    """The pool with `tokens` more tokens of filler in every response, which says nothing."""
    if not tokens:
        return pool
    sentences, n, place = list[str](), 0, 0
    while n < tokens:
        sentences.append(FILLER[place % len(FILLER)])
        n, place = n + n_tokens(sentences[-1]), place + 1
    text = " ".join(sentences)
    responses = tuple(msgspec.structs.replace(r, text=f"{r.text}\n\n{text}") for r in pool.responses)
    return Pool(pool.prompt, responses)


def played(way: str, setting: Setting, unit: int) -> tuple[PromptRecord, Bill]:
    """One prompt, one way."""
    seed, place = divmod(unit, PER_SEED)
    block, least = CACHES[setting.cache]
    dials = Dials(proposer=setting.proposer, server=ServerDials(cache_block=block, cache_from=least))
    world = World(dials, seed)
    models = [f"great-{number}" for number in range(1, setting.responses + 1)]
    pool = padded(world.pool(world.prompts(PER_SEED)[place], models), setting.longer)
    # The cache starts empty with every prompt: the template alone would be shared, the same for all ways.
    chat, meter = WorldChat(world), Meter()
    reuse, coverage = WAYS[way]
    grader = ModelGrader(MeteredChat(chat, meter, "grade"), Manner(GRADER))
    proposer = ModelProposer(
        MeteredChat(chat, meter, "propose"), MeteredChat(chat, meter, "refine"), Manner(PROPOSER)
    )
    crew = Crew(proposer, RecallingGrader(grader, {}) if reuse else grader)
    rules = Rules(setting.rounds, setting.policy, score_final=setting.final, coverage=coverage)  # type: ignore[arg-type]
    record = asyncio.run(refine_prompt(pool, crew, rules))
    return record, Bill(meter.spend(known_prices()))


def outcome(record: PromptRecord) -> object:
    """All that must not depend on the way."""
    rounds = [
        (played.pair, played.pair_scores_before, played.pair_scores_after, played.decision, played.why)
        for played in record.rounds
    ]
    scores = [(standing.response, standing.score) for standing in record.standings]
    return rounds, record.rubric, record.state, record.why, scores, record.tie_share_after


def of_unit(unit: int, setting: Setting) -> dict[str, Bill]:
    """The bills of all ways on one prompt."""
    found = {way: played(way, setting, unit) for way in WAYS}
    outcomes = {way: outcome(record) for way, (record, _) in found.items()}
    different = [way for way in WAYS if outcomes[way] != outcomes["regrade"]]
    if different:
        raise SystemExit(f"{setting.name}, prompt {unit}: {different} end otherwise than regrading")
    return {way: bill for way, (_, bill) in found.items()}


class Table:
    """The bills of one setting, summed over prompts."""

    def __init__(self, setting: Setting, n_units: int, pool: ProcessPoolExecutor):
        self.setting, self.n = setting, n_units
        self._bills = list(pool.map(partial(of_unit, setting=setting), range(n_units), chunksize=2))

    def total(self, way: str, field: str, steps: Sequence[Step] = STEPS) -> float:
        """One field of the bill, a prompt."""
        spends = (bill[way].steps[step] for bill in self._bills for step in steps if step in bill[way].steps)
        return sum(_field(spend, field) for spend in spends) / self.n

    def ratio(self, way: str, field: str, steps: Sequence[Step] = STEPS) -> float:
        """The field against regrading."""
        return self.total(way, field, steps) / self.total("regrade", field, steps)


def _field(spend: Spend, field: str) -> float:
    if field == "uncached":
        return spend.prompt_tokens - spend.cached_tokens
    return float(getattr(spend, field) or 0)


FIELDS = {"calls": "calls", "prompt tokens": "prompt_tokens", "uncached": "uncached", "USD": "cost_usd"}


def whole(table: Table) -> list[str]:
    """One setting by step: figures a prompt, and ratios to regrading."""
    lines = [f"{'':22}" + "".join(f"{name:>24}" for name in FIELDS)]
    groups: dict[str, Sequence[Step]] = {
        "grade": ("grade",),
        "propose, refine": ("propose", "refine"),
        "all": STEPS,
    }
    for group, steps in groups.items():
        for way in WAYS:
            cells = []
            for field in FIELDS.values():
                value = table.total(way, field, steps)
                said = f"{value:,.5f}" if field == "cost_usd" else f"{value:,.1f}"
                cells.append(f"{said} ({table.ratio(way, field, steps):.3f})")
            lines.append(f"{group:>12} {way:<9}" + "".join(f"{cell:>24}" for cell in cells))
    return lines


def ratios(tables: Sequence[Table]) -> list[str]:
    """Many settings, bounds against regrading: the gradings, and the whole run."""
    head = f"{'bounds against regrading':40}{'grading':>38}{'whole run':>30}"
    names = ("calls", "tokens", "uncached", "USD")
    lines = [head, f"{'':40}{'calls':>8}" + "".join(f"{name:>10}" for name in names[1:])]
    lines[-1] += "".join(f"{name:>10}" for name in names[1:]) + f"{'calls a prompt':>18}"
    for table in tables:
        cells = [f"{table.ratio('bounds', 'calls', ['grade']):8.3f}"]
        for steps in (("grade",), STEPS):
            cells += [
                f"{table.ratio('bounds', f, steps):10.3f}" for f in ("prompt_tokens", "uncached", "cost_usd")
            ]
        before, after = (table.total(way, "calls", ["grade"]) for way in ("regrade", "bounds"))
        calls = f"{before:.1f} -> {after:.1f}"
        lines.append(f"{table.setting.name:40}" + "".join(cells) + f"{calls:>18}")
    return lines


LONG = ProposerDials(knows_common=1, knows_telling=1, knows_rare=0.5, drops=0)
"""A proposer whose first rubrics are long, so that less is left to find."""


def sweep() -> list[Setting]:
    """One thing turned at a time."""
    return [
        Setting("16 responses, 4 rounds"),
        Setting("  with score_final", final=True),
        Setting("  vLLM's cache", cache="vLLM"),
        Setting("  vLLM's cache, score_final", cache="vLLM", final=True),
        Setting("policy top2", "top2"),
        Setting("policy contested", "contested"),
        Setting("8 responses", responses=8),
        Setting("32 responses", responses=32),
        Setting("1 round", rounds=1),
        Setting("2 rounds", rounds=2),
        Setting("8 rounds", rounds=8),
        Setting("8 rounds, 32 responses", responses=32, rounds=8),
        Setting("responses 500 tokens longer", longer=500),
        Setting("responses 1,000 tokens longer", longer=1000),
        Setting("  with vLLM's cache", longer=1000, cache="vLLM"),
        Setting("long first rubrics", proposer=LONG),
    ]


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--units", type=int, default=100)
    parser.add_argument("--sweep-units", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    print(f"dials: {Dials()}\ncaches (block, from): {CACHES}; the first unless a line names the other")
    with ProcessPoolExecutor(given.jobs) as pool:
        for setting in (Setting("16 responses, 4 rounds"), Setting("  with score_final", final=True)):
            print(f"\n{setting.name.strip()}, {setting.policy}, {given.units} prompts; a prompt (ratio):\n")
            print("\n".join(whole(Table(setting, given.units, pool))))
        print(f"\n{given.sweep_units} prompts each:\n")
        print("\n".join(ratios([Table(setting, given.sweep_units, pool) for setting in sweep()])))
    print("\nSame pairs, same decisions, same words, same final rubrics everywhere.")


if __name__ == "__main__":
    main()
