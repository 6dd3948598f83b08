"""The loop of one prompt: its steps, its gate, its ends, and what it never depends on."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rubricate.domain.conversation import Pool, Prompt, Response
from rubricate.domain.judgement import Preference
from rubricate.domain.record import PromptRecord
from rubricate.errors import BadRequest, ChatTimeout, ReplyError, RunStopped, Unavailable
from rubricate.llm.chat import Reply, Request
from rubricate.llm.meter import Meter, MeteredChat
from rubricate.llm.prices import Prices
from rubricate.llm.scripted import ScriptedChat
from rubricate.runs.refinement import Rules, refine_prompt
from rubricate.steps.crew import CheckedGrader, Crew, ModelGrader, ModelJudge, ModelProposer, RecallingGrader
from tests.actor import a_text, play
from tests.builders import a_manner, a_pool, a_rubric, asked, rubric_reply, verdicts_reply
from tests.runs.stage import Stage, adds, adds_what_the_better_has, pool_of, rubric_of

ONE = Rules(max_iterations=1)
PAPER = Rules(max_iterations=3, policy="top2", gate=False, score_final=False)


async def refined(stage: Stage, pool: Pool, rules: Rules = ONE, initial=None) -> PromptRecord:
    return await refine_prompt(pool, stage.crew(), rules, initial)


class TestSteps:
    async def test_the_paper_grades_everything_on_everything_every_round(self):
        """With the rules of the paper: propose; then each round every response on all criteria of the
        rubric in one call, the best two refined, every valid proposal taken unseen."""
        stage = Stage(rubric_of("a"), [adds("b"), adds("c"), adds("d")], reuse=False)
        texts = ["a b c", "a b", "a", "x"]
        record = await refined(stage, pool_of(*texts), PAPER)
        assert stage.steps == ["propose", *["grade", "refine"] * 3]
        by_round = [["a"], ["a", "b"], ["a", "b", "c"]]
        assert Counter(stage.log[1:5] + stage.log[6:10] + stage.log[11:15]) == Counter(
            ("grade", text, tuple(criteria)) for criteria in by_round for text in texts
        )
        assert [played.why for played in record.rounds] == ["accepted unseen (no gate)"] * 3
        assert [criterion.text for criterion in record.rubric.criteria] == ["a", "b", "c", "d"]
        assert record.standings == ()
        assert record.why == "all 3 rounds were played"

    async def test_the_gate_grades_the_pair_before_it_decides_and_the_pool_at_the_end(self):
        """With our rules a round is grade, refine, grade (new criteria only); the final rubric is scored on
        the whole pool."""
        stage = Stage(rubric_of("a"), [adds_what_the_better_has])
        record = await refined(stage, pool_of("a p1", "a p2", "q", "r", "s", "t"))
        assert stage.steps == ["propose", "grade", "refine", "grade"]
        new = record.rubric.criteria[-1].text
        assert [text for _, text in stage.asked] == ["a"] * 6 + [new] * 6
        assert {text for text, _ in stage.asked[6:8]} == set(stage.pairs[0])
        assert len(record.standings) == 6

    async def test_lineage_tells_where_a_rubric_comes_from(self):
        """Version, round, parent, pair and proposer of each accepted rubric."""
        stage = Stage(rubric_of("a"), [adds_what_the_better_has])
        record = await refined(stage, pool_of("a p1", "a p2", "a p3", "a p4"), Rules(max_iterations=2))
        first, second = (played.proposed for played in record.rounds)
        assert (record.initial.version, first.version, second.version) == (0, 1, 2)
        assert record.initial.lineage.proposer == "a-proposer" and record.initial.lineage.parent is None
        assert second.lineage.parent == first.key and first.lineage.parent == record.initial.key
        assert (first.lineage.round, second.lineage.round) == (1, 2)
        assert first.lineage.pair == record.rounds[0].pair
        assert record.rubric == second

    async def test_a_given_rubric_is_not_proposed_again(self):
        """A prompt that comes with a rubric starts from it; nothing is asked for it."""
        stage = Stage(refinements=[adds_what_the_better_has])
        given = rubric_of("a b")
        record = await refined(stage, pool_of("a p1", "a p2"), initial=given)
        assert "propose" not in stage.steps
        assert record.initial == given

    async def test_no_rounds_means_grading_only(self):
        """`grade` is a run of no rounds: the given rubric is kept, and every response scored on it."""
        stage = Stage()
        record = await refined(stage, pool_of("a", "b"), Rules(max_iterations=0), rubric_of("a"))
        assert (record.state, record.why) == ("kept", "no round was asked for")
        assert stage.steps == ["grade"]
        assert [standing.score for standing in record.standings] == [1.0, 0.0]

    async def test_must_have_rubric_fails_who_has_none(self):
        """Under `workflow.must_have_rubric` a prompt without a rubric fails, and nothing is asked."""
        stage = Stage()
        with pytest.raises(ReplyError, match="no rubric was given"):
            await refined(stage, pool_of("a", "b"), Rules(must_have_rubric=True))
        assert stage.log == []


def says(winner: str, reason: str | None = None):
    return lambda first, second: Preference(winner, reason)


def likes(text: str):
    """A judge for one of two responses."""
    return lambda first, second: Preference("first" if first.text == text else "second")


class TestGate:
    async def test_accepts_what_separates_the_pair(self):
        """A new rubric that separates the pair and ties no more of the top replaces the old one."""
        stage = Stage(rubric_of("a"), [adds("p1")])
        record = await refined(stage, pool_of("a p1", "a p2"))
        (played,) = record.rounds
        assert (record.state, played.decision) == ("refined", "accepted")
        assert set(played.pair_scores_before) == {1.0} and set(played.pair_scores_after) == {1.0, 0.5}

    @pytest.mark.parametrize(
        ("texts", "written", "prefers", "why"),
        [
            pytest.param(
                ["a p1", "a p2"], adds("z"), None, "ties the pair, both at 0.500", id="the pair stays tied"
            ),
            pytest.param(
                ["a b c p1", "a b c p2", "a b x", "a y"],
                lambda rubric, pair: rubric_of("a p1"),
                None,
                "ties more of the top: 50% after 17%",
                id="ties more of the top",
            ),
            pytest.param(
                ["a p1", "a p2"],
                adds("p1"),
                likes("a p2"),
                "separates the pair against the judge's preference",
                id="the judge disagrees",
            ),
            pytest.param(
                ["a p1", "a p2"],
                adds("p1"),
                says("tie", "the two orders disagree"),
                "the judge has no clear preference: the two orders disagree",
                id="the judge has no clear preference",
            ),
            pytest.param(
                ["a p1", "a p2"],
                adds("p1"),
                says("unjudged", "cut off"),
                "the judge has no clear preference: cut off",
                id="the judge cannot be read",
            ),
            pytest.param(
                ["a ?z", "a p2"],
                adds("z"),
                None,
                "the pair could not be judged on the new rubric",
                id="a side of the pair is unjudged",
            ),
        ],
    )
    async def test_refuses_and_keeps_the_old_rubric(self, texts, written, prefers, why):
        """A refused proposal leaves the rubric, its scores and its version as they were, and says why."""
        initial = rubric_of("a b c") if len(texts) > 2 else rubric_of("a")
        stage = Stage(initial, [written], prefers)
        record = await refined(stage, pool_of(*texts))
        (played,) = record.rounds
        assert played.decision == "refused"
        assert why in played.why and why in record.why
        assert record.state == "kept"
        assert record.rubric == record.initial
        assert record.rubric.key == initial.key
        assert played.proposed is not None and played.proposed.key != initial.key
        assert all(len(standing.marks) == len(initial.criteria) for standing in record.standings)

    async def test_the_judge_is_asked_only_what_would_pass(self):
        """The judge costs two calls: a proposal that is refused anyway does not come before it."""
        stage = Stage(rubric_of("a"), [adds("z")], likes("a p1"))
        await refined(stage, pool_of("a p1", "a p2"))
        assert "judge" not in stage.steps

    async def test_follows_the_judge(self):
        """With a judge, a rubric passes that separates the pair in the judge's direction."""
        stage = Stage(rubric_of("a"), [adds("p2")], likes("a p2"))
        record = await refined(stage, pool_of("a p1", "a p2"))
        assert record.rounds[0].why == "separates the pair as the judge does, " + (
            "1.000 against 0.500" if stage.pairs[0][0] == "a p2" else "0.500 against 1.000"
        )

    async def test_the_best_so_far_survives_a_later_refusal(self):
        """After an accepted round a refused one changes nothing: the record ends with the accepted rubric."""
        stage = Stage(rubric_of("a"), [adds_what_the_better_has, adds("z")])
        record = await refined(stage, pool_of("a p1", "a p2", "a p3", "a p4"), Rules(max_iterations=2))
        assert [played.decision for played in record.rounds] == ["accepted", "refused"]
        assert record.state == "refined"
        assert record.rubric == record.rounds[0].proposed

    async def test_ties_are_compared_over_the_same_responses(self):
        """A response that the new rubric leaves unjudged counts on neither side of the comparison."""
        # Under the old rubric p1 and p2 tie (1 of 6 pairs); under the new one p1 and c do, and d is unjudged:
        # over the three that both rubrics score it is one pair of three before, and one of three after.
        stage = Stage(rubric_of("a b e"), [lambda rubric, pair: rubric_of("e w*3")])
        pool = pool_of("a b e p1", "a b e w p2", "a e c", "a ?w d")
        record = await refined(stage, pool)
        assert record.rounds[0].decision == "accepted"

    async def test_tie_shares_by_hand(self):
        """Scores 2/3, 2/3, 2/3, 1/3 | 0: three of the six pairs of the top four are tied, so 1/2. A
        criterion that only the pair's first meets leaves one tied pair of six."""
        pool = pool_of("x y pa", "x y pb", "x z pc", "x", "nothing")
        stage = Stage(rubric_of("x y z"), [adds_what_the_better_has])
        record = await refined(stage, pool)
        (played,) = record.rounds
        assert played.tie_share_before == pytest.approx(3 / 6)
        assert played.tie_share_after == pytest.approx(1 / 6)
        assert record.tie_share_before == played.tie_share_before
        assert record.tie_share_after == pytest.approx(1 / 6)
        assert played.decision == "accepted"

    async def test_the_papers_worked_example(self):
        """Chasing the Tail, appendix I: 18/20 against 18/20 becomes 25/27 against 22/27."""
        before = "c1*3 c2*3 c3*3 c4*3 c5*2 c6*2 c7*2 c8 c9"
        after = "n1*3 n2*3 n3*3 n4*3 n5*2 n6*2 n7*2 n8*2 n9*2 n10 n11 n12*3"
        both = "c1 c2 c3 c4 c5 c6 c8 c9 n1 n2 n3 n4 n5 n6 n8 n10 n12"
        # R1 misses n9 (2 of 27); R2 misses n7 (2), n9 (2) and n11 (1).
        stage = Stage(rubric_of(before), [rubric_of(after)])
        record = await refined(stage, pool_of(f"{both} n7 n11", both))
        (played,) = record.rounds
        assert played.pair_scores_before == (pytest.approx(18 / 20),) * 2
        assert sorted(played.pair_scores_after) == pytest.approx([22 / 27, 25 / 27])
        assert record.state == "refined"


