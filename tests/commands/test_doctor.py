"""`rubricate doctor` against real servers: what is wrong is named, with its remedy, in seconds."""

from __future__ import annotations

import io
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rubricate.commands.doctor import disk_finding, examine
from rubricate.commands.session import in_loop
from rubricate.llm.sqlite.ledger import SqliteLedger
from tests.fake_server import FakeServer, Raw, completion, error_body
from tests.served import Served

OFFLINE = ("models.rubric_generator=offline", "models.verifier=offline")
MODEL = ("models.rubric_generator=model", "models.verifier=model")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and no key, no address and no GPU in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("LITELLM_KEY", "LITELLM_BASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return tmp_path


def follows(request: dict[str, Any]) -> str:
    """A server that enforces schemas: the first word on offer, else true."""
    form = request.get("response_format")
    if form is None:
        return "ready"
    ((name, kind),) = form["json_schema"]["schema"]["properties"].items()
    return json.dumps({name: kind["enum"][0] if "enum" in kind else True})


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with Served(follows) as serving_server:
        yield serving_server


def told(*overrides: str, code: int = 0, config: str = "iterative") -> list[str]:
    """The lines of the command."""
    shown = io.StringIO()
    assert examine(config, overrides, None, Console(file=shown, width=60)) == code, shown.getvalue()
    return shown.getvalue().splitlines()


def lines_of(lines: list[str], mark: str) -> list[str]:
    return [line.removeprefix(mark).strip() for line in lines if line.startswith(f"{mark} ")]


def test_an_offline_run_needs_nobody(folder: Path) -> None:
    """With the offline engine everything is well without a key, and nothing is written."""
    lines = told(*OFFLINE)
    assert "proposer: the offline engine; nobody is asked" in lines_of(lines, "ok")
    assert lines[-1] == "Nothing is wrong." and not lines_of(lines, "wrong")
    assert list(folder.iterdir()) == []


def test_a_good_endpoint_is_asked_once_for_all_its_roles(
    server: FakeServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Roles of one model share the questions; the key's variable is named and the key is not; nothing is
    written, and few and short questions are asked."""
    monkeypatch.setenv("LITELLM_KEY", "sk-very-secret")
    lines = told(*MODEL, "gate.judge=model", f"api.base_url={server.base_url}")
    said = lines_of(lines, "ok")
    roles = "proposer and verifier and judge"
    assert f"{roles}: {server.base_url} answers, and lists 1 model (key from LITELLM_KEY)" in said
    assert f"{roles}: model 'model' answers" in said
    assert any("JSON schemas are followed" in line for line in said)
    assert "secret" not in "\n".join(lines)
    assert len(server.requests) == 2 and all(r["max_tokens"] <= 2048 for r in server.requests)
    assert server.requests[-1]["temperature"] == 0.0
    assert list(folder.iterdir()) == []


def test_the_key_may_stand_in_a_dotenv_file(server: FakeServer) -> None:
    """`.env` counts; each role may have an endpoint and a key of its own."""
    Path(".env").write_text("LITELLM_KEY=sk-1\nGRADER_KEY=sk-2\n")
    own = (f"api.verifier_base_url={server.base_url}", "api.verifier_key_env=GRADER_KEY")
    said = "\n".join(told(*MODEL, f"api.base_url={server.base_url}", *own))
    assert "proposer: " in said and "(key from LITELLM_KEY)" in said and "(key from GRADER_KEY)" in said
    assert ".env: is read" in said and "sk-" not in said


def test_a_wrong_key_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused key is one wrong line: where, what the server said without the key, which variable."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mistyped")
    with Served(follows, api_key="sk-right") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        (line,) = lines_of(told(*MODEL, code=1), "wrong")
    assert "401" in line and "Check the API key" in line and "(key from OPENAI_API_KEY)" in line
    assert "mistyped" not in line


def test_a_key_variable_that_is_not_set(server: FakeServer) -> None:
    """A setting that names an empty variable is wrong; the other roles are still looked at."""
    lines = told(*MODEL, f"api.base_url={server.base_url}", "api.verifier_key_env=NOT_SET", code=1)
    assert any("NOT_SET is not set" in line for line in lines_of(lines, "wrong"))
    assert any(line.startswith("proposer: model 'model' answers") for line in lines_of(lines, "ok"))


def test_an_unknown_model_is_named_with_the_nearest(server: FakeServer) -> None:
    """A model that the endpoint does not know is wrong, and the most similar one that it lists is named."""
    missing = Raw(error_body("The model `modle` does not exist", "model_not_found"), 404)
    server.answer = lambda request: missing if request["model"] == "modle" else follows(request)
    lines = told("models.rubric_generator=modle", MODEL[1], f"api.base_url={server.base_url}", code=1)
    (line,) = lines_of(lines, "wrong")
    assert line.startswith("proposer: ") and "404" in line and "did you mean 'model'?" in line


def test_an_unlisted_model_that_answers_is_well(server: FakeServer) -> None:
    """Gateways list patterns and answer for more: what answers is not wrong, and what is odd is said."""
    lines = told(*(f"models.{role}=other" for role in ("rubric_generator", "verifier")),
                 f"api.base_url={server.base_url}")  # fmt: skip
    assert any("'other' answers, though it is not in the list" in line for line in lines)


def test_nobody_listening_is_said_at_once() -> None:
    """A dead address is wrong, with the setting to change; it is not tried again and again."""
    began = time.monotonic()
    (line,) = lines_of(told(*MODEL, "api.base_url=http://127.0.0.1:9", code=1), "wrong")
    assert "nobody answers at http://127.0.0.1:9/v1" in line and "api.base_url" in line
    assert time.monotonic() - began < 5


def test_silence_does_not_hold_the_doctor() -> None:
    """A server that takes calls and never answers costs its time limit and is wrong."""
    with Served(follows, faults=["hang"] * 9) as server:
        began = time.monotonic()
        lines = told(*MODEL, f"api.base_url={server.base_url}", "api.timeout_s=0.3", code=1)
    assert "loading the model or be overloaded" in lines_of(lines, "wrong")[0]
    assert time.monotonic() - began < 5


def test_a_server_that_ignores_schemas_is_a_warning(server: FakeServer) -> None:
    """A 200 that took no notice of the schema is a warning with what it means, and no failure."""
    server.answer = lambda request: "Hello!"
    lines = told(*MODEL, f"api.base_url={server.base_url}")
    assert "JSON schemas are not followed" in lines_of(lines, "warning")[0]
    off = told(*MODEL, f"api.base_url={server.base_url}", "api.structured_output=off")
    assert not lines_of(off, "warning") and any("asked for by instruction" in line for line in off)
    assert "response_format" not in server.requests[-1]


def test_refused_parameters_are_said(server: FakeServer) -> None:
    """What a reasoning model does not take is said, and no failure: runs leave it out by themselves."""
    server.refuses = {"temperature": "Unsupported parameter: 'temperature'",
                      "max_tokens": "Unsupported parameter: 'max_tokens'"}  # fmt: skip
    lines = told(*MODEL, f"api.base_url={server.base_url}")
    assert any("refused parameters: max_tokens, temperature" in line for line in lines_of(lines, "ok"))


@pytest.mark.parametrize(
    ("fault", "mark", "said"),
    [
        ("429", "warning", "api.requests_per_minute"),
        ("500", "wrong", "see the log of that server"),
        ("no_choices", "wrong", "no choice"),
        ("wrong_type", "wrong", "text/html"),
    ],
)
def test_a_sick_server_is_told_from_a_busy_one(server: FakeServer, fault: str, mark: str, said: str) -> None:
    """A rate limit is a warning with the setting for it, an answer that is none is wrong."""
    server.faults = [fault] * 9
    lines = told(*MODEL, f"api.base_url={server.base_url}", code=int(mark == "wrong"))
    assert said in lines_of(lines, mark)[0]


def test_a_bad_answer_to_the_listing_is_no_matter(server: FakeServer) -> None:
    """An endpoint without a listing is judged by what it answers."""
    server.answer = lambda request: Raw(completion(follows(request)))
    lines = told(*MODEL, f"api.base_url={server.base_url}/proxied")
    assert any("answers" in line for line in lines_of(lines, "ok"))


def test_vllm_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing program is wrong, with the command that installs it; so is a GPU that is not there."""
    backend = ("models.verifier_backend=vllm", "models.verifier=Qwen/Qwen3-8B", OFFLINE[0])
    (line,) = lines_of(told(*backend, "vllm.command=no-such-vllm", code=1), "wrong")
    assert line.startswith("verifier: vllm.command: 'no-such-vllm'") and "pip install vllm" in line
    (line,) = lines_of(told(*backend, "vllm.command=python3", code=1), "wrong")
    assert line.startswith("GPU: vLLM needs a GPU")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert any("GPU: 2 visible" in line for line in told(*backend, "vllm.command=python3"))


def test_llama_cpp_needs_its_program_and_its_file() -> None:
    """llama.cpp needs no GPU, but its program, and a .gguf that is there."""
    backend = ("models.rubric_generator=tiny.gguf", "models.proposer_backend=llamacpp", OFFLINE[1])
    (line,) = lines_of(told(*backend, "llamacpp.command=no-such", code=1), "wrong")
    assert "llamacpp.command" in line and "brew install llama.cpp" in line
    (line,) = lines_of(told(*backend, "llamacpp.command=python3", code=1), "wrong")
    assert "tiny.gguf: there is no such file" in line
    Path("tiny.gguf").write_bytes(b"GGUF")
    assert any("python3 is installed" in line for line in told(*backend, "llamacpp.command=python3"))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("workflow.max_iteration=3",), "did you mean 'workflow.max_iterations'?"),
        (("workflow.max_iterations=many",), "workflow.max_iterations"),
        (("budget.max_cost_usd=1", *MODEL), "price of model is unknown"),
        (("api.base_url=localhost:4000", *MODEL), "no address"),
        ((*OFFLINE, "ledger=other.sqlite"), "another program"),
        ((*OFFLINE, "ledger=notes.txt"), "no ledger"),
    ],
)
def test_wrong_settings_are_named(overrides: tuple[str, ...], said: str) -> None:
    """Unknown keys, wrong values, unknown prices, bad addresses and foreign files are wrong lines."""
    with sqlite3.connect("other.sqlite") as other:
        other.execute("CREATE TABLE mine (n)")
    Path("notes.txt").write_text("not a database" * 100)
    assert any(said in line for line in lines_of(told(*overrides, code=1), "wrong"))


