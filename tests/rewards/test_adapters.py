"""verl, OpenRLHF, verifiers and Inspect AI: by their contracts, and with the library where it is there."""

from __future__ import annotations

import asyncio
import inspect
import json

import pytest

from rubricate.errors import DataError, RunError, SettingsError
from rubricate.rewards.adapters.inspect_ai import rubric_scorer
from rubricate.rewards.adapters.openrlhf import reward_func_of
from rubricate.rewards.adapters.verifiers import rubric_function, task_reward
from rubricate.rewards.adapters.verl import compute_score_of, reward_manager_of
from rubricate.rewards.options import Options
from rubricate.settings.reward import rubric_in_column
from tests.rewards.players import PROMPT, Player, a_reward

CRITERIA = [{"criterion": "a", "weight": 3}, {"criterion": "b", "weight": 1}]


@pytest.fixture
def reward():
    """A reward that reads columns; "x" is worth 0.75, "y" cannot be judged."""
    with a_reward(Player({"x": "+-", "y": "??"}), read_column=rubric_in_column) as reward:
        yield reward


class TestVerl:
    async def test_one_sample(self, reward):
        """A coroutine function; score and the same extra names every time."""
        compute_score = compute_score_of(reward, unjudged=0.0)
        assert inspect.iscoroutinefunction(compute_score) and compute_score.__name__ == "compute_score"
        info = {"prompt": [{"role": "user", "content": PROMPT}], "rubric": CRITERIA, "num_turns": 1}
        said = await compute_score(data_source="d", solution_str="x", ground_truth="", extra_info=info, k=1)
        assert said == {"score": 0.75, "judged": 1.0, "coverage": 1.0, "why": ""}
        none = await compute_score("d", "y", json.dumps(CRITERIA), {"prompt": PROMPT})
        assert none.keys() == said.keys() and none["score"] == 0.0 and none["judged"] == 0.0 and none["why"]

    async def test_arrays_of_a_parquet_file(self, reward):
        """pandas makes arrays of lists."""
        numpy = pytest.importorskip("numpy")
        info = {"prompt": numpy.array([{"role": "user", "content": PROMPT}], dtype=object)}
        said = await compute_score_of(reward)("d", "x", numpy.array(CRITERIA, dtype=object), info)
        assert said["score"] == 0.75

    async def test_what_is_missing(self, reward):
        """No prompt, and no number for what cannot be judged: errors that say what to do."""
        with pytest.raises(DataError, match=r"extra_info\.prompt"):
            await compute_score_of(reward)("d", "x", CRITERIA, {})
        with pytest.raises(RunError, match="unjudged=NUMBER"):
            await compute_score_of(reward)("d", "y", CRITERIA, {"prompt": PROMPT})


class Sample:
    """A `DataProto` of one sample, in what a reward manager reads of it."""

    def __init__(self, tokens, n, **rows):
        torch = pytest.importorskip("torch")
        prompt, padding = 3, [0] * (8 - len(tokens))
        mask = [0, 1, 1] + [1] * n + [0] * (8 - n)
        self.batch = {
            "prompts": torch.zeros(prompt, dtype=torch.long),
            "responses": torch.tensor(tokens + padding),
            "attention_mask": torch.tensor(mask),
        }
        self.non_tensor_batch = rows

    def __len__(self):
        return 1

    def __getitem__(self, place):
        assert place == 0
        return self


class Letters:
    """A tokenizer: 0 is padding, 1 ends a text, the rest are letters."""

    def decode(self, tokens, skip_special_tokens):
        assert skip_special_tokens
        return "".join(chr(token) for token in tokens.tolist() if token > 1)


class TestVerlManager:
    async def test_one_sample(self, verl, reward):
        """The conversation that was sampled from is the prompt; padding and the end token are no text."""
        manager = reward_manager_of(reward, unjudged=0.0)({"reward": {}}, Letters(), None, None, None)
        assert isinstance(manager, verl) and manager.is_ready
        assert inspect.iscoroutinefunction(manager.run_single)
        rows = {
            "raw_prompt": [{"role": "user", "content": PROMPT}],
            "data_source": "d",
            "reward_model": {"ground_truth": json.dumps(CRITERIA)},
            "extra_info": {"index": 0},
        }
        said = await manager.run_single(Sample([ord("x"), 1], 2, **rows))
        assert said["reward_score"] == 0.75
        assert said["reward_extra_info"] == {"score": 0.75, "judged": 1.0, "coverage": 1.0, "why": ""}
        none = await manager.run_single(Sample([ord("y"), 1], 2, **rows))
        assert none["reward_score"] == 0.0 and none["reward_extra_info"]["judged"] == 0.0
        assert none["reward_extra_info"].keys() == said["reward_extra_info"].keys()

    async def test_many_at_a_time(self, verl, reward):
        """A reward worker awaits all samples of its share together."""
        manager = reward_manager_of(reward)({}, Letters())
        rows = {"raw_prompt": PROMPT, "extra_info": {"rubric": CRITERIA}}
        said = await asyncio.gather(*(manager.run_single(Sample([ord("x")], 1, **rows)) for _ in range(20)))
        assert [one["reward_score"] for one in said] == [0.75] * 20
        assert reward.totals.n == 20

    async def test_no_number_for_what_cannot_be_judged(self, verl, reward):
        """Without `unjudged` the training ends with an error that says what to do."""
        manager = reward_manager_of(reward)({}, Letters(), compute_score=None, reward_router_address=None)
        rows = {"raw_prompt": PROMPT, "extra_info": {"rubric": CRITERIA}}
        with pytest.raises(RunError, match="unjudged=NUMBER"):
            await manager.run_single(Sample([ord("y")], 1, **rows))
        with pytest.raises(DataError, match=r"extra_info\.prompt"):
            await manager.run_single(Sample([ord("x")], 1))

    def test_without_verl(self, reward):
        """One line, and no class that cannot work."""
        with pytest.raises(SettingsError, match="verl is not installed"):
            reward_manager_of(reward)


