"""The whole loop against a real inference server: llama.cpp with a tiny random model.

Its words are noise and its JSON is valid, so nothing is known beforehand of what it answers. The laws below
compare what a run wrote with what went over the wire, read here by a few lines of their own.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rubricate.domain.record import PromptRecord, Standing
from rubricate.domain.rubric import Rubric
from rubricate.runs.summary import rubrics_of
from tests import llama_server as engine
from tests.llama_server import MODEL, LlamaEndpoint, llama_endpoint, tiny_model
from tests.wiretap import Exchange, Wiretap

__all__ = ["llama_endpoint", "tiny_model"]  # fixtures

RUBRICATE = Path(sys.executable).parent / "rubricate"
DEADLINE_S = 120.0
N_RESPONSES = 3
GIVEN = "The response answers the question that was asked"
# A rubric of the tiny model takes 60 to 700 tokens, and one that takes more may as well be cut.
MAX_TOKENS = 1000
RESULTS = ("rubrics.jsonl", "scores.jsonl", "journal.jsonl")


class Work:
    """A folder with a pool of a few prompts, where commands are run as a user runs them."""

    def __init__(self, folder: Path, base_url: str, n_prompts: int = 3, n_given: int = 1):
        self.folder, self.ids = folder, [f"p{number}" for number in range(n_prompts)]
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LITELLM_BASE_URL": base_url}
        self.environment["COLUMNS"] = "300"
        pool = [
            {
                "id": id,
                "prompt": f"What is told in story {id}?",
                "responses": [
                    {"generator": f"m{place}", "response": f"Story {id} by {place}: " + "so " * (place + 1)}
                    for place in range(N_RESPONSES)
                ],
            }
            for id in self.ids
        ]
        (folder / "pool.json").write_text(json.dumps(pool))
        # A rubric of one criterion leaves the random model no choice but to judge it: p0 is always scored.
        with (folder / "given.jsonl").open("w") as given:
            for row in pool[:n_given]:
                rubric = {
                    "id": row["id"],
                    "prompt": row["prompt"],
                    "rubrics": [{"criterion": GIVEN, "weight": 2}],
                }
                given.write(json.dumps(rubric) + "\n")

    def run(self, name: str, *more: str, config: str = "iterative") -> subprocess.CompletedProcess[str]:
        """`rubricate run` into the folder of this name, with both roles played by the tiny model."""
        return self.rubricate(
            *["run", "--config-name", config, f"files.output_dir={self.folder / name}"],
            *["files.responses_file=pool.json", "files.initial_rubrics=given.jsonl", "ledger=ledger.sqlite"],
            *[f"models.rubric_generator={MODEL}", f"models.verifier={MODEL}", "workflow.max_iterations=2"],
            *[f"api.max_tokens={MAX_TOKENS}", "api.workers=4", *more],
        )

    def rubricate(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command, to its end: done, with failures, or stopped."""
        ended = subprocess.run(
            [RUBRICATE, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        assert ended.returncode in (0, 1, 3) and not ended.stderr, ended.stderr
        return ended

    def records(self, name: str) -> list[PromptRecord]:
        """The journal of a run."""
        lines = (self.folder / name / "journal.jsonl").read_bytes().splitlines()
        return [msgspec.json.decode(line, type=PromptRecord) for line in lines]

    def results(self, name: str) -> list[bytes]:
        """The bytes of what a run found."""
        return [(self.folder / name / file).read_bytes() for file in RESULTS]

    def text_of(self, id: str, generator: str | None) -> str:
        """A response by its prompt and generator."""
        pools = json.loads((self.folder / "pool.json").read_text())
        (found,) = (
            response["response"]
            for pool in pools
            for response in pool["responses"]
            if (pool["id"], response["generator"]) == (id, generator)
        )
        return str(found)


@pytest.fixture
def tap(llama_endpoint: LlamaEndpoint) -> Iterator[Wiretap]:
    """What went over the wire to the real server."""
    with Wiretap(llama_endpoint.base_url) as tap:
        yield tap


@pytest.fixture
def work(tmp_path: Path, tap: Wiretap) -> Work:
    return Work(tmp_path, tap.base_url)


def frame(question: str, name: str) -> str | None:
    """What stands in a frame of a question."""
    found = re.search(rf"<({name}-\w+)>\n(.*?)\n</\1>", question, re.DOTALL)
    return found[2] if found else None


Said = dict[tuple[str, str], str]


def said(exchanges: Sequence[Exchange]) -> Said:
    """The verdicts that the model gave, by response and criterion."""
    verdicts: Said = {}
    for exchange in exchanges:
        response, criteria = frame(exchange.question, "response"), frame(exchange.question, "criteria")
        if response is None or criteria is None or exchange.choice["finish_reason"] != "stop":
            continue
        text_by_id = dict(line.split(": ", 1) for line in criteria.split("\n"))
        for id, word in json.loads(exchange.choice["message"]["content"]).items():
            verdicts[response, text_by_id[id]] = word
    return verdicts


def written(exchanges: Sequence[Exchange]) -> set[tuple[str, float]]:
    """The criteria that the model wrote, with their weights."""
    return {
        (" ".join(entry["criterion"].split()), float(entry["weight"]))
        for exchange in exchanges
        if exchange.choice["finish_reason"] == "stop"
        and '"criteria"' in exchange.choice["message"]["content"][:40]
        for entry in json.loads(exchange.choice["message"]["content"])["criteria"]
    }


def marks_that_nobody_gave(
    work: Work, record: PromptRecord, verdicts: Said, *, is_final: bool
) -> list[tuple[str, str, str]]:
    """Marks that differ from what was said. In a round, what is said later may still be unjudged."""
    generator_by_key = {row["key"]: row["generator"] for row in pool_rows(work) if row["id"] == record.id}
    rubrics, wrong = rubrics_of(record), []

    def check(standing: Standing, rubric: Rubric) -> None:
        text = work.text_of(record.id, generator_by_key[standing.response])
        by_program = standing.by_program or "." * len(standing.marks)
        for criterion, mark, by in zip(rubric.criteria, standing.marks, by_program, strict=True):
            word = verdicts.get((text, criterion.text), "unjudged")
            allowed = {"met": "+", "unmet": "-", "unjudged": "?"}[word] + ("" if is_final else "?")
            if by == "." and mark not in allowed:
                wrong.append((standing.response, criterion.text, mark))

    if is_final and record.rubric is not None:
        for standing in record.standings:
            check(standing, record.rubric)
    else:
        for played in record.rounds:
            for standing in played.standings:
                check(standing, rubrics[played.before])
    return wrong


def pool_rows(work: Work) -> list[dict[str, Any]]:
    """Prompt id, key and generator of every response of the pool."""
    from rubricate.runs.intake import read_pools

    with read_pools(str(work.folder / "pool.json")) as intake:
        return [
            {"id": pool.prompt.id, "key": response.key, "generator": response.generator}
            for pool in intake
            for response in pool.responses
        ]


def assert_honest(work: Work, name: str, exchanges: Sequence[Exchange], exit_code: int) -> None:
    """Every prompt is there once, in one state that its rounds bear out; nothing stands there that was not
    said; and all the files tell the same."""
    records = work.records(name)
    assert [record.id for record in records] == work.ids
    verdicts, criteria = said(exchanges), written(exchanges) | {(GIVEN, 2.0)}
    for record in records:
        assert record.why
        accepted = [played for played in record.rounds if played.decision == "accepted"]
        assert (record.state == "refined") == bool(accepted)
        assert all(played.why for played in record.rounds)
        if record.state == "failed":
            assert not record.rounds and not record.standings
        elif record.rubric is not None and record.initial is not None:
            assert len(record.standings) == N_RESPONSES
            assert (record.rubric.key == record.initial.key) == (record.state == "kept")
        else:
            raise AssertionError(f"{record.id} is {record.state} without a rubric")
        for rubric in rubrics_of(record).values():
            assert {(c.text, c.weight) for c in rubric.criteria} <= criteria
        for is_final in (False, True):
            assert not marks_that_nobody_gave(work, record, verdicts, is_final=is_final)
    states = Counter(record.state for record in records)
    folder = work.folder / name
    summary = json.loads((folder / "summary.json").read_bytes())
    assert {state: n for state, n in summary["by_state"].items() if n} == states
    assert exit_code == (1 if states["failed"] else 0)
    assert {"id": "p0", "state": records[0].state}.items() <= json.loads(
        (folder / "rubrics.jsonl").read_text().splitlines()[0]
    ).items()
    assert "</html>" in (folder / "report.html").read_text()


def test_the_loop_ends_honestly_and_replays_for_nothing(work: Work, tap: Wiretap):
    """Schemas are found honoured and used, what is complete is valid JSON, and to run again is free of
    charge and gives the same bytes."""
    first = work.run("first")
    assert_honest(work, "first", tap.exchanges, first.returncode)
    assert {exchange.status for exchange in tap.exchanges} == {200}
    names = [exchange.asked["response_format"]["json_schema"]["name"] for exchange in tap.exchanges]
    assert names[0] == "rubricate_probe" and {*names[1:]} >= {"rubric", "verdicts"}
    assert names.count("rubricate_probe") == 1
    for exchange in tap.exchanges:
        if exchange.choice["finish_reason"] == "stop":
            json.loads(exchange.choice["message"]["content"])
    (p0, *_) = work.records("first")
    assert p0.rounds, "one criterion on three responses: each has a score, so a pair was refined"
    assert all(standing.score is not None for standing in p0.rounds[0].standings)
    calls = json.loads((work.folder / "first" / "summary.json").read_bytes())["session"]
    assert calls["calls_paid"] == len(tap.exchanges) - 1

    tap.exchanges.clear()
    second = work.run("second")
    assert not tap.exchanges and not tap.n_unanswered
    assert second.returncode == first.returncode
    assert work.results("second") == work.results("first")


def test_doctor_finds_that_schemas_are_followed(work: Work, tap: Wiretap):
    """By asking, as a run does; one answer for both roles of one model."""
    found = work.rubricate("doctor", f"models.rubric_generator={MODEL}", f"models.verifier={MODEL}")
    assert found.returncode == 0
    assert found.stdout.count("structured output: JSON schemas are followed") == 1
    assert any("response_format" in exchange.asked for exchange in tap.exchanges)


def test_noise_becomes_no_rubric_and_no_verdict(work: Work, tap: Wiretap):
    """Without schemas the random model writes nothing that can be read, and nothing is made of it."""
    noise = work.run("noise", "api.structured_output=off", "api.max_tokens=300")
    assert not any("response_format" in exchange.asked for exchange in tap.exchanges)
    kept, *failed = work.records("noise")
    assert noise.returncode == 1 and "Traceback" not in noise.stderr
    assert kept.state == "kept" and kept.rubric is not None and kept.rubric.key == kept.initial.key
    assert {standing.marks for standing in kept.standings} == {"?"}
    assert all(standing.score is None and standing.reasons["c1"] for standing in kept.standings)
    for record in failed:
        assert record.state == "failed" and record.rubric is None
        assert re.search(r"cut off|no JSON|JSON of the reply|is empty|criteri|rubric", record.why)
        assert record.why[:60] in noise.stdout


def test_a_run_brings_its_own_server_and_leaves_none(tmp_path: Path, tiny_model: Path):
    """One process for two roles of one model, by the command line that we give to llama-server."""
    work = Work(tmp_path, "http://127.0.0.1:9/v1", n_prompts=2)
    shim, starts = tmp_path / "llama-server", tmp_path / "starts"
    command = shlex.join([sys.executable, engine.__file__])
    shim.write_text(f'#!/bin/sh\necho $$ >> {shlex.quote(str(starts))}\nexec {command} "$@"\n')
    shim.chmod(0o755)
    done = work.run(
        *["local", "models.proposer_backend=llamacpp", "models.verifier_backend=llamacpp"],
        *[f"models.rubric_generator={tiny_model}", f"models.verifier={tiny_model}"],
        *[f"llamacpp.command={shim}", "llamacpp.n_ctx=4096", "workflow.max_iterations=1"],
    )
    assert done.returncode in (0, 1), done.stderr
    records = work.records("local")
    assert [record.id for record in records] == work.ids and records[0].rounds
    assert {verdict for standing in records[0].rounds[0].standings for verdict in standing.marks} <= {*"+-"}
    (pid,) = starts.read_text().split()
    assert not Path(f"/proc/{pid}").exists()
    log = tmp_path / "local" / "server-proposer-verifier.log"
    assert log.is_file() and str(log) in done.stdout


def test_a_server_that_dies_costs_nothing_but_time(tmp_path: Path, tiny_model: Path):
    """The run says that it stopped and how to go on; when the server is back, that command finishes the
    run, and no call that was answered is ever repeated."""
    with ExitStack() as stack:
        endpoint, process = stack.enter_context(engine.llama_server(tiny_model))
        port = int(endpoint.base_url.rpartition(":")[2].partition("/")[0])
        tap = stack.enter_context(Wiretap(endpoint.base_url))
        work = Work(tmp_path, tap.base_url, n_prompts=6, n_given=6)
        tap.after(6, lambda: (process.kill(), process.wait()))
        # One call at a time: whoever gives up cancels its sisters, whose answers may be on their way. None is
        # sent twice for being overdue, and an unreadable answer is asked for once more, at another
        # temperature: so no two calls of a run are equal.
        quick = ("api.patience_s=0.5", "api.workers=1", "api.hedge=0", "api.stutter_retries=0")
        quick += ("workflow.prompts_in_flight=4",)
        quick += ("workflow.max_iterations=1", "api.max_tokens=400")
        broken = work.run("run", *quick)
        assert broken.returncode == 3, broken.stdout
        assert tap.n_unanswered > 6, "each call is tried again before it is given up"
        assert "looks down" in broken.stdout and tap.base_url in broken.stdout
        n_kept = len(tap.exchanges)
        (again,) = (line for line in broken.stdout.splitlines() if line.startswith("  rubricate run "))

        stack.enter_context(engine.llama_server(tiny_model, port))
        resumed = work.rubricate(*shlex.split(again)[1:])
        assert_honest(work, "run", tap.exchanges, resumed.returncode)
        assert len(tap.exchanges) > n_kept
        asked = Counter(json.dumps(exchange.asked, sort_keys=True) for exchange in tap.exchanges)
        assert set(asked.values()) == {1}

        n_kept = len(tap.exchanges)
        work.run("replayed", *quick)
        assert len(tap.exchanges) == n_kept
        assert work.results("replayed") == work.results("run")


def test_rollouts_keep_what_was_drawn(work: Work, tap: Wiretap):
    """Every draw is there as it came, with its finish reason and usage; to draw again asks nothing."""
    prompts = [{"id": id, "prompt": f"Tell me about {id}."} for id in work.ids]
    (work.folder / "prompts.json").write_text(json.dumps(prompts))
    output = work.folder / "out" / "drawn.json"
    flags = ["--models", MODEL, "--num-responses-per-model", "3", "--max-tokens", "40"]
    flags += ["--input-file", "prompts.json", "--output-dir", "out", "--output-filename", output.name]
    flags += ["--ledger", "ledger.sqlite"]
    first = work.rubricate("rollouts", *flags)
    rows = json.loads(output.read_text())
    assert [row["id"] for row in rows] == work.ids
    for row in rows:
        draws = [*row["responses"], *row.get("failures", [])]
        assert sorted(draw.get("draw", 0) for draw in draws) == [0, 1, 2]
        came = [
            (exchange.choice["message"]["content"].strip(), exchange.choice["finish_reason"])
            for exchange in tap.exchanges
            if exchange.question == f"Tell me about {row['id']}."
        ]
        kept = [(draw["response"], draw["finish_reason"]) for draw in row["responses"]]
        assert Counter(kept) == Counter(pair for pair in came if pair[0])
        assert all(
            0 < draw["usage"]["completion_tokens"] <= 40 and draw["usage"]["prompt_tokens"]
            for draw in row["responses"]
        )
    cut = sum(draw["finish_reason"] == "length" for row in rows for draw in row["responses"])
    assert cut and f"{cut} of them cut off at the token limit" in first.stdout
    assert len({draw["response"] for row in rows for draw in row["responses"]}) > 3, "draws are draws"

    before, n_asked = output.read_bytes(), len(tap.exchanges)
    again = work.rubricate("rollouts", *flags)
    assert (again.returncode, output.read_bytes()) == (first.returncode, before)
    output.unlink()
    work.rubricate("rollouts", *flags)
    assert output.read_bytes() == before
    assert len(tap.exchanges) == n_asked
