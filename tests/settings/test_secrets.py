"""Keys and addresses: where they come from, where they go, and where they never are."""

from __future__ import annotations

import json

import pytest

from rubricate.errors import SettingsError
from rubricate.settings.casting import role_access
from rubricate.settings.loading import load_settings
from rubricate.settings.secrets import access, environment
from tests.served import KEY, Served, rows, run_here, write_pool

LITELLM = {"LITELLM_KEY": "sk-l", "LITELLM_BASE_URL": "http://proxy:4000"}
OPENAI = {"OPENAI_API_KEY": "sk-o", "OPENAI_BASE_URL": "https://openai.example/v1"}


class TestAccess:
    @pytest.mark.parametrize(
        ("env", "base_url", "key"),
        [
            ({}, "http://localhost:4000", None),
            (LITELLM, "http://proxy:4000", "sk-l"),
            (OPENAI, "https://openai.example/v1", "sk-o"),
            ({**LITELLM, **OPENAI}, "http://proxy:4000", "sk-l"),
            ({"LITELLM_KEY": "sk-l"}, "http://localhost:4000", "sk-l"),
            ({"OPENAI_API_KEY": "sk-o"}, "https://api.openai.com/v1", "sk-o"),
            ({"OPENAI_BASE_URL": "http://here/v1"}, "http://here/v1", None),
            ({"LITELLM_KEY": "sk-l", **OPENAI}, "http://localhost:4000", "sk-l"),
            ({"LITELLM_BASE_URL": "http://proxy:4000", **OPENAI}, "http://proxy:4000", None),
        ],
    )
    def test_litellm_comes_before_openai_and_keys_stay_with_their_addresses(self, env, base_url, key):
        """The official variables first; the two pairs are never mixed."""
        found = access(env)
        assert (found.base_url, found.api_key) == (base_url, key)

    def test_api_base_url_replaces_the_address(self):
        """`api.base_url` with `LITELLM_KEY`, as in the official workflow."""
        found = access(LITELLM, "http://elsewhere/v1")
        assert (found.base_url, found.api_key) == ("http://elsewhere/v1", "sk-l")

    def test_a_roles_own_address_gets_its_own_key_or_none(self):
        """No key goes to an address that it was not given for."""
        env = {**LITELLM, **OPENAI, "MINE": "sk-m"}
        overrides = ["api.base_url=http://shared/v1", "api.verifier_base_url=http://grader/v1"]
        settings = load_settings("iterative", [*overrides, "api.proposer_key_env=MINE"])
        grader = role_access(settings, env, "verifier")
        assert (grader.base_url, grader.api_key) == ("http://grader/v1", None)
        proposer = role_access(settings, env, "proposer")
        assert (proposer.base_url, proposer.api_key) == ("http://shared/v1", "sk-m")
        judge = role_access(settings, env, "judge")
        assert (judge.base_url, judge.api_key) == ("http://shared/v1", "sk-l")
        own = load_settings("iterative", [*overrides, "api.verifier_key_env=MINE"])
        assert role_access(own, env, "verifier").api_key == "sk-m"

    def test_a_key_that_is_not_set_is_named(self):
        """A setting that names a variable which is not there is the user's mistake."""
        with pytest.raises(SettingsError, match="NOWHERE is not set"):
            access({}, own_key_env="NOWHERE")

    def test_a_key_is_in_no_repr(self):
        """What is printed of an access names the variable, not the key."""
        assert "sk-l" not in repr(access(LITELLM))
        assert "LITELLM_KEY" in repr(access(LITELLM))


class TestEnvironment:
    def test_dotenv_stands_below_the_environment(self, tmp_path, monkeypatch):
        """`.env` fills what the environment leaves open; empty values count as not set."""
        (tmp_path / ".env").write_text('LITELLM_KEY="from-file"\nLITELLM_BASE_URL=http://file\nEMPTY=\n')
        monkeypatch.setenv("LITELLM_KEY", "from-environment")
        monkeypatch.setenv("LITELLM_BASE_URL", "")
        env = environment(tmp_path)
        assert (env["LITELLM_KEY"], env["LITELLM_BASE_URL"]) == ("from-environment", "http://file")
        assert "EMPTY" not in env


class TestKeysNeverStay:
    def test_nowhere_in_what_a_run_leaves(self, desk, capfd):
        """After a run, a failed one and a stopped one: the key is in no file of the run, not in the ledger,
        and not in what was printed, though the server itself says it back."""
        write_pool(desk.path / "pool.json", rows(2))
        folder = desk.move("secret").parents[1]
        pool = "files.responses_file=../pool.json"
        told = []
        with Served(api_key=KEY) as server:
            desk.ask(server)
            told.append(run_here(pool).text)
            server.api_key = "another"
            desk.patch.chdir(folder)
            told.append(run_here(pool, "random_seed=2", "models.verifier=x", resume=True).text)
        assert "Check the API key" in told[1]
        kept = [path for path in folder.rglob("*") if path.is_file()]
        assert {"ledger.sqlite", "config.yaml", "report.html"} <= {path.name for path in kept}
        for path in kept:
            assert KEY.encode() not in path.read_bytes(), path
        assert KEY not in "".join(told) + "".join(capfd.readouterr())

    def test_two_endpoints_get_their_own_keys(self, desk, monkeypatch):
        """The proposer's server never sees the grader's key, nor the other way round."""
        write_pool(desk.path / "pool.json", rows(2))
        desk.move("two")
        monkeypatch.setenv("GRADER_KEY", "sk-grader")
        with Served(api_key=KEY) as proposing, Served(api_key="sk-grader") as grading:
            desk.ask(proposing)
            outcome = run_here(
                "files.responses_file=../pool.json",
                f"api.verifier_base_url={grading.base_url}",
                "api.verifier_key_env=GRADER_KEY",
            )
            assert outcome.code == 0, outcome.text
            models = [{request["model"] for request in server.requests} for server in (proposing, grading)]
        assert models == [{"openai/gpt-4.1"}, {"openai/gpt-4.1-mini"}]
        assert "sk-grader" not in json.dumps(proposing.requests + grading.requests)
