"""`coverage=top` against `coverage=all`: fewer calls, and nothing else that a rubric hangs on.

Same pairs, same decisions with the same words, same rubrics; for every policy, with a judge and without, with
silent graders and floors, whatever was known beforehand.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.conversation import Pool, Prompt, Response
from rubricate.domain.judgement import Preference, Verdict
from rubricate.domain.record import PromptRecord
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.errors import ReplyError
from rubricate.report.page import render_page
from rubricate.report.prompt_view import view_of
from rubricate.runs.outputs import write_scores
from rubricate.runs.refinement import Rules, refine_prompt
from rubricate.runs.summary import summarize
from rubricate.steps.crew import CheckedGrader, Crew, RecallingGrader
from tests.builders import a_prompt, marks
from tests.runs.stage import Stage, adds_what_the_better_has, pool_of, rubric_of

POLICIES = ("exclude_used", "top2", "contested", "first_two")


class _Table:
    """A grader, a proposer and a judge by the toss of a seed: a verdict is fixed by response and criterion.
    Notes every call: the response, and how many criteria it asks."""

    name = "table"

    def __init__(self, seed: int, alphabet: str, weights: Sequence[float]):
        self._seed, self._alphabet, self._weights = seed, alphabet, weights
        self.calls: list[tuple[str, int]] = []

    def verdict(self, response: Response, criterion: str) -> Verdict:
        return marks(Random(f"{self._seed}|{response.text}|{criterion}").choice(self._alphabet))[0]

    async def grade(
        self, prompt: Prompt, response: Response, criteria: Sequence[Criterion]
    ) -> tuple[Verdict, ...]:
        self.calls.append((response.text, len(criteria)))
        await asyncio.sleep(0)
        return tuple(self.verdict(response, criterion.text) for criterion in criteria)

    async def propose(self, prompt: Prompt) -> Rubric:
        return self._written([f"says {n}" for n in range(Random(self._seed).randint(1, 6))])

    async def refine(self, prompt: Prompt, rubric: Rubric, pair: tuple[Response, Response]) -> Rubric:
        chance = Random(f"{self._seed}|{rubric.key}|{sorted(response.key for response in pair)}")
        kept = [criterion.text for criterion in rubric.criteria if chance.random() > 0.15]
        new = [f"says {chance.randint(0, 30)}" for _ in range(chance.randint(0, 3))]
        return self._written(list(dict.fromkeys([*kept, *new])) or ["says 0"])

    async def compare(self, prompt: Prompt, first: Response, second: Response) -> Preference:
        winner = Random(f"{self._seed}|{first.key}|{second.key}").choice(["first", "second", "second", "tie"])
        return Preference(winner)

    def _written(self, texts: Sequence[str]) -> Rubric:
        weight = {text: Random(f"{self._seed}|{text}").choice(self._weights) for text in texts}
        weight[texts[0]] = abs(weight[texts[0]])
        return Rubric(
            tuple(
                Criterion(f"c{n}", text, weight[text], "pitfall" if weight[text] < 0 else "principle")
                for n, text in enumerate(texts)
            )
        )


def _told(record: PromptRecord) -> PromptRecord:
    """A record without what coverage may change: standings of rounds, and shares that are not measured."""
    rounds = tuple(
        msgspec.structs.replace(played, standings=(), tie_share_before=None, tie_share_after=None)
        for played in record.rounds
    )
    if record.standings:  # all is measured in the end
        return msgspec.structs.replace(record, rounds=rounds)
    return msgspec.structs.replace(record, rounds=rounds, tie_share_before=None)


def _played(
    table: _Table, pool: Pool, rules: Rules, *, judge: bool, reuse: bool, memory=None
) -> PromptRecord:
    grader = RecallingGrader(table, {} if memory is None else memory) if reuse else table
    crew = Crew(table, CheckedGrader(grader), table if judge else None)
    return asyncio.run(refine_prompt(pool, crew, rules))


@given(
    seed=st.integers(0, 10**9),
    policy=st.sampled_from(POLICIES),
    judge=st.booleans(),
    gate=st.booleans(),
    final=st.booleans(),
    reuse=st.sampled_from([True, True, True, False]),
    floor=st.sampled_from([0.0, 0.5, 0.8, 1.0]),
    alphabet=st.sampled_from(["+-", "+++-", "+++++--?", "+-?"]),
    weights=st.sampled_from([(1.0,), (1.0, 2.0, 3.0), (1.0, 2.0, 3.0, -1.0, -2.0), (0.1, 0.3, 0.7, -0.2)]),
)
def test_the_same_pairs_decisions_and_rubrics(
    seed, policy, judge, gate, final, reuse, floor, alphabet, weights
):
    """Five pools a draw. All that differs between the records is what was not asked: every number that the
    lazy one tells, the full one tells as well."""
    for place in range(5):
        n = Random(seed + place).randint(0, 11)
        pool = Pool(a_prompt(), tuple(Response(f"answer {k}", f"m{k % 3}") for k in range(n)))
        rules = Rules(5, policy, gate, final, floor)
        full_table, lazy_table = (_Table(seed + place, alphabet, weights) for _ in range(2))
        full = _played(full_table, pool, rules, judge=judge, reuse=reuse)
        rules = msgspec.structs.replace(rules, coverage="top")
        lazy = _played(lazy_table, pool, rules, judge=judge, reuse=reuse)
        assert _told(lazy) == _told(full)
        for before, after in zip(full.rounds, lazy.rounds, strict=True):
            assert after.tie_share_before in (None, before.tie_share_before)
            assert after.tie_share_after in (None, before.tie_share_after)
            by_key = {standing.response: standing for standing in before.standings}
            assert {standing.response for standing in after.standings} == set(by_key)
            for standing in after.standings:
                whole = by_key[standing.response]
                assert standing == whole or (not standing.is_asked and standing.score is None)
                assert all(
                    mark in ("_", true) for mark, true in zip(standing.marks, whole.marks, strict=True)
                )
        if reuse and "?" not in alphabet:
            assert len(lazy_table.calls) <= len(full_table.calls)


async def passed_over() -> tuple[Stage, Pool, PromptRecord]:
    """By hand, top2: twelve criteria; after the first round one new criterion of weight 1. Two responses have
    all twelve, so whoever lacks two of them cannot reach the pair any more."""
    words = [f"w{n}" for n in range(12)]
    texts = [" ".join([*words, "p1"]), " ".join([*words, "p2"]), " ".join(words[:-2]), " ".join(words[:-5])]
    stage = Stage(rubric_of(words), [adds_what_the_better_has, ReplyError("no JSON")])
    rules = Rules(2, "top2", score_final=False, coverage="top")
    return stage, pool_of(*texts), await refine_prompt(pool_of(*texts), stage.crew(), rules)


async def test_what_is_not_asked_has_a_mark_of_its_own():
    """Two are not asked for the new criterion: their marks show it, they have no score, and the tie share of
    the top is left open."""
    stage, pool, record = await passed_over()
    second, new = record.rounds[1], record.rounds[0].proposed.criteria[-1].text
    assert {text for text, criterion in stage.asked if criterion == new} == {
        r.text for r in pool.responses[:2]
    }
    open_ = [standing for standing in second.standings if not standing.is_asked]
    assert {standing.marks for standing in open_} == {"++++++++++--_", "+++++++-----_"}
    assert [(standing.score, standing.reasons) for standing in open_] == [(None, {})] * 2
    assert [standing.coverage for standing in open_] == [12 / 13] * 2
    assert second.tie_share_before is None


async def test_what_is_not_asked_is_no_unjudged_anywhere(tmp_path):
    """In the summary, in scores.jsonl and on the page: 50 of 52 verdicts are there, none is unjudged, and the
    two responses without a score are not counted as graded."""
    _, pool, record = await passed_over()
    record = msgspec.structs.replace(record, standings=record.rounds[1].standings)
    summary = summarize([record])
    assert (summary.unjudged.value, summary.unjudged.n) == (0.0, 50)
    assert (summary.responses_graded, summary.responses_without_score) == (2, 0)
    assert [(r.responses, r.responses_not_asked) for r in summary.rounds] == [(4, 0), (4, 2)]
    assert summary.rounds[1].tie_share is None and summary.unjudged_reasons.common == ()
    write_scores([(pool, record)], tmp_path / "scores.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "scores.jsonl").open()]
    new = record.rubric.criteria[-1].id
    told = [(row["score"], row["verdicts"][new], row.get("reason")) for row in rows]
    assert told[2:] == [(None, None, "not asked: it could not matter (grade.coverage)")] * 2
    assert all(reason is None and score is not None for score, _, reason in told[:2])
    view = view_of(record, pool)
    assert view.has_open and view.unjudged == () and view.unjudged_share.n == 50
    page = render_page("run", summary, [view]).decode()
    assert page.count(">not asked<") == 2 and page.count('data-v="o"') == 2
    assert "Not asked for all verdicts: 2 of 4" in page


async def test_the_gate_asks_nobody_else_where_it_cannot_matter():
    """The old top is tied throughout: that the pair is told apart is enough."""
    stage = Stage(rubric_of("a"), [adds_what_the_better_has])
    rules = Rules(1, coverage="top", score_final=False)
    record = await refine_prompt(pool_of("a p1", "a p2", "a p3", "a p4"), stage.crew(), rules)
    assert record.rounds[0].decision == "accepted" and record.rounds[0].tie_share_after is None
    new = record.rubric.criteria[-1].text
    assert len([text for text, criterion in stage.asked if criterion == new]) == 2


@pytest.mark.parametrize("policy", POLICIES)
async def test_the_final_scoring_gives_every_score(policy):
    """`score_final` and `coverage` go together: the rounds ask little, the end asks the rest, once."""
    texts = [f"a {'b ' * (n % 2)}p{n}" for n in range(7)]
    stage = Stage(rubric_of("a b"), [adds_what_the_better_has, ReplyError("no JSON")])
    record = await refine_prompt(pool_of(*texts), stage.crew(), Rules(3, policy, coverage="top"))
    assert all(standing.is_asked and standing.score is not None for standing in record.standings)
    assert record.tie_share_after is not None
    assert len(stage.asked) == len(set(stage.asked))


def test_known_verdicts_bound_without_a_call():
    """With the verdicts of an earlier run the same prompt asks nothing, and comes out the same (but that more
    verdicts stand in its rounds: those that the earlier run asked for later)."""
    memory: dict[str, Verdict] = {}
    pool = Pool(a_prompt(), tuple(Response(f"answer {k}", f"m{k}") for k in range(8)))
    rules = Rules(4, "exclude_used", score_final=False, coverage="top")
    first, again = (_Table(7, "+++-", (1.0, 2.0, 3.0)) for _ in range(2))
    record = _played(first, pool, rules, judge=False, reuse=True, memory=memory)
    assert first.calls
    assert _told(_played(again, pool, rules, judge=False, reuse=True, memory=memory)) == _told(record)
    assert again.calls == []
