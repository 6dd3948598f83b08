"""The cases that `benchmarks/world.py` puts beside each other, and what one case is worth on one prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from rubricate.domain.conversation import Pool
from rubricate.domain.record import PromptRecord
from rubricate.domain.selection import Policy
from rubricate.llm.chat import Chat
from rubricate.llm.meter import Meter, MeteredChat
from rubricate.llm.prices import Prices
from rubricate.runs.refinement import Rules, refine_prompt
from rubricate.steps.asking import Manner
from rubricate.steps.crew import Crew, ModelGrader, ModelJudge, ModelProposer, RecallingGrader
from rubricate.world.dials import PERFECT, Dials, GraderDials, JudgeDials, ProposerDials, ResponderDials
from rubricate.world.judging import WorldGrader
from rubricate.world.topics import topic_of
from rubricate.world.truth import order_of, regret_of, rubric_by_round, scores_under, tail_of
from rubricate.world.world import World, WorldChat

PROMPTS_PER_SEED = 10
HELD_OUT = tuple(
    f"{ability}-{letter}" for ability in ("weak", "fair", "good", "great") for letter in "abcdefgh"
)
HELD_OUT_DRAWS = 3
GRADER = "grader"


class Case(NamedTuple):
    """One way to get a rubric. `generators` x `draws` are the pool that refinement sees."""

    name: str
    generators: tuple[str, ...] = ()
    draws: int = 1
    rounds: int = 0
    policy: Policy = "top2"
    gate: bool = False
    judge: bool = False
    dials: Dials = Dials()
    by_round: bool = False


class Value(NamedTuple):
    """What one rubric is worth on the held-out responses of one unit, and what it cost."""

    right: float
    half: float
    ties: float
    regret: float
    low: float
    criteria: float
    gradings: float
    accepted: float


def great(n: int) -> tuple[str, ...]:
    """`n` different great models."""
    return tuple(f"great-{number}" for number in range(1, n + 1))


def crew_of(case: Case, chat: Chat, meter: Meter) -> Crew:
    """The roles of a case, all played by the world."""
    proposing = MeteredChat(chat, meter, "refine")
    return Crew(
        ModelProposer(proposing, proposing, Manner("proposer")),
        RecallingGrader(ModelGrader(MeteredChat(chat, meter, "grade"), Manner(GRADER)), {}),
        ModelJudge(MeteredChat(chat, meter, "judge"), Manner("judge")) if case.judge else None,
    )


def record_of(case: Case, chat: Chat, pool: Pool, meter: Meter) -> PromptRecord:
    """The prompt through the real loop, without the final scoring of the pool: all cases would need it."""
    rules = Rules(case.rounds, case.policy, case.gate, score_final=False)
    return asyncio.run(refine_prompt(pool, crew_of(case, chat, meter), rules))


@lru_cache(maxsize=64)
def pool_of(seed: int, prompt: str, dials: ResponderDials, generators: tuple[str, ...], draws: int) -> Pool:
    """The pool of a prompt; the same for all cases that differ in their crew alone."""
    return World(Dials(responder=dials), seed).pool(prompt, generators, draws)


def values_of(unit: int, cases: Sequence[Case]) -> list[list[Value]]:
    """For each case the value of its last rubric (or, `by_round`, of the rubric after each round) on the
    held-out responses of this unit."""
    seed, place = divmod(unit, PROMPTS_PER_SEED)
    found = []
    for case in cases:
        world = World(case.dials, seed)
        prompt = world.prompts(PROMPTS_PER_SEED)[place]
        topic = topic_of(seed, prompt)
        assert topic is not None
        pool = pool_of(seed, prompt, case.dials.responder, case.generators, case.draws)
        meter = Meter()
        record = record_of(case, WorldChat(world), pool, meter)
        spend = meter.spend(Prices({})).get("grade")
        held_out = pool_of(seed, prompt, case.dials.responder, HELD_OUT, HELD_OUT_DRAWS)
        texts = [response.text for response in held_out.responses]
        golds = [topic.gold(text) for text in texts]
        tail = tail_of(golds)
        rest = [number for number in range(len(golds)) if number not in tail][:: max(1, len(golds) // 32)]
        grader = WorldGrader(case.dials.grader, seed, GRADER)
        accepted = sum(played.decision == "accepted" for played in record.rounds)
        rounds = []
        for rubric in rubric_by_round(record)[0 if case.by_round else -1 :]:
            scores = scores_under(rubric, grader, texts)
            order, low = order_of(golds, scores, tail), order_of(golds, scores, rest)
            regret = regret_of(golds, scores)
            assert order.right is not None and order.half is not None and order.ties is not None
            assert regret is not None and low.right is not None
            numbers = (len(rubric.criteria), spend.calls if spend else 0, accepted)
            rounds.append(Value(order.right, order.half, order.ties, regret, low.right, *map(float, numbers)))
        found.append(rounds)
    return found


PAPER = (
    Case("initial"),
    Case("1 good pair", ("good-1",), 2, 1, "first_two"),
    Case("1 great pair", ("great-1",), 2, 1, "first_two"),
    Case("4 good pairs", ("good-1",), 16, 4),
    Case("4 great pairs", ("great-1",), 16, 4),
    Case("4 great & diverse pairs", great(16), 1, 4),
)
"""The rubrics of the paper, by its Algorithm 1: the top two each round, no gate."""


def broken(name: str, dials: Dials) -> list[Case]:
    """The cases of the paper under other dials."""
    return [case._replace(name=f"{name}: {case.name}", dials=dials) for case in PAPER]


def variations() -> dict[str, Dials]:
    """One dial turned at a time."""
    grader = {
        f"grader {level:g} / {level:g}": GraderDials(sensitivity=level, specificity=level)
        for level in (1, 0.9, 0.8, 0.7, 0.6)
    }
    grader["grader errors shared by a response"] = GraderDials(
        sensitivity=0.8, specificity=0.8, correlated=0.9
    )
    grader["grader likes length"] = GraderDials(length_bias=0.5)
    proposer = {
        "proposer notices 0.2": ProposerDials(notices=0.2),
        "proposer notices 1": ProposerDials(notices=1),
        "proposer discerns 0.5": ProposerDials(discerns=0.5),
        "proposer discerns 0.3": ProposerDials(discerns=0.3),
        "proposer discerns 1": ProposerDials(discerns=1),
        "proposer repeats 0.6": ProposerDials(repeats=0.6, rewords=0.3),
        "proposer drops 0.4": ProposerDials(drops=0.4),
        "proposer falls for style": ProposerDials(spurious=0.9),
        "proposer knows the rare": ProposerDials(knows_common=1, knows_telling=0.9, knows_rare=0.8),
    }
    responder = {f"steepness {level:g}": ResponderDials(steepness=level) for level in (3, 6, 9)}
    responder |= {f"habit {level:g}": ResponderDials(habit=level) for level in (0.0, 0.9)}
    return {
        "as above": Dials(),
        **{name: Dials(grader=dials) for name, dials in grader.items()},
        **{name: Dials(proposer=dials) for name, dials in proposer.items()},
        **{name: Dials(responder=dials) for name, dials in responder.items()},
        "a perfect crew": PERFECT,
    }


WORSE = Dials(
    grader=GraderDials(sensitivity=0.85, specificity=0.85), proposer=ProposerDials(discerns=0.6, spurious=0.4)
)
POLICIES: tuple[Policy, ...] = ("exclude_used", "top2", "contested")
GATES = {"no gate": None, "gate": 0.0, "gate and judge": 0.9, "gate and perfect judge": 1.0}
"""None: no gate; else the accuracy of the judge, 0 for a gate without one."""


def judged(dials: Dials, accuracy: float | None) -> Dials:
    """The dials with a judge of this accuracy."""
    return msgspec.structs.replace(dials, judge=JudgeDials(accuracy=accuracy or 0.0))


def policy_cases(dials: Dials) -> list[Case]:
    """Pair policies x gate, 16 diverse great responses, 4 rounds."""
    return [
        Case(
            f"{policy}, {name}",
            great(16),
            1,
            4,
            policy,
            accuracy is not None,
            bool(accuracy),
            judged(dials, accuracy),
        )
        for policy in POLICIES
        for name, accuracy in GATES.items()
    ]


def round_cases() -> list[Case]:
    """Up to eight rounds, and the grading calls of 1, 2, 4, 6 and 8."""
    return [
        Case(f"{policy}, rounds {rounds}", great(16), 1, rounds, policy, True, by_round=rounds == 8)
        for policy in POLICIES
        for rounds in (1, 2, 4, 6, 8)
    ]


def size_cases() -> list[Case]:
    """2 to 32 responses, each from a great model of its own, 4 rounds."""
    return [
        Case(f"{policy}, responses {size}", great(size), 1, 4, policy, True)
        for policy in POLICIES
        for size in (2, 4, 8, 16, 32)
    ]


def drop_cases() -> list[Case]:
    """How readily the refiner drops what both responses meet, for `exclude_used` with the gate."""
    return [
        Case(f"drops {chance:g}", great(16), 1, 4, "exclude_used", True, dials=dropping(chance))
        for chance in (0, 0.1, 0.4)
    ]


def dropping(chance: float) -> Dials:
    """The usual dials with another chance of dropping."""
    return Dials(proposer=ProposerDials(drops=chance))
