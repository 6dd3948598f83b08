"""Whatever is measured sees a prompt and a text, and what it cannot say is unjudged."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from rubricate.domain.conversation import Prompt
from rubricate.domain.judgement import Preference
from rubricate.errors import ChatError, ReplyError, RunError, SettingsError
from rubricate.evaluation.benchmarks.cases import Case, Contest
from rubricate.evaluation.scorers.callables import callable_scorer
from rubricate.evaluation.scorers.checkpoints import checkpoint_scorer
from rubricate.evaluation.scorers.floors import Longer, Random, better_generator
from rubricate.evaluation.scorers.graders import JudgeComparer, RubricScorer
from rubricate.evaluation.scorers.marks import Item, Mark, Scorer, duel_key, marks_of, preferences_of
from rubricate.evaluation.scorers.servers import ServerScorer
from rubricate.reward_model.texts import encoded
from rubricate.runs.rubric_files import RubricFile
from tests.builders import a_prompt, a_rubric, marks

PROMPT = a_prompt()


def items(*texts: str, prompt: Prompt = PROMPT) -> list[Item]:
    return [Item(prompt, text) for text in texts]


def scored(scorer: Scorer, *texts: str) -> list[float | None]:
    """The scores of texts, in their order."""
    asked = items(*texts)
    found = asyncio.run(marks_of(asked, scorer))
    return [found[item.key].score for item in asked]


class Recording:
    """A scorer that keeps what it saw."""

    def __init__(self, batch_size: int = 2):
        self.batch_size, self.in_flight, self.name = batch_size, 3, "recording"
        self.seen: list[list[str]] = []

    async def score(self, items: Sequence[Item]) -> Sequence[Mark]:
        self.seen.append([item.text for item in items])
        await asyncio.sleep(0)
        return [Mark(float(len(item.text))) for item in items]


class TestAsking:
    def test_the_order_of_the_file_does_not_reach_the_scorer(self):
        """Whichever way round the responses stand, the same batches are asked; equal ones once."""
        texts = [f"text {n}" * n for n in range(1, 8)]
        forward, backward = Recording(), Recording()
        asyncio.run(marks_of(items(*texts), forward))
        asyncio.run(marks_of(items(*reversed(texts), *texts), backward))
        assert forward.seen == backward.seen
        assert max(map(len, forward.seen)) == 2
        assert [text for batch in forward.seen for text in batch] != texts

    def test_each_mark_goes_to_its_item(self):
        assert scored(Recording(3), "aaa", "b", "cc", "b") == [3, 1, 2, 1]

    def test_a_judge_gets_a_duel_once_and_by_content(self):
        """The first side follows from the texts, not from who is chosen."""
        seen: list[tuple[str, str]] = []

        class Judge:
            in_flight, name = 2, "judge"

            async def compare(self, prompt: Any, first: Any, second: Any) -> Preference:
                assert first.generator is None and first.gold is None
                seen.append((first.text, second.text))
                return Preference("first")

        duels = [(PROMPT, "x", "y"), (PROMPT, "y", "x"), (PROMPT, "x", "z")]
        found = asyncio.run(preferences_of(duels, Judge()))
        assert len(seen) == len(found) == 2
        assert all(found[duel_key(duel)][1].winner == "first" for duel in duels)


class Grader:
    """Verdicts from the text itself: `++-?`."""

    name = "by hand"

    async def grade(self, prompt: Any, response: Any, criteria: Any) -> Any:
        assert response.generator is None
        if response.text == "down":
            raise ChatError("the line is dead")
        return marks(response.text)


class Proposer:
    """Proposes once for each prompt, and not for one that it cannot read."""

    name = "proposer"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def propose(self, prompt: Prompt) -> Any:
        self.asked.append(prompt.text)
        await asyncio.sleep(0)
        if "unreadable" in prompt.text:
            raise ReplyError("no rubric in the reply")
        return a_rubric("3:a", "1:b", "-2:c")

    async def refine(self, prompt: Any, rubric: Any, pair: Any) -> Any:
        raise AssertionError("nothing is refined here")


class TestRubricScorer:
    def test_points_may_be_negative_and_the_score_is_clipped(self):
        """By hand: 3 of 4; (1 - 2) / 4 = -0.25; the score of the product is clipped, the points are not."""
        scorer = RubricScorer(Grader(), Proposer())
        found = asyncio.run(marks_of(items("+--", "-++"), scorer))
        by_text = {item.text: found[item.key] for item in items("+--", "-++")}
        assert (by_text["+--"].score, by_text["+--"].points) == (0.75, 0.75)
        assert (by_text["-++"].score, by_text["-++"].points) == (0.0, -0.25)

    def test_failures_are_unjudged_with_their_reason(self):
        scorer = RubricScorer(Grader(), Proposer())
        asked = [*items("down", "?--"), *items("+++", prompt=Prompt.of_text("unreadable"))]
        found = asyncio.run(marks_of(asked, scorer))
        reasons = [found[item.key].why for item in asked]
        assert reasons == ["the line is dead", "too few verdicts: not said", "no rubric in the reply"]
        assert all(found[item.key].score is None for item in asked)

    def test_a_prompt_is_proposed_for_once(self):
        proposer = Proposer()
        asyncio.run(marks_of(items("+++", "---", "+-+"), RubricScorer(Grader(), proposer)))
        assert proposer.asked == [PROMPT.text]

    def test_given_rubrics_come_first_and_without_a_proposer_there_is_none(self):
        given = RubricFile()
        given.add(a_rubric("1:x"), None, PROMPT.text)
        scorer = RubricScorer(Grader(), None, given)
        assert scored(scorer, "+", "-") == [1.0, 0.0]
        assert scored(RubricScorer(Grader(), None), "+") == [None]
        own = Item(PROMPT, "+-", a_rubric("1:a", "3:b"))
        assert asyncio.run(marks_of([own], scorer))[own.key].score == 0.25

    def test_a_judge_that_is_down_leaves_the_duel_unjudged(self):
        class Down:
            name = "down"

            async def compare(self, prompt: Any, first: Any, second: Any) -> Preference:
                raise ChatError("no answer")

        found = asyncio.run(preferences_of([(PROMPT, "a", "b")], JudgeComparer(Down())))
        assert [p for _, p in found.values()] == [Preference("unjudged", "no answer")]


MODULE = """
import asyncio
import missing_piece_for_test as none  # noqa
"""


class TestCallables:
    @pytest.fixture
    def module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))

        def write(name: str, body: str) -> None:
            (tmp_path / f"{name}.py").write_text(body)

        return write

    def test_plain_and_async(self, module):
        """A function, a coroutine function, and a method found by a dotted path."""
        module(
            "my_rewards",
            "def plain(prompt, response):\n"
            "    return None if response == 'b' else len(prompt) + len(response)\n"
            "async def later(prompt, response):\n    return float('nan') if response == 'b' else 2\n"
            "class Kept:\n    @staticmethod\n    def reward(prompt, response):\n        return 0.5\n",
        )
        n = len(PROMPT.text)
        assert scored(callable_scorer("my_rewards:plain"), "aa", "b") == [n + 2, None]
        assert scored(callable_scorer("my_rewards:later"), "a", "b") == [2, None]
        assert scored(callable_scorer("my_rewards:Kept.reward"), "a") == [0.5]

    def test_what_is_no_reward_is_said(self, module):
        module(
            "bad_rewards", "def word(p, r):\n    return 'good'\ndef yes(p, r):\n    return True\nnone = 3\n"
        )
        for name, kind in (("word", "str"), ("yes", "bool")):
            with pytest.raises(RunError, match=f"bad_rewards:{name} returned a {kind}"):
                scored(callable_scorer(f"bad_rewards:{name}"), "a")
        for spec, said in (
            ("bad_rewards", "write call:module:function"),
            ("bad_rewards:gone", "has no 'gone'"),
            ("bad_rewards:none", "it is no function"),
            ("nowhere_to_be_found:f", "there is no module 'nowhere_to_be_found'"),
        ):
            with pytest.raises(SettingsError, match=said):
                callable_scorer(spec)

    def test_a_users_bug_is_not_hidden(self, module):
        """What the function raises, and a module that the user's own lacks, go through as they are."""
        module("buggy_rewards", "def f(p, r):\n    return 1 / 0\n")
        with pytest.raises(ZeroDivisionError):
            scored(callable_scorer("buggy_rewards:f"), "a")
        module("lacking_rewards", MODULE)
        with pytest.raises(ModuleNotFoundError, match="missing_piece_for_test"):
            callable_scorer("lacking_rewards:f")


