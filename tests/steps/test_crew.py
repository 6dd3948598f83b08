"""Graders around graders: nothing is asked that a program can decide or that is known already."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.judgement import Verdict, unjudged
from rubricate.domain.rubric import Criterion
from rubricate.errors import Unavailable
from rubricate.llm.chat import Request
from rubricate.llm.scripted import ScriptedChat
from rubricate.steps.asking import Manner, template
from rubricate.steps.crew import (
    CheckedGrader,
    ModelGrader,
    ModelJudge,
    ModelProposer,
    RecallingGrader,
    verdict_keys,
)
from rubricate.steps.roles import known_to
from tests.builders import (
    a_manner,
    a_prompt,
    a_response,
    a_rubric,
    asked,
    grader_of,
    marks_of,
    rubric_reply,
)


class NotingGrader:
    """A grader that notes what it is asked, and judges by a table of marks; others are met."""

    def __init__(self, name: str = "noting", marks: Mapping[str, str] | None = None):
        self.name = name
        self.marks = dict(marks or {})
        self.asked: list[tuple[str, list[str]]] = []

    async def grade(
        self, prompt: Prompt, response: Response, criteria: Sequence[Criterion]
    ) -> tuple[Verdict, ...]:
        """One verdict per criterion."""
        self.asked.append((response.text, [criterion.text for criterion in criteria]))
        by_mark = {
            "+": Verdict("met", by=self.name),
            "-": Verdict("unmet", by=self.name),
            "?": unjudged("hm"),
        }
        return tuple(by_mark[self.marks.get(criterion.text, "+")] for criterion in criteria)


def criteria(*texts: str) -> tuple[Criterion, ...]:
    """Criteria of weight 1."""
    return a_rubric(*(f"1:{text}" for text in texts)).criteria


PROMPT, RESPONSE = a_prompt(), a_response("one two three")


async def test_what_a_program_decides_never_reaches_a_model() -> None:
    """Its verdicts stand at their places, by "check"; the model gets the rest in order."""
    inner, counted = NotingGrader(marks={"is kind": "-"}), list[int]()
    grader = CheckedGrader(inner, decided=counted.append)
    verdicts = await grader.grade(
        PROMPT, RESPONSE, criteria("at most 5 words", "names a risk", "at least 9 words", "is kind")
    )
    assert marks_of(verdicts) == "++--"
    assert [verdict.by for verdict in verdicts] == ["check", "noting", "check", "noting"]
    assert inner.asked == [("one two three", ["names a risk", "is kind"])]
    assert counted == [2]


async def test_when_a_program_decides_all_no_model_is_asked() -> None:
    """Not even with an empty question."""
    inner = NotingGrader()
    await CheckedGrader(inner).grade(PROMPT, RESPONSE, criteria("at most 5 words"))
    assert inner.asked == []
    assert CheckedGrader(inner).name == "noting"


async def test_what_a_program_cannot_decide_here_goes_to_the_model() -> None:
    """A criterion that it claims in general, on a response that leaves it open."""
    inner = NotingGrader()
    (verdict,) = await CheckedGrader(inner).grade(
        PROMPT, RESPONSE, criteria("each bullet point ends with a period")
    )
    assert verdict.by == "noting"


async def test_only_what_is_new_is_asked() -> None:
    """A refined rubric costs its new criteria, wherever they stand; reuse is counted."""
    inner, reused = NotingGrader(marks={"b": "-"}), list[int]()
    grader = RecallingGrader(inner, {}, reused=reused.append)
    assert marks_of(await grader.grade(PROMPT, RESPONSE, criteria("a", "b"))) == "+-"
    assert marks_of(await grader.grade(PROMPT, RESPONSE, criteria("new", "b", "newer", "a"))) == "+-++"
    assert [texts for _, texts in inner.asked] == [["a", "b"], ["new", "newer"]]
    assert marks_of(await grader.grade(PROMPT, RESPONSE, criteria("b", "a", "new"))) == "-++"
    assert len(inner.asked) == 2
    assert reused == [0, 2, 3]


async def test_unjudged_is_not_remembered() -> None:
    """It is asked again together with whatever is new, and remembered once it is judged."""
    inner, memory = NotingGrader(marks={"a": "?"}), dict[str, Verdict]()
    grader = RecallingGrader(inner, memory)
    assert marks_of(await grader.grade(PROMPT, RESPONSE, criteria("a", "b"))) == "?+"
    assert len(memory) == 1
    inner.marks["a"] = "-"
    assert marks_of(await grader.grade(PROMPT, RESPONSE, criteria("a", "b", "c"))) == "-++"
    assert marks_of(await grader.grade(PROMPT, RESPONSE, criteria("a", "b", "c"))) == "-++"
    assert [texts for _, texts in inner.asked] == [["a", "b"], ["a", "c"]]


async def test_verdicts_of_earlier_runs_are_looked_up_at_once() -> None:
    """One look-up for all that is new, none when nothing is; what it knows is not asked."""
    texts = criteria("a", "b", "c")
    keys = verdict_keys("noting", PROMPT, RESPONSE, texts)
    looked_up: list[list[str]] = []

    async def recorded(wanted: Sequence[str]) -> Mapping[str, Verdict]:
        looked_up.append(list(wanted))
        return {keys[1]: Verdict("unmet", by="noting")}

    inner = NotingGrader()
    grader = RecallingGrader(inner, {}, recorded)
    assert marks_of(await grader.grade(PROMPT, RESPONSE, texts)) == "+-+"
    assert marks_of(await grader.grade(PROMPT, RESPONSE, texts)) == "+-+"
    assert looked_up == [keys]
    assert [asked for _, asked in inner.asked] == [["a", "c"]]


def test_a_verdict_is_of_grader_prompt_text_and_criterion() -> None:
    """Any of these changed is another verdict; id, generator, weight and kind are not part of it."""

    def key(grader: str = "g", prompt: str = "p", text: str = "t", criterion: str = "1:c") -> str:
        (key,) = verdict_keys(grader, a_prompt(prompt), a_response(text), a_rubric(criterion).criteria)
        return key

    assert len({key(), key(grader="h"), key(prompt="q"), key(text="u"), key(criterion="1:d")}) == 5
    assert key(criterion="rule 3:c") == key()
    (other,) = verdict_keys("g", a_prompt("p", id="x"), a_response("t", "z"), a_rubric("1:c").criteria)
    assert other == key()


ABOUT = {
    "grader": "m",
    "temperature": 0.0,
    "retry temperature": 0.7,
    "further askings": 1,
    "length limit": 0,
    "template": "",
    "prompt": "p",
    "response": "r",
    "criterion": "1:c",
}


@pytest.mark.parametrize("changed", [None, *ABOUT])
async def test_each_word_of_the_key(changed: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grader, parameters, template, prompt, response, criterion: with any one of them changed a model is
    asked anew; with none, nothing is asked, by another grader object on the same memory, be it in a later
    round, a later run, or a trainer's."""
    memory: dict[str, Verdict] = {}

    async def graded(about: Mapping[str, object]) -> int:
        manner = Manner(
            str(about["grader"]),
            temperature=float(str(about["temperature"])),
            retries=int(str(about["further askings"])),
            retry_temperature=float(str(about["retry temperature"])),
            max_tokens=int(str(about["length limit"])) or None,
        )
        said, text = str(about["template"]), template("grade")
        chat = ScriptedChat(lambda request: '{"c1": "met"}')
        with monkeypatch.context() as patched:
            for room in ("crew", "grade"):
                patched.setattr(f"rubricate.steps.{room}.template", lambda name: said + text)
            grader = RecallingGrader(ModelGrader(chat, manner), memory)
            prompt, response = a_prompt(str(about["prompt"])), a_response(str(about["response"]))
            asked_of = a_rubric(str(about["criterion"])).criteria
            is_known = None not in await grader.known(prompt, response, asked_of)
            await grader.grade(prompt, response, asked_of)
        assert is_known == (not chat.requests)
        return len(chat.requests)

    assert await graded(ABOUT) == 1
    other = {**ABOUT} if changed is None else {**ABOUT, changed: 2 if ABOUT[changed] in (0, 1) else "1:other"}
    if changed in ("temperature", "retry temperature"):
        other[changed] = 0.5
    assert await graded(other) == (changed is not None)
    assert await graded(ABOUT) == 0


