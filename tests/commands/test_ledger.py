"""Whole commands with the ledger in a real PostgreSQL: the same results, no secret anywhere, moving house."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rubricate.settings.casting import key_names
from rubricate.settings.loading import load_settings
from tests.postgres_server import PASSWORD, PostgresServer, database, postgres_server
from tests.served import QUICK, Served, command, results, rows, tree, write_pool

__all__ = ["database", "postgres_server"]

RUN = ["run", "--config-name", "iterative", "files.responses_file=pool.json", "files.output_dir=out", *QUICK]
OFFLINE = ("models.rubric_generator=offline", "models.verifier=offline")
INSTEAD = "ledger=workflow_outs/ledger.sqlite"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RUBRICATE_LEDGER", "PGPASSWORD", "PGPASSFILE", "PGUSER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def served(desk):
    """A server, and a pool of six prompts to ask it about."""
    write_pool(desk.path / "pool.json", rows(6))
    thread = Served()
    with thread as server:
        desk.ask(server)
        server.thread = thread
        yield server


@pytest.fixture
def url(postgres_server: PostgresServer, database: str) -> str:
    return postgres_server.url(database)


def without_ledger(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files of a run but for the line that names its ledger."""
    return {
        name: b"\n".join(line for line in content.split(b"\n") if b"ledger" not in line)
        for name, content in files.items()
    }


def nowhere(folder: Path) -> None:
    """The password is in no file of the folder, whatever its name."""
    for name, content in tree(folder).items():
        assert PASSWORD.encode() not in content, name


