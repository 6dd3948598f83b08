"""Named config + overrides -> settings: official keys and defaults, and an end for every wrong key."""

from __future__ import annotations

import msgspec
import pytest

from rubricate.errors import DataError, SettingsError
from rubricate.settings import terms
from rubricate.settings.loading import known_keys, load_settings, settings_of_file, yaml_of
from rubricate.settings.schema import Settings

OFFICIAL = {
    "files.initial_rubrics": None,
    "files.responses_file": None,
    "files.output_dir": None,
    "workflow.initial_responses_per_prompt": 16,
    "workflow.max_iterations": 4,
    "workflow.sample_size": None,
    "workflow.exclude_used_reference_responses": True,
    "models.verifier_backend": "api",
    "models.verifier": "openai/gpt-4.1-mini",
    "models.proposer_backend": "api",
    "models.rubric_generator": "openai/gpt-4.1",
    "vllm.tensor_parallel_size": None,
    "vllm.max_model_len": 16384,
    "vllm.enforce_eager": False,
    "vllm.gpu_memory_utilization": 0.9,
    "vllm.port": None,  # official: 8000; ours: 8000 or the next free one
    "api.base_url": None,
    "api.workers": 64,
    "api.max_retries": 1,
    "api.retry_temperature": 1.0,
}
"""Keys and defaults of the official iterative workflow (chasing-the-tail, sections 2 and 6)."""

SINGLE = {"workflow.initial_responses_per_prompt": 2, "workflow.max_iterations": 1}


def value(settings: Settings, key: str):
    for name in key.split("."):
        settings = getattr(settings, name)
    return settings


class TestOfficial:
    @pytest.mark.parametrize("config", ["iterative", "single", "paper"])
    def test_keys_and_defaults(self, config):
        """Every official key exists in all configs, with the official default of the workflow it is of."""
        settings = load_settings(config)
        expected = {**OFFICIAL, **(SINGLE if config == "single" else {})}
        if config == "paper":  # the paper's text scores all candidates every round
            expected["workflow.exclude_used_reference_responses"] = False
        assert {key: value(settings, key) for key in expected} == expected

    def test_the_paper_to_the_letter(self):
        """Config `paper`: everything regraded, all criteria in one call, no gate, top two, no checks."""
        settings = load_settings("paper")
        assert settings.policy == "top2"
        assert not (settings.grade.reuse or settings.grade.checks or settings.gate.enabled)
        assert settings.grade.criteria_per_call is None

    def test_policies(self):
        """The official key decides the pairs unless ours is given."""
        assert load_settings("iterative").policy == "exclude_used"
        assert load_settings("single").policy == "first_two"
        off = ["workflow.exclude_used_reference_responses=false"]
        assert load_settings("iterative", off).policy == "top2"
        assert load_settings("iterative", [*off, "workflow.pair_policy=contested"]).policy == "contested"

    def test_a_published_command_line(self):
        """Overrides as the official README writes them, plus signs for keys that it lacks included."""
        settings = load_settings(
            "iterative",
            [
                "files.responses_file=data/responses.json",
                "models.verifier=openai/gpt-4.1-mini",
                "workflow.max_iterations=2",
                "+random_seed=3",
                "++api.workers=8",
                "+resume.path=workflow_outs/run_1",
            ],
        )
        assert (settings.random_seed, settings.api.workers) == (3, 8)
        assert settings.resume.path == "workflow_outs/run_1"


