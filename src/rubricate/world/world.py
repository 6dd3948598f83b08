"""The world as a chat: every model of every name, playing whatever role it is asked to play."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from rubricate.domain.conversation import Message, Pool, Prompt, Response
from rubricate.llm.chat import Reply, Request, Schema, Usage
from rubricate.world.dials import Dials
from rubricate.world.foreign import foreign_response
from rubricate.world.judging import WorldGrader, WorldJudge
from rubricate.world.prefix_cache import cache_of
from rubricate.world.questions import question_of
from rubricate.world.responders import respond
from rubricate.world.tokens import n_tokens
from rubricate.world.topics import prompt_texts, topic_of
from rubricate.world.writing import Writer

_MOST = 1000
_OUR_SCHEMAS = ("rubric", "verdicts", "preference")


class World:
    """Answers by seed, dials and content alone: never by time, by order, or by what was asked before."""

    def __init__(self, dials: Dials | None = None, seed: int = 0):
        self.dials, self.seed = dials or Dials(), seed

    def answer(
        self, model: str, messages: Sequence[Message], schema: Schema | None = None, draw: int = 0
    ) -> str:
        """What a model of this name says. `draw` tells samples of one prompt apart; nothing else heeds it.

        A schema that is not of our steps is obeyed by the first thing that it allows, as by a grammar.
        """
        dials, seed = self.dials, self.seed
        if schema is not None and schema.name not in _OUR_SCHEMAS:
            return msgspec.json.encode(least(schema.body)).decode()
        question = question_of(messages)
        topic = topic_of(seed, question.prompt)
        match question.kind:
            case "propose":
                return Writer(dials.proposer, seed, model).propose(topic, question)
            case "refine":
                return Writer(dials.proposer, seed, model).refine(topic, question)
            case "grade":
                return WorldGrader(dials.grader, seed, model).grade(question)
            case "compare":
                return WorldJudge(dials.judge, seed, model).compare(topic, question)
        if topic is None:
            return foreign_response(seed, question.prompt, model, draw)
        return respond(dials.responder, seed, topic, question.prompt, model, draw)

    def pool(self, prompt_text: str, generators: Sequence[str], draws: int = 1) -> Pool:
        """A prompt of this world with `draws` answers of each generator, and their gold.

        A text that a generator gives twice is there once.
        """
        topic = topic_of(self.seed, prompt_text)
        assert topic is not None, "a prompt of this world"
        prompt = Prompt.of_text(prompt_text)
        found: dict[str, Response] = {}
        for generator in generators:
            for draw in range(draws):
                text = self.answer(generator, prompt.messages, draw=draw)
                response = Response(text, generator, round(topic.gold(text), 6))
                found.setdefault(response.key, response)
        return Pool(prompt, tuple(found.values()))

    def prompts(self, n: int) -> list[str]:
        """The first `n` prompts of this world: up to 240, each on a subject of its own."""
        texts = prompt_texts(self.seed)
        return [next(texts) for _ in range(n)]


class WorldChat:
    """The world behind the seam of all models, within the process and without faults.

    With a cache dial it counts cached tokens; a call is answered at once, so they follow the order of asking.
    """

    def __init__(self, world: World):
        self._world, self._cache = world, cache_of(world.dials.server)

    async def ask(self, request: Request) -> Reply:
        """The reply: what the server of the same world would send."""
        text = self._world.answer(request.model, request.messages, request.schema, request.draw)
        usage = usage_of(request.messages, text)
        if self._cache is not None:
            cached = self._cache.cached_of(request.model, request.messages)
            usage = msgspec.structs.replace(usage, cached_tokens=cached)
        return Reply(text, usage=usage, model=request.model)


def usage_of(messages: Sequence[Message], text: str) -> Usage:
    """Tokens of a question and its answer: words, cut into pieces of six letters, and signs."""
    asked = sum(4 + n_tokens(message.content) for message in messages)
    return Usage(prompt_tokens=asked, completion_tokens=n_tokens(text))


def least(schema: dict[str, Any]) -> Any:
    """The smallest value that a JSON schema of the common kind allows."""
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return least(schema[key][0])
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        wanted = schema.get("required", ())
        return {name: least(schema.get("properties", {}).get(name, {"type": "null"})) for name in wanted}
    if kind == "array":
        return [least(schema.get("items", {"type": "null"}))] * min(int(schema.get("minItems", 0)), _MOST)
    if kind == "string":
        return "x" * min(int(schema.get("minLength", 0)), _MOST)
    return {"integer": 0, "number": 0, "boolean": False}.get(kind)