def test_a_broken_dotenv_is_named() -> None:
    """A `.env` that is no text is wrong, and no crash."""
    Path(".env").write_bytes(b"LITELLM_KEY=\xff\xfe")
    assert ".env: cannot be read" in lines_of(told(*OFFLINE, code=1), "wrong")[0]


def test_an_unknown_config_is_named() -> None:
    """The nearest config is named."""
    (line,) = lines_of(told(config="iterativ", code=1), "wrong")
    assert "did you mean 'iterative'?" in line


def test_the_ledger_is_counted(folder: Path) -> None:
    """A ledger that is there is opened and counted."""

    async def fill() -> None:
        async with SqliteLedger(folder / "mine.sqlite"):
            pass

    in_loop(fill())
    said = lines_of(told(*OFFLINE, "ledger=mine.sqlite"), "ok")
    assert "ledger: mine.sqlite holds 0 replies and 0 verdicts" in said


@pytest.mark.parametrize(("free", "mark"), [(0, "wrong"), (10**8, "warning"), (10**12, "ok")])
def test_disk_space(folder: Path, free: int, mark: str) -> None:
    """Too little room is wrong, little room a warning."""
    assert disk_finding("output", folder / "not" / "there", free).mark == mark


def test_a_folder_that_is_a_file(folder: Path) -> None:
    """An output folder that cannot be one is wrong."""
    (folder / "workflow_outs").write_text("")
    assert disk_finding("output", folder / "workflow_outs", 10**12).mark == "wrong"


def test_gpus_are_told_of_even_where_none_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who plans to serve a model here wants to know; a machine without one is well all the same."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    told = io.StringIO()
    offline = ("models.verifier=offline", "models.rubric_generator=offline")
    assert examine("iterative", offline, None, Console(file=told, width=200)) == 0
    assert "GPU: 2 visible; only a backend of vllm needs one" in told.getvalue()
