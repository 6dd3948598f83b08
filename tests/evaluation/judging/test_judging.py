"""A judge's preferences and what they come to, with numbers worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.judgement import Answer, Preference, preference_of
from rubricate.errors import DataError
from rubricate.evaluation.judging.asking import SAME, judge_pairs
from rubricate.evaluation.judging.figures import judge_figures
from rubricate.evaluation.judging.length_control import length_controlled
from rubricate.evaluation.judging.pairs import Pair, drawn, read_pairs
from rubricate.evaluation.judging.preferences import judged, read_preferences, write_preferences
from rubricate.evaluation.judging.winrate import matched, win_rate
from rubricate.llm.chat import Request
from rubricate.llm.scripted import ScriptedChat
from rubricate.steps.compare import answers, shown_first
from rubricate.steps.crew import ModelJudge
from tests.builders import a_manner, a_prompt


def a_pair(prompt: str = "p", first: str = "one", second: str = "two", label=None) -> Pair:
    return Pair(prompt, Prompt.of_text(prompt), Response(first), Response(second), label)


def both(forward: int | None, backward: int | None) -> tuple[Answer, ...]:
    return tuple(
        Answer(side, better, None if better else "unreadable")
        for side, better in (("first", forward), ("second", backward))
    )


def a_line(prompt: str, forward: int | None, backward: int | None, label=None, first: str = "one"):
    said = both(forward, backward)
    return judged(a_pair(prompt, first, label=label), preference_of(said), "m", said)


FIRST, SECOND, POSITION, INVALID = (1, 2), (2, 1), (1, 1), (1, None)


class TestOrders:
    def test_one_order_asks_one_of_the_two_questions(self):
        """What both orders ask contains what one order asks, so the ledger serves either."""

        async def asked(order: str) -> set[str]:
            chat = ScriptedChat(lambda request: '{"better": 1}')
            one, two = Response("one"), Response("two")
            await answers(chat, a_manner(), a_prompt(), one, two, order=order)
            return {request.messages[0].content for request in chat.requests}

        import asyncio

        single, double = asyncio.run(asked("random")), asyncio.run(asked("both"))
        assert len(single) == 1 and len(double) == 2 and single < double

    @given(st.text(min_size=1), st.text(min_size=1), st.integers(0, 50))
    def test_the_order_follows_from_the_content(self, one: str, two: str, seed: int):
        """Whoever is named first, the same text stands first in the question."""
        there = shown_first(a_prompt(), Response(one), Response(two), seed)
        back = shown_first(a_prompt(), Response(two), Response(one), seed)
        assert one == two or there != back

    def test_the_order_is_fair(self):
        """Over many pairs either one stands first about half of the time, and a seed changes which."""
        pairs = [(Prompt.of_text(f"p{n}"), Response(f"a{n}"), Response(f"b{n}")) for n in range(400)]
        shown = [shown_first(*pair, 0) for pair in pairs]
        assert 160 < shown.count("first") < 240
        assert shown != [shown_first(*pair, 1) for pair in pairs]

    def test_answers_to_a_preference(self):
        assert preference_of(both(*FIRST)).winner == "first"
        assert preference_of(both(*SECOND)).winner == "second"
        assert preference_of(both(*POSITION)) == Preference("tie", "the two orders disagree")
        assert preference_of(both(*INVALID)) == Preference("unjudged", "unreadable")
        assert preference_of([Answer("second", 1)]).winner == "second"


class TestAsking:
    async def test_each_pair_once_whoever_is_named_first(self):
        """A pair that comes again turned round costs nothing, and its answers are turned round with it."""

        def answer(request: Request) -> str:
            text = request.messages[0].content
            return json.dumps({"better": 1 if text.index("\none\n") < text.index("\ntwo\n") else 2})

        chat = ScriptedChat(answer)
        pairs = [a_pair(), a_pair(first="two", second="one"), a_pair(first="same", second="same")]
        there, back, same = await judge_pairs(pairs, ModelJudge(chat, a_manner()))
        assert len(chat.requests) == 2
        assert (there.winner, back.winner) == ("first", "second")
        assert [answer.winner for answer in back.answers] == ["second", "second"]
        assert (same.winner, same.reason, same.answers) == ("tie", SAME, ())


class TestFigures:
    def test_by_hand(self):
        """Two prompts. p: decided right, decided wrong, position; q: invalid, decided right.

        decided 3/5, tied 1/5, invalid 1/5; consistent 3 of 4 readable pairs; of 9 readable answers the first
        position is named by 1 in each decided pair, 2 in the tie, 1 in the invalid one: 6/9. Accuracy 2/5,
        credited (2 + 1/2) / 4, decided 2/3.
        """
        lines = [
            a_line("p", *FIRST, label="first", first="a"),
            a_line("p", *SECOND, label="first", first="b"),
            a_line("p", *POSITION, label="first", first="c"),
            a_line("q", *INVALID, label="second", first="a"),
            a_line("q", *SECOND, label="second", first="b"),
        ]
        found = judge_figures(lines)
        assert found.counts["decided"] == 3 and found.counts["tied"] == 1 and found.counts["invalid"] == 1
        assert found.counts["invalid answers"] == 1 and found.counts["answers"] == 10
        for name, value in {
            "decided": 3 / 5,
            "tied": 1 / 5,
            "invalid": 1 / 5,
            "consistent": 3 / 4,
            "first_position": 6 / 9,
            "accuracy": 2 / 5,
            "credited": 2.5 / 4,
            "decided_accuracy": 2 / 3,
        }.items():
            estimate = getattr(found, name)
            assert estimate.value == pytest.approx(value), name
            assert estimate.n == 2 and estimate.low <= estimate.value <= estimate.high, name
        assert found.reasons == {"unreadable": 1}

    def test_ties_of_labels_are_no_truth(self):
        """Pairs whose label is a tie stand apart; with one order nothing is said of consistency."""
        said = (Answer("second", 1),)
        line = judged(a_pair(label="tie"), preference_of(said), "m", said)
        found = judge_figures([line])
        assert found.labelled == 0 and found.accuracy is None and found.counts["labels that are ties"] == 1
        assert found.consistent is None and found.first_position.value == 1


class TestPreferencesFile:
    def test_written_and_read_back(self, tmp_path: Path):
        lines = [a_line("p", *FIRST, label="first"), a_line("q", *INVALID)]
        write_preferences(lines, tmp_path / "preferences.jsonl")
        assert read_preferences(str(tmp_path / "preferences.jsonl")) == lines

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"winner": "left"}, "a winner is first, second, tie or unjudged"),
            ({"prompt": "other"}, "not that of the prompt and the two texts"),
            ({"first": "text"}, r"\$.first"),
        ],
    )
    def test_malformed(self, tmp_path: Path, change, said):
        path = tmp_path / "preferences.jsonl"
        write_preferences([a_line("p", *FIRST)], path)
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
        with pytest.raises(DataError, match=f"preferences.jsonl:1.*{said}"):
            read_preferences(str(path))
        path.write_text("")
        with pytest.raises(DataError, match="no preference"):
            read_preferences(str(path))


def write(path: Path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


class TestPairs:
    def test_a_pool_all_and_top(self, tmp_path: Path):
        """Four responses make six pairs; the top two with a tie at the border make three."""
        golds = [3, 1, 1, 0]
        responses = [{"response": f"r{n}", "gold": gold} for n, gold in enumerate(golds)]
        pool = write(tmp_path / "pool.jsonl", [{"id": "p", "prompt": "Why?", "responses": responses}])
        everything = read_pairs(pool)
        assert len(everything.pairs) == 6 and everything.shape == "pool"
        assert [pair.label for pair in everything.pairs].count("tie") == 1
        best = read_pairs(pool, which="top", top=2)
        assert {r.text for pair in best.pairs for r in (pair.first, pair.second)} == {"r0", "r1", "r2"}

    def test_reasoning_is_taken_off_both_sides(self, tmp_path: Path):
        row = {"prompt": "Why?", "chosen": "<think>x</think>yes", "rejected": "<think>y</think>no"}
        (pair,) = read_pairs(write(tmp_path / "pairs.jsonl", [row])).pairs
        assert {pair.first.text, pair.second.text} == {"yes", "no"}
        assert {"first": pair.first.text, "second": pair.second.text}[pair.label] == "yes"

    def test_prompts_of_one_text_are_told_apart(self, tmp_path: Path):
        """Where the article is left out, the file's own name of the prompt is the unit of an interval."""
        rows = [
            {"id": f"{n}{m}", "prompt_id": n, "prompt": "Sum it up.", "generator": m, "response": f"{n}{m}"}
            for n in ("a", "b")
            for m in ("x", "y")
        ]
        for row in rows:
            label = row["generator"] == "x"
            row["criteria"] = [{"criterion": "is right", "weight": 1, "label": label}]
        found = read_pairs(write(tmp_path / "criteria.jsonl", rows))
        said = both(*FIRST)
        lines = [judged(pair, preference_of(said), "m", said) for pair in found.pairs]
        assert len(lines) == 2 and judge_figures(lines).prompts == 2
        assert len({pair.prompt.key for pair in found.pairs}) == 1

    def test_what_cannot_be_judged_is_counted(self, tmp_path: Path):
        """Equal sides, empty sides, repetitions and contradictions."""
        good = {"prompt": "Why?", "chosen": "a", "rejected": "b"}
        rows = [
            good,
            good,
            {"prompt": "Why?", "chosen": "b", "rejected": "a"},
            {"prompt": "Why?", "chosen": "a", "rejected": "a"},
            {"prompt": "Why?", "chosen": "a", "rejected": " "},
        ]
        found = read_pairs(write(tmp_path / "pairs.jsonl", rows))
        (pair,) = found.pairs
        assert pair.label is None
        assert found.left_out == {
            "both sides are one text": 1,
            "a side without an answer": 1,
            "a pair that comes again": 2,
            "labels that contradict each other: the pair has none": 1,
        }

    @pytest.mark.parametrize(
        ("rows", "said"),
        [
            ([], "there is no row"),
            ([{"id": "p", "prompt": "Why?", "responses": ["only"]}], "no pair in it to judge"),
            ([{"prompt": "Why?", "chosen": "a"}], "unknown benchmark shape"),
            ([{"prompt": "Why?", "responses": [{"response": "a", "gold": "x"}]}], "pool.jsonl:1.*number"),
            ([{"prompt": "?", "responses": [{"response": "a", "gold": float("nan")}]}], "finite"),
        ],
    )
    def test_bad_files(self, tmp_path: Path, rows, said):
        with pytest.raises(DataError, match=said):
            read_pairs(write(tmp_path / "pool.jsonl", rows))

    def test_a_draw_does_not_hang_on_the_order_of_the_file(self):
        pairs = [a_pair(f"p{n}", f"a{m}", "b") for n in range(5) for m in range(3)]
        there = drawn(pairs, 7, prompts=3, sample=4)
        back = drawn(pairs[::-1], 7, prompts=3, sample=4)
        assert len(there) == 4 and {p.key for p in there} == {p.key for p in back}
        assert len({p.prompt.key for p in there}) <= 3
        assert drawn(pairs, 7) == tuple(pairs)


