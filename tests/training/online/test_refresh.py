"""The round: what it asks, what it changes, and what becomes of failures."""

from __future__ import annotations

import json

import pytest

from rubricate.domain.conversation import Prompt
from rubricate.errors import AccountError, BadRequest, RunStopped, SettingsError, Unavailable
from rubricate.rewards.panel import panel_of
from rubricate.rewards.reward import RubricReward
from rubricate.training.online.refresh import arefresh, refresh
from rubricate.training.online.rubrics import OnlineRubrics
from rubricate.training.online.rules import OnlineRules
from tests.builders import a_rubric
from tests.training.online.stage import Till, a_reward, answer, framed_in, rubric_texts

RULES = OnlineRules(groups=1, min_verdicts=3, min_active=1, look_again=3, coverage="all")
PROMPT, OTHER = "the rain is", "the sun is"
KEY = Prompt.of_text(PROMPT).key


def words(reward: RubricReward, step: int | None = None, key: str = KEY) -> list[str]:
    """The words that count for the prompt."""
    version = reward.versions.version(key, step)
    return rubric_texts(version.rubric)


def kept(reward: RubricReward, key: str = KEY) -> dict[str, str]:
    """The words that are kept for evaluations, each with how it came to that."""
    version = reward.versions.version(key)
    return {one.criterion.text.removeprefix("Mentions ").rstrip("."): one.how for one in version.retired}


def test_a_round_by_hand(tmp_path):
    """The first rubric asks for rain (2) and sun (1). Three completions, of which the best two both have rain
    alone, tie: the refinement asks for the words in which they differ, the gate finds them apart, sun, that
    nobody has, retires. Paid: the proposal, and the new words of the old top, never rain and sun again."""
    till = Till(tmp_path / "paid")
    with a_reward(tmp_path, till, RULES) as reward:
        texts = ["rain wind", "rain", "a"]
        assert reward.score([PROMPT] * 3, texts, step=0) == [2 / 3, 2 / 3, 0.0]
        n_graded = till.n("verdicts")
        figures = refresh(reward, 1)
        assert words(reward) == ["rain", "wind"] and kept(reward) == {"sun": "constant"}
        assert till.n("verdicts") == n_graded + 3, "the one new word, of each of the top (all three)"
        assert figures["online/accepted"] == figures["online/added"] == figures["online/retired"] == 1
        assert figures["online/tie_share_before"] == 1 / 3 and figures["online/tie_share_after"] == 0
        batch = reward.grade([PROMPT] * 3, texts, step=1)
        assert batch.rewards == [1.0, 2 / 3, 0.0] and batch.news == figures
        assert till.n("verdicts") == n_graded + 3, "and the next step pays for nothing new"
        seen = reward.grade([PROMPT], ["rain wind"], evaluation=True).graded[0]
        assert rubric_texts(seen.rubric) == ["rain", "wind", "sun"] and seen.score == 3 / 4
        assert reward.grade([PROMPT], ["rain wind"], evaluation=True, step=0).rewards == [2 / 3]


def test_a_retired_criterion_comes_back_when_it_tells_apart_again(tmp_path):
    """Nobody spoke of sun; now half do, and it counts again, since then. What the proposer left out does
    not come back by itself."""

    def drops_rain(request):
        said = json.loads(answer(request))
        if request.schema.name == "rubric" and "Mentions wind." in str(framed_in(request, "rubric")):
            said["criteria"] = [c for c in said["criteria"] if "rain" not in c["criterion"]]
        return json.dumps(said)

    with a_reward(tmp_path, drops_rain, RULES) as reward:
        reward.score([PROMPT] * 3, ["rain wind", "rain", "a"], step=0)
        refresh(reward, 1)
        assert kept(reward) == {"sun": "constant"}
        reward.score([PROMPT] * 4, ["wind rain", "wind rain b", "rain sun", "sun"], step=1)
        figures = refresh(reward, 2)
        assert figures["online/returned"] == 1 and "sun" in words(reward)
        version = reward.versions.version(KEY)
        assert version.since["Mentions sun."] == 2
        assert kept(reward) == {"rain": "dropped"} and "b" in words(reward)
        reward.score([PROMPT] * 4, ["wind sun", "rain wind", "b sun", "c"], step=2)
        assert refresh(reward, 3)["online/returned"] == 0 and kept(reward)["rain"] == "dropped"


