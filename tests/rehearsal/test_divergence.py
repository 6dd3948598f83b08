"""The estimate of KL against the exact one, where all answers can be written down."""

from __future__ import annotations

import math
from itertools import product

import pytest

pytest.importorskip("transformers")

import torch
import transformers

from rubricate.rehearsal.ascent.divergence import divergences
from rubricate.rehearsal.pupil.language import new_tokenizer
from rubricate.rehearsal.pupil.learner import Said, say

PAD, END, WORDS = 0, 1, (2, 3)
PROMPTS = ([2, 3, 3], [3])


def model(seed: int, vocabulary: int = 4) -> object:
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.7,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=PAD,
    )
    return transformers.LlamaForCausalLM(config).eval()


def answers() -> list[list[int]]:
    """All answers of at most two tokens: ended, or cut at the budget. Any token may be said but the end
    twice, the padding one included."""
    others = (PAD, *WORDS)
    return [[END], *([first, END] for first in others), *(list(both) for both in product(others, others))]


def chance(network: object, prompt: list[int], answer: list[int]) -> float:
    """The exact probability of an answer, without padding and in one go."""
    with torch.no_grad():
        logits = network(input_ids=torch.tensor([prompt + answer])).logits[0].double().log_softmax(-1)
    return math.exp(sum(float(logits[len(prompt) + n - 1, token]) for n, token in enumerate(answer)))


@pytest.mark.parametrize("prompt", PROMPTS, ids=["long", "padded"])
def test_its_mean_is_the_kl_of_whole_answers(prompt):
    """Sum over all answers of p(y) times the estimate equals sum of p(y) log p(y) / q(y): no bias at all."""
    ours, theirs = model(1), model(2)
    rows, width = answers(), max(map(len, PROMPTS))
    tokens = torch.full((len(rows), width + 2), PAD)
    asked, answered = (torch.zeros_like(tokens, dtype=torch.bool) for _ in range(2))
    for row, answer in enumerate(rows):
        tokens[row, width - len(prompt) : width] = torch.tensor(prompt)
        tokens[row, width : width + len(answer)] = torch.tensor(answer)
        asked[row, width - len(prompt) : width] = True
        answered[row, width : width + len(answer)] = True
    p = [chance(ours, prompt, answer) for answer in rows]
    q = [chance(theirs, prompt, answer) for answer in rows]
    assert sum(p) == pytest.approx(1, abs=1e-6)
    exact = sum(one * math.log(one / other) for one, other in zip(p, q, strict=True))
    found = divergences(ours, theirs, Said([""] * len(rows), [""] * len(rows), tokens, asked, answered))
    assert min(found) >= 0
    assert sum(one * each for one, each in zip(p, found, strict=True)) == pytest.approx(exact, rel=1e-5)
    assert exact > 0.05
    assert max(found) - min(found) > 0.01  # it does depend on the answer: the mean is not all it has


def test_a_model_is_no_way_from_itself():
    ours, tokenizer = model(1, 800), new_tokenizer()
    said = say(ours, tokenizer, ["How do I rest the dough?"] * 3, 6, seed=5)
    assert divergences(ours, ours, said) == [0.0, 0.0, 0.0]


def test_what_is_said_is_marked_to_its_end_and_leaves_the_dice_alone():
    """The first end belongs to an answer and nothing after it; the draw is fixed by its seed, and the random
    numbers of whoever asks go on as if nothing had been drawn."""
    ours, tokenizer = model(3, 800), new_tokenizer()
    prompts = ["How?", "What is the best way to rest the dough?"]
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    one, two = (say(ours, tokenizer, prompts * 4, 8, seed=7, at_once=n) for n in (8, 8))
    assert torch.equal(torch.rand(3), expected)
    assert one.texts == two.texts
    assert one.texts != say(ours, tokenizer, prompts * 4, 8, seed=8).texts
    width = one.tokens.shape[1] - 8
    for row in range(8):
        answer = one.tokens[row, width:].tolist()
        length = answer.index(tokenizer.eos_token_id) + 1 if tokenizer.eos_token_id in answer else 8
        assert one.answered[row].tolist() == [False] * width + [True] * length + [False] * (8 - length)
        assert int(one.asked[row].sum()) == len(tokenizer(one.prompts[row]).input_ids)