class TestFailures:
    @pytest.mark.parametrize("failure", [ReplyError("no JSON"), BadRequest("too long")])
    async def test_a_refinement_that_fails_keeps_the_rubric(self, failure):
        """A reply that cannot be read, or a refused request, is a failed round, not a failed prompt."""
        stage = Stage(rubric_of("a"), [failure])
        record = await refined(stage, pool_of("a p1", "a p2"))
        (played,) = record.rounds
        assert (record.state, played.decision, played.proposed) == ("kept", "failed", None)
        assert played.why == f"no new rubric: {failure}"
        assert record.rubric == record.initial

    @pytest.mark.parametrize("failure", [ChatTimeout("silence"), Unavailable("down"), RunStopped("enough")])
    async def test_a_call_that_fails_for_good_leaves_the_prompt_owed(self, failure):
        """An outage is not an answer: it is raised, and the prompt is owed again."""
        stage = Stage(rubric_of("a"), [failure])
        with pytest.raises(type(failure)):
            await refined(stage, pool_of("a p1", "a p2"))

    async def test_no_first_rubric_is_no_record(self):
        """Without a first rubric there is nothing to keep: the prompt fails, and nothing is invented."""
        stage = Stage(ReplyError("no JSON"))
        with pytest.raises(ReplyError, match="no JSON"):
            await refined(stage, pool_of("a p1", "a p2"))

    async def test_a_proposer_that_changes_nothing_is_refused_without_grading(self):
        """The same criteria again are no refinement, whatever their ids."""
        stage = Stage(rubric_of("a"), [adds()])
        record = await refined(stage, pool_of("a p1", "a p2"))
        assert record.rounds[0].decision == "refused"
        assert record.rounds[0].why == "the proposer changed nothing"
        assert stage.steps == ["propose", "grade", "refine"]


