"""Graders through the entries: against a world whose truth and errors are known, and draw by draw."""

from __future__ import annotations

import asyncio

import numpy as np

from rubricate.domain.conversation import Prompt
from rubricate.evaluation.agreement.account import account_of
from rubricate.evaluation.agreement.grading import graded
from rubricate.evaluation.agreement.items import items_of
from rubricate.evaluation.entries import Entry, Stated
from rubricate.llm.chat import Reply, Request
from rubricate.llm.draws import LaterDraw
from rubricate.llm.scripted import ScriptedChat
from rubricate.steps.asking import Manner
from rubricate.steps.crew import ModelGrader
from rubricate.steps.propose import propose
from rubricate.world.dials import dials_of
from rubricate.world.pools import DIVERSE
from rubricate.world.world import World, WorldChat


def the_world(*dials: str) -> WorldChat:
    return WorldChat(World(dials_of(dials)))


def entries_of_the_world(n_prompts: int) -> list[Entry]:
    """Answers of the world under its own first rubrics, without labels."""
    world = World()
    found = []
    for text in world.prompts(n_prompts):
        pool = world.pool(text, DIVERSE)
        prompt = Prompt.of_text(text)
        rubric = asyncio.run(propose(WorldChat(world), Manner("proposer"), prompt))
        criteria = tuple(
            Stated(criterion.text, criterion.weight, criterion.kind) for criterion in rubric.criteria
        )
        found += [Entry(None, prompt.id, prompt, r.text, criteria, r.generator) for r in pool.responses]
    return found


def opinion_of(chat, items, name="grader"):
    return asyncio.run(graded(name, items, [ModelGrader(chat, Manner(name))], in_flight=8))


def test_the_dials_of_noisy_graders_are_read_off():
    """Six graders of sensitivity .85 and specificity .7 against the labels of one without fault: at least ten
    of their twelve intervals hold the truth (nineteen in twenty should), and their means are within .01."""
    entries = entries_of_the_world(20)
    items = items_of(entries)
    right = opinion_of(the_world("grader.sensitivity=1", "grader.specificity=1"), items)
    labelled = items_of(_labelled(entries, right.marks[0]))
    noisy = the_world("grader.sensitivity=0.85", "grader.specificity=0.7")
    opinions = [opinion_of(noisy, labelled, f"grader-{number}") for number in range(6)]
    found = [account_of(labelled, [opinion]).against[0] for opinion in opinions]
    assert all(against.n == len(items) > 3_000 for against in found)
    measured = [(against.sensitivity, 0.85) for against in found] + [(a.specificity, 0.7) for a in found]
    assert sum(estimate.low < truth < estimate.high for estimate, truth in measured) >= 10
    for truth in (0.85, 0.7):
        values = [estimate.value for estimate, true in measured if true == truth]
        assert abs(np.mean(values) - truth) < 0.01


def _labelled(entries, marks):
    said = iter(marks.tolist())
    return [
        Entry(
            None,
            entry.prompt_id,
            entry.prompt,
            entry.response,
            tuple(
                Stated(c.text, c.weight, c.kind, label=next(said) == 1, has_label=True)
                for c in entry.criteria
            ),
            entry.generator,
        )
        for entry in entries
    ]


def test_draws_never_share_a_request():
    """Draw k begins where the further askings of draw k - 1 end: no key comes twice."""
    seen: list[Request] = []

    def silent(request: Request) -> Reply:
        seen.append(request)
        return Reply("no verdicts here")

    manner = Manner("m", retries=2)
    entry = Entry(
        "a", "p", Prompt.of_text("Ask."), "Said.", (Stated("Is short.", has_label=True, label=True),)
    )
    graders = [ModelGrader(LaterDraw(ScriptedChat(silent), 3 * draw), manner) for draw in range(3)]
    opinion = asyncio.run(graded("m", items_of([entry]), graders, in_flight=1))
    assert sorted(request.draw for request in seen) == list(range(9))
    assert len({request.key for request in seen}) == 9
    assert (opinion.marks == -1).all()
    assert not opinion.absent.any()
    assert sum(opinion.reasons.values()) == 3


def test_a_criterion_that_comes_twice_is_asked_once():
    """Both places get the one verdict."""
    asked = []

    def answer(request: Request) -> Reply:
        asked.append(request.messages[0].content)
        return Reply('{"c1": "met", "c2": "unmet"}')

    twice = tuple(Stated(text, has_label=True, label=True) for text in ("Is short.", "Is long.", "Is short."))
    entry = Entry("a", "p", Prompt.of_text("Ask."), "Said.", twice)
    opinion = opinion_of(ScriptedChat(answer), items_of([entry]))
    assert opinion.marks.tolist() == [[1, 0, 1]]
    assert asked[0].count("Is short.") == 1


def test_order_of_arrival_leaves_no_trace():
    """Answers that overtake each other give the same opinion, item by item."""

    class Lagging:
        async def ask(self, request: Request) -> Reply:
            text = request.messages[0].content
            await asyncio.sleep(0.002 * (len(text) % 3))
            return Reply('{"c1": "met"}' if "even" in text else '{"c1": "unmet"}')

    entries = [
        Entry(str(n), f"p{n % 4}", Prompt.of_text("Ask."), f"{'even' if n % 2 else 'odd'} {'x' * n}",
              (Stated("Is short.", has_label=True, label=bool(n % 2)),))
        for n in range(24)
    ]  # fmt: skip
    items = items_of(entries)
    assert opinion_of(Lagging(), items).marks[0].tolist() == np.array([n % 2 for n in range(24)]).tolist()
