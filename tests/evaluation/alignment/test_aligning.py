"""The paper's accuracy and the script's alignment, by hand, on every shape of gradings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.judgement import Preference
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.errors import DataError
from rubricate.evaluation.alignment.aligning import align, labels_as_preferences
from rubricate.evaluation.alignment.definitions import (
    alignment_credit,
    majority,
    majority_score,
    paper_correct,
    paper_outcome,
)
from rubricate.evaluation.alignment.drawing import drawn_gradings
from rubricate.evaluation.alignment.gradings import Gradings, holds_scores, read_gradings
from rubricate.evaluation.judging.pairs import Pair
from rubricate.evaluation.judging.preferences import judged
from rubricate.llm.chat import Request
from rubricate.llm.draws import LaterDraw
from rubricate.llm.scripted import ScriptedChat
from rubricate.runs.rubric_files import RubricFile
from rubricate.steps.crew import ModelGrader
from tests.builders import a_manner


class TestPaperAccuracy:
    @pytest.mark.parametrize(
        ("first", "second", "outcome"),
        [
            ([1, 1, 1, 0, 0], [0, 0, 0, 1, 1], "first"),  # three of five
            ([1, 1, 0, 0, 0], [0, 0, 1, 1, 1], "second"),
            ([1, 1, 1, 1, 1], [1, 1, 1, 0, 0], "tie"),  # three ties are a majority of their own
            ([1, 1, 0, 0, 1], [0, 0, 1, 1, 1], None),  # two, two and a tie: no majority
            ([1, 1, None, None, 0], [0, 0, 0, 0, 0], None),  # two of five, and a failure is no vote
            ([None] * 5, [1] * 5, None),
            ([1], [0], "first"),
            ([], [], None),
        ],
    )
    def test_majority_of_five_outcomes(self, first, second, outcome):
        """Grading k of one meets grading k of the other, and more than half of all must agree."""
        assert paper_outcome(first, second) == outcome

    def test_only_the_judges_own_preference_is_right(self):
        """A tie, no majority and silence are wrong."""
        assert [paper_correct(outcome, "first") for outcome in ("first", "second", "tie", None)] == [
            True,
            False,
            False,
            False,
        ]

    @given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=7))
    def test_turned_round(self, scores):
        """Naming the responses the other way round turns the outcome and nothing else."""
        first, second = zip(*scores, strict=True)
        turned = {"first": "second", "second": "first", "tie": "tie", None: None}
        assert paper_outcome(second, first) == turned[paper_outcome(first, second)]


class TestAlignmentCredit:
    @pytest.mark.parametrize(
        ("first", "second", "credit"),
        [
            ([3], [2], 1.0),
            ([2], [3], 0.0),
            ([2], [2], 0.5),
            ([3, 3, 1], [2, 2, 2], 1.0),  # majority scores 3 and 2
            ([3, 2, 1], [0, 0, 0], 0.5),  # no majority: the script's code drops it, its page says 1/2
            ([None], [2], None),
            ([3, None, None], [0, 0, 0], 0.5),  # one of three is no majority, and no failure either
        ],
    )
    def test_half_credit(self, first, second, credit):
        assert alignment_credit(first, second, "first") == credit

    def test_majority_is_more_than_half(self):
        assert majority(["a", "a", "b", "b"]) is None
        assert majority(["a", "a", "a", "b", None]) == "a"
        assert majority_score([0.5, 0.5, 0.25]) == 0.5

    @given(
        st.lists(st.integers(0, 2), min_size=1, max_size=5),
        st.lists(st.integers(0, 2), min_size=1, max_size=5),
    )
    def test_the_two_judges_share_one(self, first, second):
        """What agrees with one judge disagrees with the opposite one."""
        one, other = (alignment_credit(first, second, side) for side in ("first", "second"))
        assert one + other == 1


def a_line(n: int, winner: str, prompt: str = "p"):
    pair = Pair(prompt, Prompt.of_text(prompt), Response(f"a{n}"), Response(f"b{n}"))
    return judged(pair, Preference(winner, None if winner in ("first", "second") else "why"), "m")


def gradings(*rows: tuple[int, list, list], prompt: str = "p") -> Gradings:
    found, key = Gradings("file"), Prompt.of_text(prompt).key
    for n, first, second in rows:
        found.add(prompt, key, Response(f"a{n}").text_key, *first)
        found.add(prompt, key, Response(f"b{n}").text_key, *second)
    return found


class TestAlign:
    def test_by_hand(self):
        """Eight pairs of which the judge decides six, one not graded, so five count.

        right, wrong, tied, no majority, ungraded: paper accuracy 1/5; alignment (1 + 0 + 1/2 + 1/2) / 4; tied
        1/5; untied accuracy 1/2.
        """
        lines = [a_line(n, "first") for n in range(6)] + [a_line(6, "tie"), a_line(7, "unjudged")]
        scores = gradings(
            (0, [2] * 5, [1] * 5),
            (1, [1] * 5, [2] * 5),
            (2, [1] * 5, [1] * 5),
            (3, [2, 2, 0, 0, 1], [1, 1, 1, 1, 1]),
            (4, [None] * 5, [1] * 5),
            (6, [2] * 5, [1] * 5),
        )
        found = align(lines, scores)
        assert found.counts == {
            "decided": 5,
            "judge tied": 1,
            "judge invalid": 1,
            "not graded": 1,
            "first": 1,
            "second": 1,
            "tie": 1,
            "no majority": 1,
            "ungraded": 1,
        }
        assert found.paper_accuracy.value == pytest.approx(1 / 5)
        assert found.alignment.value == pytest.approx(2 / 4)
        assert found.tied.value == pytest.approx(1 / 5)
        assert found.untied_accuracy.value == pytest.approx(1 / 2)
        assert found.draws == (5, 5) and scores.failed == 5
        assert found.judge.pairs == 8

    def test_the_derived_identity(self):
        """With ties wrong, the tie share is 1 - accuracy / accuracy on untied pairs."""
        lines = [a_line(n, "first") for n in range(10)]
        rows = [(n, [1], [0]) for n in range(5)] + [(n, [0], [1]) for n in (5, 6)]
        rows += [(n, [1], [1]) for n in (7, 8, 9)]
        found = align(lines, gradings(*rows))
        assert found.tied.value == pytest.approx(1 - found.paper_accuracy.value / found.untied_accuracy.value)

    def test_nothing_in_common(self):
        with pytest.raises(DataError, match=r"file: no pair is both .*judge tied: 1, not graded: 1"):
            align([a_line(0, "first"), a_line(1, "tie")], Gradings("file"))

    def test_labels_stand_for_a_judge(self):
        pair = Pair("p", Prompt.of_text("p"), Response("a0"), Response("b0"), "second")
        (line,) = labels_as_preferences([pair], "pairs.jsonl")
        assert (line.winner, line.judge) == ("second", "labels of pairs.jsonl")


def write(path: Path, value) -> str:
    path.write_text(json.dumps(value))
    return str(path)


class TestShapes:
    def test_official_scored_responses(self, tmp_path: Path):
        """A grading whose answers were all lost has score 0 in official files, and is none here."""
        answers = {"c1": {"answer": "yes", "weight": 3, "found": True}}
        lost = {"c1": {"answer": None, "weight": 3, "found": False}}
        scored = [
            {"response": "a0", "score": 3, "parsed_answers": answers},
            {"response": "<think>x</think>b0", "score": 0, "parsed_answers": lost},
            {"response": "a1", "parsed_answers": answers},
        ]
        source = write(tmp_path / "scored.json", [{"id": "p", "prompt": "p", "scored_responses": scored}])
        found = read_gradings(source)
        assert found.of(a_line(0, "first")) == ([3.0], [None]) and found.failed == 1
        assert found.of(a_line(1, "first")) is None  # b1 is not there
        assert len(found) == 3

    def test_our_scores(self, tmp_path: Path):
        """scores.jsonl has no prompts: joined by id and text; a response again is another draw."""
        rows = [
            {"id": "p", "generator": "m", "response": "a0", "score": 0.5},
            {"id": "p", "generator": "m", "response": "a0", "score": 0.75},
            {"id": "p", "generator": "m", "response": "b0", "scores": [0.25, None]},
            {"id": "q", "generator": "m", "response": "b1", "score": None},
        ]
        path = tmp_path / "scores.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found = read_gradings(str(path))
        assert found.of(a_line(0, "first")) == ([0.5, 0.75], [0.25, None])
        assert found.failed == 2

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ({"id": "p", "responses": [{"response": "a"}]}, r"responses\[0\].score: missing"),
            ({"id": "p", "responses": [{"score": 1}]}, r"responses\[0\].response: a text is needed"),
            ({"id": "p", "response": "a", "score": "1"}, "score: a number is needed"),
            ({"id": "p", "response": "a", "score": float("nan")}, "score: a finite number"),
            ({"response": "a", "score": 1}, "the id or the text"),
            ({"id": "p", "responses": "a"}, "a list of scored responses"),
        ],
    )
    def test_malformed(self, tmp_path: Path, row, said):
        with pytest.raises(DataError, match=said):
            read_gradings(write(tmp_path / "scores.json", [row]))

    def test_scores_or_rubrics(self, tmp_path: Path):
        """A bare list, a dict with the key `rubrics`, our rubrics: all are rubrics and no scores."""
        rubric = {"id": "p", "prompt": "p", "criteria": [{"criterion": "good", "weight": 1}]}
        assert not holds_scores(write(tmp_path / "bare.json", [rubric]))
        assert not holds_scores(write(tmp_path / "dict.json", {"rubrics": {"p": rubric}}))
        assert holds_scores(write(tmp_path / "s.json", [{"id": "p", "response": "a", "score": 1}]))


class TestDraws:
    async def test_each_draw_is_asked_anew(self):
        """Five draws of two responses are ten different questions of the ledger; a prompt without a rubric
        is not asked."""
        chat = ScriptedChat(lambda request: '{"c1": "met"}' if request.draw % 4 == 0 else '{"c1": "unmet"}')
        manner = a_manner(retries=1)
        graders = [ModelGrader(LaterDraw(chat, 2 * draw), manner, None) for draw in range(5)]
        rubrics = RubricFile()
        rubrics.add(Rubric((Criterion("c1", "It is good."),)), "p", "p")
        pair = Pair("p", Prompt.of_text("p"), Response("a0"), Response("b0"))
        other = Pair("q", Prompt.of_text("q"), Response("a0"), Response("b0"))
        found = await drawn_gradings([pair, other], rubrics, graders)
        assert len(chat.requests) == 10
        assert sorted(request.draw for request in chat.requests) == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8]
        assert found.of(a_line(0, "first")) == ([1.0, 0.0, 1.0, 0.0, 1.0],) * 2
        assert found.of(a_line(0, "first", "q")) is None

    async def test_a_grader_that_stutters_has_no_score(self):
        def stutter(request: Request) -> str:
            return "hm"

        rubrics = RubricFile()
        rubrics.add(Rubric((Criterion("c1", "It is good."),)), "p", "p")
        pair = Pair("p", Prompt.of_text("p"), Response("a0"), Response("b0"))
        grader = ModelGrader(ScriptedChat(stutter), a_manner(retries=0), None)
        found = await drawn_gradings([pair], rubrics, [grader])
        assert found.of(a_line(0, "first")) == ([None], [None]) and found.failed == 2