class TestEnds:
    async def test_exclude_used_walks_down_until_the_pool_is_exhausted(self):
        """Both responses of a pair leave the pool, accepted or not: five responses give two rounds."""
        stage = Stage(rubric_of("a b c d"), [adds("z")])
        texts = ["a b c d 1", "a b c 2", "a b 3", "a 4", "5"]
        record = await refined(stage, pool_of(*texts), Rules(max_iterations=4))
        assert stage.pairs == [("a b c d 1", "a b c 2"), ("a b 3", "a 4")]
        assert [len(played.standings) for played in record.rounds] == [5, 3]
        assert "fewer than two scored responses are left" in record.why
        assert len(record.standings) == 5

    async def test_top2_stops_when_nothing_separates_the_top_two_any_more(self):
        """The same pair on the same rubric would get the same answer: it is not asked again."""
        stage = Stage(rubric_of("a"), [adds("z")])
        record = await refined(stage, pool_of("a p1", "a p2", "b"), Rules(policy="top2"))
        assert len(record.rounds) == 1
        assert record.why.endswith("nothing separates the top two any more")

    async def test_top2_compares_the_best_two_again_under_a_new_rubric(self):
        """The paper's text: every round takes the best two, whether they were compared or not."""
        stage = Stage(rubric_of("a"), [adds("p1"), adds("p2"), adds("p3")], reuse=False)
        record = await refined(stage, pool_of("a p1 p2 p3", "a p1 p2 p4", "x"), PAPER)
        assert len(record.rounds) == 3
        assert {frozenset(pair) for pair in stage.pairs} == {frozenset(("a p1 p2 p3", "a p1 p2 p4"))}

    async def test_contested_stops_when_every_pair_was_tried(self):
        """Never the same pair twice: three responses give three rounds, and then there is no more."""
        stage = Stage(rubric_of("a"), [adds("z")])
        record = await refined(
            stage, pool_of("a p1", "a p2", "a p3"), Rules(max_iterations=9, policy="contested")
        )
        assert len({frozenset(pair) for pair in stage.pairs}) == len(record.rounds) == 3
        assert record.why.endswith("every pair among the top was compared already")

    async def test_first_two_asks_for_no_scores(self):
        """The official single round: the first two of the file, unscored, once."""
        stage = Stage(rubric_of("a"), [adds("p2")])
        rules = Rules(max_iterations=4, policy="first_two", gate=False, score_final=False)
        record = await refined(stage, pool_of("x", "a p2", "a"), rules)
        assert stage.log == [("propose",), ("refine", "x", "a p2")]
        (played,) = record.rounds
        assert (played.standings, played.tie_share_before) == ((), None)
        assert record.state == "refined"

    async def test_first_two_with_a_gate_grades_the_pair_only(self):
        """The gate asks what it needs: the two of the pair, on the new rubric."""
        stage = Stage(rubric_of("a"), [adds("p2")])
        await refined(
            stage, pool_of("x", "a p2", "a"), Rules(max_iterations=1, policy="first_two", score_final=False)
        )
        assert {text for text, _ in stage.asked} == {"x", "a p2"}

    @pytest.mark.parametrize("policy", ["exclude_used", "top2", "contested", "first_two"])
    @pytest.mark.parametrize("texts", [(), ("a",)])
    async def test_fewer_than_two_responses_are_kept_with_a_reason(self, policy, texts):
        """No pair, no refinement: the first rubric is kept, what there is gets its score, and why is said."""
        stage = Stage(rubric_of("a"))
        record = await refined(stage, pool_of(*texts), Rules(policy=policy))
        assert record.state == "kept" and record.rounds == ()
        assert "fewer than two" in record.why
        assert len(record.standings) == len(texts)
        assert "refine" not in stage.steps


