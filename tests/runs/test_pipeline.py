"""All prompts at once, against a real server: what a run leaves depends on input and replies alone."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.actor import play
from tests.served import QUICK, Desk, Served, restless, results, rows, run_here, states, write_pool

POOL = "files.responses_file=../pool.json"


@pytest.fixture
def pool(desk: Desk) -> Path:
    """Eight prompts with six responses each."""
    return write_pool(desk.path / "pool.json", rows(8, 6))


def run_at(desk: Desk, name: str, *overrides: str, seed: int | None = None, config: str = "iterative"):
    """The results of a run in a folder of its own, and how many questions its server saw."""
    folder, served = desk.move(name), Served()
    with served as server:
        desk.ask(server)
        if seed is not None:
            restless(served, seed)
        outcome = run_here(POOL, *QUICK, *overrides, config=config)
        assert outcome.code == 0, outcome.text
        return results(folder), server


class TestSameBytes:
    def test_whatever_the_concurrency_and_the_order_of_replies(self, desk, pool):
        """Rubrics, scores, journal, dataset, page and summary are the same bytes for any number of workers
        and of prompts in flight, and however the replies overtake each other."""
        plain, server = run_at(desk, "plain")
        assert server.n_requests > 100
        for name, overrides, seed in (
            ("one", ["api.workers=1"], None),
            ("seven", ["api.workers=7"], 1),
            ("many", ["api.workers=64", "workflow.prompts_in_flight=50"], 2),
            ("single", ["workflow.prompts_in_flight=1"], 3),
        ):
            found, other = run_at(desk, name, *overrides, seed=seed)
            assert {key for key in plain if plain[key] != found[key]} == set(), name
            assert sorted(map(_text, other.requests)) == sorted(map(_text, server.requests))
        assert b"accepted" in plain["journal.jsonl"] and b'"refused"' in plain["journal.jsonl"]

    @pytest.mark.parametrize("config", ["paper", "iterative"])
    def test_with_a_fresh_ledger_and_a_warm_one(self, desk, pool, config):
        """The same run again in another folder asks nothing at all and leaves the same bytes; also where the
        grader stays silent on some criteria, which no store of verdicts can hold."""
        folder, served = desk.move("warm"), Served(_stutters)
        with served as server:
            desk.ask(server)
            assert run_here(POOL, *QUICK, config=config).code == 0
            fresh, n_asked = results(folder), server.n_requests
            folder.rename(folder.with_name("first"))
            assert run_here(POOL, *QUICK, config=config).code == 0
            assert server.n_requests == n_asked
        assert results(folder) == fresh
        assert b'"?' in fresh["journal.jsonl"] or b'?"' in fresh["journal.jsonl"]

    def test_a_journal_says_nothing_of_the_ledger(self, desk, pool):
        """Replies that were paid before count like replies that are paid now."""
        folder, served = desk.move("free"), Served()
        with served as server:
            desk.ask(server)
            assert run_here(POOL, *QUICK, "budget.max_calls=60").code == 3
            fresh, _ = run_at(desk, "unlimited", "budget.max_calls=10000")
            desk.move("free")
            desk.ask(server)
            assert run_here("budget.max_calls=10000", resume=True).code == 0
        assert results(folder) == fresh


def _text(request: dict) -> str:
    return f"{request['model']} {request['messages'][0]['content']}"


def _stutters(request: dict) -> str:
    """The actor, but as a grader it never says a word on some of the criteria."""
    answer = play(request)
    assert isinstance(answer, str)
    asked = re.findall(r"^(c\d+): .*touches on (?:amber|opal|river)", _text(request), re.M)
    for id in asked if '"verdicts"' in answer else ():
        answer = re.sub(rf'{{"id": "{id}", "verdict": "\w+"}}', '{"id": "c0", "verdict": "met"}', answer)
    return answer


class TestStates:
    def test_every_prompt_ends_in_exactly_one_state(self, desk):
        """Refined, kept or failed; a prompt that fails says why, the exit code says so, and the others go on
        as if it were not there."""
        good = rows(5, 4)
        lost = {"id": "lost", "prompt": "Make no sense.", "responses": ["one text", "another text"]}
        lone = {"id": "lone", "prompt": "Only one.", "responses": ["just one"]}
        none = {"id": "none", "prompt": "None at all.", "responses": []}
        empty = {"id": "empty", "prompt": "   ", "responses": ["a b", "c d"]}
        write_pool(desk.path / "pool.json", [*good[:2], lost, empty, *good[2:], lone, none])

        def answer(request):
            return "I would rather not." if "Make no sense." in _text(request) else play(request)

        served, folder = Served(answer), desk.move("mixed")
        with served as server:
            desk.ask(server)
            outcome = run_here(POOL, *QUICK)
        assert outcome.code == 1
        by_id = states(folder)
        assert list(by_id) == ["p0", "p1", "lost", "empty", "p2", "p3", "p4", "lone", "none"]
        assert Counter(by_id.values())["failed"] == 2
        assert (by_id["lone"], by_id["none"]) == ("kept", "kept")
        why = {row["id"]: row["why"] for row in json.loads((folder / "summary.json").read_bytes())["failed"]}
        assert "no JSON in the reply" in why["lost"] and why["empty"] == "the prompt is empty"
        assert "lost" in outcome.text and "no JSON" in outcome.text

        write_pool(desk.path / "pool.json", good)
        alone, _ = run_at(desk, "alone")
        mixed = [json.loads(line) for line in (folder / "rubrics.jsonl").read_bytes().splitlines()]
        ids = {f"p{place}" for place in range(5)}
        assert [row for row in mixed if row["id"] in ids] == [
            json.loads(line) for line in alone["rubrics.jsonl"].splitlines()
        ]

    def test_a_failed_prompt_is_owed_again(self, desk):
        """To resume is to try failed prompts again; finished ones cost nothing."""
        write_pool(desk.path / "pool.json", rows(3))
        broken = [True]

        def answer(request):
            return "" if broken[0] and "subject 1." in _text(request) else play(request)

        served, folder = Served(answer), desk.move("again")
        with served as server:
            desk.ask(server)
            assert run_here(POOL, *QUICK, "api.max_retries=0").code == 1
            assert states(folder)["p1"] == "failed"
            broken[0] = False
            n_before = server.n_requests
            assert run_here(POOL, *QUICK, "api.max_retries=1", resume=True).code == 0
        assert n_before < server.n_requests
        assert all("subject 1." in _text(request) for request in server.requests[n_before:])
        assert "failed" not in states(folder).values()

    def test_judge_and_single(self, desk, pool):
        """A judge is asked in both orders; the official single round scores nothing before its one pair."""
        found, server = run_at(desk, "judged", "gate.judge=judge")
        assert any(request["model"] == "judge" for request in server.requests)
        assert b"the judge" in found["journal.jsonl"]
        found, _ = run_at(desk, "single", config="single")
        for line in found["journal.jsonl"].splitlines():
            (played,) = json.loads(line)["rounds"]
            assert played["standings"] == []


class TestVerdictsAcrossRuns:
    def test_are_reused_under_other_settings(self, desk, pool):
        """What another run already had graded is not asked again, by the same grader in the same manner."""
        folder, served = desk.move("shared"), Served()
        with served as server:
            desk.ask(server)
            assert run_here(POOL, *QUICK, "workflow.max_iterations=2").code == 0
            folder.rename(folder.with_name("two-rounds"))
            n_first = server.n_requests
            assert run_here(POOL, *QUICK, "workflow.pair_policy=contested").code == 0
            n_second = server.n_requests - n_first
        alone, other = run_at(desk, "alone", "workflow.pair_policy=contested")
        assert n_second < other.n_requests
        assert results(folder)["rubrics.jsonl"] == alone["rubrics.jsonl"]

    def test_a_programs_verdict_is_nobody_elses(self, desk):
        """What a program decided does not pass for the model's in a run with `grade.checks` off."""
        write_pool(desk.path / "pool.json", [{"id": "p", "prompt": "Say it.", "responses": ["one two", "x"]}])
        counted = {"criterion": "The response has at most 50 words.", "weight": 3, "kind": "rule"}

        def answer(request):
            if "You check a response" in _text(request):
                return json.dumps({"verdicts": [{"id": "c1", "verdict": "unmet"}]})
            return json.dumps({"criteria": [counted]})

        folder, served = desk.move("checks"), Served(answer)
        with served as server:
            desk.ask(server)
            assert run_here(POOL, *QUICK).code == 0
            assert [json.loads(row)["score"] for row in (folder / "scores.jsonl").open()] == [1.0, 1.0]
            folder.rename(folder.with_name("by-program"))
            assert run_here(POOL, *QUICK, "grade.checks=false").code == 0
        assert [json.loads(row)["score"] for row in (folder / "scores.jsonl").open()] == [0.0, 0.0]

    def test_the_watermark_makes_a_resumed_run_deterministic(self, desk, pool):
        """What another run writes between a break and its resumption changes nothing: the resumed run asks
        just what the unbroken one would have asked."""
        unbroken, _ = run_at(desk, "unbroken", "workflow.pair_policy=contested")
        folder, served = desk.move("broken"), Served()
        with served as server:
            desk.ask(server)
            contested = [POOL, *QUICK, "workflow.pair_policy=contested"]
            assert run_here(*contested, "budget.max_calls=50").code == 3
            moved = folder.rename(folder.with_name("waiting"))
            assert run_here(POOL, *QUICK).code == 0
            folder.rename(folder.with_name("other"))
            moved.rename(folder)
            server.requests.clear()
            assert run_here("budget.max_calls=null", resume=True).code == 0
        assert results(folder) == unbroken


class TestSampling:
    def test_prompts_without_responses_are_sampled_on_the_spot(self, desk):
        """With `rollouts.models` a pool without responses is filled, graded and refined, and the page shows
        what was sampled."""
        write_pool(desk.path / "pool.json", [{"id": f"p{n}", "prompt": f"Tell {n}."} for n in range(3)])
        models = "rollouts.models=[openai/a,openai/b]"
        found, _ = run_at(desk, "sampled", models)
        scored = [json.loads(line) for line in found["scores.jsonl"].splitlines()]
        assert Counter((row["id"], row["generator"]) for row in scored) == {
            (f"p{n}", model): 1 for n in range(3) for model in ("openai/a", "openai/b")
        }
        again, _ = run_at(desk, "slowly", models, "api.workers=2", seed=5)
        assert again == found