def test_a_criterion_that_came_back_is_judged_by_what_it_said_since(tmp_path):
    """Constant before it retired and in one group after it came back: that is one group, and two are asked
    for. After a second one it retires again."""
    rules = OnlineRules(pairs=0, groups=2, min_verdicts=4, min_active=1, look_again=9)
    column = [a_rubric("1:Mentions a.", "1:Mentions b.")] * 3
    steps = [
        ["a b", "b h", "c b"],
        ["a b", "b h", "c b"],
        ["a b", "a", "b"],
        ["a b", "b h", "c b"],
        ["a b", "b h", "d b"],
    ]
    found = []
    with a_reward(tmp_path, answer, rules) as reward:
        for step, said in enumerate(steps):
            reward.score([PROMPT] * 3, said, column, step=step)
            refresh(reward, step + 1)
            found.append(("b" in words(reward), reward.versions.version(KEY).since.get("Mentions b.")))
    assert found == [(True, None), (False, None), (True, 3), (True, 3), (False, None)]


def test_a_retired_criterion_that_is_proposed_again_and_still_says_nothing_stays_retired(tmp_path):
    """The proposal is accepted without it."""

    def again(request):
        said = json.loads(answer(request))
        if request.schema.name == "rubric" and framed_in(request, "rubric"):
            said["criteria"].append({"criterion": "mentions sun", "weight": 3, "kind": "rule"})
        return json.dumps(said)

    with a_reward(tmp_path, again, RULES) as reward:
        reward.score([PROMPT] * 3, ["rain wind", "rain", "a"], step=0)
        refresh(reward, 1)
        assert kept(reward) == {"sun": "constant"}
        reward.score([PROMPT] * 3, ["rain wind b", "rain wind", "a"], step=1)
        figures = refresh(reward, 2)
        assert figures["online/accepted"] == figures["online/merged"] == 1
        assert words(reward) == ["rain", "wind", "b"] and kept(reward) == {"sun": "constant"}


def test_must_haves_never_retire_and_the_cap_holds(tmp_path):
    """A must-have that all meet stays; of more criteria than may count, those of the least spread go."""
    rules = OnlineRules(
        groups=1, min_verdicts=3, min_active=1, max_active=2, look_again=0, pairs=0, coverage="all"
    )
    rubric = a_rubric("3:Mentions a.", "1:Mentions b.", "1:Mentions c.", "1:Mentions d.")
    must = type(rubric)(
        (type(rubric.criteria[0])("c1", "Mentions a.", 3, decisive=True), *rubric.criteria[1:])
    )
    with a_reward(tmp_path, answer, rules) as reward:
        reward.score([PROMPT] * 4, ["a b c", "a b", "a b d", "a b c"], [must] * 4, step=0)
        refresh(reward, 1)
        assert words(reward) == ["a", "c"]
        assert kept(reward) == {"b": "constant", "d": "crowded"}


def test_the_gate_refuses_and_says_why(tmp_path):
    """A judge who prefers the other one in both orders; a proposal that ties the pair still; one that is no
    other: the old rubric stays, each refusal is counted by its reason."""

    def against(request):
        if request.schema.name == "preference":
            first, second = (len(text) for text in framed_in(request, "response"))
            return json.dumps({"better": 1 if first < second else 2})
        return answer(request)

    def idle(request):
        if request.schema.name == "rubric" and framed_in(request, "rubric"):
            return json.dumps({"criteria": [
                {"criterion": "Mentions rain.", "weight": 2, "kind": "principle"},
                {"criterion": "mentions sun", "weight": 1, "kind": "principle"},
            ]})  # fmt: skip
        return answer(request)

    def useless(request):
        said = json.loads(answer(request))
        if request.schema.name == "rubric" and framed_in(request, "rubric"):
            said["criteria"] = [
                *said["criteria"][:2],
                {"criterion": "Mentions h.", "weight": 1, "kind": "rule"},
            ]
        return json.dumps(said)

    cases = {"against_judge": (against, True), "unchanged": (idle, False), "ties_pair": (useless, False)}
    for reason, (said, judged) in cases.items():
        place = tmp_path / reason
        place.mkdir()
        with a_reward(place, said, RULES, judged=judged) as reward:
            reward.score([PROMPT] * 3, ["rain wind", "rain", "sun"], step=0)
            figures = refresh(reward, 1)
            assert figures["online/refused"] == figures[f"online/refused_{reason}"] == 1, figures
            assert figures["online/changed"] == 0 and words(reward) == ["rain", "sun"]
            assert figures["online/comparisons"] == judged


