"""`rubricate train`: real steps of a tiny policy, a grader on a server, kills, and the folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from tests.commands import trainings
from tests.commands.trainings import OFFLINE, line, log, prompts, summary, train, weights, write
from tests.served import KEY, Served, command
from tests.training.tiny_policy import tiny_policy

pytest.importorskip("trl")


@pytest.fixture(scope="session")
def policy(tmp_path_factory) -> str:
    """A tiny policy without a chat template."""
    return tiny_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture(autouse=True)
def one_thread():
    """Torch on one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def asked(server) -> Counter[str]:
    """How often each question was asked of the server."""
    return Counter(request["messages"][-1]["content"] for request in server.requests)


def same(one: str, other: str) -> bool:
    """Whether two trainings ended with the same weights."""
    import torch

    first, second = weights(one), weights(other)
    return all(torch.equal(first[name], second[name]) for name in first)


class TestGrpo:
    def test_a_training_and_the_same_one_stopped_by_its_budget(self, desk, policy):
        """Four steps under a grader on a server. Stopped by its budget and resumed, a training ends with the
        same weights and the same log as the unbroken one, and asks for nothing twice."""
        write(desk.path / "p.json", prompts())
        given = ("files.responses_file=p.json", "recipe.epochs=2")
        with Served() as server:
            desk.ask(server)
            whole = train("grpo", policy, *given, "files.output_dir=whole", "ledger=one.sqlite")
            assert whole.code == 0, whole.text
            questions = asked(server)
        assert "step 4 of 4" in whole.text and "calls paid" in whole.text
        assert set(questions.values()) == {1}
        told = summary("whole")
        assert told["steps"] == 4 and told["rollouts"] == 32 and told["unjudged"]["n"] == 32
        assert told["sessions"][0]["calls_paid"] == len(questions)
        steps = [entry["step"] for entry in log("whole") if "reward" in entry]
        assert steps == [1, 2, 3, 4] and all("rubric/unjudged_rate" in entry for entry in log("whole")[:4])
        assert any(entry["reward"] > 0 for entry in log("whole") if "reward" in entry)
        assert KEY not in Path("workflow_outs/whole/config.yaml").read_text()

        with Served() as server:
            desk.ask(server)
            cut = (*given, "files.output_dir=cut", "ledger=two.sqlite")
            n = len(questions) * 3 // 4
            first = train("grpo", policy, *cut, "--max-calls", str(n))
            assert first.code == 3 and "--resume files.output_dir=cut" in first.text, first.text
            assert not Path("workflow_outs/cut/policy").exists()
            again = command("train", "grpo", "--resume", "files.output_dir=cut", "budget.max_calls=null")
            assert again.code == 0, again.text
            assert asked(server) == questions
        assert same("whole", "cut")
        assert [entry["reward"] for entry in log("cut") if "reward" in entry] == [
            entry["reward"] for entry in log("whole") if "reward" in entry
        ]
        assert [one["how"].split(":")[0] for one in summary("cut")["sessions"]] == ["stopped", "done"]
        done = command("train", "grpo", "--resume", "files.output_dir=cut")
        assert done.code == 0 and "is finished: 4 of 4 steps" in done.text

    def test_killed_and_resumed(self, desk, policy):
        """Killed in the middle of a step, without a word, a training goes on from its checkpoint: what was
        paid since then is in the ledger, and is not asked for again."""
        write(desk.path / "p.json", prompts())
        words = ("files.responses_file=p.json", "files.output_dir=killed", "recipe.steps=6")
        served = Served()
        with served as server:
            desk.ask(server)
            env = {**os.environ, "OMP_NUM_THREADS": "1"}
            process = subprocess.Popen(line("grpo", policy, *words), env=env, stdout=subprocess.DEVNULL)
            state = Path("workflow_outs/killed/checkpoints/checkpoint-2/trainer_state.json")
            until = time.monotonic() + 60
            while not state.is_file() and process.poll() is None and time.monotonic() < until:
                time.sleep(0.02)
            server.latency_s = 0.3  # so that the kill comes while a step is being graded
            n = server.n_requests
            served.until(lambda server: server.n_requests > n, 60)
            process.send_signal(signal.SIGKILL)
            process.wait(30)
            server.latency_s = 0.0
            answered = asked(server)
            again = command("train", "grpo", "--resume", "files.output_dir=killed")
            assert again.code == 0 and "resuming" in again.text, again.text
            twice = {text for text, count in asked(server).items() if count > 1}
            assert twice <= set(answered), "only a call that was cut off by the kill is made again"
            assert len(twice) <= 8
        unbroken = train("grpo", policy, *words[:1], "files.output_dir=whole", "recipe.steps=6")
        assert unbroken.code == 0, "all of it is in the ledger: no server is asked"
        assert same("killed", "whole")

    def test_rubrics_from_everywhere(self, desk, policy):
        """Rubrics of a file, made on the fly, left out, or missing; a prompt that is too long is said."""
        write(desk.path / "p.json", prompts(rubric=False))
        write(desk.path / "r.json", prompts(2))
        bare = ("files.responses_file=p.json", "recipe.steps=1", *OFFLINE)
        missing = train("grpo", policy, *bare)
        assert missing.code == 2 and "4 of 4 prompts have no rubric, 'p0' first" in missing.text
        some = train(
            "grpo", policy, *bare, "reward.rubrics=r.json", "reward.unseen=skip", "files.output_dir=s"
        )
        assert some.code == 0 and "2 prompts (2 left out" in some.text, some.text
        assert summary("s")["left_out"] == {"no rubric for the prompt (reward.unseen=skip)": 2}
        made = train("grpo", policy, *bare, "reward.unseen=make", "files.output_dir=m")
        assert made.code == 0 and "4 prompts" in made.text, made.text
        long = [*prompts(), {"id": "long", "prompt": "a " * 9, "criteria": ["x"]}]
        write(desk.path / "long.json", long)
        said = train("grpo", policy, "files.responses_file=long.json", "recipe.steps=1", *OFFLINE)
        assert said.code == 0 and "more than 8 tokens (recipe.max_prompt) (1)" in said.text, said.text

    def test_silence_of_the_grader_is_none(self, desk, policy):
        """A grader that answers nothing readable gives no reward to anybody: the policy stays as it is."""
        write(desk.path / "p.json", prompts())
        with Served(lambda request: "I would rather not say.") as server:
            desk.ask(server)
            told = train(
                "grpo", policy, "files.responses_file=p.json", "recipe.steps=2", "files.output_dir=silent",
                "api.max_retries=0", "api.stutter_retries=0", "recipe.kl=0", "recipe.warmup=0",
            )  # fmt: skip
            assert told.code == 0, told.text
        assert summary("silent")["unjudged"]["value"] == 1.0
        from safetensors.torch import load_file

        before = load_file(f"{policy}/model.safetensors")
        assert all(
            (before[name] == value).all() for name, value in weights("silent").items() if name in before
        )

    def test_evaluation_and_an_adapter(self, desk, policy):
        """Held-out prompts are evaluated, never trained on; an adapter is saved in place of the model."""
        write(desk.path / "p.json", prompts())
        write(desk.path / "e.json", prompts(6)[4:])
        told = train(
            "grpo", policy, "files.responses_file=p.json", "files.evaluation_file=e.json", "recipe.steps=2",
            "recipe.evaluate_every=1", "lora.rank=2", "files.output_dir=lora", *OFFLINE,
        )  # fmt: skip
        assert told.code == 0, told.text
        assert any("eval_reward" in entry for entry in log("lora"))
        assert Path("workflow_outs/lora/policy/adapter_model.safetensors").is_file()
        both = train("grpo", policy, "files.responses_file=p.json", "files.evaluation_file=p.json", *OFFLINE)
        assert both.code == 2 and "4 of its prompts are trained on" in both.text

    def test_a_learned_reward(self, desk, policy):
        """A reward model in a folder pays, by its own scale; no prompt needs a rubric."""
        import torch
        import transformers

        torch.manual_seed(1)
        config = transformers.AutoConfig.from_pretrained(policy, num_labels=1)
        model = transformers.Qwen2ForSequenceClassification(config)
        model.score.weight.data *= 100
        model.save_pretrained("rm")
        transformers.PreTrainedTokenizerFast.from_pretrained(policy).save_pretrained("rm")
        write(desk.path / "p.json", prompts(rubric=False))
        told = train(
            "grpo", policy, "files.responses_file=p.json", "recipe.steps=2", "files.output_dir=learned",
            "reward.rubrics=checkpoint:./rm",
        )  # fmt: skip
        assert told.code == 0, told.text
        rewards = [entry["reward"] for entry in log("learned") if "reward" in entry]
        assert len(rewards) == 2 and any(abs(reward) > 0.01 for reward in rewards)
        assert "calls" not in told.text.split("steps are done")[1]

    def test_rubrics_that_change(self, desk, policy):
        """With online.enabled the proposer is asked about the policy's own best completions; what came of it
        is in the folder and in the log, and a learned reward has nothing to refine."""
        write(desk.path / "p.json", prompts())
        given = ("files.responses_file=p.json", "recipe.steps=4", "files.output_dir=online")
        with Served() as server:
            desk.ask(server)
            told = train("grpo", policy, *given, "online.enabled=true", "online.every=2")
            assert told.code == 0, told.text
            refined = [text for text in asked(server) if "You improve grading rubrics" in text]
        assert refined
        shown = command("online", "show", "workflow_outs/online/online")
        assert shown.code == 0, shown.text
        assert any(name.startswith("online/") for entry in log("online") for name in entry)
        refused = train("grpo", policy, given[0], "online.enabled=true", "reward.rubrics=checkpoint:./x")
        assert refused.code == 2 and "no rubrics to refine" in refused.text

    def test_a_monitor_watches(self, desk, policy):
        """Held-out prompts are answered and graded by another grader every so many steps: in the journal, in
        the log, and in what was paid."""
        write(desk.path / "p.json", prompts())
        write(desk.path / "held.json", prompts(6)[4:])
        given = ("files.responses_file=p.json", "recipe.steps=2")
        watch = ("monitor.prompts=held.json", "monitor.every=1", "monitor.max_tokens=6")
        with Served() as server:
            desk.ask(server)
            told = train("grpo", policy, *given, *watch, "monitor.gold=grader:gold", "files.output_dir=seen")
            assert told.code == 0, told.text
            by_gold = [request for request in server.requests if request["model"] == "gold"]
        assert by_gold and summary("seen")["sessions"][0]["calls_paid"] == server.n_requests
        lines = [
            msgspec.json.decode(text)
            for text in Path("workflow_outs/seen/monitor.jsonl").read_bytes().splitlines()
        ]
        assert [line["step"] for line in lines if line["kind"] == "seen"] == [0, 1, 2]
        assert any("monitor/gold" in entry for entry in log("seen"))
        assert "Reward and gold, by steps" in Path("workflow_outs/seen/monitor.html").read_text()
        for words, said in (
            ((*watch, "monitor.gold=gold"), "judge:MODEL, grader:MODEL or checkpoint:PATH"),
            (watch, "monitor.prompts needs monitor.gold"),
            (("monitor.gold=grader:x",), "monitor.gold needs monitor.prompts"),
            (("monitor.prompts=p.json", "monitor.gold=grader:x"), "4 of its prompts are trained on"),
        ):
            refused = train("grpo", policy, *given, *words, *OFFLINE)
            assert refused.code == 2 and said in refused.text, refused.text

    def test_chat_messages(self, desk, tmp_path_factory):
        """With a chat template prompts go to the policy as messages; without one that cannot be asked for."""
        chatty = tiny_policy(tmp_path_factory.mktemp("chatty"), chat=True)
        rows = prompts(2)
        rows[0]["prompt"] = [{"role": "system", "content": "a b"}, {"role": "user", "content": "the sun is"}]
        write(desk.path / "p.json", rows)
        told = train("grpo", chatty, "files.responses_file=p.json", "recipe.steps=1", *OFFLINE)
        assert told.code == 0, told.text
        plain = tiny_policy(tmp_path_factory.mktemp("plain"))
        refused = train("grpo", plain, "files.responses_file=p.json", "policy.chat=on", *OFFLINE)
        assert refused.code == 2 and "no chat template" in refused.text