class TestLengthControl:
    def test_saturated_by_hand(self):
        """Ten pairs longer by d, of which 8 are won, and ten shorter by d, of which 5 are won.

        The model has a parameter for each group: theta is the mean of logit 0.8 = ln 4 and logit 0.5 = 0,
        so the win rate at equal length is sigmoid(ln 2) = 2/3 where the raw one is 0.65.
        """
        wins = [1.0] * 8 + [0.0] * 2 + [1.0] * 5 + [0.0] * 5
        found = length_controlled(wins, [50.0] * 10 + [-50.0] * 10, np.ones(20), np.arange(20))
        assert found.win_rate.value == pytest.approx(2 / 3, abs=1e-6)
        assert found.length_effect == pytest.approx(np.log(4) / 2 / np.tanh(1), abs=1e-5)
        assert found.win_rate.low < 0.65 < found.win_rate.high and found.win_rate.n == 20

    def test_the_interval_is_that_of_a_logit_without_length(self):
        """Equal lengths and one pair a prompt: theta = logit(p) with variance 1/(n p (1-p)), by n/(n-1)."""
        wins = [1.0] * 30 + [0.0] * 20
        found = length_controlled(wins, np.zeros(50), np.ones(50), np.arange(50))
        half = 1.959963984540054 * np.sqrt(50 / 49 / (50 * 0.6 * 0.4))
        low, high = (1 / (1 + np.exp(-(np.log(1.5) + sign * half))) for sign in (-1, 1))
        assert found.win_rate.value == pytest.approx(0.6)
        assert (found.win_rate.low, found.win_rate.high) == pytest.approx((low, high))

    def test_length_that_explains_everything(self):
        """All longer ones win, all shorter ones lose: at equal length it is even, and finite."""
        found = length_controlled([1.0] * 6 + [0.0] * 6, [9.0] * 6 + [-9.0] * 6, np.ones(12), np.arange(12))
        assert found.win_rate.value == pytest.approx(0.5, abs=1e-6) and np.isfinite(found.length_effect)

    def test_edges(self):
        """Nothing, one pair, all won: no figure, no interval, no invention."""
        assert length_controlled([], [], [], []) is None
        assert length_controlled([1.0, 1.0], [3, 4], [1, 1], [0, 1]).win_rate.value == 1.0
        assert length_controlled([1.0, 1.0], [3, 4], [1, 1], [0, 1]).win_rate.low is None
        assert length_controlled([0.5], [3], [1], [0]).win_rate.value == pytest.approx(0.5)

    @given(
        st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(-500, 500)), min_size=2, max_size=30)
    )
    def test_turning_the_sides_round_mirrors_it(self, given_pairs):
        """The reference against the policy is one less the policy against the reference."""
        wins, lengths = (np.array(column, dtype=float) for column in zip(*given_pairs, strict=True))
        ones, prompts = np.ones(len(wins)), np.arange(len(wins))
        there = length_controlled(wins, lengths, ones, prompts).win_rate.value
        back = length_controlled(1 - wins, -lengths, ones, prompts).win_rate.value
        assert there + back == pytest.approx(1, abs=1e-5)


