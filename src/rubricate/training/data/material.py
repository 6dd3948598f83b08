"""Files and run folders -> prompts with responses and what these are worth: what all training is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from rubricate.domain.conversation import Message, Pool, Prompt
from rubricate.domain.identity import chance_of
from rubricate.errors import DataError
from rubricate.runs.folder import CONFIG, POOL, RunFolder
from rubricate.runs.intake import read_pools

NAMED = 20
"""How many of the things left out are named; the rest is counted."""


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One row of a training. `rubric` is JSON text; `completion` is shown (SFT); of `chosen` and `rejected`
    the first is preferred (DPO)."""

    id: str
    messages: tuple[Message, ...]
    rubric: str | None = None
    completion: str | None = None
    chosen: str | None = None
    rejected: str | None = None

    @property
    def prompt(self) -> Prompt:
        """What is asked."""
        return Prompt(self.id, self.messages)


class Prepared(msgspec.Struct):
    """The rows of a training in the order of the file, and what was left out by reason, some of it named."""

    rows: list[Example]
    left_out: Counter[str]
    named: list[str]

    def leave_out(self, id: str, why: str) -> None:
        """Counts something that takes no part."""
        self.left_out[why] += 1
        if len(self.named) < NAMED:
            self.named.append(f"{id}: {why}")


def prepared() -> Prepared:
    """Nothing yet."""
    return Prepared([], Counter(), [])


def is_run(source: str) -> bool:
    """Whether this is the folder of a run."""
    return (Path(source) / CONFIG).is_file() and (Path(source) / POOL).is_file()


def material_of(
    source: str, *, sample_size: int | None = None, seed: int = 0
) -> Iterator[tuple[Pool, Mapping[str, float | None]]]:
    """The pools of a file or of a run folder, in their order, each with the worth of its responses by key:
    the gold of a file, the scores under the final rubric of a run.

    `sample_size` prompts are drawn by seed and content, as `rubricate run` draws them.

    Raises:
        DataError: a row is malformed, or there is no prompt.
        RunError: the run folder cannot be read.
    """
    found = False
    if is_run(source):
        with RunFolder(Path(source)) as run:
            records = {record.id: record for _, record in run.finished()}
            pools = [run.pool(place) for place in range(len(run.intake))]
        for pool in _drawn(pools, sample_size, seed):
            found, record = True, records.get(pool.prompt.id)
            scores = {one.response: one.score for one in record.standings} if record else {}
            yield pool, {response.key: scores.get(response.key) for response in pool.responses}
    else:
        with read_pools(source, sample_size=sample_size, seed=seed) as intake:
            for pool in intake:
                found = True
                yield pool, {response.key: response.gold for response in pool.responses}
    if not found:
        raise DataError(source, "there is no prompt in it")


def _drawn(pools: Sequence[Pool], size: int | None, seed: int) -> Sequence[Pool]:
    if size is None or size >= len(pools):
        return pools
    chance = {pool.prompt.id: chance_of(seed, "sample", pool.prompt.key) for pool in pools}
    kept = set(sorted(chance, key=lambda id: (chance[id], id))[:size])
    return [pool for pool in pools if pool.prompt.id in kept]


def row_of(example: Example, *, chat: bool) -> dict[str, Any]:
    """A row as TRL takes it: chat messages, or plain text where the tokenizer knows no messages.

    In plain text a completion begins on a line of its own, unless the prompt ends with white space.
    """
    prompt = example.prompt
    row: dict[str, Any] = {"prompt": msgspec.to_builtins(example.messages) if chat else prompt.text}
    gap = "" if chat or prompt.text[-1:].isspace() else "\n"
    for name in ("completion", "chosen", "rejected"):
        text = getattr(example, name)
        if text is not None:
            row[name] = [{"role": "assistant", "content": text}] if chat else gap + text
    return row