Answer = Callable[[dict[str, Any], int], web.Response]


@asynccontextmanager
async def reward_server(answer: Answer) -> AsyncIterator[tuple[str, list[dict[str, Any]], list[str | None]]]:
    """A real server on a port of its own: its address, what it was sent, and with which keys."""
    sent: list[dict[str, Any]] = []
    keys: list[str | None] = []

    async def handle(request: web.Request) -> web.Response:
        sent.append(await request.json())
        keys.append(request.headers.get("authorization"))
        return answer(sent[-1], len(sent))

    app = web.Application()
    app.router.add_post("/score", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        yield f"http://127.0.0.1:{port}/score", sent, keys
    finally:
        await runner.cleanup()


async def asked_of(answer: Answer, *texts: str, **how: Any) -> tuple[list[float | None], Any, Any]:
    async with reward_server(answer) as (url, sent, keys), aiohttp.ClientSession() as session:
        scorer = ServerScorer(session, url, pauses_s=(0.01, 0.01), **how)
        asked = items(*texts)
        found = await marks_of(asked, scorer)
        return [found[item.key].score for item in asked], sent, keys


def lengths(body: dict[str, Any], n: int) -> web.Response:
    return web.json_response({"rewards": [len(text) for text in body["responses"]]})


class TestServers:
    async def test_the_contract(self):
        """Three lists of one length, in batches; the key goes along, and never into a name or a repr."""
        scores, sent, keys = await asked_of(lengths, "a", "bb", "ccc", batch_size=2, key="sk-secret")
        assert scores == [1, 2, 3]
        assert sorted(len(body["responses"]) for body in sent) == [1, 2]
        for body in sent:
            assert body["query"] == [f"{PROMPT.text}\n{text}" for text in body["responses"]]
            assert set(body["prompts"]) == {PROMPT.text}
        assert set(keys) == {"Bearer sk-secret"}
        async with aiohttp.ClientSession() as session:
            scorer = ServerScorer(session, "http://me:pw@h:80/score?token=x", key="sk-secret")
            assert scorer.name == "server http://h:80/score"
            assert not any(secret in repr(scorer) for secret in ("sk-secret", "pw", "token"))

    async def test_query_alone(self):
        """The form of TRL and OpenRLHF: `query` in, `rewards` out."""

        def answer(body: dict[str, Any], n: int) -> web.Response:
            assert set(body) == {"query"}
            return web.json_response({"rewards": [[float(len(text))] for text in body["query"]]})

        scores, _, _ = await asked_of(answer, "a", body="query")
        assert scores == [len(PROMPT.text) + 2]

    @pytest.mark.parametrize("form", [lambda s: {"scores": s}, lambda s: s, lambda s: {"rewards": s, "x": 1}])
    async def test_other_forms_and_null(self, form):
        def answer(body: dict[str, Any], n: int) -> web.Response:
            return web.json_response(form([None if t == "b" else 0.5 for t in body["responses"]]))

        scores, _, _ = await asked_of(answer, "a", "b")
        assert scores == [0.5, None]

    async def test_a_fault_of_the_servers_is_tried_again_and_then_unjudged(self):
        """The first answer shows that the server is there; what fails for good later is no end of it all."""

        def stutters(body: dict[str, Any], n: int) -> web.Response:
            return web.Response(status=503) if n == 1 else lengths(body, n)

        scores, sent, _ = await asked_of(stutters, "a")
        assert (scores, len(sent)) == ([1], 2)

        def breaks(body: dict[str, Any], n: int) -> web.Response:
            return lengths(body, n) if n == 1 else web.Response(status=500, text="out of memory")

        scores, sent, _ = await asked_of(breaks, "a", "b", batch_size=1, in_flight=1)
        assert sorted(scores, key=str) == [1, None] and len(sent) == 1 + 3

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (lambda b, n: web.Response(status=422, text="field prompts is unknown"), "refuses.*422.*unknown"),
            (lambda b, n: web.Response(text="<html>"), "answered no JSON: <html>"),
            (lambda b, n: web.json_response({"reward": 1}), 'without a list "rewards"'),
            (lambda b, n: web.json_response({"rewards": [1]}), "gave 1 rewards for 2 responses"),
            (lambda b, n: web.json_response({"rewards": ["high", 1]}), "gave 'high' as a reward"),
            (lambda b, n: web.Response(status=500), "does not answer: HTTP 500"),
        ],
    )
    async def test_a_server_that_is_none_ends_it_with_the_reason(self, answer, said):
        with pytest.raises(RunError, match=said):
            await asked_of(answer, "a", "b")

    async def test_nobody_there(self, unused_tcp_port_factory=None):
        async with aiohttp.ClientSession() as session:
            scorer = ServerScorer(session, "http://127.0.0.1:9/score", pauses_s=())
            with pytest.raises(RunError, match=r"server http://127.0.0.1:9/score does not answer"):
                await scorer.score(items("a"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Makes a tiny reward model of random weights, as transformers saves one."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    def make(outputs: int = 1, template: str | None = None) -> str:
        folder = tmp_path_factory.mktemp("checkpoint")
        torch.manual_seed(0)
        vocabulary = {"[PAD]": 0, "[UNK]": 1, **{letter: n for n, letter in enumerate("abcdefgh", 2)}}
        words = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
        words.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]"
        )
        tokenizer.chat_template = template
        config = transformers.BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=64,
            num_labels=outputs,
            initializer_range=1.0,  # so that texts score differently
        )
        transformers.BertForSequenceClassification(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return str(folder)

    return make


class TestCheckpoints:
    def test_scores_do_not_depend_on_the_company(self, checkpoint):
        """Padding in a batch changes no score, and the model tells texts apart."""
        folder = checkpoint()
        alone = scored(checkpoint_scorer(folder, batch_size=1), "a b c", "d", "e f g h a b")
        together = scored(checkpoint_scorer(folder, batch_size=3), "a b c", "d", "e f g h a b")
        assert alone == pytest.approx(together, abs=1e-5)
        assert len({round(score or 0, 6) for score in alone}) == 3
        assert all(score is not None and math.isfinite(score) for score in alone)

    def test_a_chat_template_is_used(self, checkpoint):
        template = "{% for m in messages %}{{ m['role'][0] }} {{ m['content'] }} {% endfor %}"
        scorer = checkpoint_scorer(checkpoint(template=template))
        said = encoded(scorer.model.tokenizer, scorer.model.form, PROMPT, "b").ids
        assert scorer.model.tokenizer.decode(said[-2:]) == "a b"
        assert scored(scorer, "b") != scored(checkpoint_scorer(checkpoint()), "b")

    def test_long_texts_are_cut_from_the_left_and_counted(self, checkpoint):
        """The response stays: what differs only before the cut scores the same."""
        scorer = checkpoint_scorer(checkpoint(), max_length=4)
        one, two, other = scored(scorer, "h h a b c d", "g g a b c d", "h h a b c a")
        assert one == pytest.approx(two) and one != pytest.approx(other) and scorer.n_cut == 3

    def test_what_is_no_reward_model_is_said(self, checkpoint, tmp_path):
        with pytest.raises(SettingsError, match="a reward model has one output, this one 2"):
            checkpoint_scorer(checkpoint(outputs=2))
        with pytest.raises(SettingsError, match="cannot be loaded"):
            checkpoint_scorer(str(tmp_path / "nowhere"))


class TestFloors:
    def test_longer_and_random(self):
        assert scored(Longer(), "aaa", "b") == [3, 1]
        once, again, other = (scored(Random(seed), *"abc") for seed in (1, 1, 2))
        assert once == again != other
        assert all(score is not None and 0 <= score < 1 for score in once)

    def test_better_generator(self):
        """Each response gets the average grade of who wrote it, over the whole file."""

        def case(text: str, *gold: float | None) -> Case:
            return Case(
                text,
                Prompt.of_text(text),
                "graded",
                ("1", "2"),
                (Contest((0,), (1,)),),
                generators=("g", "h"),
                gold=gold,
            )

        assert better_generator([case("p", 1, 0), case("q", 0.5, None)]) == [(0.75, 0.0)] * 2
        assert better_generator([case("p", None, None)]) is None