def test_the_best_against_the_reference(tmp_path):
    """A second pair: the policy's best and the reference's best, in one refresh; the reference's words are
    asked for where it has what the policy lacks."""
    rules = OnlineRules(groups=1, min_verdicts=9, look_again=0, pairs=0, coverage="all")
    reference = {KEY: ("rain sun snowless", "a")}
    with a_reward(tmp_path, answer, rules, reference=reference) as reward:
        reward.score([PROMPT] * 2, ["rain sun", "rain"], step=0)
        refresh(reward, 1)
        (played,) = reward.versions.version(KEY).played
        assert played.between == "reference" and played.decision == "accepted"
        assert words(reward) == ["rain", "sun", "snowless"]
        assert played.scores_before == (1.0, 1.0) and set(played.scores_after) == {1.0, 3 / 4}
        assert reward.score([PROMPT] * 2, ["rain sun", "rain"], step=1) == [3 / 4, 2 / 4]


def test_two_rounds_in_a_refresh_lose_nothing(tmp_path):
    """The first drops two criteria and adds one, the second adds another: each criterion has an id of its
    own, and an evaluation sees all of them."""
    rounds = [["a", "b", "e"], ["a", "b", "e", "h"]]

    def said(request):
        if request.schema.name == "rubric":
            letters = rounds.pop(0)
            return json.dumps({"criteria": [
                {"criterion": f"Mentions {letter}.", "weight": 1, "kind": "rule"} for letter in letters
            ]})  # fmt: skip
        return answer(request)

    rules = OnlineRules(pairs=2, groups=1, min_verdicts=99, look_again=0, coverage="all")
    column = [a_rubric(*(f"1:Mentions {letter}." for letter in "abcd"))] * 3
    with a_reward(tmp_path, said, rules) as reward:
        reward.score([PROMPT] * 3, ["a e h", "a f", "is"], column, step=0)
        assert refresh(reward, 1)["online/accepted"] == 2
        assert words(reward) == ["a", "b", "e", "h"] and kept(reward) == {"c": "dropped", "d": "dropped"}
        seen = reward.grade([PROMPT], ["a"], column[:1], evaluation=True).graded[0].rubric
        assert len({criterion.id for criterion in seen.criteria}) == 6


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [(BadRequest("too long"), "failed"), (Unavailable("gone"), "failed"), ("I cannot.", "failed")],
)
def test_what_fails_for_one_prompt_is_said_and_leaves_its_rubric(tmp_path, failure, outcome):
    """A proposer that fails on one of two prompts: the other is refined."""

    def failing(request):
        if (
            request.schema.name == "rubric"
            and framed_in(request, "rubric")
            and OTHER in str(request.messages)
        ):
            if isinstance(failure, Exception):
                raise failure
            return failure
        return answer(request)

    other = Prompt.of_text(OTHER).key
    with a_reward(tmp_path, failing, RULES) as reward:
        texts = ["rain wind", "rain", "a"]
        reward.score([PROMPT] * 3 + [OTHER] * 3, texts * 2, step=0)
        figures = refresh(reward, 1)
        assert figures["online/failed"] == 1 and figures["online/accepted"] == 1
        assert "wind" in words(reward) and "wind" not in words(reward, key=other)
        version = reward.versions.version(other)
        assert str(failure)[:8] in version.why or "no new rubric" in version.why