class TestUnjudged:
    async def test_silence_is_neither_met_nor_unmet(self):
        """An unjudged criterion leaves both sums of the score, keeps its mark, and says why."""
        stage = Stage(rubric_of("a*3 b*1"))
        record = await refined(stage, pool_of("a ?b", "a b", "b"), Rules(max_iterations=0, floor=0.7))
        standing = {s.marks: s for s in record.standings}["+?"]
        assert standing.score == 1.0 and standing.coverage == 0.75
        assert standing.reasons == {"c2": "the grader said nothing on it"}

    async def test_below_the_floor_there_is_no_number(self):
        """Less than the floor judged: no score, last in the standings, not in the tie share."""
        stage = Stage(rubric_of("a b"))
        record = await refined(stage, pool_of("?a ?b", "a ?b", "a", "b"), Rules(max_iterations=0))
        assert [standing.score for standing in record.standings] == [0.5, 0.5, None, None]
        assert record.tie_share_after == 1.0

    @pytest.mark.parametrize("policy", ["exclude_used", "top2", "contested"])
    async def test_who_has_no_score_is_never_compared(self, policy):
        """Responses without a score are in no pair, in any round."""
        stage = Stage(rubric_of("a b"), [adds("z")])
        pool = pool_of("?a ?b 1", "?a b 2", "a ?b 3", "a 4", "b 5")
        record = await refined(stage, pool, Rules(max_iterations=4, policy=policy))
        assert stage.pairs and {text for pair in stage.pairs for text in pair} == {"a 4", "b 5"}
        assert record.state == "kept"

    async def test_all_silent_is_kept_not_ranked(self):
        """A grader that says nothing at all: no pair, no score, and the rubric is kept."""
        stage = Stage(rubric_of("a"))
        record = await refined(stage, pool_of("?a 1", "?a 2"))
        assert record.state == "kept" and record.rounds == ()
        assert [standing.score for standing in record.standings] == [None, None]
        assert record.tie_share_after is None

    async def test_a_model_that_stutters_is_asked_again_for_what_is_missing(self):
        """Through the real roles: the criterion without a verdict is asked alone, once; then it is unjudged
        with the reader's reason."""
        n_asked: list[int] = []

        def answer(request: Request) -> str:
            text = request.messages[-1].content
            if "You write grading rubrics" in text:
                return rubric_reply("3:one", "3:two", "1:three")
            n_asked.append(len(asked(request)))
            return verdicts_reply("++?") if n_asked[-1] == 3 else '{"verdicts": []}'

        chat = ScriptedChat(answer)
        crew = Crew(ModelProposer(chat, chat, a_manner()), RecallingGrader(ModelGrader(chat, a_manner()), {}))
        record = await refine_prompt(a_pool(1), crew, Rules(max_iterations=0))
        (standing,) = record.standings
        assert (standing.marks, standing.score) == ("++?", 1.0)
        assert "c3" in standing.reasons
        assert n_asked == [3, 1]