async def test_what_is_known_is_told_for_free() -> None:
    """By program, by memory, by the record of earlier runs, looked up once; nothing is asked or counted."""
    texts = criteria("at most 5 words", "a", "b", "c")
    keys = verdict_keys("noting", PROMPT, RESPONSE, texts)
    looked_up, counts = list[list[str]](), list[int]()

    async def recorded(wanted: Sequence[str]) -> Mapping[str, Verdict]:
        looked_up.append(list(wanted))
        return {keys[2]: Verdict("unmet", by="noting")}

    inner = NotingGrader()
    checked = CheckedGrader(inner, decided=counts.append)
    grader = RecallingGrader(checked, {keys[1]: Verdict("met", by="noting")}, recorded, counts.append)
    for _ in range(2):
        known = await grader.known(PROMPT, RESPONSE, texts)
        assert [verdict and (verdict.outcome, verdict.by) for verdict in known] == [
            ("met", "check"), ("met", "noting"), ("unmet", "noting"), None,
        ]  # fmt: skip
    assert looked_up == [[keys[0], keys[2], keys[3]]]
    assert inner.asked == [] and counts == []
    assert await known_to(inner, PROMPT, RESPONSE, texts) == (None,) * 4
    assert marks_of(await grader.grade(PROMPT, RESPONSE, texts)) == "++-+"
    assert inner.asked == [("one two three", ["c"])]


