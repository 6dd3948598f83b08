"""Readable records for tests: say what matters, the rest has a default.

a_rubric("3:states the dose", "rule 1:at most 200 words", "-2:tells to stop the medicine")
marks("++-?")      met, met, unmet, unjudged
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence

from rubricate.domain.conversation import Message, Pool, Prompt, Response
from rubricate.domain.judgement import Verdict, unjudged
from rubricate.domain.rubric import Criterion, Kind, Rubric
from rubricate.llm.chat import Reply, Request
from rubricate.steps.asking import Manner

_CRITERION = re.compile(r"(?:(rule|principle|pitfall) )?(-?[\d.]+):(.*)", re.DOTALL)


def a_prompt(text: str = "How much paracetamol may an adult take in a day?", id: str = "p1") -> Prompt:
    """A prompt of one user turn."""
    return Prompt.of_text(text, id)


def a_dialogue(*turns: str) -> Prompt:
    """A prompt of several turns, user first, in turns."""
    roles = ("user", "assistant")
    return Prompt("dialogue", tuple(Message(roles[place % 2], turn) for place, turn in enumerate(turns)))


def a_response(text: str = "At most 4 g.", generator: str | None = "model-a") -> Response:
    """One answer."""
    return Response(text, generator)


def responses(n: int, generator: str | None = None) -> tuple[Response, ...]:
    """`n` different answers; each from a generator of its own unless one is named."""
    return tuple(Response(f"answer {place}", generator or f"model-{place}") for place in range(n))


def a_pool(n: int = 4, prompt: Prompt | None = None) -> Pool:
    """A prompt with `n` different answers."""
    return Pool(prompt or a_prompt(), responses(n))


def a_criterion(said: str, id: str = "c1") -> Criterion:
    """A criterion from `[kind ]weight:text`; without a kind a negative weight makes it a pitfall."""
    found = _CRITERION.fullmatch(said)
    assert found, f"not [kind ]weight:text: {said!r}"
    weight = float(found[2])
    kinds: dict[str | None, Kind] = {
        None: "pitfall" if weight < 0 else "principle",
        "rule": "rule",
        "principle": "principle",
        "pitfall": "pitfall",
    }
    return Criterion(id, found[3], weight, kinds[found[1]])


def a_rubric(*said: str, version: int = 0) -> Rubric:
    """A rubric of criteria written as in `a_criterion`, with the ids c1, c2, ..."""
    criteria = said or ("3:names the daily maximum", "1:names a risk")
    return Rubric(
        tuple(a_criterion(line, f"c{number}") for number, line in enumerate(criteria, 1)), version=version
    )


def marks(said: str, by: str = "") -> tuple[Verdict, ...]:
    """Verdicts from one character each: `+` met, `-` unmet, `?` unjudged."""
    by_mark = {"+": Verdict("met", by=by), "-": Verdict("unmet", by=by), "?": unjudged("not said", by=by)}
    return tuple(by_mark[mark] for mark in said)


def marks_of(verdicts: Sequence[Verdict]) -> str:
    """The inverse of `marks`."""
    by_outcome = {"met": "+", "unmet": "-", "unjudged": "?"}
    return "".join(by_outcome[verdict.outcome] for verdict in verdicts)


def a_manner(model: str = "grader", retries: int = 1) -> Manner:
    """How a role is asked, with temperatures that tell the first asking from the others."""
    return Manner(model, temperature=0.0, retries=retries, retry_temperature=0.7)


def verdicts_reply(said: str) -> str:
    """The reply of a well-behaved grader; `?` leaves its criterion out."""
    words = {"+": "met", "-": "unmet"}
    entries = [
        {"id": f"c{number}", "verdict": words[mark]} for number, mark in enumerate(said, 1) if mark != "?"
    ]
    return json.dumps({"verdicts": entries})


def rubric_reply(*said: str) -> str:
    """The reply of a well-behaved proposer, of criteria written as in `a_criterion`."""
    return json.dumps(
        {
            "criteria": [
                {"criterion": criterion.text, "weight": abs(int(criterion.weight)), "kind": criterion.kind}
                for criterion in map(a_criterion, said)
            ]
        }
    )


def asked(request: Request) -> list[str]:
    """The texts of the criteria that a grading question asks, in order."""
    frame = re.search(r"<(criteria-\w+)>\n(.*?)\n</\1>", request.messages[-1].content, re.DOTALL)
    assert frame, "no criteria in the question"
    return [line.partition(": ")[2] for line in frame[2].split("\n")]


def grader_of(mark_by_text: Mapping[str, str]) -> Callable[[Request], Reply]:
    """The answers of a grader that gives each criterion its mark; `?` or none leaves it out."""

    def answer(request: Request) -> Reply:
        return Reply(verdicts_reply("".join(mark_by_text.get(text, "?") for text in asked(request))))

    return answer