class TestReuse:
    @pytest.mark.parametrize("policy", ["exclude_used", "top2", "contested"])
    async def test_each_response_is_asked_each_criterion_once(self, policy):
        """Over all rounds, gates and the final scoring no (response, criterion) is asked twice, and every
        one of the final rubric is asked."""
        texts = [f"a {'b ' * (n % 2)}p{n}" for n in range(7)]
        stage = Stage(rubric_of("a b"), [adds_what_the_better_has, adds("z")])
        record = await refined(stage, pool_of(*texts), Rules(max_iterations=4, policy=policy))
        counts = Counter(stage.asked)
        assert set(counts.values()) == {1}
        assert {(text, c.text) for text in texts for c in record.rubric.criteria} <= set(counts)

    async def test_the_set_asked_by_hand(self):
        """Exclude used, two rounds, six responses: round one asks all six on the first rubric, the gate its
        pair and the rest of the top four on the new criterion; round two asks the two that are left over;
        then the pairs once more on what they have not seen."""
        texts = ["a b c d e 1", "a b c d 2", "a b c 3", "a b 4", "a 5", "6"]
        stage = Stage(rubric_of("a b c d e"), [adds("1"), adds("3")])
        record = await refined(stage, pool_of(*texts), Rules(max_iterations=2))
        assert [played.decision for played in record.rounds] == ["accepted", "accepted"]
        order = [(text.split()[-1], criterion) for text, criterion in stage.asked]
        old = [(text.split()[-1], criterion) for text in texts for criterion in "abcde"]
        gate_one = [("1", "1"), ("2", "1"), ("3", "1"), ("4", "1")]
        stand_two = [("5", "1"), ("6", "1")]
        gate_two = [("3", "3"), ("4", "3"), ("5", "3"), ("6", "3")]
        final = [("1", "3"), ("2", "3")]
        stops = [30, 34, 36, 40, 42]
        parts = [order[a:b] for a, b in zip([0, *stops], stops, strict=False)]
        assert [set(part) for part in parts] == list(map(set, [old, gate_one, stand_two, gate_two, final]))
        assert len(order) == 42

    async def test_without_memory_every_round_asks_everything(self):
        """`grade.reuse` off: N responses on the whole rubric, every round."""
        stage = Stage(rubric_of("a"), [adds("b"), adds("c"), adds("d")], reuse=False)
        await refined(stage, pool_of("a 1", "a 2", "a 3"), PAPER)
        assert len([event for event in stage.log if event[0] == "grade"]) == 9