async def test_memory_is_not_shared_between_graders() -> None:
    """What one model said is not put into the mouth of another."""
    memory: dict[str, Verdict] = {}
    one, two = NotingGrader("one"), NotingGrader("two", {"a": "-"})
    await RecallingGrader(one, memory).grade(PROMPT, RESPONSE, criteria("a"))
    assert marks_of(await RecallingGrader(two, memory).grade(PROMPT, RESPONSE, criteria("a"))) == "-"


@given(st.lists(st.lists(st.sampled_from("abcdef"), unique=True, min_size=1), max_size=5))
async def test_recalling_changes_the_cost_alone(rounds: list[list[str]]) -> None:
    """The verdicts are those of the inner grader, in order, and no criterion is asked twice."""
    marks = {"a": "-", "b": "+", "c": "-"}
    inner = NotingGrader(marks=marks)
    grader = RecallingGrader(inner, {})
    for texts in rounds:
        verdicts = await grader.grade(PROMPT, RESPONSE, criteria(*texts))
        assert marks_of(verdicts) == "".join(marks.get(text, "+") for text in texts)
    asked_texts = [text for _, texts in inner.asked for text in texts]
    assert sorted(asked_texts) == sorted({text for texts in rounds for text in texts})


@pytest.mark.parametrize(("per_call", "sizes"), [(None, [5]), (1, [1] * 5), (2, [2, 2, 1]), (9, [5])])
async def test_criteria_are_asked_in_chunks(per_call: int | None, sizes: list[int]) -> None:
    """Verdicts come in order of the criteria; every chunk asks again for its own missing ones."""
    said = {"a": "+", "b": "-", "c": "+", "d": "-", "e": "+"}
    chat = ScriptedChat(grader_of(said))
    grader = ModelGrader(chat, a_manner(), criteria_per_call=per_call)
    assert marks_of(await grader.grade(PROMPT, RESPONSE, criteria(*said))) == "+-+-+"
    assert [len(asked(request)) for request in chat.requests] == sizes
    assert await grader.grade(PROMPT, RESPONSE, ()) == ()
    assert len(chat.requests) == len(sizes)


async def test_one_failed_chunk_fails_the_grading() -> None:
    """Part of a scorecard is none; the error comes alone."""

    def answer(request: Request) -> str:
        raise Unavailable(asked(request)[0])

    grader = ModelGrader(ScriptedChat(answer), a_manner(), criteria_per_call=1)
    with pytest.raises(Unavailable):
        await grader.grade(PROMPT, RESPONSE, criteria("a", "b", "c"))


def test_the_name_of_a_grader_tells_all_that_shapes_its_verdicts() -> None:
    """Model and sampling; so verdicts of another temperature are not reused."""
    chat = ScriptedChat(lambda request: "")
    manners = [Manner("m"), Manner("n"), Manner("m", temperature=0.5), Manner("m", max_tokens=9)]
    names = [ModelGrader(chat, manner).name for manner in manners]
    assert len(set(names)) == len(names)
    assert names[0].startswith("m#")
    assert ModelGrader(chat, Manner("m")).name == names[0]


async def test_roles_of_models_do_what_their_verbs_do() -> None:
    """The proposer refines through its own chat; the judge asks in both orders."""
    first = ScriptedChat(lambda request: rubric_reply("3:a"))
    second = ScriptedChat(lambda request: rubric_reply("3:a", "2:b"))
    proposer = ModelProposer(first, second, a_manner("p"))
    rubric = await proposer.propose(PROMPT)
    refined = await proposer.refine(PROMPT, rubric, (RESPONSE, a_response("other")))
    assert (proposer.name, rubric, refined) == ("p", a_rubric("3:a"), a_rubric("3:a", "2:b"))
    assert (len(first.requests), len(second.requests)) == (1, 1)
    judging = ScriptedChat(lambda request: '{"better": 1}')
    judge = ModelJudge(judging, a_manner("j"))
    assert (judge.name, (await judge.compare(PROMPT, RESPONSE, a_response("other"))).winner) == ("j", "tie")
    assert len(judging.requests) == 2
