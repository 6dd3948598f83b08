"""The folder: nothing half, nothing of another training, every step as it was."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.identity import chance_of
from rubricate.domain.rubric import Rubric
from rubricate.errors import DataError, RunError, SettingsError
from rubricate.rewards.options import Options
from rubricate.rewards.panel import panel_of
from rubricate.rewards.reward import RubricReward
from rubricate.training.online.recompute import recompute, replayed
from rubricate.training.online.refresh import refresh
from rubricate.training.online.rubrics import RUBRICS, OnlineRubrics
from rubricate.training.online.rules import OnlineRules
from rubricate.training.online.turns.criteria import whole
from tests.builders import a_criterion, a_rubric, marks
from tests.training.online.stage import Till, a_reward, rubric_texts

ROOT = Path(__file__).resolve().parents[3]
RULES = OnlineRules(groups=1, min_verdicts=3, min_active=1, look_again=2, coverage="all")
PROMPT = "the rain is"
KEY = Prompt.of_text(PROMPT).key
TEXTS = ["rain wind", "rain", "a"]


def words(online: OnlineRubrics, step: int | None = None) -> list[str]:
    version = online.version(KEY, step)
    return rubric_texts(version.rubric) if version is not None else []


def played(place: Path, *texts: list[str], first: int = 0, **how) -> list[list[float | None]]:
    """Steps of a training with a refresh after each; the rewards."""
    found = []
    with a_reward(place, rules=RULES, **how) as reward:
        for step, said in enumerate(texts, first):
            found.append(reward.score([PROMPT] * len(said), said, step=step))
            refresh(reward, step + 1)
    return found


class TestWrongFolder:
    def test_what_differs_is_named(self, tmp_path):
        """Another rule, floor, option, grader or rule of refinement would give other rewards."""
        played(tmp_path, TEXTS)
        for how in ({"rule": "rules_first"}, {"floor": 0.5}, {"options": Options(dropout=0.5)}):
            with (
                a_reward(tmp_path, rules=RULES, **how) as reward,
                pytest.raises(SettingsError, match=f"belongs to a training with {'|'.join(how)}"),
            ):
                reward.score([PROMPT], ["a"], step=1)
        with (
            a_reward(tmp_path, rules=OnlineRules(pairs=2)) as reward,
            pytest.raises(SettingsError, match=r"training with rules .*\"pairs\":1"),
        ):
            reward.score([PROMPT], ["a"], step=1)
        with a_reward(tmp_path) as reward:
            assert reward.score([PROMPT], ["rain wind"], step=1) == [1.0], "without rules those of the folder"

    def test_a_prompt_that_began_with_another_rubric(self, tmp_path):
        """Its versions would not be versions of it."""
        played(tmp_path, TEXTS)
        with a_reward(tmp_path, rules=RULES) as reward, pytest.raises(DataError, match="began with another"):
            reward.score([PROMPT], ["a"], [a_rubric("1:Mentions h.")], step=1)

    def test_a_file_that_is_something_else(self, tmp_path):
        """File and line are named."""
        played(tmp_path, TEXTS)
        path = tmp_path / "online" / RUBRICS
        n = len(path.read_bytes().splitlines())
        path.write_bytes(path.read_bytes() + b'{"something": "else"}\n')
        with a_reward(tmp_path) as reward, pytest.raises(DataError, match=rf"{RUBRICS}:{n + 1}: not a line"):
            reward.score([PROMPT], ["a"], step=1)

    def test_a_folder_that_cannot_be_made(self, tmp_path):
        """In words."""
        (tmp_path / "online").write_text("a file")
        with a_reward(tmp_path) as reward, pytest.raises(RunError, match="cannot be written"):
            reward.score([PROMPT], ["a"], step=0)


class TestHalves:
    @pytest.mark.parametrize("cut", [1, 40, 400])
    def test_a_refresh_that_was_half_written_does_not_count(self, tmp_path, cut):
        """However much of its end is missing: readers see the rubrics from before, and the next refresh cuts
        the rest off and does it again."""
        whole = tmp_path / "online" / RUBRICS
        played(tmp_path, TEXTS)
        after = whole.read_bytes()
        whole.write_bytes(after[:-cut])
        online = OnlineRubrics(tmp_path / "online")
        online.look()
        assert words(online) == []
        till = Till(tmp_path / "paid")
        with a_reward(tmp_path, till, RULES) as reward:
            assert reward.score([PROMPT], ["rain"], step=1) == [2 / 3]
            refresh(reward, 1)
        assert whole.read_bytes() == after and till.paid == [], "the same, for nothing"

    def test_a_batch_that_was_half_written_does_not_count(self, tmp_path):
        """Its rewards never reached the trainer; the step is done again."""
        log = tmp_path / "online" / "graded_online-0.jsonl"
        played(tmp_path, TEXTS)
        log.write_bytes(log.read_bytes()[:-1])
        with a_reward(tmp_path, rules=RULES) as reward:
            online = reward.versions
            with pytest.raises(DataError, match="nothing was graded at step 0"):
                replayed(online, 0)
            reward.score([PROMPT] * 3, TEXTS, step=0)
            assert [batch.rewards for batch in replayed(online, 0)] == [[2 / 3, 2 / 3, 0.0]]

    def test_only_one_refreshes(self, tmp_path):
        """The other is told."""
        played(tmp_path, TEXTS)
        hold = OnlineRubrics(tmp_path / "online").holding()
        with a_reward(tmp_path, rules=RULES) as reward, pytest.raises(RunError, match="another process"):
            refresh(reward, 2)
        hold.let_go()


class TestProcesses:
    def test_another_process_takes_up_a_refresh_with_its_next_batch(self, tmp_path):
        """Two workers give rewards, a third process refreshes by what both have seen; each worker writes a
        file of its own, and a worker at an earlier step still pays by the rubrics of that step."""
        code = """
