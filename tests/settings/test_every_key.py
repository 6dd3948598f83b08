"""No knob on a string to nothing: every key is read by somebody, and what it says arrives."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest

from rubricate.cluster.joining import address_of, site_of
from rubricate.commands.run import Order, settings_for
from rubricate.errors import RubricateError, SettingsError
from rubricate.llm.local.engines import VllmSettings
from rubricate.llm.local.servers import serve_roles
from rubricate.settings.casting import tenants_of
from rubricate.settings.loading import known_keys, load_settings
from rubricate.settings.schema import Settings
from rubricate.settings.terms import identity_of, rules_of
from tests.served import Served, rows, run_here, write_pool


def sections(struct: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """Every section of the settings with its prefix, the whole included."""
    yield prefix, struct
    hints = get_type_hints(struct)
    for field in msgspec.structs.fields(struct):
        kind = hints[field.name]
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield from sections(kind, f"{prefix}{field.name}.")


@pytest.fixture
def read(monkeypatch) -> set[str]:
    """The keys that are read from now on: the fields of the settings tell of each look at them."""
    seen: set[str] = set()
    for prefix, struct in sections(Settings):
        for field in msgspec.structs.fields(struct):
            monkeypatch.setattr(
                struct, field.name, _told(struct.__dict__[field.name], prefix + field.name, seen)
            )
    return seen


def _told(member: Any, key: str, seen: set[str]) -> property:
    def value(self: Any) -> Any:
        seen.add(key)
        return member.__get__(self)

    return property(value)


def test_every_key_is_read(desk, read, monkeypatch):
    """A run that samples, judges, limits and serves its own models looks at every key there is; and each look
    is one of the run's code, since loading, checking and writing settings go past the fields."""
    load_settings("iterative")
    assert read == set()

    write_pool(desk.path / "pool.json", [*rows(2), {"id": "empty", "prompt": "Say something."}])
    desk.move("run")
    with Served() as server:
        desk.ask(server)
        outcome = run_here("files.responses_file=../pool.json", "rollouts.models=[m]", "gate.judge=judge")
        assert outcome.code == 0, outcome.text
        with pytest.raises(SettingsError, match="no batch endpoints"):
            run_here("files.responses_file=../pool.json", "files.output_dir=batch", "api.mode=batch")
    settings, _ = settings_for(Order("iterative", ("files.output_dir=out",), resume=True))
    assert settings.random_seed == 0

    command = f"{sys.executable} -c pass"
    overrides = [f"vllm.command='{command}'", f"llamacpp.command='{command}'"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    for backend in ("vllm", "llamacpp"):
        both = [f"models.{role}_backend={backend}" for role in ("proposer", "verifier")]
        tenants = tenants_of(load_settings("iterative", [*overrides, *both]))
        with pytest.raises(RubricateError, match="ended"):
            asyncio.run(_served(tenants, desk.path))
    one = {"Alive": True, "NodeManagerAddress": "10.0.0.1", "Resources": {"CPU": 4.0}}
    ray = load_settings("iterative", ["ray.address=auto", "ray.workers=3"]).ray
    assert (address_of(ray), site_of(ray, [one], "10.0.0.1").n_workers) == ("auto", 3)
    assert known_keys() - read == set()


async def _served(tenants: Any, folder: Path) -> None:
    async with serve_roles(tenants, folder):
        raise AssertionError("a program that does nothing serves nothing")


class TestWhatTheyDo:
    """Odd values, and where they show."""

    @pytest.mark.parametrize(
        ("override", "shows"),
        [
            ("workflow.max_iterations=7", {"max_iterations": 7}),
            ("workflow.pair_policy=contested", {"policy": "contested"}),
            ("workflow.exclude_used_reference_responses=false", {"policy": "top2"}),
            ("workflow.score_final=false", {"score_final": False}),
            ("workflow.must_have_rubric=true", {"must_have_rubric": True}),
            ("gate.enabled=false", {"gate": False}),
            ("grade.coverage_floor=0.25", {"floor": 0.25}),
            ("grade.coverage=all", {"coverage": "all"}),
        ],
    )
    def test_rules(self, override, shows):
        """What a prompt is refined by."""
        rules = rules_of(load_settings("iterative", [override]))
        assert {name: getattr(rules, name) for name in shows} == shows

    @pytest.mark.parametrize(
        "override",
        [
            "models.verifier=odd",
            "models.rubric_generator=odd",
            "gate.judge=odd",
            "grade.checks=false",
            "grade.criteria_per_call=3",
            "rollouts.models=[odd]",
            "rollouts.top_p=0.5",
            "workflow.pitfalls=true",
            "workflow.max_iterations=9",
            "api.temperature=0.5",
            "api.max_retries=4",
            "api.stutter_retries=2",
            "api.retry_temperature=0.5",
            "api.max_tokens=77",
            "random_seed=9",
        ],
    )
    def test_what_shapes_a_result_is_part_of_its_identity(self, override):
        """Under other settings a finished prompt is owed again."""
        assert identity_of(load_settings("iterative", [override])) != identity_of(load_settings("iterative"))

    @pytest.mark.parametrize(
        "override",
        [
            "api.mode=batch",
            "batch.linger_s=9",
            "api.workers=3",
            "api.hedge=0",
            "api.base_url=http://x",
            "budget.max_calls=3",
            "files.output_dir=x",
            "ledger=x",
        ],
    )
    def test_what_does_not_is_not(self, override):
        """Where, how fast and for how much money leaves a finished prompt finished."""
        assert identity_of(load_settings("iterative", [override])) == identity_of(load_settings("iterative"))

    def test_what_is_sent(self, desk):
        """Models, temperatures and token limits arrive at the server, and criteria are asked in chunks."""
        write_pool(desk.path / "pool.json", rows(3, 5))
        folder = desk.move("sent")
        with Served() as server:
            desk.ask(server)
            outcome = run_here(
                "files.responses_file=../pool.json",
                "models.verifier=odd-grader",
                "models.rubric_generator=odd-proposer",
                "gate.judge=odd-judge",
                "api.temperature=0.125",
                "api.max_tokens=777",
                "api.structured_output=off",
                "grade.criteria_per_call=1",
                "workflow.sample_size=2",
                "workflow.initial_responses_per_prompt=3",
                "workflow.pitfalls=true",
                "ledger=odd.sqlite",
                "api.workers=2",
            )
            assert outcome.code == 0, outcome.text
            assert server.peak <= 2
            asked = server.requests
        assert {request["model"] for request in asked} == {"odd-grader", "odd-proposer", "odd-judge"}
        assert {request["temperature"] for request in asked} == {0.125}
        assert {request["max_tokens"] for request in asked} == {777}
        assert not any("response_format" in request for request in asked)
        graded = [r["messages"][0]["content"] for r in asked if r["model"] == "odd-grader"]
        assert not any("\nc2: " in text for text in graded)
        assert any("pitfall" in request["messages"][0]["content"] for request in asked)
        assert len((folder / "pool.jsonl").read_bytes().splitlines()) == 2
        assert len((folder / "scores.jsonl").read_bytes().splitlines()) == 6
        assert Path("odd.sqlite").is_file() and not Path("workflow_outs/ledger.sqlite").exists()

    def test_the_seed_draws_the_sample(self, desk):
        """`random_seed` decides which prompts `workflow.sample_size` takes, the file's order does not."""
        drawn = []
        for seed, pool in ((0, rows(12, 1)), (0, rows(12, 1)[::-1]), (1, rows(12, 1))):
            write_pool(desk.path / "pool.json", pool)
            folder = desk.move(f"draw-{len(drawn)}")
            with Served() as server:
                desk.ask(server)
                sampled = [f"+random_seed={seed}", "workflow.sample_size=4"]
                assert run_here("files.responses_file=../pool.json", *sampled).code == 0
            lines = (folder / "rubrics.jsonl").read_bytes().splitlines()
            drawn.append({msgspec.json.decode(line)["id"] for line in lines})
        assert drawn[0] == drawn[1] != drawn[2]

    def test_vllm_settings_are_the_official_ones_and_ours(self):
        """The section of the YAML file holds the defaults of the schema: two sources, one truth."""
        assert load_settings("iterative").vllm == VllmSettings()
