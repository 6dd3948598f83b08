"""`rubricate run` and its sisters as a user meets them: exit codes, folders, limits, and one clear line."""

from __future__ import annotations

import json
import shlex
import socket
import time

import pytest

from tests.actor import play
from tests.fake_server import Raw, error_body
from tests.served import QUICK, Served, command, results, rows, states, tree, write_pool

RUN = ["run", "--config-name", "iterative", "files.responses_file=pool.json", "files.output_dir=out", *QUICK]


@pytest.fixture
def served(desk):
    """A server, and a pool of four prompts to ask it about."""
    write_pool(desk.path / "pool.json", rows(4))
    thread = Served()
    with thread as server:
        desk.ask(server)
        yield server


@pytest.fixture
def out(desk):
    return desk.path / "workflow_outs" / "out"


class TestFolder:
    def test_an_existing_one_is_refused_and_left_alone(self, served, desk, out):
        """A run is never written over: exit 2, one line with the two ways out, not a byte changed."""
        assert command(*RUN).code == 0
        before, n_asked = tree(desk.path), served.n_requests
        outcome = command(*RUN)
        assert outcome.code == 2
        assert "exists already" in outcome.text and "--resume" in outcome.text
        assert outcome.text.count("\n") == 1
        assert tree(desk.path) == before and served.n_requests == n_asked

    def test_resume_of_a_finished_run_asks_nothing(self, served, out):
        """To go on with what is done is free, and leaves the same files."""
        assert command(*RUN).code == 0
        before, n_asked = results(out), served.n_requests
        outcome = command(*RUN, "--resume")
        assert outcome.code == 0 and "4 of 4 prompts are finished" in outcome.text
        assert results(out) == before and served.n_requests == n_asked

    def test_resume_of_nothing_begins(self, served, out):
        """`--resume` in a script that is run again and again also begins the run."""
        assert command(*RUN, "--resume").code == 0
        assert len(states(out)) == 4

    @pytest.mark.parametrize("key", ["resume.path", "+resume.path", "++resume.path"])
    def test_resume_path(self, served, out, key):
        """The official way to resume, which really resumes; the settings are those the run was begun with."""
        assert command(*RUN, "--max-calls", "20").code == 3
        outcome = command("run", f"{key}={out}", "budget.max_calls=null")
        assert outcome.code == 0, outcome.text
        assert "resuming" in outcome.text
        whole = results(out)
        assert command(*[text.replace("=out", "=whole") for text in RUN]).code == 0
        other = results(out.with_name("whole"))
        assert whole["rubrics.jsonl"] == other["rubrics.jsonl"]
        assert b"path: null" in (out / "config.yaml").read_bytes()

    def test_resume_path_that_is_no_run(self, served):
        """A folder without a run is a mistake, and named."""
        outcome = command("run", "resume.path=nowhere")
        assert outcome.code == 2 and "resume.path: nowhere is no run folder" in outcome.text

    @pytest.mark.parametrize(
        "changed",
        [
            "files.responses_file=other.json",
            "workflow.sample_size=2",
            "workflow.initial_responses_per_prompt=2",
        ],
    )
    def test_resuming_with_another_input_is_refused(self, served, desk, out, changed):
        """What the folder was made from cannot change under it: exit 2, nothing changed."""
        write_pool(desk.path / "other.json", rows(2))
        assert command(*RUN, "--max-calls", "20").code == 3
        before = tree(desk.path)
        outcome = command(*RUN, "--resume", changed)
        assert outcome.code == 2
        assert changed.partition("=")[0] in outcome.text and "start another run" in outcome.text
        assert tree(desk.path) == before

    def test_a_name_a_path_and_nothing(self, served, desk, tmp_path):
        """A name stands under workflow_outs, a path where it says; without one the run gets the time."""
        for given in ("name", "./here", str(tmp_path / "there")):
            assert command(*RUN, f"files.output_dir={given}").code == 0
        for folder in ("workflow_outs/name", "here", "there"):
            assert (desk.path / folder / "rubrics.jsonl").is_file()
        assert command(*RUN, "files.output_dir=null").code == 0
        assert len(list((desk.path / "workflow_outs").glob("run_2*"))) == 1


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["run", "--config-name", "iteratve"], "did you mean 'iterative'"),
            ([*RUN, "workflow.max_iteration=2"], "did you mean 'workflow.max_iterations'"),
            ([*RUN, "files.responses_file=nowhere.json"], "nowhere.json: no such file"),
            ([*RUN, "files.responses_file=bad.jsonl"], "bad.jsonl:2: not JSON"),
            ([*RUN, "files.initial_rubrics=bad.jsonl"], "bad.jsonl"),
            (["run"], "files.responses_file is not set"),
            ([*RUN, "files.responses_file=empty.json"], "there is no prompt in it"),
            ([*RUN, "api.verifier_key_env=NOWHERE"], "NOWHERE is not set"),
            (
                [*RUN, "--max-cost", "1", "models.verifier=nobody/knows"],
                "the price of nobody/knows is unknown",
            ),
            ([*RUN, "--max-cost", "-1"], "budget.max_cost_usd"),
            ([*RUN, "api.base_url=nonsense"], "'nonsense' is no address"),
            ([*RUN, "models.verifier_backend=vllm", "vllm.command=no-such-vllm"], "vllm.command"),
            ([*RUN, "models.verifier_backend=vllm", "vllm.command=python3"], "vLLM needs a GPU"),
            (["run", "--no-such-flag"], "No such option"),
        ],
    )
    def test_are_told_and_leave_nothing(self, served, desk, arguments, told):
        """A user's mistake: exit 2, what is wrong, nobody asked, and no folder that would be in the way."""
        desk.patch.setenv("CUDA_VISIBLE_DEVICES", "")
        (desk.path / "bad.jsonl").write_text('{"id": 1, "prompt": "a", "responses": []}\n{"id": \n')
        write_pool(desk.path / "empty.json", [])
        outcome = command(*arguments)
        assert outcome.code == 2, outcome.text
        assert told in outcome.text
        assert served.n_requests == 0
        folders = {path.name for path in desk.path.rglob("*") if path.is_dir()}
        assert folders <= {"workflow_outs", "ledger.sqlite-claims.d"}


