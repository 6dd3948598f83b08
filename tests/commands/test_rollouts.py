"""`rubricate rollouts` against a real server: every flag is sent, nothing is paid twice, nothing is lost."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rubricate.cli import _official
from rubricate.commands.rollouts import RolloutOrder, chosen_prompts, output_of, rollouts
from rubricate.domain.conversation import Message
from rubricate.errors import DataError, RubricateError, SettingsError
from rubricate.runs.intake import read_pools, read_prompts
from rubricate.runs.rollouts import PAPER_MODELS, models_of, owed_draws
from tests.fake_server import FakeServer, Raw, completion
from tests.served import Served

PROMPTS = [{"id": "a", "prompt": "What is one?"}, {"id": "b", "prompt": "What is two?"}]
KEYS = ("LITELLM_KEY", "LITELLM_BASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with a file of prompts, and no key in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "prompts.json").write_text(json.dumps(PROMPTS))
    return tmp_path


def said(request: dict[str, Any]) -> str:
    return f"{request['model']} says: {request['messages'][-1]['content']}"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with Served(said) as serving_server:
        yield serving_server


def roll(server: FakeServer | str, *, code: int = 0, **flags: Any) -> str:
    """Runs the command; what it printed."""
    base_url = server if isinstance(server, str) else server.base_url
    flags = {"input_file": "prompts.json", "models": ("m",), "output_filename": "out.json", **flags}
    shown = Console(file=io.StringIO(), width=80)
    assert rollouts(RolloutOrder(base_url=base_url, **flags), shown) == code, shown.file.getvalue()  # type: ignore[attr-defined]
    return shown.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def rows(name: str = "data/out.json") -> list[dict[str, Any]]:
    return json.loads(Path(name).read_text())  # type: ignore[no-any-return]


def texts(row: dict[str, Any]) -> list[tuple[str, int | None, str]]:
    return [(r["generator"], r.get("draw"), r["response"]) for r in row["responses"]]


def test_the_flags_are_those_of_the_official_sampler() -> None:
    """Flags, defaults and the list of the paper's models are the official ones; `--models` takes many."""
    order = RolloutOrder("prompts.json")
    assert (order.num_responses_per_model, order.temperature, order.top_p, order.max_tokens) == (
        1,
        1.0,
        0.95,
        0,
    )
    assert (order.num_workers, order.api_max_retries, order.output_dir) == (16, 3, "data")
    given = ["rollouts", "--models", "A", "B", "--num-prompts", "3", "--sequential"]
    assert _official(given) == ["rollouts", "--models", "A", "--models", "B", *given[4:]]
    assert _official(["run", "--models", "A", "B"]) == ["run", "--models", "A", "B"]
    assert len(PAPER_MODELS) == 16 and models_of(["x", "paper", "x"]) == ("x", *PAPER_MODELS)


@pytest.mark.parametrize(
    ("models", "flags", "name"),
    [
        (["openai/gpt-4.1"], {}, "gpt_4.1_temp_1.0_topp_0.95_None_prompts_1_responses_my.prompts.json"),
        (["a", "b"], {"num_prompts": 5, "temperature": 0.7},
         "multi_model_multi_model_temp_0.7_topp_0.95_5_prompts_1_responses.json"),
        (PAPER_MODELS, {"num_responses_per_model": 2},
         "SOTAs_multi_model_temp_1.0_topp_0.95_None_prompts_2_responses.json"),
        (["m"], {"output_filename": "mine.json"}, "mine.json"),
    ],
)  # fmt: skip
def test_the_output_has_the_official_name(models: list[str], flags: dict[str, Any], name: str) -> None:
    """Scripts that look for the official sampler's file find it."""
    for input_file in ("x/my.prompts.json", "x/my.prompts.jsonl.gz"):
        assert output_of(RolloutOrder(input_file, **flags), models) == Path("data") / name


def test_everything_asked_for_is_sent(server: FakeServer) -> None:
    """Temperature, top-p and the token limit reach the server; 0 tokens means no limit of ours."""
    roll(server, temperature=0.3, top_p=0.7, max_tokens=99)
    assert {(r["temperature"], r["top_p"], r["max_tokens"]) for r in server.requests} == {(0.3, 0.7, 99)}
    roll(server, output_filename="other.json")
    assert server.requests[-1]["temperature"] == 1.0 and "max_tokens" not in server.requests[-1]


def test_many_models_and_draws_in_order(server: FakeServer) -> None:
    """By prompt in input order, then by model in the order of the flag, then by draw; each with its finish
    reason and usage."""
    server.latency_s = 0.001
    roll(server, models=("z", "y"), num_responses_per_model=2)
    assert [row["id"] for row in rows()] == ["a", "b"]
    assert [row["prompt"] for row in rows()] == ["What is one?", "What is two?"]
    answers = [(model, draw, f"{model} says: What is two?") for model in "zy" for draw in (0, 1)]
    assert texts(rows()[1]) == answers
    first = rows()[0]["responses"][0]
    assert first["finish_reason"] == "stop" and first["usage"]["completion_tokens"] > 0
    assert "failures" not in rows()[0]