class TestOpenRLHF:
    def test_a_batch(self, reward):
        """Tensors of rewards and scores; the response is what follows the prompt, without its last token."""
        pytest.importorskip("torch")
        chat = f"<|im_start|>user\n{PROMPT}<|im_end|>\n<|im_start|>assistant\n"
        label = json.dumps({"prompt": PROMPT, "rubric": CRITERIA})
        said = reward_func_of(reward, unjudged=0.5)(
            queries=[f"{chat}x<|im_end|>\n", f"{chat}y</s>"], prompts=[chat] * 2, labels=[label] * 2, extra=1
        )
        assert said["rewards"].tolist() == said["scores"].tolist() == [0.75, 0.5]
        assert said["extra_logs"]["rubric_judged"].tolist() == [1.0, 0.0]
        assert reward._grading  # the prompt of the label is what the grader saw

    def test_what_does_not_fit(self, reward):
        """Lengths, a query without its prompt, a completion without a reward."""
        pytest.importorskip("torch")
        function = reward_func_of(reward)
        with pytest.raises(DataError, match="1 queries, 2 prompts"):
            function(["a"], ["a", "b"], [None])
        with pytest.raises(DataError, match="does not begin with its prompt"):
            function(["other x"], ["prompt "], [CRITERIA])
        with pytest.raises(RunError, match="unjudged=NUMBER"):
            function(["p y"], ["p "], [CRITERIA])


class TestVerifiers:
    async def test_a_function_of_the_older_rubric(self, reward):
        """Called by argument names; the reason stays in the state."""
        function = rubric_function(reward, unjudged=0.25)
        prompt = [{"role": "user", "content": PROMPT}]
        state = {}
        assert await function(prompt=prompt, completion=[{"role": "assistant", "content": "x"}],
                              info={"rubric": CRITERIA}, state=state) == 0.75  # fmt: skip
        assert state["rubricate"]["criteria"] == {"a": 1.0, "b": 0.0}
        assert await function(prompt=prompt, completion="y", info={"rubric": CRITERIA}, state=state) == 0.25
        assert state["rubricate"]["reward"] is None

    async def test_a_reward_of_a_task(self, reward):
        """The library's own task records it; what cannot be judged is an error of the trace and no number."""
        pytest.importorskip("verifiers.v1")
        import verifiers.v1 as vf

        class Data(vf.TaskData):
            rubric: list

        class Mine(vf.Task[Data]):
            rubric_reward = task_reward(reward, weight=2.0)

        def trace_of(task, text):
            trace = vf.Trace.model_construct(task=task.data, nodes=[], rewards={}, metrics={})
            trace.root_reply = text
            return trace

        task = Mine(Data(idx=0, prompt=PROMPT, rubric=CRITERIA))
        trace = trace_of(task, "x")
        await task.score(trace)
        assert trace.rewards["rubric_reward"].score == 0.75 and trace.rewards["rubric_reward"].weight == 2.0
        trace = trace_of(task, "y")
        with pytest.raises(vf.TaskError, match="no reward"):
            await task.score(trace)
        assert trace.rewards["rubric_reward"] is None

    def test_without_the_library(self, reward):
        """Says what to install."""
        try:
            import verifiers  # noqa: F401
        except ImportError:
            with pytest.raises(SettingsError, match="pip install verifiers"):
                task_reward(reward)


class TestInspect:
    def test_a_whole_evaluation(self, reward, tmp_path, monkeypatch):
        """The library evaluates two samples: one scored, one unscored and out of the mean."""
        inspect_ai = pytest.importorskip("inspect_ai")
        from inspect_ai.dataset import Sample
        from inspect_ai.model import ModelOutput, get_model

        async def one(*_):
            return 1

        # It would download a vocabulary to count the tokens of its mock model.
        monkeypatch.setattr("inspect_ai.model._model.ModelAPI.count_text_tokens", one)
        outputs = [ModelOutput.from_content("mockllm/model", text) for text in ("x", "y")]
        task = inspect_ai.Task(
            dataset=[Sample(input=PROMPT, metadata={"rubric": CRITERIA}) for _ in range(2)],
            scorer=rubric_scorer(reward),
        )
        (log,) = inspect_ai.eval(
            task, model=get_model("mockllm/model", custom_outputs=outputs), log_dir=str(tmp_path),
            display="none", max_samples=1,
        )  # fmt: skip
        assert log.status == "success", log.error
        (scores,) = log.results.scores
        assert scores.metrics["mean"].value == 0.75
        values = [next(iter(sample.scores.values())) for sample in log.samples]
        assert values[0].value == 0.75 and values[0].metadata["criteria"] == {"a": 1.0, "b": 0.0}
        assert values[1].value != values[1].value

    def test_without_the_library(self, reward):
        """Says what to install."""
        try:
            import inspect_ai  # noqa: F401
        except ImportError:
            with pytest.raises(SettingsError, match="pip install inspect-ai"):
                rubric_scorer(reward)


@pytest.mark.parametrize("option", ["dropout", "reweight"])
def test_single_completions_refuse_what_needs_the_group(option):
    """It would differ within a group."""
    reward = a_reward(Player({}), options=Options(**{option: 0.5}))
    for make in (compute_score_of, reward_func_of, task_reward):
        with pytest.raises(SettingsError, match=option):
            make(reward)
    with pytest.raises(SettingsError, match=option):
        rubric_function(reward, unjudged=0.0)
