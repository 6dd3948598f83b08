"""What the policy says now, and with what probability; the training that it is taken from notices nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from rubricate.errors import SettingsError

Given = str | list[dict[str, str]]


class Sampling(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How held-out answers are sampled: greedily at temperature 0, else with chance from the seed, which is
    the same at every step. `batch` prompts at a time."""

    max_tokens: int = 512
    temperature: float = 0.0
    seed: int = 0
    batch: int = 16

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or self.batch < 1:
            raise SettingsError("the monitor samples at least one token of at least one prompt at a time")
        if self.temperature < 0:
            raise SettingsError(f"the temperature of the monitor is {self.temperature}; it is at least 0")


class Said(NamedTuple):
    """One answer: its text, its tokens (with the end token, if it came to an end), those of its prompt."""

    text: str
    tokens: list[int]
    prompt: list[int]


@contextmanager
def undisturbed(model: Any, tokenizer: Any) -> Iterator[None]:
    """All chance of Python, numpy and torch, the mode of every module and the padding side are afterwards
    what they were; no gradient is kept."""
    import numpy
    import torch

    chance = random.getstate(), numpy.random.get_state(), torch.get_rng_state()
    on_devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    modes = [(module, module.training) for module in model.modules()]
    side = getattr(tokenizer, "padding_side", None)
    try:
        model.eval()
        with torch.no_grad():
            yield
    finally:
        for module, is_training in modes:
            module.training = is_training
        if side is not None:
            tokenizer.padding_side = side
        random.setstate(chance[0])
        numpy.random.set_state(chance[1])
        torch.set_rng_state(chance[2])
        if on_devices is not None:
            torch.cuda.set_rng_state_all(on_devices)


def must_be_whole(model: Any) -> None:
    """Raises:
    SettingsError: the parameters are spread over processes, and one alone cannot sample.
    """
    for parameter in model.parameters():
        is_flat = type(parameter).__name__ == "FlatParameter"  # the first FSDP
        if is_flat or hasattr(parameter, "ds_id") or hasattr(parameter, "device_mesh"):
            raise SettingsError(
                "the policy is sharded (ZeRO-3 or FSDP), and the monitor samples from a whole one: "
                "evaluate checkpoints beside the training, and read both logs with rubricate monitor --gold"
            )


def sampled(model: Any, tokenizer: Any, prompts: Sequence[Given], how: Sampling) -> list[Said]:
    """One answer to each prompt, in order. To be called within `undisturbed`."""
    import torch

    torch.manual_seed(how.seed)
    end = _ends(model, tokenizer)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(end, default=0)
    chance: dict[str, Any] = {"do_sample": False}
    if how.temperature > 0:
        chance = {"do_sample": True, "temperature": how.temperature, "top_k": 0, "top_p": 1.0}
    answers = []
    rows = [encoded(tokenizer, prompt) for prompt in prompts]
    for start in range(0, len(rows), how.batch):
        batch = rows[start : start + how.batch]
        width = max(map(len, batch))
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in batch], device=model.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in batch], device=model.device)
        drawn = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=how.max_tokens, pad_token_id=pad, **chance
        )
        for row, tokens in zip(batch, drawn[:, width:].tolist(), strict=True):
            kept = _until(tokens, end)
            answers.append(Said(tokenizer.decode(kept, skip_special_tokens=True), kept, row))
    return answers


def encoded(tokenizer: Any, prompt: Given) -> list[int]:
    """The tokens of a prompt: of a text as they are, of messages through the chat template.

    Raises:
        SettingsError: messages, and a tokenizer without a chat template.
    """
    if isinstance(prompt, str):
        return list(tokenizer(prompt)["input_ids"])
    if getattr(tokenizer, "chat_template", None) is None:
        raise SettingsError(
            "held-out prompts are messages, and the tokenizer has no chat template; give texts"
        )
    made = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=True, return_dict=True)
    return list(made["input_ids"])


def token_log_probs(model: Any, rows: Sequence[tuple[list[int], list[int]]], batch: int = 16) -> list[Any]:
    """For each (prompt, answer) in tokens the log-probability of every token of the answer, a tensor each."""
    return [
        logits.log_softmax(-1).gather(-1, answer[:, None])[:, 0]
        for logits, answer in _read(model, rows, batch)
    ]


def divergences(
    policy: Any, reference: Any, rows: Sequence[tuple[list[int], list[int]]], batch: int = 16
) -> list[float]:
    """For each (prompt, answer) KL(policy | reference) in nats: over the vocabulary at each token of the
    answer, added up over its tokens. Its mean over answers that the policy drew at temperature 1 is the KL of
    completions.

    `reference` is a model, or a context manager that makes the reference of the policy. Source: the inner
    expectation is taken exactly, which keeps the mean and lowers the variance (Rao-Blackwell).
    """
    found = []
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        mine = [logits.log_softmax(-1) for logits, _ in _read(policy, part, batch)]
        if hasattr(reference, "parameters"):
            theirs = [logits.log_softmax(-1) for logits, _ in _read(reference, part, batch)]
        else:
            with reference():
                theirs = [logits.log_softmax(-1) for logits, _ in _read(policy, part, batch)]
        found += [
            float((one.exp() * (one - other)).sum(-1).sum()) for one, other in zip(mine, theirs, strict=True)
        ]
    return found


def _read(model: Any, rows: Sequence[tuple[list[int], list[int]]], batch: int) -> Iterator[tuple[Any, Any]]:
    """The logits at each token of the answers, in float32, with the tokens. Rows are padded at their end,
    which a causal model does not look at."""
    import torch

    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        width = max(len(prompt) + len(answer) for prompt, answer in part)
        ids = [prompt + answer + [0] * (width - len(prompt) - len(answer)) for prompt, answer in part]
        mask = [[1] * (len(p) + len(a)) + [0] * (width - len(p) - len(a)) for p, a in part]
        device = model.device
        seen = model(
            input_ids=torch.tensor(ids, device=device), attention_mask=torch.tensor(mask, device=device)
        )
        for row, (prompt, answer) in enumerate(part):
            first = len(prompt) - 1
            logits = seen.logits[row, first : first + len(answer)].float()
            yield logits, torch.tensor(answer, device=device)


def _ends(model: Any, tokenizer: Any) -> set[int]:
    given = getattr(model.generation_config, "eos_token_id", None)
    ends = {given} if isinstance(given, int) else set(given or ())
    return ends | ({tokenizer.eos_token_id} if tokenizer.eos_token_id is not None else set())


def _until(tokens: list[int], ends: set[int]) -> list[int]:
    """The tokens up to the first end token, with it."""
    for place, token in enumerate(tokens):
        if token in ends:
            return tokens[: place + 1]
    return tokens
