"""A language model of half a megabyte, made in a blink: random weights, a tokenizer of its own, no download.

It knows nothing, which is what a test of the wire wants: everything that a constrained reply gets right, it
owes to the schema. The layout is that of a Llama with two blocks.
"""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

CONTEXT = 4096
VOCABULARY = 512
WIDTH, HIDDEN, BLOCKS, HEADS, KV_HEADS = 64, 128, 2, 4, 2
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
# No line ends: a prompt that the vocabulary cannot spell confuses the parser of llama.cpp (a 500 each time).
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }} {{ message['content'] }}<|im_end|>"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
)


def write_tiny_gguf(path: Path, seed: int = 0) -> Path:
    """Write the model to `path`. The same seed gives the same weights."""
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(path.stem)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_block_count(BLOCKS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_tokenizer(writer)
    _add_weights(writer, seed)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: Any) -> None:
    """Byte-level pairs learned from the source text of a standard module, which is always at hand.

    Bytes beyond printable ASCII have no token and are passed over in prompts. Random weights would string
    them to broken UTF-8, which llama.cpp answers with a 500; and line ends and tabs are white space that a
    JSON grammar allows between any two signs, which would eat the `max_tokens` of every test.
    """
    import gguf
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=[*string.ascii_letters, *string.digits, *string.punctuation],
        show_progress=False,
    )
    words = Path(json.__file__).read_text(encoding="utf-8").split()
    tokenizer.train_from_iterator([" ".join(words)], trainer)
    learned = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(learned["vocab"], key=learned["vocab"].__getitem__)
    assert len(tokens) == VOCABULARY, "the text is too short for the vocabulary"

    normal, control = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([control if token in SPECIAL else normal for token in tokens])
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in learned["merges"]])
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def _add_weights(writer: Any, seed: int) -> None:
    """Small random matrices and norms of one: close to a uniform choice among the tokens."""
    import numpy as np

    chance = np.random.default_rng(seed)
    kv_width = WIDTH // HEADS * KV_HEADS
    matrices = {"token_embd": (VOCABULARY, WIDTH), "output": (VOCABULARY, WIDTH)}
    norms = ["output_norm"]
    for block in (f"blk.{number}" for number in range(BLOCKS)):
        matrices |= {
            f"{block}.attn_q": (WIDTH, WIDTH),
            f"{block}.attn_k": (kv_width, WIDTH),
            f"{block}.attn_v": (kv_width, WIDTH),
            f"{block}.attn_output": (WIDTH, WIDTH),
            f"{block}.ffn_gate": (HIDDEN, WIDTH),
            f"{block}.ffn_up": (HIDDEN, WIDTH),
            f"{block}.ffn_down": (WIDTH, HIDDEN),
        }
        norms += [f"{block}.attn_norm", f"{block}.ffn_norm"]
    for name, shape in matrices.items():
        writer.add_tensor(f"{name}.weight", (chance.standard_normal(shape) * 0.05).astype(np.float32))
    for name in norms:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