class TestLimits:
    @pytest.mark.parametrize("n", [0, 1, 17, 40])
    def test_max_calls(self, served, out, n):
        """No call more than allowed; exit 3, one line why, and the command that is printed goes on."""
        outcome = command(*RUN, "--max-calls", str(n))
        assert outcome.code == 3
        assert served.n_requests <= n
        stopped = [line for line in outcome.text.splitlines() if line.startswith("Stopped")]
        assert len(stopped) == 1 and f"all {n} calls of budget.max_calls are made" in stopped[0]
        again = shlex.split(outcome.text.strip().splitlines()[-1])
        assert again[:2] == ["rubricate", "run"]
        assert command(*again[1:], "budget.max_calls=1000").code == 0
        assert len(states(out)) == 4

    def test_max_cost(self, served, out):
        """Stops at the limit, resumably: what was spent stays below it."""
        outcome = command(*RUN, "--max-cost", "0.01", "api.workers=2", "api.max_tokens=300")
        assert outcome.code == 3, outcome.text
        assert "budget.max_cost_usd $0.01" in outcome.text
        assert 0 < served.n_requests < 60
        assert command(*RUN, "--resume", "--max-cost", "10").code == 0
        assert json.loads((out / "summary.json").read_bytes())["session"]["usd_paid"] > 0

    def test_limits_that_are_not_reached(self, served, out):
        """A limit above the need changes nothing."""
        assert command(*RUN, "--max-calls", "1000", "--max-cost", "100").code == 0