class _Restless:
    """A chat that lets replies go in an order drawn by a seed, whatever the order of asking."""

    def __init__(self, seed: int):
        self._chance = random.Random(seed)
        self._waiting: list[tuple[asyncio.Future[Reply], Request]] = []

    async def ask(self, request: Request) -> Reply:
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Reply] = loop.create_future()
        self._waiting.append((reply, request))
        loop.call_soon(self._release)
        return await reply

    def _release(self) -> None:
        reply, request = self._waiting.pop(self._chance.randrange(len(self._waiting)))
        if not reply.done():
            reply.set_result(Reply(_played(request)))


def _played(request: Request) -> str:
    content = request.messages[-1].content
    answer = play({"model": request.model, "messages": [{"role": "user", "content": content}]})
    assert isinstance(answer, str)
    return answer


def _crew_of(chat, meter: Meter, *, criteria_per_call: int | None = None) -> Crew:
    grader = ModelGrader(MeteredChat(chat, meter, "grade"), a_manner(), criteria_per_call)
    return Crew(
        ModelProposer(
            MeteredChat(chat, meter, "propose"), MeteredChat(chat, meter, "refine"), a_manner("writer")
        ),
        RecallingGrader(CheckedGrader(grader), {}),
        ModelJudge(MeteredChat(chat, meter, "judge"), a_manner("judge")),
    )


async def _played_out(seed: int, pool: Pool, policy: str, size: int | None) -> tuple[PromptRecord, object]:
    meter = Meter()
    crew = _crew_of(_Restless(seed), meter, criteria_per_call=size)
    record = await refine_prompt(pool, crew, Rules(policy=policy))
    return record, meter.spend(Prices())


def _actors_pool(n: int, salt: str) -> Pool:
    texts = [Response(a_text(f"{salt}{place}", 8), f"m{place}") for place in range(n)]
    return Pool(Prompt.of_text(f"Tell me about {salt}."), tuple(texts))


class TestOrderLeavesNoTrace:
    @settings(max_examples=30)
    @given(
        seed=st.integers(0, 10**6),
        policy=st.sampled_from(["exclude_used", "top2", "contested", "first_two"]),
        size=st.sampled_from([None, 1, 3]),
        salt=st.sampled_from("abcd"),
    )
    def test_arrival(self, seed, policy, size, salt):
        """The record and the spend of a prompt are the same in whatever order concurrent replies arrive."""
        pool = _actors_pool(7, salt)
        first = asyncio.run(_played_out(0, pool, policy, size))
        assert asyncio.run(_played_out(seed, pool, policy, size)) == first

    @settings(max_examples=30)
    @given(
        order=st.permutations(range(7)),
        policy=st.sampled_from(["exclude_used", "top2", "contested"]),
        salt=st.sampled_from("abcd"),
    )
    def test_pool(self, order, policy, salt):
        """The record does not depend on the order of the responses in the file (but for `first_two`, whose
        very definition it is)."""
        pool = _actors_pool(7, salt)
        shuffled = Pool(pool.prompt, tuple(pool.responses[place] for place in order))
        assert asyncio.run(_played_out(1, shuffled, policy, None)) == asyncio.run(
            _played_out(1, pool, policy, None)
        )

    async def test_the_stage_is_not_trivial(self):
        """The pools of these properties are refined, refused and tied, so that order could matter."""
        decisions = Counter()
        for salt in "abcd":
            for policy in ("exclude_used", "top2", "contested"):
                record, _ = await _played_out(0, _actors_pool(7, salt), policy, None)
                decisions.update(played.decision for played in record.rounds)
        assert decisions["accepted"] > 5 and decisions["refused"] > 5


def test_a_rubric_of_the_stage_reads_as_written():
    """The stage's shorthand is what the tests take it for."""
    assert rubric_of("a*3 b").key == a_rubric("3:a", "1:b").key
