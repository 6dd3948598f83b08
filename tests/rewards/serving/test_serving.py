"""`rubricate serve` over real sockets: every form, every refusal, and what a server owes its clients."""

from __future__ import annotations

import asyncio
import json

import pytest

from rubricate.rewards.serving.intake.gate import Limits
from rubricate.settings.reward import rubric_in_column
from tests.rewards.players import PROMPT, Player, a_reward
from tests.rewards.serving.serving import VERSION, desk, until

CRITERIA = [{"criterion": "a", "weight": 3}, {"criterion": "b", "weight": 1}]
ITEM = {"prompt": PROMPT, "completion": "x", "rubric": CRITERIA}


@pytest.fixture
def reward():
    """A reward that reads columns; "x" is worth 0.75, "y" cannot be judged."""
    with a_reward(Player({"x": "+-", "y": "??"}), read_column=rubric_in_column) as reward:
        yield reward


class Slow:
    """A reward whose grading waits until it is let go."""

    def __init__(self, inner):
        self.inner, self.go, self.begun, self.done = inner, asyncio.Event(), 0, 0

    async def agrade(self, *args, **how):
        self.begun += 1
        await self.go.wait()
        batch = await self.inner.agrade(*args, **how)
        self.done += 1
        return batch

    def grade(self, *args, **how):
        raise AssertionError("a server awaits")

    def close(self):
        pass


class TestForms:
    async def test_a_batch(self, reward):
        """In input order: a reward, null with its reason, what is no text; the version, and the figures."""
        async with desk(reward) as at:
            items = [ITEM, {**ITEM, "completion": "y"}, {**ITEM, "completion": ""}, {**ITEM, "completion": 7}]
            status, said, headers = await at.post("/v1/rewards", {"items": items, "detail": True})
        assert status == 200 and headers["X-Rubricate-Reward"] == VERSION.reward
        assert [one["reward"] for one in said["items"]] == [0.75, None, None, None]
        assert all(one["why"] for one in said["items"][1:]) and said["items"][0]["why"] is None
        assert said["version"] == {"api": VERSION.api, "package": "0.0", "reward": VERSION.reward}
        criteria = said["items"][0]["criteria"]
        assert [one["verdict"]["mark"] if "mark" in one["verdict"] else one["verdict"] for one in criteria]
        assert said["metrics"]["unjudged_rate"] == 0.75

    async def test_lists_of_one_length(self, reward):
        """The same as columns; lengths that differ are an error that names the field."""
        async with desk(reward) as at:
            columns = {"prompts": [PROMPT] * 2, "completions": ["x", "y"], "rubrics": [CRITERIA] * 2}
            assert [one["reward"] for one in (await at.post("/v1/rewards", columns))[1]["items"]] == [
                0.75,
                None,
            ]
            status, said, _ = await at.post("/v1/rewards", {**columns, "prompts": [PROMPT]})
        assert (status, said["error"]["param"], said["error"]["code"]) == (422, "prompts", "invalid_request")

    async def test_openai(self, reward):
        """The last answer of a conversation; the content is JSON of the reward."""
        async with desk(reward) as at:
            turns = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": "x"}]
            body = {"model": "rubricate", "messages": turns, "rubric": CRITERIA, "temperature": 0}
            status, said, _ = await at.post("/v1/chat/completions", body)
            assert status == 200 and said["object"] == "chat.completion"
            assert json.loads(said["choices"][0]["message"]["content"])["reward"] == 0.75
            assert said["usage"]["total_tokens"] == 0
            for wrong, code in (
                ({"model": "gpt"}, 404),
                ({"stream": True}, 422),
                ({"n": 2}, 422),
                ({"messages": turns[:1]}, 422),
            ):
                assert (await at.post("/v1/chat/completions", {**body, **wrong}))[0] == code
            models = (await at.get("/v1/models"))[1]
        assert models["data"][0]["id"] == "rubricate"

    async def test_openrlhf_and_slime(self, reward):
        """Their bodies and their bare answers; without a number for what is unjudged, a refusal."""
        label = json.dumps({"prompt": PROMPT, "rubric": CRITERIA})
        body = {"query": [f"<u>{PROMPT}<a>x</s>"], "prompts": [f"<u>{PROMPT}<a>"], "labels": [label]}
        async with desk(reward) as at:
            assert (await at.post("/openrlhf", body))[1] == {
                "rewards": [0.75], "scores": [0.75], "extra_logs": {"rubric_judged": [1.0]},
            }  # fmt: skip
            assert (await at.post("/slime", {"prompt": PROMPT, "response": "x", "label": label}))[1] == 0.75
            unjudged = {"prompt": PROMPT, "response": "y", "label": label}
            status, said, _ = await at.post("/slime", unjudged)
            assert status == 422 and said["error"]["code"] == "unjudged"
        async with desk(reward, unjudged=0.25) as at:
            assert (await at.post("/slime", unjudged))[1] == 0.25

    async def test_nemo_gym(self, reward):
        """A row comes back with its reward; what cannot be judged is marked, not scored."""

        def row(text):
            output = [
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
            ]
            asked = {"input": [{"role": "user", "content": PROMPT}]}
            return {
                "responses_create_params": asked,
                "response": {"output": output},
                "rubric": CRITERIA,
                "id": 5,
            }

        async with desk(reward) as at:
            status, said, _ = await at.post("/verify", row("x"))
            assert status == 200 and said["reward"] == 0.75 and said["id"] == 5 and not said["mask_sample"]
            said = (await at.post("/verify", row("y")))[1]
            assert said["mask_sample"] and said["_ng_failure_class"] == "judge_failed"
            assert (await at.post("/seed_session", {}))[0] == 200
            assert (await at.post("/verify", {"response": {}}))[0] == 422