class TestSft:
    def test_two_great_responses(self, desk, policy):
        """The first two responses of the named generator are shown, and a run's best where asked for."""
        rows = [
            {
                "id": f"p{n}",
                "prompt": text,
                "responses": [
                    {"generator": "great", "response": "rain", "gold": 0.1},
                    {"generator": "other", "response": "snow", "gold": 0.9},
                    {"generator": "great", "response": "amber", "gold": 0.5},
                    {"generator": "great", "response": "dune", "gold": 0.7},
                ],
            }
            for n, text in enumerate(("the sun is", "the wind is"))
        ]
        write(desk.path / "pool.json", rows)
        given = ("files.responses_file=pool.json", "shown.generators=[great]", "recipe.learning_rate=0.01")
        first = train("sft", policy, *given, "files.output_dir=first", "recipe.warmup=0", "recipe.epochs=4")
        assert first.code == 0, first.text
        shown = [json.loads(text) for text in Path("workflow_outs/first/data.jsonl").read_text().splitlines()]
        assert [row["completion"] for row in shown] == ["rain", "amber"] * 2
        losses = [entry["loss"] for entry in log("first") if "loss" in entry]
        assert len(losses) == 8 and losses[-1] < losses[0]
        best = train("sft", policy, *given, "shown.pick=best", "files.output_dir=best", "recipe.steps=1")
        assert best.code == 0, best.text
        shown = [json.loads(text) for text in Path("workflow_outs/best/data.jsonl").read_text().splitlines()]
        assert [row["completion"] for row in shown] == ["dune", "amber"] * 2
        nobody = train("sft", policy, "files.responses_file=pool.json", "shown.generators=[nobody]")
        assert nobody.code == 2 and "its generators are: great, other" in nobody.text


