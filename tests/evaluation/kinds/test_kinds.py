"""Refinements out of records, their differences, shares, survival and the tail, by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.conversation import Pool, Prompt, Response
from rubricate.domain.record import PromptRecord, Round, Standing
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.evaluation.audit.measures.accuracy import tail_measures
from rubricate.evaluation.audit.measures.counting import Layout, booked
from rubricate.evaluation.kinds.refinements import (
    Difference,
    Refinement,
    differences,
    overlap,
    refinements_of,
)
from rubricate.evaluation.kinds.shares import contrast_rows, group_rows, type_rows
from rubricate.evaluation.kinds.sorting import AT_ONCE, CueSorter, ModelSorter, Sorted, sort_all
from rubricate.evaluation.kinds.tail import change_of, graded_changes, pair_accuracy, recorded, tail_of
from rubricate.evaluation.kinds.vocabulary import GROUPS, TYPES
from rubricate.llm.chat import Request
from rubricate.llm.scripted import ScriptedChat
from rubricate.steps.crew import ModelGrader
from tests.builders import a_manner, a_rubric, asked

A, B, C, D = a_rubric("1:a"), a_rubric("1:b"), a_rubric("1:c"), a_rubric("1:d")


def standings(**scores: float) -> tuple[Standing, ...]:
    return tuple(Standing(key, score, 1.0, "+") for key, score in scores.items())


def a_round(number: int, before: Rubric, decision: str, proposed: Rubric | None, **scores: float) -> Round:
    return Round(number, before.key, standings(**scores), ("x", "y"), decision, "why", proposed)


def a_refinement(
    prompt: str, decision: str, number: int, after: Rubric = B, before: Rubric = A
) -> Refinement:
    return Refinement(prompt, prompt, decision, number, before, after)


class TestRefinements:
    def test_rounds_and_the_whole_way(self):
        """Accepted, refused, unreadable, accepted: three proposals, each from the rubric then in force, and
        the way from first to last. A later round's standings are those under the accepted rubric."""
        record = PromptRecord(
            "k",
            "p",
            "p",
            "refined",
            "why",
            A,
            D,
            (
                a_round(1, A, "accepted", B, x=0.1),
                a_round(2, B, "refused", C, x=0.2),
                a_round(3, B, "failed", None, x=0.2),
                a_round(4, B, "accepted", D, x=0.2),
            ),
            standings(x=0.4),
        )
        found = list(refinements_of(Pool(Prompt.of_text("p"), ()), record))
        assert [(each.decision, each.number) for each in found] == [
            ("accepted", 1),
            ("refused", 2),
            ("accepted", 4),
            ("whole", 0),
        ]
        assert [(each.before, each.after) for each in found] == [(A, B), (B, C), (B, D), (A, D)]
        scores = [[dict(side) for side in recorded(each)] for each in found]
        assert scores[:3] == [[{"x": 0.1}, {"x": 0.2}], [{"x": 0.2}, {}], [{"x": 0.2}, {"x": 0.4}]]

    def test_a_prompt_that_kept_its_rubric(self):
        """No whole way, but the refused proposal is one."""
        record = PromptRecord("k", "p", "p", "kept", "why", A, A, (a_round(1, A, "refused", B),))
        (only,) = refinements_of(Pool(Prompt.of_text("p"), ()), record)
        assert only.decision == "refused"
        assert (
            list(refinements_of(Pool(Prompt.of_text("p"), ()), PromptRecord("k", "p", "p", "failed", "w")))
            == []
        )


class TestDifferences:
    def test_each_kind(self):
        """Reworded, split, reweighted, added, dropped, in the order of the new rubric, dropped last."""
        before = a_rubric(
            "2:names the daily dose", "1:covers cause and treatment", "1:warns of bleeding", "1:is polite"
        )
        after = a_rubric(
            "3:names the daily dose in mg",
            "1:covers the cause",
            "1:covers the treatment",
            "3:warns of bleeding",
            "1:mentions the liver",
        )
        assert differences(before, after) == (
            Difference(("names the daily dose",), ("names the daily dose in mg",), (2, 3)),
            Difference(("covers cause and treatment",), ("covers the cause", "covers the treatment")),
            Difference(("warns of bleeding",), ("warns of bleeding",), (1, 3)),
            Difference((), ("mentions the liver",)),
            Difference(("is polite",), ()),
        )
        assert differences(before, before) == ()

    def test_in_a_line(self):
        assert Difference(("a\nb",), ("c", "d")).text == "changed | was: a b | now: c | now: d"
        assert Difference((), ("c",)).text == "added | now: c"
        assert Difference(("a",), (), None).text == "dropped | was: a"
        assert Difference(("a",), ("a",), (1, 3)).text == "changed | was: a | now: a | weight 1 -> 3"

    def test_overlap(self):
        """Shared words over those of the shorter text; common words do not count."""
        assert overlap("the cat sat", "a black cat sat down") == 1
        assert overlap("cat dog", "cat cow") == 0.5
        assert overlap("the", "the") == 0

    @given(
        st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True),
        st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True),
    )
    def test_nothing_is_lost(self, one, other):
        """Every criterion that came or went is in exactly one difference."""
        before, after = (
            Rubric(tuple(Criterion(f"c{n}", f"word {text} {text}x") for n, text in enumerate(texts)))
            for texts in (one, other)
        )
        found = differences(before, after)
        came = sorted(text for each in found for text in each.now)
        went = sorted(text for each in found for text in each.was)
        texts = [{criterion.text for criterion in rubric.criteria} for rubric in (before, after)]
        assert came == sorted(texts[1] - texts[0]) and went == sorted(texts[0] - texts[1])