def test_the_same_command_again_costs_nothing(server: FakeServer) -> None:
    """What the output holds is kept byte for byte, and nobody is asked; without the output the ledger
    gives the same file."""
    roll(server, num_responses_per_model=2)
    before, paid = Path("data/out.json").read_bytes(), server.n_requests
    assert "0 responses drawn, 4 kept, 0 failed" in roll(server, num_responses_per_model=2)
    assert Path("data/out.json").read_bytes() == before
    Path("data/out.json").unlink()
    roll(server, num_responses_per_model=2)
    assert Path("data/out.json").read_bytes() == before and server.n_requests == paid == 4


def test_more_draws_keep_the_ones_that_are_there(server: FakeServer) -> None:
    """Asking for three after one draws two more, not three."""
    roll(server)
    one = rows()
    roll(server, num_responses_per_model=3)
    assert [row["responses"][0] for row in rows()] == [row["responses"][0] for row in one]
    assert server.n_requests == 6 and [draw for _, draw, _ in texts(rows()[0])] == [0, 1, 2]


def fails_for(word: str, answer: Raw) -> Callable[[dict[str, Any]], str | Raw]:
    return lambda request: answer if word in request["messages"][-1]["content"] else said(request)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Raw({"error": {"message": "too long"}}, 400), "too long"),
        (Raw(completion("")), "empty"),
        (Raw(completion("half", finish_reason="content_filter")), "withheld"),
    ],
)
def test_a_failure_is_a_record_and_is_owed_again(server: FakeServer, answer: Raw, why: str) -> None:
    """A failed draw is no response but a record with its reason, and exit code 1. The next run asks for
    it again, whether the failure was a call or an answer that was paid for, and keeps all other responses."""
    server.answer = fails_for("two", answer)
    shown = roll(server, code=1, num_responses_per_model=2)
    good, bad = rows()
    assert len(good["responses"]) == 2 and bad["responses"] == []
    assert [(f["generator"], f["draw"]) for f in bad["failures"]] == [("m", 0), ("m", 1)]
    assert all(why in failure["error"] for failure in bad["failures"]) and why in shown
    assert "2 responses drawn, 0 kept, 2 failed" in shown and "run the command again" in shown
    paid = server.n_requests
    server.answer = said
    roll(server, num_responses_per_model=2)
    assert server.n_requests == paid + 2 and len(rows()[1]["responses"]) == 2
    roll(server, num_responses_per_model=2)
    assert server.n_requests == paid + 2


def test_a_failed_draw_is_not_replaced_by_a_copy(server: FakeServer) -> None:
    """When draw 0 failed and draw 1 went well, draw 0 is owed, and not draw 1 once more."""
    server.faults = ["400"]
    (Path("prompts.json")).write_text(json.dumps(PROMPTS[:1]))
    roll(server, code=1, num_responses_per_model=2, num_workers=1)
    assert [draw for _, draw, _ in texts(rows()[0])] == [1]
    roll(server, num_responses_per_model=2)
    assert sorted(str(draw) for _, draw, _ in texts(rows()[0])) == ["0", "1"]


@pytest.mark.parametrize(
    ("kept", "failures", "owed"),
    [
        ([], [], [0, 1, 2]),
        ([{}, {}], [], [2]),
        ([{"draw": 1}], [], [0, 2]),
        ([{"draw": 7}, {}], [], [1]),
        ([{}, {}, {}, {}], [], []),
        ([{"generator": "other"}, {"generator": None}], [], [0, 1, 2]),
        ([], [{"draw": 0, "is_answered": True}, {"draw": 1}], [1, 2, 3]),
        ([{"draw": 0}], [{"draw": 1, "is_answered": True, "generator": "other"}], [1, 2]),
    ],
)
def test_owed_draws(kept: list[dict[str, Any]], failures: list[dict[str, Any]], owed: list[int]) -> None:
    """As many as are missing, each a number that was not answered yet."""
    row = {"responses": [{"generator": "m", **r} for r in kept],
           "failures": [{"generator": "m", **f} for f in failures]}  # fmt: skip
    assert owed_draws("m", 3, row) == owed


def test_a_cut_response_says_so(server: FakeServer) -> None:
    """A reply that ended at the token limit is a response with that finish reason, and counted."""
    server.answer = lambda request: Raw(completion("half of", finish_reason="length"))
    assert "2 of them cut off at the token limit" in roll(server)
    assert {r["finish_reason"] for row in rows() for r in row["responses"]} == {"length"}