class TestDpo:
    def test_pairs_of_every_kind(self, desk, policy):
        """Labelled pairs, a scored pool, and what `rubricate compare` wrote: the preferred side is chosen."""
        pairs = [{"prompt": "the sun is", "chosen": "rain", "rejected": "snow"}]
        pairs += [{"prompt": "the wind is", "chosen": "dune", "rejected": "amber"}]
        write(desk.path / "pairs.json", pairs)
        told = train(
            "dpo", policy, "files.responses_file=pairs.json", "recipe.epochs=2", "files.output_dir=pairs",
            "recipe.learning_rate=0.01", "recipe.warmup=0",
        )  # fmt: skip
        assert told.code == 0, told.text
        margins = [entry["rewards/margins"] for entry in log("pairs") if "rewards/margins" in entry]
        assert margins[0] == 0 and margins[-1] > 0
        pool = [
            {
                "id": f"p{n}",
                "prompt": row["prompt"],
                "responses": [
                    {"generator": "x", "response": row["rejected"], "gold": 0.2},
                    {"generator": "y", "response": row["chosen"], "gold": 0.8},
                    {"generator": "z", "response": "cobalt", "gold": 0.5},
                ],
            }
            for n, row in enumerate(pairs)
        ]
        write(desk.path / "pool.json", pool)
        scored = train(
            "dpo", policy, "files.responses_file=pool.json", "recipe.steps=1", "files.output_dir=pool"
        )
        assert scored.code == 0, scored.text
        assert _sides("pool") == _sides("pairs")

        with Served() as server:
            desk.ask(server)
            compared = command("compare", "pool.json", "--judge", "judge", "--output", "said.jsonl")
            assert compared.code == 0, compared.text
        judged = train(
            "dpo", policy, "files.responses_file=pool.json", "pairs.preferences=said.jsonl", "recipe.steps=1",
            "files.output_dir=judged",
        )  # fmt: skip
        assert judged.code == 0, judged.text
        said = [msgspec.json.decode(text) for text in Path("said.jsonl").read_bytes().splitlines()]
        decided = [one for one in said if one["winner"] in ("first", "second")]
        assert decided and len(_sides("judged")) == len(decided)
        winners = {one[one["winner"]]["generator"] for one in decided}
        by_text = {one["response"]: one["generator"] for row in pool for one in row["responses"]}
        assert {by_text[chosen] for _, chosen, _ in _sides("judged")} == winners
        flat = [{**row, "responses": [{**one, "gold": 1} for one in row["responses"]]} for row in pool]
        write(desk.path / "flat.json", flat)
        nothing = train("dpo", policy, "files.responses_file=flat.json")
        assert nothing.code == 2 and "no pair is left" in nothing.text