class TestOverrides:
    @pytest.mark.parametrize(
        ("override", "key", "expected"),
        [
            ("api.temperature=0.5", "api.temperature", 0.5),
            ("api.temperature=1", "api.temperature", 1.0),
            ("api.temperature=null", "api.temperature", None),
            ("workflow.sample_size=7", "workflow.sample_size", 7),
            ("gate.enabled=false", "gate.enabled", False),
            ("rollouts.models=[openai/a,openai/b]", "rollouts.models", ("openai/a", "openai/b")),
            ("vllm.extra_args=['--quantization','fp8']", "vllm.extra_args", ("--quantization", "fp8")),
            ("files.responses_file='a b (c).json'", "files.responses_file", "a b (c).json"),
            ("files.responses_file='it\\'s.json'", "files.responses_file", "it's.json"),
            ("files.responses_file=hf://NAME", "files.responses_file", "hf://NAME"),
            ("+random_seed=3", "random_seed", 3),
            ("++random_seed=4", "random_seed", 4),
        ],
    )
    def test_arrive(self, tmp_path, override, key, expected):
        """Numbers, null, lists, quoted texts, with or without plus signs; the same on a run's own config."""
        assert value(load_settings("iterative", [override]), key) == expected
        path = tmp_path / "config.yaml"
        path.write_text(yaml_of(load_settings("iterative")))
        assert value(settings_of_file(path, [override]), key) == expected

    @pytest.mark.parametrize(
        ("override", "told"),
        [
            ("api.worker=3", "did you mean 'api.workers'?"),
            ("workflow.max_iteration=3", "did you mean 'workflow.max_iterations'?"),
            ("+seed=3", "'seed'"),
            ("api.max_iterations=3", "did you mean 'workflow.max_iterations'?"),
            ("hydra.run.dir=x", "'hydra.run.dir'"),
            ("workflow.max_iterations=four", "workflow.max_iterations: expected `int`, got `str`"),
            ("workflow.max_iterations=-1", "workflow.max_iterations: expected `int` >= 0"),
            ("workflow.max_iterations=2.5", "workflow.max_iterations: expected `int`"),
            ("workflow.max_iterations=null", "workflow.max_iterations: expected `int`"),
            ("workflow.initial_responses_per_prompt=0", "workflow.initial_responses_per_prompt"),
            ("grade.coverage_floor=1.5", "grade.coverage_floor"),
            ("models.verifier_backend=tgi", "models.verifier_backend: invalid enum value 'tgi'"),
            ("workflow.pair_policy=best", "workflow.pair_policy: invalid enum value 'best'"),
            ("api.workers=0", "api.workers: expected `int` >= 1"),
            ("rollouts.models=openai/a", "rollouts.models: expected `array`, got `str`"),
            ("api.temperature=nan", "api.temperature"),
            ("api.temperature=3", "api.temperature"),
            ("vllm.port=99999", "vllm.port"),
            ("~api.workers", "is no override"),
            ("api.workers", "is no override"),
            ("api.workers=[", "["),
            ("workflow=3", "workflow"),
        ],
    )
    def test_a_wrong_one_names_the_key(self, tmp_path, override, told):
        """Unknown keys name their nearest neighbour; wrong types and values name the key and what is right;
        all in one line. The same when a run is resumed."""
        path = tmp_path / "config.yaml"
        path.write_text(yaml_of(load_settings("iterative")))
        for load in (load_settings, lambda _, overrides: settings_of_file(path, overrides)):
            with pytest.raises(SettingsError) as caught:
                load("iterative", [override])
            assert told in str(caught.value)
            assert "\n" not in str(caught.value)


class TestConfigs:
    def test_an_unknown_config_names_the_nearest(self):
        """A typo in the config's name is answered with the name that was meant."""
        with pytest.raises(SettingsError, match="did you mean 'iterative'"):
            load_settings("iteratve")

    def test_a_config_of_the_users_own(self, tmp_path):
        """A folder of the user's comes first; its configs may change a few keys of a built-in one."""
        folder = tmp_path / "my configs, (1)=é"
        folder.mkdir()
        (folder / "mine.yaml").write_text("defaults: [iterative, _self_]\napi:\n  workers: 5\n")
        settings = load_settings("mine", ["workflow.max_iterations=2"], config_dir=folder)
        assert (settings.api.workers, settings.workflow.max_iterations) == (5, 2)
        assert settings.models.verifier == "openai/gpt-4.1-mini"
        assert load_settings("paper", config_dir=folder).policy == "top2"

    def test_a_wrong_key_in_a_users_config(self, tmp_path):
        """An unknown key in a file is as wrong as one on the command line, and so is a missing one."""
        (tmp_path / "mine.yaml").write_text("defaults: [iterative, _self_]\napi:\n  worker: 5\n")
        with pytest.raises(SettingsError, match=r"'api\.worker'.*did you mean 'api\.workers'"):
            load_settings("mine", config_dir=tmp_path)
        (tmp_path / "bare.yaml").write_text("random_seed: 1\n")
        with pytest.raises(SettingsError, match="missing required field"):
            load_settings("bare", config_dir=tmp_path)

    @pytest.mark.parametrize("config", ["iterative", "single", "paper"])
    def test_round_trip(self, tmp_path, config):
        """A run's config.yaml gives the same settings back, and the same text again."""
        settings = load_settings(config, ["rollouts.models=[a,b]", "files.responses_file='~/a: b.json'"])
        path = tmp_path / "config.yaml"
        path.write_text(yaml_of(settings))
        assert settings_of_file(path) == settings
        assert yaml_of(settings_of_file(path)) == path.read_text()

    @pytest.mark.parametrize("text", ["a: [", "- 1\n- 2\n", "3", "\x00"])
    def test_a_damaged_config_is_named(self, tmp_path, text):
        """What is no config is an error that names the file."""
        path = tmp_path / "config.yaml"
        path.write_text(text)
        with pytest.raises(DataError, match=r"config\.yaml"):
            settings_of_file(path)

    def test_the_schema_and_the_yaml_hold_the_same_keys(self):
        """No default hides in the schema: what `iterative` sets is all there is."""
        plain = msgspec.to_builtins(load_settings("iterative"))
        leaves = {
            f"{section}.{key}" if isinstance(inner, dict) else section
            for section, inner in plain.items()
            for key in (inner if isinstance(inner, dict) else [None])
        }
        assert leaves == known_keys()


def test_the_wording_of_our_prompts_is_part_of_what_a_run_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that was made with other prompts is not taken for a finished one; speed and place of a run are
    no part of what it is."""
    settings = load_settings("iterative")
    before = terms.identity_of(settings)
    assert terms.identity_of(load_settings("iterative", ["api.workers=3", "ledger=x.sqlite"])) == before
    assert terms.identity_of(load_settings("iterative", ["gate.enabled=false"])) != before
    monkeypatch.setattr(terms, "template", lambda step: f"another wording to {step}")
    assert terms.identity_of(settings) != before