def test_an_empty_prompt_is_not_paid_for(server: FakeServer) -> None:
    """An empty prompt is a failure by name; the others are drawn."""
    Path("prompts.json").write_text(json.dumps([*PROMPTS, {"id": "c", "prompt": " "}]))
    assert "failed: c, m: the prompt is empty" in roll(server, code=1)
    assert server.n_requests == 2 and rows()[2]["responses"] == []


def test_a_dialogue_stays_one(server: FakeServer) -> None:
    """A prompt that is a list of messages is sent as one, and written as one."""
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why {x}?"}]
    Path("prompts.jsonl").write_text(json.dumps({"id": 7, "prompt": turns}))
    roll(server, input_file="prompts.jsonl")
    assert server.requests[0]["messages"] == turns == rows()[0]["prompt"] and rows()[0]["id"] == "7"


OFFICIAL = [
    {"id": "a", "prompt": "What is one?", "note": "mine", "responses": [
        {"generator": "m", "response": "kept"}, {"generator": "gone", "response": "also kept"},
        {"generator": "m2", "response": "[ERROR: rate limit]"}, "no name"]},
    {"id": "z", "prompt": "Not asked", "responses": [{"generator": "m", "response": "stays"}]},
]  # fmt: skip


def test_an_official_file_is_completed(server: FakeServer) -> None:
    """`--existing-file` keeps models that are not in the list, prompts that are not in the input, fields
    that are not ours, and no error text; only what is missing is drawn."""
    Path("old.json").write_text(json.dumps(OFFICIAL))
    roll(server, models=("m", "m2"), existing_file="old.json")
    a, b, z = rows()
    assert a["note"] == "mine" and z == OFFICIAL[1]
    assert [(r["generator"], r["response"]) for r in a["responses"]] == [
        ("m", "kept"), ("gone", "also kept"), (None, "no name"), ("m2", "m2 says: What is one?"),
    ]  # fmt: skip
    assert len(b["responses"]) == 2 and server.n_requests == 3
    roll(server, models=("m", "m2"), existing_file="old.json")
    assert rows() == [a, b, z] and server.n_requests == 3


def test_official_ids_never_mix_prompts(server: FakeServer) -> None:
    """The official `prompt_0` is whatever prompt was drawn first: responses follow the prompt's text, and a
    row of another prompt under an asked id stays, under an id of its own."""
    old = [
        {"id": id, "prompt": prompt, "responses": [{"generator": "m", "response": response}]}
        for id, prompt, response in (("prompt_0", "What is two?", "of two"), ("a", "Something else", "else"))
    ]
    Path("old.json").write_text(json.dumps(old))
    roll(server, existing_file="old.json")
    a, b, rest = rows()
    assert [texts(row)[0][2] for row in (a, b, rest)] == ["m says: What is one?", "of two", "else"]
    assert (b["id"], rest["prompt"]) == ("b", "Something else") and rest["id"].startswith("a~")


def test_ids_and_the_draw_are_stable(server: FakeServer) -> None:
    """Whatever `--num-prompts` says, a prompt has one id; fewer prompts are among the more; the order of
    the file does not change what is drawn."""
    listed = [{"prompt": f"Question {n}"} for n in range(30)]
    Path("prompts.json").write_text(json.dumps(listed))
    prompts = read_prompts("prompts.json")
    few, more = (chosen_prompts(prompts, n, sequential=False) for n in (5, 12))
    assert set(few) < set(more) < set(prompts) and more == [p for p in prompts if p in more]
    assert set(chosen_prompts(prompts[::-1], 5, sequential=False)) == set(few) != set(prompts[:5])
    assert chosen_prompts(prompts, 5, sequential=True) == prompts[:5]
    assert chosen_prompts(prompts, 99, sequential=False) == prompts
    with pytest.raises(SettingsError, match="at least 1"):
        chosen_prompts(prompts, 0, sequential=False)
    roll(server, num_prompts=5)
    assert [row["id"] for row in rows()] == [id for id, _ in few]


def test_the_output_is_an_input_of_run(server: FakeServer) -> None:
    """`rubricate run files.responses_file=` takes the output as it is, .json and .jsonl, failures and all."""
    server.answer = fails_for("two", Raw({}, 400))
    for name in ("out.json", "out.jsonl"):
        roll(server, code=1, models=("m", "n"), output_filename=name)
        with read_pools(f"data/{name}") as intake:
            first, second = intake
        assert [(r.generator, r.text, r.finish_reason) for r in first.responses] == [
            (model, f"{model} says: What is one?", "stop") for model in "mn"
        ]
        assert (first.prompt.id, first.prompt.messages) == ("a", (Message("user", "What is one?"),))
        assert second.responses == ()
    paid = server.n_requests
    roll(server, code=1, models=("m", "n"), output_filename="out.jsonl")
    assert server.n_requests == paid + 2