class TestWhoMayAsk:
    async def test_tokens(self, reward):
        """Any of several; none and wrong ones are told apart from nothing; health stays open."""
        async with desk(reward, tokens=["one-token-of-ours", "another-of-ours1"]) as at:
            for header, status in (
                ({}, 401),
                ({"Authorization": "Bearer one-token-of-our"}, 401),
                ({"Authorization": "Basic one-token-of-ours"}, 401),
                ({"Authorization": "Bearer one-token-of-ours"}, 200),
                ({"Authorization": "bearer another-of-ours1"}, 200),
            ):
                assert (await at.post("/v1/rewards", {"items": [ITEM]}, headers=header))[0] == status
            assert (await at.get("/healthz"))[0] == (await at.get("/openapi.json"))[0] == 200
            assert (await at.get("/metrics"))[0] == 401
        async with desk(reward, tokens=["one-token-of-ours"], open_metrics=True) as at:
            assert (await at.get("/metrics"))[0] == 200

    async def test_another_host_name(self, reward):
        """A page in a browser that resolves a name of its own to this machine is not let in."""
        async with desk(reward, only_local_names=True) as at:
            status, said, _ = await at.post(
                "/v1/rewards", {"items": [ITEM]}, headers={"Host": "evil.example"}
            )
            assert status == 403 and said["error"]["code"] == "forbidden"
            assert (await at.post("/v1/rewards", {"items": [ITEM]}))[0] == 200


class TestBadInput:
    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"", 400),
            (b"{", 400),
            (b'{"items": [NaN]}', 400),
            (b'{"items": [], "items": []}', 400),
            (b'{"items": [1e999]}', 400),
            (b"\xff\xfe{}", 400),
            (b"[" * 100_000, 400),
            (b'{"items": 7}', 422),
            (b'{"items": [{"prompt": "p"}]}', 422),
            (b'{"items": [], "more": 1}', 422),
            (b'{"items": [], "step": -1}', 422),
            (b"7", 422),
        ],
    )
    async def test_bodies(self, reward, body, status):
        """Each is a refusal with a code and a request id, never a number and never a 500."""
        async with desk(reward) as at:
            got, said, headers = await at.post(
                "/v1/rewards", data=body, headers={"Content-Type": "application/json"}
            )
        assert got in (status, 400), said
        assert got < 500 and said["error"]["code"] and said["error"]["request_id"] == headers["X-Request-Id"]

    async def test_weights_that_no_number_holds(self, reward):
        """Two weights of 1e308 are a mistake of the row, named; a single sum of them would be no number."""
        heavy = [{"criterion": name, "weight": 1e308} for name in "ab"]
        async with desk(reward) as at:
            status, said, _ = await at.post("/v1/rewards", {"items": [{**ITEM, "rubric": heavy}]})
        assert status == 422 and "add up to more than" in said["error"]["message"]

    async def test_media_types_and_paths(self, reward):
        """415, 404, 405 with what is allowed."""
        async with desk(reward) as at:
            for kind in ("text/plain", "application/json; charset=latin-1"):
                got = await at.post("/v1/rewards", data=b'{"items": []}', headers={"Content-Type": kind})
                assert got[0] == 415
            assert (await at.post("/nowhere", {}))[0] == 404
            status, _, headers = await at.get("/v1/rewards")
            assert status == 405 and headers["Allow"] == "POST"

    async def test_too_much(self, reward):
        """Bytes by the head and by the body, items; nothing is read that is refused."""
        async with desk(reward, limits=Limits(body_bytes=2_000, items=2)) as at:
            assert (await at.post("/v1/rewards", {"items": [ITEM] * 3}))[0] == 422
            assert (await at.post("/v1/rewards", {"items": [{**ITEM, "completion": "x" * 3_000}]}))[0] == 413
            head = b"POST /v1/rewards HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            said = await at.raw(head + b"Content-Length: 999999999\r\n\r\n")
            assert said.startswith(b"HTTP/1.1 413")
            chunk = b"800\r\n" + b" " * 2048 + b"\r\n"
            said = await at.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 2)
            assert said.startswith(b"HTTP/1.1 413")

    async def test_slow_and_broken_clients(self, reward):
        """A body that does not come, and what is no HTTP."""
        async with desk(reward, limits=Limits(body_s=0.2)) as at:
            head = b"POST /v1/rewards HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            assert (await at.raw(head + b'Content-Length: 50\r\n\r\n{"items"')).startswith(b"HTTP/1.1 408")
            said = await at.raw(b"\x16\x03\x01 hello\r\n\r\n")
            assert said.split()[1] == b"400" and b"Traceback" not in said


