"""Prompts are instruments: what is sent, to the letter. `RUBRICATE_REWRITE_GOLDEN=1` rewrites them."""

import json
import os
import re
from pathlib import Path

import pytest

from rubricate.domain.conversation import Prompt
from rubricate.llm.chat import Reply, Request
from rubricate.llm.scripted import ScriptedChat
from rubricate.steps.classify import classify
from rubricate.steps.compare import compare
from rubricate.steps.crew import ModelGrader
from rubricate.steps.grade import grade
from rubricate.steps.propose import propose
from rubricate.steps.refine import refine
from rubricate.steps.rewrite import PARAPHRASE, rewrite
from tests.builders import (
    a_dialogue,
    a_manner,
    a_prompt,
    a_response,
    a_rubric,
    rubric_reply,
    verdicts_reply,
)

GOLDEN = Path(__file__).parent.parent / "golden"
REWRITE = os.environ.get("RUBRICATE_REWRITE_GOLDEN") == "1"

PAIR = (a_response("At most 4 g in 24 hours.", "a"), a_response("Ask your doctor.", "b"))
RUBRIC = a_rubric(
    "rule 3:states that 4 g in 24 hours is the limit", "1:names the liver", "-2:tells to take more"
)
TALK: Prompt = a_dialogue("Can I take paracetamol?", "Yes. For what?", "A headache. How much {{at most}}?")
NAMES = [
    "propose",
    "propose_pitfalls",
    "refine",
    "refine_pitfalls",
    "grade",
    "grade_dialogue",
    "compare",
    "classify",
    "rewrite",
]


async def first_requests() -> dict[str, Request]:
    """The first request of every verb, for small inputs."""
    manner, prompt = a_manner("model"), a_prompt()
    rubric = ScriptedChat(lambda request: rubric_reply("3:a"))
    graded = ScriptedChat(lambda request: verdicts_reply("+++"))
    judged = ScriptedChat(lambda request: Reply('{"better": 1}'))
    await propose(rubric, manner, prompt)
    await propose(rubric, manner, prompt, pitfalls=True)
    await refine(rubric, manner, prompt, RUBRIC, PAIR)
    await refine(rubric, manner, prompt, RUBRIC, PAIR, pitfalls=True)
    await grade(graded, manner, prompt, PAIR[0], RUBRIC.criteria)
    await grade(graded, manner, TALK, PAIR[0], RUBRIC.criteria)
    await compare(judged, manner, prompt, *PAIR)
    rewritten = ScriptedChat(lambda request: Reply('{"text": "Up to 4 g a day."}'))
    await rewrite(rewritten, manner, prompt, PAIR[0].text, PARAPHRASE)
    sorted_ones = ScriptedChat(lambda request: Reply('{"i1": ["big"], "i2": []}'))
    await classify(sorted_ones, manner, "Sort.", {"big": "is big", "red": "is red"}, ["an ox", "{{kinds}}"])
    asked = [*rubric.requests, *graded.requests, judged.requests[0]]
    asked += [*sorted_ones.requests, *rewritten.requests]
    return dict(zip(NAMES, asked, strict=True))


def compare_with(path: Path, text: str) -> None:
    """The text is what the file holds; or the file is made so, if a rewrite was asked for."""
    if REWRITE:
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
async def test_a_prompt_is_what_was_agreed(name: str) -> None:
    """One user turn, to the letter; no slot is left open and no line ends in white space."""
    (message,) = (await first_requests())[name].messages
    assert message.role == "user"
    assert not re.search(r"\{\{(?!at most|kinds\}\}\n</items)", message.content)
    assert not re.search(r"[ \t]$", message.content, re.MULTILINE)
    compare_with(GOLDEN / f"{name}.txt", message.content + "\n")


async def test_requests_are_those_that_ledgers_know() -> None:
    """Prompt, schema and sampling together: a changed key orphans every reply paid for under the old one."""
    requests = await first_requests()
    keys = {name: request.key for name, request in requests.items()}
    compare_with(GOLDEN / "request_keys.json", json.dumps(keys, indent=2) + "\n")


async def test_schemas_are_what_was_agreed() -> None:
    """The schemas that go with the prompts."""
    requests = await first_requests()
    schemas = {name: request.schema and request.schema.body for name, request in requests.items()}
    compare_with(GOLDEN / "schemas.json", json.dumps(schemas, indent=1) + "\n")


async def test_pitfalls_are_mentioned_where_they_are_wanted_only() -> None:
    """Neither the words nor the schema offer a kind that is switched off."""
    requests = await first_requests()
    for verb in ("propose", "refine"):
        for name, wanted in ((verb, False), (f"{verb}_pitfalls", True)):
            request = requests[name]
            said = request.messages[0].content.replace("[pitfall, weight 2]", "")
            assert ("pitfall" in said) == wanted
            assert request.schema is not None
            assert ("pitfall" in json.dumps(request.schema.body)) == wanted


async def test_only_the_criteria_differ_at_the_end_of_a_grading_question() -> None:
    """Asking for other criteria (the missing ones again, a chunk, new ones) leaves all before the criteria as
    it was, to the letter, so that a server's prefix cache serves template, prompt and response; of another
    response it serves template and prompt."""
    (message,) = (await first_requests())["grade"].messages
    prefix = message.content[: message.content.index("<criteria-")]
    assert prefix.endswith("The criteria:\n\n") and PAIR[0].text in prefix and a_prompt().text in prefix
    asked = ScriptedChat(lambda request: verdicts_reply("+"))
    manner = a_manner("model")
    for criteria in (RUBRIC.criteria[:1], RUBRIC.criteria[2:], a_rubric("2:something new").criteria):
        await grade(asked, manner, a_prompt(), PAIR[0], criteria)
    halting = ScriptedChat(lambda request: verdicts_reply("+??" if request.draw == 0 else "++"))
    await grade(halting, manner, a_prompt(), PAIR[0], RUBRIC.criteria)
    await ModelGrader(asked, manner, criteria_per_call=1).grade(a_prompt(), PAIR[0], RUBRIC.criteria)
    questions = [request.messages[0].content for request in (*asked.requests, *halting.requests)]
    assert len(questions) == 3 + 2 + 3 and len(set(questions)) > 5
    assert all(question.startswith(prefix) for question in questions)
    await grade(asked, manner, a_prompt(), PAIR[1], RUBRIC.criteria)
    of_other = asked.requests[-1].messages[0].content
    assert of_other.startswith(prefix[: prefix.index("<response-")]) and not of_other.startswith(prefix)
