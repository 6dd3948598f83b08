"""What a run will take, before anything is spent: calls, tokens and money by step.

Counted from the real templates and the real texts; what only the models can know is assumed and said:
how many criteria a rubric has, how many of them are new each round, how long a criterion is, and, with
`grade.coverage=top`, how many responses a later round has to ask. The number of calls is the one when every
refinement is accepted; refusals and `offline` need fewer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import ceil

import msgspec

from rubricate.domain.conversation import Pool, Response
from rubricate.domain.record import Spend, Step
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.domain.scoring import TOP
from rubricate.llm.chat import Usage
from rubricate.llm.prices import Prices
from rubricate.runs.refinement import Rules
from rubricate.runs.rubric_files import RubricFile
from rubricate.steps.asking import template
from rubricate.steps.grade import question


class Assumed(msgspec.Struct, frozen=True):
    """What is assumed of the models. Tokens are estimated at four characters each. `contenders`: responses
    that a round after the first asks with `grade.coverage=top`, its pair included; in the simulated world it
    is 5 to 8 of 16 (benchmarks/cost.py)."""

    criteria: int = 12
    new_criteria_per_round: int = 4
    criterion_characters: int = 130
    characters_per_token: float = 4.0
    verdict_tokens: int = 8
    contenders: int = 6
    response_tokens: int = 700


ASSUMED = Assumed()


class Shape(msgspec.Struct, frozen=True):
    """What of the settings decides the bill. A model that is None asks nothing (the offline engine)."""

    rules: Rules
    proposer: str | None
    grader: str | None
    judge: str | None
    reuse: bool
    criteria_per_call: int | None
    samplers: tuple[str, ...] = ()
    responses_per_model: int = 1


def plan(
    pools: Iterable[Pool],
    shape: Shape,
    prices: Prices,
    initial: RubricFile | None = None,
    assumed: Assumed = ASSUMED,
) -> dict[Step, Spend]:
    """Calls, tokens and money by step for all pools together, without the repeats that the ledger saves."""
    bill = _Bill(shape, prices, assumed)
    for pool in pools:
        bill.add(pool, (initial or RubricFile()).of(pool.prompt))
    return bill.steps()


def turnarounds(shape: Shape, *, proposes: bool) -> dict[Step, int]:
    """How often a run waits for each step, one after the other, where every question is asked at once: what a
    run by batch takes, each a turnaround of the provider. With `grade.coverage=all` the most that the loop
    can take, while `top` asks a grading in waves, each a further wait. Replies that cannot be read and rows
    that fail take more, a prompt that is done early less.

    `proposes`: whether a prompt has no rubric to start from. A round grades what is new of the responses in
    play, refines, and with the gate grades the pair and then the rest of the old top; a judge is asked for
    both orders at once.
    """
    rules, rounds = shape.rules, shape.rules.max_iterations
    grades = rounds * ((rules.policy != "first_two") + (2 if rules.gate else 0)) + rules.score_final
    counts: dict[Step, int] = {
        "sample": 1 if shape.samplers else 0,
        "propose": 1 if shape.proposer and proposes else 0,
        "grade": grades if shape.grader else 0,
        "refine": rounds if shape.proposer else 0,
        "judge": rounds if shape.judge and rules.gate else 0,
    }
    return {step: n for step, n in counts.items() if n}


class _Bill:
    """Adds up one pool after the other."""

    def __init__(self, shape: Shape, prices: Prices, assumed: Assumed):
        self.shape, self.prices, self.assumed = shape, prices, assumed
        self._calls: dict[tuple[Step, str], int] = {}
        self._usage: dict[tuple[Step, str], Usage] = {}

    def add(self, pool: Pool, initial: Rubric | None) -> None:
        prompt_text = pool.prompt.text
        lengths = [len(response.text) for response in pool.responses]
        lengths += self._sampled(pool)
        frame = len(question(pool.prompt, Response("x"), [Criterion("c1", "x")])) - 6
        rules, assumed = self.shape.rules, self.assumed
        criteria = len(initial.criteria) if initial else assumed.criteria
        written = criteria * (assumed.criterion_characters + 50)
        if initial is None and self.shape.proposer:
            self._count("propose", self.shape.proposer, len(template("propose")) + len(prompt_text), written)
        playing, total = list(lengths), criteria
        graded = dict.fromkeys(range(len(playing)), 0)
        places = list(range(len(playing)))
        for number in range(rules.max_iterations):
            if rules.policy != "first_two":
                is_all = number == 0 or rules.coverage == "all"
                asked = places if is_all else places[: assumed.contenders]
                self._grade(frame, asked, playing, graded, total)
            if len(places) < 2:
                break
            pair = places[:2]
            texts = len(prompt_text) + sum(playing[place] for place in pair) + written
            if self.shape.proposer:
                self._count("refine", self.shape.proposer, len(template("refine")) + texts, written)
            total += assumed.new_criteria_per_round
            if rules.gate:
                top = 2 if rules.policy == "first_two" else TOP
                self._grade(frame, places[:top], playing, graded, total)
                if self.shape.judge:
                    for _ in range(2):
                        self._count("judge", self.shape.judge, len(template("compare")) + texts - written, 40)
            if rules.policy == "exclude_used":
                places = places[2:]
        if rules.score_final:
            self._grade(frame, list(range(len(playing))), playing, graded, total)

    def _grade(
        self, frame: int, places: list[int], lengths: list[int], graded: dict[int, int], total: int
    ) -> None:
        """One grading of each place on what it was not graded on yet; `frame` is the length of a question but
        for the response and the criteria."""
        if not self.shape.grader:
            return
        for place in places:
            new = total - graded[place] if self.shape.reuse else total
            graded[place] = total
            if new <= 0:
                continue
            size = self.shape.criteria_per_call or new
            for start in range(0, new, size):
                asked = min(size, new - start)
                listed = asked * (self.assumed.criterion_characters + 6)
                replied = asked * self.assumed.verdict_tokens * self.assumed.characters_per_token
                self._count("grade", self.shape.grader, frame + lengths[place] + listed, replied)

    def _sampled(self, pool: Pool) -> list[int]:
        """Lengths of the responses that will be sampled, which are assumed."""
        have = Counter(response.generator for response in pool.responses)
        lengths = list[int]()
        for model in self.shape.samplers:
            for _ in range(self.shape.responses_per_model - have[model]):
                written = self.assumed.response_tokens * self.assumed.characters_per_token
                self._count("sample", model, len(pool.prompt.text), written)
                lengths.append(int(written))
        return lengths

    def _count(self, step: Step, model: str, asked: float, replied: float) -> None:
        tokens = self.assumed.characters_per_token
        usage = Usage(prompt_tokens=ceil(asked / tokens), completion_tokens=ceil(replied / tokens))
        key = (step, model)
        self._calls[key] = self._calls.get(key, 0) + 1
        self._usage[key] = self._usage.get(key, Usage()) + usage

    def steps(self) -> dict[Step, Spend]:
        """The bill by step."""
        found: dict[Step, Spend] = {}
        for (step, model), usage in sorted(self._usage.items()):
            cost, before = self.prices.cost(model, usage, step), found.get(step, Spend(cost_usd=0.0))
            found[step] = Spend(
                calls=before.calls + self._calls[(step, model)],
                prompt_tokens=before.prompt_tokens + usage.prompt_tokens,
                completion_tokens=before.completion_tokens + usage.completion_tokens,
                cost_usd=None if cost is None or before.cost_usd is None else before.cost_usd + cost,
            )
        return found