def test_a_wrong_key_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run stops at once with exit code 3, says what to do, shows no key and writes no output."""
    monkeypatch.setenv("LITELLM_KEY", "sk-wrong-and-secret")
    with Served(said, api_key="sk-right") as server:
        shown = roll(server, code=3)
    (line,) = [line for line in shown.splitlines() if line.startswith("Stopped: ")]
    assert "401" in line and "Check the API key" in line and "secret" not in shown
    assert not Path("data").exists()


def test_a_limit_stops_and_the_same_command_goes_on(server: FakeServer) -> None:
    """`--max-calls` ends the run with exit code 3; what was paid for is not paid again."""
    roll(server, code=3, max_calls=1)
    assert server.n_requests == 1 and not Path("data/out.json").exists()
    roll(server)
    assert server.n_requests == 2 and [len(row["responses"]) for row in rows()] == [1, 1]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"input_file": "none.json"}, r"none\.json: no such file"),
        ({"input_file": "broken.json"}, r"broken\.json:3: prompt: a prompt is a text"),
        ({"input_file": "empty.json"}, r"empty\.json: there is no prompt"),
        ({"existing_file": "none.json"}, r"none\.json: no such file"),
        ({"existing_file": "broken.json"}, r"broken\.json:3: prompt"),
        ({"existing_file": "prompts.json"}, r"prompts\.json:1: responses: a list"),
        ({"output_filename": "out.csv"}, r"must end in \.json or \.jsonl"),
        ({"output_dir": "prompts.json"}, "cannot be written"),
        ({"num_prompts": -1}, "at least 1"),
        ({"max_cost": 1.0}, "price of m is unknown"),
    ],
)
def test_a_mistake_comes_before_anything_is_asked_or_written(
    server: FakeServer, folder: Path, flags: dict[str, Any], said: str
) -> None:
    """Input, earlier output, place of the output, limits: each is checked first, and named."""
    Path("broken.json").write_text(
        '[\n {"id": 1, "prompt": "x", "responses": []},\n {"id": 2, "prompt": 7}\n]'
    )
    Path("empty.json").write_text("[]")
    before = sorted(folder.iterdir())
    with pytest.raises(RubricateError, match=said):
        roll(server, **flags)
    assert server.n_requests == 0 and sorted(folder.iterdir()) == before


def test_a_bad_address_is_a_mistake(folder: Path) -> None:
    """What is no address is said before the ledger is made."""
    with pytest.raises(SettingsError, match="no address"):
        roll("localhost:4000")
    assert [path.name for path in folder.iterdir()] == ["prompts.json"]


def test_a_malformed_failure_is_a_mistake(server: FakeServer) -> None:
    """An earlier output that somebody edited is checked like any input."""
    row = {"id": "a", "prompt": "What is one?", "responses": [], "failures": [{"draw": "0"}]}
    Path("old.json").write_text(json.dumps([row]))
    with pytest.raises(DataError, match=r"old\.json:1: failures"):
        roll(server, existing_file="old.json")


COMMAND = [str(Path(sys.executable).parent / "rubricate"), "rollouts", "--input-file", "prompts.json"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_no_signal_loses_what_was_paid(number: signal.Signals, code: int) -> None:
    """Ctrl-C, SIGTERM and kill -9 in the middle: the same command asks only for what was not answered, and
    its output equals the one of an unbroken run."""
    served = Served(said)
    with served as server:
        Path("prompts.json").write_text(json.dumps([{"id": str(n), "prompt": f"Q{n}"} for n in range(12)]))
        flags = ["--models", "m", "n", "--num-workers", "1", "--base-url", server.base_url]
        flags += ["--output-filename", "out.json"]
        server.latency_s = 0.05
        environment = {name: value for name, value in os.environ.items() if name not in KEYS}
        with subprocess.Popen([*COMMAND, *flags], env=environment, stdout=subprocess.PIPE) as process:
            served.until(lambda seen: seen.n_requests >= 9)
            process.send_signal(number)
            process.communicate(timeout=20)
        assert process.returncode == code and not Path("data/out.json").exists()
        asked, server.latency_s = server.n_requests, 0.0
        again = subprocess.run(
            [*COMMAND, *flags], env=environment, capture_output=True, text=True, timeout=30
        )
        assert again.returncode == 0, again.stdout + again.stderr
        broken, resent = Path("data/out.json").read_bytes(), server.n_requests - asked
        assert resent <= 24 - asked + 2  # the calls in flight at the signal were not answered
        roll(server, models=("m", "n"), ledger="other.sqlite", output_dir="unbroken", num_workers=1)
        assert Path("unbroken/out.json").read_bytes() == broken