def sorted_by(types: dict[Refinement, list[list[str]] | None]) -> Sorted:
    found = {each.key: None if names is None else tuple(map(tuple, names)) for each, names in types.items()}
    return Sorted(found, {}, {})


class TestTypes:
    def test_by_hand(self):
        """Two prompts refined. p: two splits and a penalty; q: a penalty. Marks: splitting 2/4.

        Rounds: p1 splits (accepted, +0.5), p2 splits (refused, -0.25), q1 penalises (accepted, not measured),
        r1 is unclassified and takes no part.
        """
        whole_p, whole_q = a_refinement("p", "whole", 0, B), a_refinement("q", "whole", 0, C)
        p1, p2 = a_refinement("p", "accepted", 1, D), a_refinement("p", "refused", 2, B, C)
        q1, r1 = a_refinement("q", "accepted", 1, C), a_refinement("r", "accepted", 1, A, D)
        split, penalty = "splitting", "penalties and prohibitions"
        found = sorted_by(
            {
                whole_p: [[split], [split, penalty]],
                p1: [[split]],
                p2: [[split]],
                q1: [[penalty]],
                r1: None,
            }
        )
        found.types[whole_q.key] = ((penalty,),)
        changes = {("p", 1): 0.5, ("p", 2): -0.25, ("q", 1): None}
        rows = {row.name: row for row in type_rows([whole_p, whole_q, p1, p2, q1, r1], found, changes)}
        assert len(rows) == 22
        everything = rows["all"]
        assert (everything.marks, everything.refined, everything.rounds, everything.measured) == (4, 2, 3, 2)
        assert everything.survived.value == pytest.approx(2 / 3)
        assert everything.tail_change.value == pytest.approx(0.125)
        mine = rows[split]
        assert (mine.marks, mine.share.value, mine.refined, mine.presence.value) == (2, 0.5, 1, 0.5)
        assert (mine.rounds, mine.survived.value, mine.measured) == (2, 0.5, 2)
        assert mine.tail_change.value == pytest.approx(0.125)
        assert mine.tail_change_accepted.value == 0.5
        assert rows[penalty].share.value == 0.5 and rows[penalty].survived.value == 1
        assert rows[penalty].survived.low == pytest.approx(0.2065, abs=1e-4)  # Wilson of 1 of 1
        assert rows[penalty].tail_change is None
        assert rows["justified decisions"].share.value == 0

    def test_contrast_is_paired(self):
        """Prompts p, q in both runs, r in one only. Splits: p twice against none, q once against once.

        Presence 2/2 less 1/2; split of marks 3 of 4. r takes no part.
        """
        split, other = "splitting", "timing and sequence"
        great = [
            a_refinement("p", "whole", 0, B),
            a_refinement("q", "whole", 0, C),
            a_refinement("r", "whole", 0, D),
        ]
        good = [a_refinement("p", "whole", 0, C), a_refinement("q", "whole", 0, D)]
        one = sorted_by({great[0]: [[split], [split]], great[1]: [[split]], great[2]: [[other]]})
        two = sorted_by({good[0]: [[other]], good[1]: [[split]]})
        rows = {row.name: row for row in contrast_rows((great, one), (good, two))}
        assert rows[split].presence_difference.value == 0.5 and rows[split].presence_difference.n == 2
        assert rows[split].split.value == 0.75
        assert rows[other].presence_difference.value == -0.5 and rows[other].split.value == 0

    def test_groups(self):
        """Focus is 1 of 3 criteria before and 2 of 3 after; what has no group takes no part."""
        found = Sorted({}, {"a": "focus", "b": "format", "c": "format", "d": "focus", "e": None}, {})
        rows = {row.name: row for row in group_rows([(("a", "b"), ("a", "d", "e")), (("c",), ("c",))], found)}
        assert rows["focus"].initial.value == pytest.approx(1 / 3)
        assert rows["focus"].final.value == pytest.approx(2 / 3)
        assert rows["focus"].change.value == pytest.approx(1 / 3)
        assert len(rows) == 20