import sys
from pathlib import Path
from tests.training.online.stage import a_reward
from rubricate.training.online.refresh import refresh
with a_reward(Path(sys.argv[1])) as reward:
    print(refresh(reward, 1)["online/accepted"])
"""
        with a_reward(tmp_path, rules=RULES) as one, a_reward(tmp_path, rules=RULES) as two:
            assert one.score([PROMPT] * 2, ["rain wind", "b"], step=0) == [2 / 3, 0]
            assert two.score([PROMPT] * 2, ["rain", "a"], step=0) == [2 / 3, 0]
            command = [sys.executable, "-c", code, str(tmp_path)]
            child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90)
            assert child.stdout.split() == ["1.0"], child.stderr
            assert one.score([PROMPT] * 2, ["rain wind", "rain"], step=0) == [2 / 3, 2 / 3]
            now = [worker.score([PROMPT], ["rain wind"], step=1) for worker in (one, two)]
            assert now[0] == now[1] != [2 / 3] and one.versions.version(KEY) == two.versions.version(KEY)
            best = {Response(text, "policy").key for text in ("rain wind", "rain")}
            assert set(one.versions.version(KEY).played[0].pair) == best, "one of each worker"
            assert "wind" in words(one.versions)
        assert len(list((tmp_path / "online").glob("graded_online-*.jsonl"))) == 2

    def test_a_trainer_that_tells_no_step(self, tmp_path):
        """One completion a call, as verl asks: what comes between two refreshes is one group, of the step
        from which the rubrics count."""
        with a_reward(tmp_path, rules=RULES) as reward:
            for text in TEXTS:
                assert reward.grade([PROMPT], [text]).step == 0
            assert refresh(reward, 100)["online/retired"] == 1, "of three verdicts in one group"
            assert words(reward.versions) == ["rain", "wind"]
            batch = reward.grade([PROMPT], ["rain wind"])
            assert batch.step == 100 and batch.rewards == [1.0]
            assert len(replayed(reward.versions, 0)) == 3

    def test_it_pickles(self, tmp_path):
        """A spawned worker reads the same rubrics."""
        with a_reward(tmp_path, rules=RULES) as reward:
            reward.score([PROMPT] * 3, TEXTS, step=0)
            refresh(reward, 1)
            versions = pickle.loads(pickle.dumps(reward.versions))
            versions.open(reward.versions.head.grader)
            assert words(versions) == words(reward.versions) == ["rain", "wind"]


class TestLives:
    def test_going_back_supersedes_and_deletes_nothing(self, tmp_path):
        """Steps 0 to 3 with refreshes; back to step 2: the version of step 2 stays, that of step 3 does not
        count, the batches of steps 2 and 3 neither; other completions give another version of step 3, with a
        number of its own."""
        said = [TEXTS, ["rain wind b", "rain wind", "c"], ["rain wind b d", "rain wind b", "c"], TEXTS]
        played(tmp_path, *said)
        before = (tmp_path / "online" / RUBRICS).read_bytes()
        with a_reward(tmp_path, rules=RULES) as reward:
            online = reward.versions
            online.look()
            second, third = online.version(KEY, 2), online.version(KEY, 3)
            assert "d" in rubric_texts(third.rubric) and second.rubric.version < third.rubric.version
            online.resume(2)
            assert (tmp_path / "online" / RUBRICS).read_bytes().startswith(before)
            assert online.version(KEY) == second and online.batches(2) == [] and online.batches(1) != []
            reward.score([PROMPT] * 3, ["rain wind b e", "rain wind b", "c"], step=2)
            refresh(reward, 3)
            new = online.version(KEY, 3)
            assert "e" in rubric_texts(new.rubric) and "d" not in rubric_texts(new.rubric)
            assert new.rubric.version > third.rubric.version
            assert online.numbered(KEY, third.rubric.version) == third.rubric, "still there"
            online.resume(3)
            assert online.version(KEY) == new, "nothing to undo, nothing written"
            assert online.resumes == [2]

    def test_what_was_graded_before_a_restart_is_remembered(self, tmp_path):
        """A new process, without the ledger's help: the verdicts are in the log, and those that only the
        refresh was given stand beside its versions."""
        played(tmp_path, TEXTS)
        (tmp_path / "ledger.sqlite").unlink()
        till = Till(tmp_path / "paid")
        with a_reward(tmp_path, till, RULES) as reward:
            assert reward.score([PROMPT] * 2, ["rain", "a"], step=1) == [2 / 3, 0.0]
            assert till.paid == [], "nor is the first rubric written anew"


class Reader:
    """Grader and proposer of letters; nothing is remembered but by the reward."""

    name = "reader"

    async def grade(self, prompt, response, criteria):
        silent = response.text.partition("?")[2]
        return marks(
            "".join("?" if c.text in silent else "+-"[c.text not in response.text] for c in criteria)
        )

    async def propose(self, prompt):
        return a_rubric("2:a", "1:b")

    async def refine(self, prompt, rubric, pair):
        new = sorted(set(pair[0].text) ^ set(pair[1].text) - {"?"})
        kept = [each for each in rubric.criteria if chance_of(0, each.key, pair[0].key, pair[1].key) > 0.3]
        known = {criterion.text for criterion in kept}
        more = [a_criterion(f"1:{letter}", f"n{letter}") for letter in new if letter not in known]
        return Rubric((*(kept or rubric.criteria), *more))


TEXT = st.text("abcdef", min_size=1, max_size=4) | st.sampled_from(["ab?c", "a?b", ""])
TEXTS_OF_A_STEP = st.lists(TEXT, min_size=1, max_size=4)
KINDS = st.sampled_from(["step", "step", "refresh", "back", "reopen"])
MOVES = st.lists(st.tuples(KINDS, TEXTS_OF_A_STEP, st.integers(0, 3)), min_size=1, max_size=14)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MOVES, st.sampled_from([Options(), Options(dropout=0.4, reweight=0.5), Options(canaries=0.3, seed=1)]))
def test_every_step_of_this_life_is_made_again_whatever_happened(tmp_path_factory, moves, options):
    """Steps, refreshes, restarts and goings back in any order: the rewards of each step that still counts are
    made again from the folder and through the reward, with and without options, and a version never changes
    once it is there."""
    place = tmp_path_factory.mktemp("law")

    def opened() -> RubricReward:
        rules = OnlineRules(pairs=2, groups=1, min_verdicts=2, min_active=1, max_active=4, look_again=2)
        online = OnlineRubrics(place, rules, {KEY: ["cf", "abe"]})
        return RubricReward(panel_of(Reader(), Reader()), unseen="make", options=options, versions=online)

    reward, now, given_at, rubric_at = opened(), 0, dict[int, tuple[list[str], list]](), dict[int, str]()
    try:
        for move, texts, back in moves:
            if move == "step":
                batch = reward.grade([PROMPT] * len(texts), texts, step=now)
                given_at[now] = (texts, batch.rewards)
                now += 1
            elif move == "refresh" and given_at:
                refresh(reward, now)
                version = reward.versions.version(KEY, now)
                if version is not None:
                    everything = whole(version.rubric, version.retired)
                    assert {each.text for each in everything.criteria} >= {"a", "b"}, "nothing is lost"
                rubric_at[now] = "" if version is None else version.rubric.key
            elif move == "back" and now:
                now = max(0, now - back)
                reward.versions.resume(now)
                given_at = {step: what for step, what in given_at.items() if step < now}
                rubric_at = {step: key for step, key in rubric_at.items() if step <= now}
            elif move == "reopen":
                reward.close()
                reward.versions.close()
                reward = opened()
        for step, (texts, rewards) in given_at.items():
            assert [one for batch in replayed(reward.versions, step) for one in batch.rewards] == rewards
            assert recompute(reward, step, [PROMPT] * len(texts), texts).rewards == rewards
        for step, key in rubric_at.items():
            version = reward.versions.version(KEY, step)
            assert ("" if version is None else version.rubric.key) == key
    finally:
        reward.close()
        reward.versions.close()