class TestOneClearLine:
    def test_a_wrong_key(self, desk):
        """One line, exit 3, and a few requests for two hundred prompts; the key is not in it."""
        write_pool(desk.path / "pool.json", rows(200, 2))
        with Served(api_key="another") as server:
            desk.ask(server)
            outcome = command(*RUN)
        assert outcome.code == 3
        (line,) = [line for line in outcome.text.splitlines() if "401" in line]
        assert line.startswith("Stopped: ") and "Check the API key" in line
        assert "0 of 200 prompts are finished" in outcome.text
        assert outcome.text.count("\n") == 3
        assert server.n_requests <= 64

    def test_an_unknown_model(self, desk):
        """The same where the model does not exist; with a probe it takes one request."""
        write_pool(desk.path / "pool.json", rows(200, 2))

        def answer(request):
            return Raw(error_body(f"The model {request['model']} does not exist", "model_not_found"), 404)

        with Served(answer) as server:
            desk.ask(server)
            outcome = command(*RUN, "api.structured_output=auto")
        assert outcome.code == 3
        (line,) = [line for line in outcome.text.splitlines() if "404" in line]
        assert "Check the model's name" in line
        assert server.n_requests <= 3

    def test_an_endpoint_that_is_down(self, desk):
        """Nobody listens: one line within seconds, exit 3, and everything can be resumed."""
        write_pool(desk.path / "pool.json", rows(200, 2))
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
            started = time.monotonic()
            outcome = command(*RUN, f"api.base_url={url}", "api.patience_s=0.5")
        assert time.monotonic() - started < 10
        assert outcome.code == 3
        (line,) = [line for line in outcome.text.splitlines() if line.startswith("Stopped")]
        assert "looks down" in line and url in line
        assert "0 of 200 prompts are finished" in outcome.text


class TestSisters:
    def test_propose_grade_refine(self, served, desk):
        """propose writes first rubrics and grades nothing; grade scores a pool on them and changes nothing;
        refine plays one round from them. Each reads what the one before wrote."""
        pool = ["files.responses_file=pool.json", *QUICK]
        assert command("propose", *pool, "files.output_dir=first").code == 0
        assert {request["model"] for request in served.requests} == {"openai/gpt-4.1"}
        assert served.n_requests == 4
        first = desk.path / "workflow_outs/first/rubrics.jsonl"

        assert command("grade", *pool, "--rubrics", str(first), "files.output_dir=graded").code == 0
        asked = served.requests[4:]
        assert {request["model"] for request in asked} == {"openai/gpt-4.1-mini"} and len(asked) == 16
        graded = desk.path / "workflow_outs/graded"
        assert set(states(graded).values()) == {"kept"}
        assert len((graded / "scores.jsonl").read_bytes().splitlines()) == 16
        assert _criteria(graded / "rubrics.jsonl") == _criteria(first)

        assert command("refine", *pool, "--rubrics", str(first), "files.output_dir=refined").code == 0
        refined = desk.path / "workflow_outs/refined"
        records = [json.loads(line) for line in (refined / "journal.jsonl").read_bytes().splitlines()]
        assert {len(record["rounds"]) for record in records} == {1}
        assert [record["initial"]["criteria"] for record in records] == [
            record["initial"]["criteria"]
            for record in map(json.loads, (graded / "journal.jsonl").read_bytes().splitlines())
        ]

    def test_grade_fails_prompts_without_a_rubric(self, served, desk):
        """A prompt that the rubrics do not know fails by name; no rubric is invented for it."""
        pool = ["files.responses_file=pool.json", *QUICK]
        assert command("propose", *pool, "files.output_dir=first", "workflow.sample_size=3").code == 0
        first = desk.path / "workflow_outs/first/rubrics.jsonl"
        outcome = command("grade", *pool, "--rubrics", str(first), "files.output_dir=graded")
        assert outcome.code == 1
        assert "no rubric was given for this prompt" in outcome.text
        assert sorted(states(desk.path / "workflow_outs/graded").values()) == ["failed", *["kept"] * 3]

    def test_a_rubric_file_of_any_name(self, served, desk):
        """Quotes, spaces and brackets in a file's name are part of the name, also on resuming."""
        pool = ["files.responses_file=pool.json", *QUICK]
        assert command("propose", *pool, "files.output_dir=first").code == 0
        odd = desk.path / "it's (my) rubrics, v=1.jsonl"
        (desk.path / "workflow_outs/first/rubrics.jsonl").rename(odd)
        graded = ["grade", *pool, "--rubrics", odd.name, "files.output_dir=graded"]
        assert command(*graded).code == 0
        assert command(*graded, "--resume").code == 0


def _criteria(path) -> dict[str, list]:
    return {row["id"]: row["rubrics"] for row in map(json.loads, path.read_bytes().splitlines())}


def test_the_actor_plays_for_real_commands():
    """The actor refuses nobody: what these tests see is the commands' doing."""
    assert isinstance(play({"model": "m", "messages": [{"role": "user", "content": "hello"}]}), str)