@pytest.mark.parametrize("failure", [AccountError("no such key"), RunStopped("the budget is spent")])
def test_what_ends_a_run_ends_the_refresh_and_nothing_is_changed(tmp_path, failure):
    """And the same refresh again, once it may be paid for, does what it would have done."""
    broken = [True]

    def failing(request):
        if broken and request.schema.name == "rubric" and framed_in(request, "rubric"):
            raise failure
        return answer(request)

    with a_reward(tmp_path, failing, RULES) as reward:
        reward.score([PROMPT] * 3, ["rain wind", "rain", "a"], step=0)
        with pytest.raises(type(failure)):
            refresh(reward, 1)
        assert reward.versions.version(KEY) is None and not reward.versions.is_refreshed(1)
        broken.clear()
        refresh(reward, 1)
        assert words(reward) == ["rain", "wind"]


async def test_it_is_done_once_and_only_where_something_new_was_graded(tmp_path):
    """The same step again changes nothing and asks nobody; a later one passes over prompts that were not
    seen since. Awaited, from a running loop."""
    till = Till(tmp_path / "paid")
    with a_reward(tmp_path, till, RULES) as reward:
        await reward.ascore([PROMPT] * 3, ["rain wind", "rain", "a"], step=0)
        assert (await arefresh(reward, 1))["online/prompts"] == 1
        n_paid = len(till.paid)
        assert await arefresh(reward, 1) == {}
        assert (await arefresh(reward, 2))["online/prompts"] == 0
        assert len(till.paid) == n_paid


def test_the_same_pair_on_the_same_rubric_is_not_asked_again(tmp_path):
    """What was refused once would be refused again."""
    till = Till(tmp_path / "paid")

    def idle(request):
        till(request)
        if request.schema.name == "rubric" and framed_in(request, "rubric"):
            return json.dumps({"criteria": [{"criterion": "Mentions rain.", "weight": 3, "kind": "rule"}]})
        return answer(request)

    rules = OnlineRules(groups=1, min_verdicts=99, coverage="all")
    with a_reward(tmp_path, idle, rules) as reward:
        pairs = []
        for step in range(3):
            reward.score([PROMPT] * 3, ["rain wind", "rain", "a"], step=step)
            pairs.append(refresh(reward, step + 1)["online/pairs"])
    assert pairs == [1, 0, 0] and till.n("rubric") == 2, "the first rubric, and one refinement"


def test_equal_replies_give_equal_bytes(tmp_path):
    """Whatever order the prompts are answered in."""
    import asyncio

    def slow_for(prompt):
        async def said(request):
            await asyncio.sleep(0.01 if prompt in str(request.messages) else 0)
            return answer(request)

        return said

    written = []
    for place, prompt in ((tmp_path / "one", PROMPT), (tmp_path / "two", OTHER)):
        place.mkdir()
        with a_reward(place, slow_for(prompt), RULES) as reward:
            for step in range(3):
                reward.score(
                    [PROMPT] * 3 + [OTHER] * 3, ["rain wind b", "rain", f"{'abc'[step]}"] * 2, step=step
                )
                refresh(reward, step + 1)
        written.append([path.read_bytes() for path in sorted((place / "online").glob("*.jsonl"))])
    assert written[0] == written[1]


def test_mistakes_are_said():
    """A reward without versions, a panel without a proposer, rules out of range."""
    with RubricReward(panel_of(None)) as reward, pytest.raises(SettingsError, match="OnlineRubrics"):
        refresh(reward, 1)
    with pytest.raises(SettingsError, match=r"online\.max_active is 2; the least is 5"):
        OnlineRules(min_active=5, max_active=2)
    for wrong in ({"every": 0}, {"alike": 0.0}, {"policy": "first_two"}, {"coverage": "some"}):
        with pytest.raises(SettingsError, match=f"online.{next(iter(wrong))}"):
            OnlineRules(**wrong)


def test_no_proposer(tmp_path):
    """Said when it is asked for, before anything is written."""

    class Reader:
        name = "reader"

    with RubricReward(panel_of(Reader()), versions=OnlineRubrics(tmp_path / "o")) as reward:
        with pytest.raises(SettingsError, match="no"):
            refresh(reward, 1)
        assert not (tmp_path / "o").exists()
