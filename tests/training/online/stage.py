"""A small language whose truth is known: criteria ask for words, and everybody answers over a real ledger.

The grader says what is there. The proposer asks for every word in which two responses differ, and keeps the
rest. All is decided by the question alone, so that any two runs that ask the same get the same.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path

from rubricate.domain.rubric import Rubric
from rubricate.llm.chat import Reply, Request
from rubricate.llm.ledger import LedgerChat
from rubricate.llm.scripted import ScriptedChat
from rubricate.llm.store import Place, open_ledger
from rubricate.rewards.panel import Panel
from rubricate.rewards.reward import RubricReward
from rubricate.steps.asking import Manner
from rubricate.steps.crew import ModelGrader, ModelJudge, ModelProposer
from rubricate.training.online.rubrics import OnlineRubrics
from rubricate.training.online.rules import OnlineRules
from tests.builders import asked

ASKS = "Mentions {}."
WORDS = ["a", "b", "c", "d", "e", "f", "g", "h", "rain", "sun", "wind", "snow", ".", ",", "is", "the"]


def framed_in(request: Request, name: str) -> list[str]:
    """The texts of the frames of this name, in order."""
    found = re.findall(rf"<({name}-\w+)>\n(.*?)\n</\1>", request.messages[-1].content, re.DOTALL)
    return [text for _, text in found]


def word_of(criterion: str) -> str:
    """The word that a criterion asks for."""
    return criterion.removeprefix("Mentions ").rstrip(".")


def answer(request: Request) -> str:
    """What grader, proposer and judge say, by the form of the question."""
    assert request.schema is not None
    responses = [text.split() for text in framed_in(request, "response")]
    if request.schema.name == "verdicts":
        said = ["met" if word_of(text) in responses[0] else "unmet" for text in asked(request)]
        if "snow" in responses[0]:  # nobody can say anything of snow
            said = ["unsure"] * len(said)
        return json.dumps({f"c{number}": word for number, word in enumerate(said, 1)})
    if request.schema.name == "preference":
        first, second = (len(set(words)) for words in responses)
        return json.dumps({"better": 1 if first >= second else 2})
    listed = framed_in(request, "rubric")
    kept = re.findall(r"^- \[(\w+), weight (\d+).*?\] (.*)$", listed[0], re.M) if listed else []
    if not kept:
        kept = [("principle", "2", ASKS.format("rain")), ("principle", "1", ASKS.format("sun"))]
    criteria = [{"criterion": text, "weight": int(weight), "kind": kind} for kind, weight, text in kept]
    known = {text for _, _, text in kept}
    for word in sorted(set(responses[0]) ^ set(responses[1])) if responses else []:
        if word.isalpha() and ASKS.format(word) not in known:
            criteria.append({"criterion": ASKS.format(word), "weight": 1, "kind": "principle"})
    return json.dumps({"criteria": criteria})


class Till:
    """What was paid for, in a file that survives a kill: a request key a line."""

    def __init__(self, path: Path):
        self.path = path
        path.touch()

    def __call__(self, request: Request) -> str:
        said = answer(request)
        with self.path.open("a") as file:
            file.write(f"{request.schema.name if request.schema else '-'} {request.key}\n")
        return said

    @property
    def paid(self) -> list[str]:
        """All that was paid, in order."""
        return self.path.read_text().splitlines()

    def n(self, schema: str) -> int:
        """How many questions of a kind were paid."""
        return sum(line.startswith(schema) for line in self.paid)


def opening_of(place: Path, answering: Callable[[Request], str | Reply], *, judged: bool = False) -> Callable:
    """A panel behind the ledger of a folder."""

    @asynccontextmanager
    async def opening():
        async with open_ledger(Place(place / "ledger.sqlite")) as ledger:
            chat = LedgerChat(ScriptedChat(answering), ledger)
            yield Panel(
                ModelGrader(chat, Manner("grader")),
                ModelProposer(chat, chat, Manner("writer")),
                judge=ModelJudge(chat, Manner("judge")) if judged else None,
            )

    return opening


def a_reward(
    place: Path,
    answering: Callable[[Request], str | Reply] = answer,
    rules: OnlineRules | None = None,
    *,
    reference: dict | None = None,
    judged: bool = False,
    folder: str = "online",
    **how,
) -> RubricReward:
    """A reward whose rubrics are in `place/online` and whose replies are in `place/ledger.sqlite`."""
    online = OnlineRubrics(place / folder, rules, reference)
    how.setdefault("unseen", "make")
    return RubricReward(opening_of(place, answering, judged=judged), versions=online, **how)


def tiny(place: Path):
    """A tokenizer of whole words and a random Qwen2 of some ten thousand parameters, saved and loaded."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = place / "tiny"
    torch.manual_seed(0)
    vocabulary = {word: at for at, word in enumerate(["<pad>", "<eos>", "<unk>", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )
    config = transformers.Qwen2Config(
        vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64,
        pad_token_id=0, eos_token_id=1, bos_token_id=1,
    )  # fmt: skip
    transformers.Qwen2ForCausalLM(config).save_pretrained(folder)
    return transformers.Qwen2ForCausalLM.from_pretrained(folder), tokenizer


RULES = OnlineRules(every=2, groups=2, min_verdicts=6, min_active=2, look_again=2, coverage="all")
PROMPTS, HELD_OUT = ["the rain is", "the sun is"], "the wind is"


def train(place: Path, reward: RubricReward, steps: int, *, resume: bool = False):
    """Real steps of TRL's GRPO with the callback; the trainer, and each batch as the trainer got it."""
    import torch
    import trl
    from datasets import Dataset

    from rubricate.rewards.adapters.trl import TrlReward
    from rubricate.training.online.callback import online_callback

    torch.set_num_threads(1)
    n_processes = int(os.environ.get("WORLD_SIZE", "1"))
    model, tokenizer = tiny(place)
    given: list[tuple[int, list, list, list]] = []

    class Noted(TrlReward):
        async def rubric_reward(self, prompts, completions, **how):
            rewards = await super().rubric_reward(prompts, completions, **how)
            if HELD_OUT not in prompts:
                given.append((how["trainer_state"].global_step, list(prompts), list(completions), rewards))
            return rewards

    trainer = trl.GRPOTrainer(
        model=model,
        processing_class=tokenizer,
        reward_funcs=Noted(reward).rubric_reward,
        train_dataset=Dataset.from_dict({"prompt": PROMPTS}),
        eval_dataset=Dataset.from_dict({"prompt": [HELD_OUT]}),
        callbacks=[online_callback(reward)],
        args=trl.GRPOConfig(
            output_dir=str(place / "out"), max_steps=steps, num_generations=4, max_completion_length=6,
            per_device_train_batch_size=8 // n_processes, ddp_backend="gloo" if n_processes > 1 else None,
            use_cpu=True, bf16=False, learning_rate=1e-2, beta=0.0,
            logging_steps=1, report_to=[], save_steps=3, save_total_limit=1, disable_tqdm=True, seed=0,
            shuffle_dataset=False, eval_strategy="steps", eval_steps=5, per_device_eval_batch_size=4,
        ),
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=resume or None)
    return trainer, given


def dying(till: Till, at: int) -> Callable[[Request], str]:
    """A till whose process is killed with signal 9 once it has paid so many questions of the proposer, before
    the reply can be kept: in the middle of a refresh."""

    def paid(request: Request) -> str:
        said = till(request)
        is_refined = (
            request.schema is not None and request.schema.name == "rubric" and framed_in(request, "rubric")
        )
        if is_refined:
            paid.n += 1  # type: ignore[attr-defined]
            if paid.n == at:  # type: ignore[attr-defined]
                os.kill(os.getpid(), signal.SIGKILL)
        return said

    paid.n = 0  # type: ignore[attr-defined]
    return paid


def rubric_texts(rubric: Rubric) -> list[str]:
    """The words that a rubric asks for."""
    return [word_of(criterion.text) for criterion in rubric.criteria]


if __name__ == "__main__":  # a process that dies in its nth refinement, or one of two that train together
    import sys

    here, n = Path(sys.argv[1]), int(sys.argv[2])
    rank = os.environ.get("RANK")
    till_here = Till(here / ("paid" if rank is None else f"paid-{rank}"))
    with a_reward(here, dying(till_here, n) if n else till_here, RULES) as the_reward:
        _, noted = train(here, the_reward, 8 if rank is None else 4)
    (here / f"given-{rank}.json").write_text(json.dumps(noted))
