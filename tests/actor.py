"""A model that plays all roles, deterministic by content: the hook of `FakeServer` for the whole loop.

It reads the questions as a model would: the frames of the prompt, the response, the criteria. Its rubrics
ask for words; a response meets a criterion when it has the word, so a refinement that names a word of one
response separates a pair.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from tests.fake_server import Raw

_WORDS = """amber basalt cobalt dune ember fjord garnet harbour island juniper kestrel lagoon meadow nectar
opal pebble quartz river slate tundra umber valley willow xenon yarrow zephyr"""
VOCABULARY = _WORDS.split()


def play(request: dict[str, Any]) -> str | Raw:
    """The reply to any question of ours, and a text of words to anybody else's."""
    text = request["messages"][-1]["content"]
    if "You write grading rubrics" in text:
        return rubric_reply(_words(_frame(text, "prompt"), 4))
    if "You improve grading rubrics" in text:
        kept = re.findall(r"^- \[[^\]]*\] The response touches on (\w+)", _frame(text, "rubric"), re.M)
        first, second = _frames(text, "response")
        new = sorted(_said(first) ^ _said(second))[:2]
        return rubric_reply([*kept, *(word for word in new if word not in kept)])
    if "You check a response against criteria" in text:
        said = _said(_frame(text, "response"))
        wanted = re.findall(r"^(c\d+): .*?touches on (\w+)", _frame(text, "criteria"), re.M)
        verdicts = [{"id": id, "verdict": "met" if word in said else "unmet"} for id, word in wanted]
        return json.dumps({"verdicts": verdicts})
    if "You compare two responses" in text:
        first, second = _frames(text, "response")
        return json.dumps({"better": 1 if _digest(first) > _digest(second) else 2})
    return a_text(f"{request.get('model')} {text} {request.get('seed', '')}")


def rubric_reply(words: list[str]) -> str:
    """A rubric that asks for these words."""
    criteria = [
        {"criterion": f"The response touches on {word}.", "weight": 1 + place % 3, "kind": "principle"}
        for place, word in enumerate(words)
    ]
    return json.dumps({"criteria": criteria})


def a_text(seed: str, n_words: int = 9) -> str:
    """Words of the vocabulary, chosen by the seed."""
    return "The words are " + " ".join(_words(seed, n_words)) + "."


def _words(seed: str, n: int) -> list[str]:
    return sorted(VOCABULARY, key=lambda word: _digest(f"{seed}|{word}"))[:n]


def _said(text: str) -> set[str]:
    return set(re.findall(r"\w+", text)) & set(VOCABULARY)


def _frames(text: str, name: str) -> list[str]:
    return [match[1] for match in re.findall(rf"<{name}-(\w+)>\n(.*?)\n</{name}-\1>", text, re.S)]


def _frame(text: str, name: str) -> str:
    return _frames(text, name)[0]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