def golds(*values: float | None) -> tuple[Response, ...]:
    return tuple(Response(f"r{n}", gold=value) for n, value in enumerate(values))


class TestTail:
    def test_the_tail_has_the_border_ties(self):
        """A quarter of eight is two, and one more ties with the second; without gold nobody is in it."""
        pool = Pool(Prompt.of_text("p"), golds(1, 9, 8, 8, None, 2, 3, 4, 5))
        assert [response.gold for response in tail_of(pool)] == [9, 8, 8]
        assert tail_of(Pool(Prompt.of_text("p"), golds(1, None))) == ()
        assert len(tail_of(Pool(Prompt.of_text("p"), golds(3, 2, 1)))) == 2

    def test_pair_accuracy(self):
        """Golds 3, 2, 2, 1: five pairs of different gold, three in order; a tie and a reversal are not."""
        tail = golds(3, 2, 2, 1)
        keys = [response.key for response in tail]
        scores = dict(zip(keys, (0.8, 0.8, 0.6, 0.7), strict=True))
        # 3 against 2: tie, right; 3 against 1: right; 2 against 1: right, wrong
        assert pair_accuracy(tail, scores) == 3 / 5
        assert pair_accuracy(tail, scores | {keys[3]: None}) is None
        assert pair_accuracy(golds(2, 2), scores) is None
        better = dict(zip(keys, (0.9, 0.8, 0.6, 0.1), strict=True))
        assert change_of(tail, scores, better) == pytest.approx(2 / 5)
        assert change_of(tail, {}, better) is None

    @given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), min_size=8, max_size=24))
    def test_one_prompt_has_the_accuracy_of_an_audit(self, drawn):
        """Two roads to one figure: pairs counted here, whole arrays there."""
        gold = np.array([float(value) for value, _ in drawn])
        proxy = np.array([float(value) for _, value in drawn])
        layout, better = Layout(np.array([len(drawn)])), (gold[None, :] > gold[:, None]).mean(axis=1)
        found = tail_measures(layout, booked(layout, gold, proxy), better, [0.25])["tail_accuracy@25%"]
        pool = Pool(Prompt.of_text("p"), golds(*gold.tolist()))
        scores = {one.key: score for one, score in zip(pool.responses, proxy.tolist(), strict=True)}
        mine = pair_accuracy(tail_of(pool), scores)
        assert mine == (found.above[0] / found.below[0] if found.below[0] else None)

    async def test_graded_under_both_rubrics(self):
        """A proposal that tells the two best apart: from a tie (0) to the right order (1), refused or not."""
        tail = golds(2, 1)

        def answer(request: Request) -> str:
            text = request.messages[0].content
            return json.dumps(
                {
                    f"c{n}": "met" if "r0" in text or said == "a" else "unmet"
                    for n, said in enumerate(asked(request), 1)
                }
            )

        chat = ScriptedChat(answer)
        refinements = [
            a_refinement("p", "refused", 1),
            a_refinement("p", "whole", 0),
            a_refinement("q", "refused", 1),
        ]
        tails = {"p": (Prompt.of_text("p"), tail), "q": (Prompt.of_text("q"), ())}
        found = await graded_changes(refinements, tails, ModelGrader(chat, a_manner(), None))
        assert found == {("p", 1): 1.0}
        assert len(chat.requests) == 4


class TestSorting:
    async def test_a_model_sorts_each_different_thing_once(self):
        """Two prompts of one refinement are one question; criteria go 20 a call; silence is unclassified."""
        many = [f"criterion {n}" for n in range(AT_ONCE + 1)]

        def answer(request: Request) -> str:
            text = request.messages[0].content
            if "one difference between a rubric" in text:
                return json.dumps({"i1": ["splitting"], "i2": []})
            if "\ni20: " in text:
                return "no idea"
            return json.dumps({"i1": ["focus"]})

        chat = ScriptedChat(answer)
        sorter = ModelSorter(chat, a_manner(retries=0))
        both = [a_refinement("p", "whole", 0), a_refinement("q", "accepted", 1)]
        found = await sort_all(both, [["x"], ["x"], many], sorter)
        assert found.types == {both[0].key: (("splitting",), ())}
        assert found.groups["x"] == "focus"
        assert all(found.groups[text] is None for text in many)
        assert sum(found.reasons.values()) == 1 and "no JSON" in next(iter(found.reasons))
        assert len(chat.requests) == 1 + 1 + 2
        assert all(name in chat.requests[0].messages[0].content for name in TYPES)
        assert any(all(name in r.messages[0].content for name in GROUPS) for r in chat.requests)

    async def test_cues_ask_nobody(self):
        found = await sort_all([a_refinement("p", "whole", 0)], [["Calculates the sum."]], CueSorter())
        assert found.groups == {"Calculates the sum.": "calculation"} and found.reasons == {}