def _sides(name: str) -> list[tuple[str, str, str]]:
    rows = [json.loads(text) for text in Path(f"workflow_outs/{name}/data.jsonl").read_text().splitlines()]
    return sorted((row["messages"][0]["content"], row["chosen"], row["rejected"]) for row in rows)


class TestMistakes:
    def test_each_is_told_and_nothing_is_written(self, desk, policy, monkeypatch):
        """A user's mistake is one line that says what to do, exit code 2, and leaves no folder."""
        write(desk.path / "p.json", prompts())
        write(desk.path / "empty.json", [])
        given = "files.responses_file=p.json"
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        for words, said in (
            ((), "files.responses_file is not set"),
            (("files.responses_file=nowhere.json",), "no such file"),
            (("files.responses_file=empty.json",), "there is no prompt in it"),
            ((given, "recipe.prompts_per_step=9"), "4 prompts do not fill a step of 9"),
            ((given, "reward.rubrics=nowhere"), "reward.rubrics: nowhere is not there"),
            ((given, "--config-name", "great_pair"), "rubricate run --config-name single"),
            ((given, "policy.model=./nowhere"), "there is no folder ./nowhere"),
            ((given, "trainer.temprature=1"), "did you mean 'temperature'"),
            ((given, "trainer.hub_token=x"), "HF_TOKEN"),
            ((given, "recipe.learnig_rate=1"), "recipe.learning_rate"),
            ((given, "workflow.max_iterations=1"), "is a key of `rubricate run`"),
            ((given, "api.mode=batch"), "a trainer waits"),
            ((given, "reward.rubrics=checkpoint:."), "there is no model in that folder"),
            ((given, "reward.second_look=0.5"), "second_grader"),
            ((given, "--resume"), "--resume needs files.output_dir"),
            ((given, "--config-name", "sft"), "it is one of `rubricate train sft`"),
            ((given, "--config-name", "nothing"), "no training config 'nothing'"),
        ):
            told = train("grpo", policy, *OFFLINE, *words)
            assert told.code == 2 and said in told.text, (words, told.text)
        assert not list(Path().glob("workflow_outs/*/config.yaml"))

    def test_a_folder_is_never_overwritten(self, desk, policy):
        """What is there stays; and a resumed training keeps its data."""
        write(desk.path / "p.json", prompts())
        write(desk.path / "q.json", prompts(3))
        first = ("files.responses_file=p.json", "files.output_dir=x", "recipe.steps=1", *OFFLINE)
        assert train("grpo", policy, *first).code == 0
        again = train("grpo", policy, *first)
        assert again.code == 2 and "exists already" in again.text
        other = command("train", "grpo", "--resume", "files.output_dir=x", "files.responses_file=q.json")
        assert other.code == 2 and "start another training" in other.text
        more = command("train", "grpo", "--resume", "files.output_dir=x", "recipe.steps=2")
        assert more.code == 0 and summary("x")["steps"] == 2, more.text


def test_a_json_summary(desk, policy):
    """`--json` prints the summary and nothing else."""
    write(desk.path / "p.json", prompts())
    told = train(
        "grpo",
        policy,
        "files.responses_file=p.json",
        "recipe.steps=1",
        "files.output_dir=x",
        *OFFLINE,
        "--json",
    )
    assert json.loads(told.text) == trainings.summary("x")