class TestPressure:
    async def test_as_much_waits_as_may(self, reward):
        """One is graded, one waits, the third is told when to come back; then both are answered."""
        slow = Slow(reward)
        async with desk(slow, limits=Limits(in_flight=1, waiting=1)) as at:
            first = asyncio.create_task(at.post("/v1/rewards", {"items": [ITEM]}))
            await until(lambda: slow.begun)
            second = asyncio.create_task(at.post("/v1/rewards", {"items": [ITEM]}))
            await until(lambda: at.app.gate.n_waiting)
            status, said, headers = await at.post("/v1/rewards", {"items": [ITEM]})
            assert (
                status == 429 and said["error"]["code"] == "overloaded" and int(headers["Retry-After"]) >= 1
            )
            slow.go.set()
            assert [(await one)[0] for one in (first, second)] == [200, 200]

    async def test_out_of_time(self, reward):
        """504, and the grading goes on to its end: what it pays for is not lost."""
        slow = Slow(reward)
        async with desk(slow, limits=Limits(time_limit_s=0.1)) as at:
            status, said, _ = await at.post("/v1/rewards", {"items": [ITEM]})
            assert status == 504 and said["error"]["code"] == "time_limit" and not slow.done
            slow.go.set()
            await until(lambda: slow.done)

    async def test_draining(self, reward):
        """What was accepted is answered; new requests and readiness get 503; then the sockets are closed."""
        slow = Slow(reward)
        async with desk(slow) as at:
            first = asyncio.create_task(at.post("/v1/rewards", {"items": [ITEM]}))
            await until(lambda: slow.begun)
            ending = asyncio.create_task(at.server.drain())
            await until(lambda: at.app.gate.is_draining)
            assert (await at.get("/readyz"))[0] == 503 and (await at.get("/healthz"))[0] == 200
            status, said, headers = await at.post("/v1/rewards", {"items": [ITEM]})
            assert (status, said["error"]["code"]) == (503, "draining") and headers["Retry-After"]
            slow.go.set()
            assert (await first)[0] == 200 and await ending == 0

    async def test_equal_requests_are_graded_once(self, reward):
        """Twenty at a time about one completion: one question."""
        async with desk(reward) as at:
            said = await asyncio.gather(*(at.post("/v1/rewards", {"items": [ITEM]}) for _ in range(20)))
        assert {one[1]["items"][0]["reward"] for one in said} == {0.75}


class TestFigures:
    async def test_prometheus(self, reward):
        """The page is read by Prometheus' own parser, and counts what happened."""
        parser = pytest.importorskip("prometheus_client.parser")
        async with desk(reward) as at:
            await at.post("/v1/rewards", {"items": [ITEM, {**ITEM, "completion": "y"}]})
            await at.post("/v1/rewards", data=b"{", headers={"Content-Type": "application/json"})
            status, text, headers = await at.get("/metrics")
        assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
        samples = {
            (one.name, *sorted(one.labels.items())): one.value
            for family in parser.text_string_to_metric_families(text)
            for one in family.samples
        }
        assert samples["rubricate_completions_total", ("outcome", "unjudged")] == 1
        assert samples["rubricate_requests_total", ("path", "/v1/rewards"), ("status", "200")] == 1
        assert samples["rubricate_refused_total", ("code", "invalid_json")] == 1
        assert samples["rubricate_reward_count",] == 1 and samples["rubricate_in_flight",] == 0