class TestRun:
    def test_the_same_results_as_with_a_file(self, served, desk, url):
        """Byte for byte; and the same run again asks nothing, whoever asks."""
        out = desk.path / "workflow_outs" / "out"
        assert command(*RUN).code == 0
        by_file, n_asked = results(out), served.n_requests
        (desk.path / "workflow_outs").rename(desk.path / "by_file")
        outcome = command(*RUN, f"ledger={url}")
        assert outcome.code == 0, outcome.text
        assert served.n_requests == 2 * n_asked
        assert without_ledger(results(out)) == without_ledger(by_file)
        (desk.path / "workflow_outs").rename(desk.path / "by_server")
        assert command(*RUN, f"ledger={url}").code == 0
        assert served.n_requests == 2 * n_asked
        assert without_ledger(results(out)) == without_ledger(by_file)

    def test_a_broken_run_goes_on(self, served, desk, url, monkeypatch):
        """Stopped by a limit and resumed with the password in the environment: as the unbroken run, and not
        one reply is paid for twice."""
        out = desk.path / "workflow_outs" / "out"
        assert command(*RUN).code == 0
        whole, n_asked = results(out), served.n_requests
        (desk.path / "workflow_outs").rename(desk.path / "whole")
        assert command(*RUN, f"ledger={url}", "--max-calls", str(n_asked // 2)).code == 3
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
        outcome = command("run", f"resume.path={out}", "budget.max_calls=null")
        assert outcome.code == 0, outcome.text
        assert without_ledger(results(out))["rubrics.jsonl"] == whole["rubrics.jsonl"]
        assert served.n_requests == 2 * n_asked

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
    def test_a_server_that_restarts_in_the_middle(self, served, desk, url, postgres_server, number):
        """The run waits, and ends as if nothing had been; nothing is asked twice."""
        out = desk.path / "workflow_outs" / "out"
        assert command(*RUN, "api.workers=4").code == 0
        whole, n_asked = results(out), served.n_requests
        (desk.path / "workflow_outs").rename(desk.path / "whole")
        served.latency_s = 0.01

        def restart() -> None:
            served.thread.until(lambda server: server.n_requests > n_asked + n_asked // 3)
            postgres_server.stop(number)
            postgres_server.start()

        trouble = threading.Thread(target=restart)
        trouble.start()
        outcome = command(*RUN, "api.workers=4", f"ledger={url}")
        trouble.join(30)
        assert outcome.code == 0, outcome.text
        assert without_ledger(results(out)) == without_ledger(whole)
        assert served.n_requests == 2 * n_asked

    def test_kill_9_of_the_run(self, served, desk, url):
        """Whatever was acknowledged is there: the resumed run ends as the unbroken one, and pays again
        only for the calls of its four workers and the replies that were just being kept."""
        out = desk.path / "workflow_outs" / "out"
        assert command(*RUN).code == 0
        whole, n_asked = results(out), served.n_requests
        (desk.path / "workflow_outs").rename(desk.path / "whole")
        served.latency_s = 0.01
        words = [*RUN, "api.workers=4", f"ledger={url}", "--resume"]
        program = [sys.executable, "-c", "from rubricate.cli import main; main()", *words]
        process = subprocess.Popen(program, stdout=subprocess.DEVNULL)
        served.thread.until(lambda server: server.n_requests > n_asked + n_asked // 2)
        process.kill()
        process.wait()
        outcome = command(*words)
        assert outcome.code == 0, outcome.text
        assert without_ledger(results(out))["rubrics.jsonl"] == whole["rubrics.jsonl"]
        assert n_asked <= served.n_requests - n_asked <= n_asked + 2 * 4


class TestUnreachable:
    @pytest.mark.parametrize(
        ("what", "said"),
        [
            ("wrong password", "refuses the login"),
            ("no database", "does not exist"),
            ("nobody there", "cannot be reached"),
        ],
    )
    def test_one_clear_line_and_the_file_offered_never_taken(
        self, desk, postgres_server, database, what, said
    ):
        """Exit code 2, host and database named, no password; nothing is written, no file opened instead."""
        write_pool(desk.path / "pool.json", rows(2))
        url = {
            "wrong password": postgres_server.url(database, password="hunter3"),
            "no database": postgres_server.url("nothing"),
            "nobody there": "postgresql://u:hunter3@127.0.0.1:1/db",
        }[what]
        before = tree(desk.path)
        outcome = command(*RUN, *OFFLINE, f"ledger={url}")
        assert outcome.code == 2
        assert said in outcome.text and INSTEAD in outcome.text and outcome.text.count("\n") == 1
        assert "127.0.0.1" in outcome.text and "database" in outcome.text
        assert "hunter" not in outcome.text
        assert tree(desk.path) == before

    def test_a_server_that_is_away_on_resuming(self, desk, url, postgres_server):
        """Stopped with exit code 3: the run is there, and can be resumed when the server is."""
        write_pool(desk.path / "pool.json", rows(2))
        assert command(*RUN, *OFFLINE, f"ledger={url}").code == 0
        postgres_server.stop()
        try:
            outcome = command(*RUN, *OFFLINE, f"ledger={url}", "--resume")
        finally:
            postgres_server.start()
        assert outcome.code == 3
        assert "cannot be reached" in outcome.text and INSTEAD in outcome.text

    def test_without_the_driver(self, desk, url, monkeypatch):
        """The extra is named."""
        write_pool(desk.path / "pool.json", rows(2))
        with monkeypatch.context() as without:
            without.setitem(sys.modules, "asyncpg", None)
            outcome = command(*RUN, *OFFLINE, f"ledger={url}")
        assert outcome.code == 2
        assert "pip install 'rubricate[postgres]'" in outcome.text and INSTEAD in outcome.text


class TestSecrets:
    def test_the_password_is_written_nowhere(self, desk, url, postgres_server, database):
        """Given in the URL: not in the folder, not in what is said; config.yaml keeps the rest of the URL,
        and who resumes without the password is told where it is looked for."""
        write_pool(desk.path / "pool.json", rows(2))
        outcome = command(*RUN, *OFFLINE, f"ledger={url}")
        assert outcome.code == 0 and PASSWORD not in outcome.text
        nowhere(desk.path)
        config = (desk.path / "workflow_outs" / "out" / "config.yaml").read_text()
        assert f"ledger: postgresql://tester@127.0.0.1:{postgres_server.port}/{database}\n" in config
        outcome = command("run", "resume.path=workflow_outs/out")
        assert outcome.code == 2 or outcome.code == 3
        for place in ("PGPASSWORD", "a password file", "RUBRICATE_LEDGER"):
            assert place in outcome.text

    @pytest.mark.parametrize("how", ["PGPASSWORD", "RUBRICATE_LEDGER", ".env", "PGPASSFILE"])
    def test_the_environment_has_it(self, desk, url, postgres_server, database, monkeypatch, how):
        """From a variable, a password file or `.env`: to begin with, and to resume."""
        write_pool(desk.path / "pool.json", rows(2))
        public = postgres_server.url(database, password=None)
        ledger = [f"ledger={public}"]
        if how == "PGPASSWORD":
            monkeypatch.setenv("PGPASSWORD", PASSWORD)
        elif how == "RUBRICATE_LEDGER":
            monkeypatch.setenv("RUBRICATE_LEDGER", url)
            ledger = []
        elif how == ".env":
            (desk.path / ".env").write_text(f"RUBRICATE_LEDGER={url}\n")
            ledger = []
        else:
            passfile = desk.path.parent / "pgpass"
            passfile.write_text(f"*:*:*:*:{PASSWORD}\n")
            passfile.chmod(0o600)
            monkeypatch.setenv("PGPASSFILE", str(passfile))
        assert command(*RUN, *OFFLINE, *ledger).code == 0
        assert f"ledger: {public}\n" in (desk.path / "workflow_outs" / "out" / "config.yaml").read_text()
        assert command("run", "resume.path=workflow_outs/out").code == 0
        assert not (desk.path / "workflow_outs" / "ledger.sqlite").exists()
        (desk.path / ".env").unlink(missing_ok=True)
        nowhere(desk.path)

    def test_a_run_keeps_its_ledger_when_the_variable_changes(self, desk, url, monkeypatch):
        """Begun with the file, it goes on with the file."""
        write_pool(desk.path / "pool.json", rows(2))
        assert command(*RUN, *OFFLINE).code == 0
        monkeypatch.setenv("RUBRICATE_LEDGER", "postgresql://u:pw@127.0.0.1:1/db")
        assert command("run", "resume.path=workflow_outs/out").code == 0

    def test_local_servers_never_see_it(self):
        """What a server that we start inherits is without these variables."""
        assert {"PGPASSWORD", "RUBRICATE_LEDGER"} <= set(key_names(load_settings("iterative")))

    @pytest.mark.parametrize("secret", ["a'b", 'a"b', "a,b", "a=b", "a b", "(a){c}", "a\\b", "a%40b%2F"])
    def test_any_sign_may_stand_in_a_password(self, secret):
        """On the command line, whatever Hydra's grammar makes of it elsewhere."""
        ledger = load_settings("iterative", [f"ledger=postgresql://u:{secret}@h/db?schema=s"]).ledger
        assert ledger.at.password == secret.replace("%40", "@").replace("%2F", "/")
        assert str(ledger) == "postgresql://u@h/db?schema=s"
        assert (
            repr(load_settings("iterative", [f"ledger=postgresql://u:{secret}x@h/db"])).count(f"{secret}x")
            == 0
        )

    @pytest.mark.parametrize(
        "written",
        [
            "ledger=postgresql://u:hun/ter3@h/db",
            "ledger=mysql://u:hunter3@h/db",
            "ledger=[hunter3]",
            "ledger={a: hunter3}",
            "ledger=postgres:hunter3",
            "ledger=postgresql://u:$hunter3${b@h/db",
            "ledger=postgresql://u:${hunter3}@h/db",
        ],
    )
    def test_a_wrong_value_is_not_repeated(self, written):
        """In one line with the key."""
        outcome = command("run", "files.responses_file=sample", written)
        assert outcome.code == 2 and outcome.text.startswith("rubricate: ledger")
        assert "ter3" not in outcome.text and outcome.text.count("\n") == 1

    @pytest.mark.parametrize("words", [["rollouts", "--input-file", "p.json", "--models", "m", "--ledger"]])
    def test_flags_are_as_discreet(self, desk, words):
        """The flag is named, the value is not repeated."""
        (desk.path / "p.json").write_text('["Say x."]')
        outcome = command(*words, "mysql://u:hunter3@h")
        assert outcome.code == 2 and "--ledger begins with mysql://" in outcome.text
        assert "hunter3" not in outcome.text

    def test_a_wrong_variable_is_named(self, desk, monkeypatch):
        """And not repeated."""
        write_pool(desk.path / "pool.json", rows(2))
        monkeypatch.setenv("RUBRICATE_LEDGER", "mysql://u:hunter3@h")
        for words in (RUN, ["doctor", *OFFLINE], ["ledger", "show", "x.sqlite"]):
            outcome = command(*words)
            assert "the environment variable RUBRICATE_LEDGER begins with" in outcome.text
            assert "hunter3" not in outcome.text and outcome.code in (1, 2)


class TestOthers:
    def test_rollouts_into_the_shared_ledger(self, served, desk, url):
        """What one drew, the next does not pay for."""
        (desk.path / "prompts.json").write_text(
            json.dumps([{"id": "a", "prompt": "Tell me about subject 1."}])
        )
        words = ["rollouts", "--input-file", "prompts.json", "--models", "m", "--ledger", url]
        for name in ("one", "two"):
            outcome = command(*words, "--output-dir", name, "--output-filename", "o.json")
            assert outcome.code == 0, outcome.text
        assert served.n_requests == 1
        assert tree(desk.path / "one") == tree(desk.path / "two")
        nowhere(desk.path)

    def test_doctor(self, desk, url, postgres_server):
        """A database that takes us, before and after the first run; and one that does not."""
        outcome = command("doctor", *OFFLINE, f"ledger={url}")
        assert "answers; its tables will be made by the first run" in outcome.text
        write_pool(desk.path / "pool.json", rows(2))
        assert command(*RUN, *OFFLINE, f"ledger={url}").code == 0
        outcome = command("doctor", *OFFLINE, f"ledger={url}")
        assert outcome.code == 0 and "holds about 0 replies and" in outcome.text
        assert PASSWORD not in outcome.text
        outcome = command("doctor", *OFFLINE, f"ledger={postgres_server.url('nothing')}")
        assert outcome.code == 1 and "does not exist" in outcome.text

    def test_show_and_copy(self, served, desk, url):
        """To the server, shown there, and back: nothing was lost, and the run again is free with each."""
        out = desk.path / "workflow_outs" / "out"
        assert command(*RUN).code == 0
        whole, n_asked = results(out), served.n_requests
        file = "workflow_outs/ledger.sqlite"
        outcome = command("ledger", "copy", file, url)
        assert outcome.code == 0 and f"{n_asked:,} copied, 0 were there" in outcome.text
        assert PASSWORD not in outcome.text
        outcome = command("ledger", "copy", file, url)
        assert f"0 copied, {n_asked:,} were there" in outcome.text
        assert command("ledger", "copy", url, "back.sqlite").code == 0
        shown = [
            json.loads(command("ledger", "show", place, "--json").text)
            for place in (file, url, "back.sqlite")
        ]
        assert [one["replies"] for one in shown] == [n_asked] * 3
        for key in ("models", "verdicts", "facts", "watermark", "oldest", "newest"):
            assert shown[0][key] == shown[1][key] == shown[2][key], key
        assert PASSWORD not in str(shown)
        outcome = command("ledger", "show", url)
        assert f"replies    {n_asked:,}" in outcome.text and "on disk" in outcome.text
        for place in (url, "back.sqlite"):
            out.rename(out.with_name(f"out_{place[:4]}"))
            assert command(*RUN, f"ledger={place}").code == 0
            assert without_ledger(results(out)) == without_ledger(whole)
        assert served.n_requests == n_asked

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["show", "nothing.sqlite"], "nothing.sqlite: there is no such ledger"),
            (["copy", "nothing.sqlite", "to.sqlite"], "nothing.sqlite: there is no such ledger"),
            (["copy", "a.sqlite", "a.sqlite"], "FROM and TO are the same ledger"),
            (["show", "notes.txt"], "is no ledger"),
            (["copy", "x", "mysql://u:hunter3@h/db"], "TO begins with mysql://"),
        ],
    )
    def test_mistakes(self, desk, words, said):
        """One line, exit code 2, nothing made."""
        (desk.path / "notes.txt").write_text("no database" * 200)
        outcome = command("ledger", *words)
        assert outcome.code == 2 and said in outcome.text and outcome.text.count("\n") == 1
        assert sorted(tree(desk.path)) == ["notes.txt"]