class TestWinRate:
    def files(self, tmp_path: Path) -> tuple[str, str]:
        policy = [
            {"id": "a", "prompt": "A?", "responses": ["<think>hm</think>ours 1", "ours 2"]},
            {"id": "b", "prompt": "B?", "response": "ours b"},
            {"id": "c", "prompt": "C?", "response": "ours c"},
            {"id": "e", "prompt": "E?", "response": "<think>never done"},
        ]
        reference = [
            {"id": "x", "prompt": "A?", "response": "<think>well</think>theirs"},
            {"id": "b", "prompt": "B?", "responses": ["theirs b", "spare"]},
            {"id": "d", "prompt": "D?", "response": "theirs d"},
            {"id": "e", "prompt": "E?", "response": "theirs e"},
        ]
        return write(tmp_path / "policy.jsonl", policy), write(tmp_path / "reference.jsonl", reference)

    def test_joined_by_content(self, tmp_path: Path):
        """Ids differ and the prompt does not; what has no partner is named; reasoning is off both sides."""
        found = matched(*self.files(tmp_path))
        texts = [(pair.id, pair.first.text, pair.second.text) for pair in found.pairs]
        assert texts == [
            ("a", "ours 1", "theirs"),
            ("a", "ours 2", "theirs"),
            ("b", "ours b", "theirs b"),
            ("b", "ours b", "spare"),
        ]
        assert found.without == {
            "only in the policy's file": ("c",),
            "no answer of the policy's to be judged": ("e",),
            "only in the reference's file": ("d",),
        }

    def test_joined_by_id(self, tmp_path: Path):
        found = matched(*self.files(tmp_path), by="id")
        assert {pair.id for pair in found.pairs} == {"b"}
        assert found.without["only in the policy's file"] == ("a", "c")

    def test_nothing_in_common(self, tmp_path: Path):
        policy = write(tmp_path / "p.jsonl", [{"id": "a", "prompt": "A?", "response": "x"}])
        reference = write(tmp_path / "r.jsonl", [{"id": "a", "prompt": "B?", "response": "x"}])
        with pytest.raises(DataError, match=r"r.jsonl: no prompt of it is in .*p.jsonl.*try --by id"):
            matched(policy, reference)
        assert len(matched(policy, reference, "id").pairs) == 1

    def test_no_answer_on_both_sides(self, tmp_path: Path):
        """The prompt is in both files, and that is not what is wrong."""
        policy = write(tmp_path / "p.jsonl", [{"prompt": "A?", "response": "[ERROR: timeout]"}])
        reference = write(tmp_path / "r.jsonl", [{"prompt": "A?", "response": "x"}])
        with pytest.raises(
            DataError, match=r"no prompt has an answer on both sides .*policy's to be judged: 1"
        ):
            matched(policy, reference)

    def test_by_hand(self, tmp_path: Path):
        """a: a win and a tie, 3/4; b: a loss and an invalid one, 0 of one judged pair. Mean 3/8.

        Wins (1/2 + 0)/2, ties (1/2 + 0)/2, losses (0 + 1)/2; invalid (0 + 1/2)/2.
        """
        matches = matched(*self.files(tmp_path))
        said = [both(*FIRST), both(*POSITION), both(*SECOND), both(*INVALID)]
        lines = [
            judged(pair, preference_of(each), "m", each)
            for pair, each in zip(matches.pairs, said, strict=True)
        ]
        found = win_rate("p", "r", matches, lines)
        assert found.counts == {"wins": 1, "ties": 1, "losses": 1, "invalid": 1}
        for name, value in {
            "win_rate": 3 / 8,
            "wins": 1 / 4,
            "ties": 1 / 4,
            "losses": 1 / 2,
            "invalid": 1 / 4,
            "longer": 1 / 4,
        }.items():
            estimate = getattr(found, name)
            assert (estimate.value, estimate.n) == (pytest.approx(value), 2), name
        assert found.judge.consistent.value == pytest.approx(2 / 3)
