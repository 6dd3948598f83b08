"""Files -> pairs to be judged: files of pairs with their labels, pools, and run folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal, get_args

import msgspec

from rubricate.domain.conversation import Pool, Prompt, Response, SetAside
from rubricate.domain.identity import chance_of, key_of
from rubricate.domain.scoring import TOP, top_of
from rubricate.errors import DataError, SettingsError
from rubricate.evaluation.benchmarks.cases import Case
from rubricate.evaluation.benchmarks.sources import detected, read_benchmark
from rubricate.llm.thinking import strip_thinking
from rubricate.runs.folder import CONFIG, POOL, RunFolder
from rubricate.runs.intake import read_pools
from rubricate.runs.rows import HUB, rows_of

Label = Literal["first", "second", "tie"]
Which = Literal["all", "top"]
WHICH = get_args(Which)


class Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two responses to a prompt, without their reasoning, and which one ought to win, if that is known.

    `cluster` is what the file calls the prompt where several have one text (an article that is left out).
    """

    id: str
    prompt: Prompt
    first: Response
    second: Response
    label: Label | None = None
    cluster: str = ""

    @property
    def key(self) -> str:
        """Content key, whichever of the two is named first."""
        return pair_key(self.prompt.key, self.first.text_key, self.second.text_key)


def pair_key(prompt: str, one: str, two: str) -> str:
    """The key of a pair, of the keys of its prompt and its two texts."""
    return key_of("pair", prompt, *sorted((one, two)))


class Pairs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The pairs of a source in its order, what in it could not be used, counted by reason, and what kind of
    file it is."""

    shape: str
    pairs: tuple[Pair, ...]
    left_out: dict[str, int] = {}


def read_pairs(source: str, *, shape: str | None = None, which: Which = "all", top: int = TOP) -> Pairs:
    """The pairs of a file of pairs (any shape of `rubricate bench` with contests), of a pool, or of a run.

    A pair of a file has the label that the file gives. Of a pool all pairs of one prompt are taken, or only
    those among its `top` best responses: by gold, in a run by the score under the final rubric, ties with the
    last one included. The label is then the better gold, `tie` for equal ones.

    Raises:
        DataError: no such file, a malformed row, or no pair in it.
        SettingsError: there is no shape of that name.
    """
    left_out: Counter[str] = Counter()
    if (Path(source) / CONFIG).is_file() and (Path(source) / POOL).is_file():
        shape, pairs = "run", list(_of_run(Path(source), which, top, left_out))
    elif (shape := shape or _shape_of(source)) == "pool":
        with read_pools(source) as pools:
            pairs = list(_of_pools(pools, which, top, left_out))
    else:
        benchmark = read_benchmark(source, shape)
        left_out.update(benchmark.left_out)
        pairs = list(_of_cases(benchmark.cases, left_out))
    kept = {pair.key: pair for pair in reversed(pairs)}
    if len(kept) < len(pairs):
        left_out["a pair that comes again"] += len(pairs) - len(kept)
    contradicted = _contradicted(pairs)
    left_out.update({"labels that contradict each other: the pair has none": len(contradicted)})
    found = tuple(
        msgspec.structs.replace(pair, label=None) if pair.key in contradicted else pair
        for pair in pairs
        if kept.pop(pair.key, None) is not None
    )
    if not found:
        why = ", ".join(f"{reason} ({n})" for reason, n in (+left_out).items())
        raise DataError(source, f"there is no pair in it to judge{': ' if why else ''}{why}")
    return Pairs(shape, found, dict(+left_out))


def drawn(
    pairs: Sequence[Pair], seed: int, *, prompts: int | None = None, sample: int | None = None
) -> tuple[Pair, ...]:
    """The pairs of at most so many prompts, and of these at most so many pairs: drawn by seed and content, in
    the order of the source."""
    keys = sorted({pair.prompt.key for pair in pairs}, key=lambda key: (chance_of(seed, "prompt", key), key))
    of_prompts = set(keys if prompts is None else keys[:prompts])
    within = [pair for pair in pairs if pair.prompt.key in of_prompts]
    order = sorted((pair.key for pair in within), key=lambda key: (chance_of(seed, "pair", key), key))
    chosen = set(order if sample is None else order[:sample])
    return tuple(pair for pair in within if pair.key in chosen)


def _shape_of(source: str) -> str:
    """The shape of a source by its first row; a pool unless it is one of pairs."""
    if source.startswith(HUB) or Path(source).is_dir():
        return "pairs" if source.startswith(HUB) else "pool"
    first = next(rows_of(source), None)
    if first is None:
        raise DataError(source, "there is no row in it")
    if not isinstance(first.value, Mapping):
        return "pool"
    try:
        shape = detected(first)
    except DataError:
        if {"chosen", "rejected", "response_A", "output_1"} & set(first.value):
            raise
        return "pool"
    if shape == "healthbench":
        raise SettingsError(
            f"{source}: the shape {shape} has points and no pairs; measure it with `rubricate bench`"
        )
    return "pool" if shape == "ranked" else shape


def _of_cases(cases: Iterable[Case], left_out: Counter[str]) -> Iterator[Pair]:
    for case in cases:
        unknown = (None,) * len(case.responses)
        sides = [
            Response(strip_thinking(text), name, gold)
            for text, name, gold in zip(
                case.responses, case.generators or unknown, case.gold or unknown, strict=True
            )
        ]
        for contest in case.contests:
            for one, two in ((one, two) for one in contest.better for two in contest.worse):
                # What is better stands first in such files: here the order follows from the content alone.
                label: Label = "first"
                if sides[two].text_key < sides[one].text_key:
                    one, two, label = two, one, "second"
                pair = Pair(case.id, case.prompt, sides[one], sides[two], label, case.cluster)
                yield from _usable(pair, left_out)


def _of_pools(pools: Iterable[Pool], which: Which, top: int, left_out: Counter[str]) -> Iterator[Pair]:
    for pool in pools:
        left_out.update(why for note in pool.set_aside if (why := _why(note)) is not None)
        scores = {response.key: response.gold for response in pool.responses}
        if which == "top" and all(gold is None for gold in scores.values()):
            left_out["prompts without gold, so without a top"] += 1
            continue
        yield from _of_pool(pool, scores, which, top, left_out)


def _of_run(folder: Path, which: Which, top: int, left_out: Counter[str]) -> Iterator[Pair]:
    with RunFolder(folder) as run:
        for pool, record in run.finished():
            scores = {standing.response: standing.score for standing in record.standings}
            if which == "top" and all(score is None for score in scores.values()):
                left_out["prompts without a score under the final rubric, so without a top"] += 1
                continue
            yield from _of_pool(pool, scores, which, top, left_out)


def _of_pool(
    pool: Pool, scores: dict[str, float | None], which: Which, top: int, left_out: Counter[str]
) -> Iterator[Pair]:
    chosen = set(top_of(scores, top)) if which == "top" else {response.key for response in pool.responses}
    sides = [response for response in pool.responses if response.key in chosen]
    if len(sides) < 2:
        left_out["prompts with fewer than two responses"] += 1
    for first, second in combinations(sides, 2):
        yield from _usable(Pair(pool.prompt.id, pool.prompt, first, second, _label(first, second)), left_out)


def _why(note: SetAside) -> str | None:
    """Why a response takes no part, without its name; None where the note is of something else."""
    if "prompt" in note.what or note.what.startswith(("the id", "halves")):
        return None
    why = note.why.partition(":")[0]
    return "set aside: the same text as another" if why.startswith("the same text") else f"set aside: {why}"


def _label(first: Response, second: Response) -> Label | None:
    if first.gold is None or second.gold is None:
        return None
    return "tie" if first.gold == second.gold else "first" if first.gold > second.gold else "second"


def _usable(pair: Pair, left_out: Counter[str]) -> Iterator[Pair]:
    if not pair.first.text.strip() or not pair.second.text.strip():
        left_out["a side without an answer"] += 1
    elif pair.first.text_key == pair.second.text_key:
        left_out["both sides are one text"] += 1
    else:
        yield pair


def _contradicted(pairs: Sequence[Pair]) -> set[str]:
    """Keys of pairs that come with two different labels."""
    winners: dict[str, set[str | None]] = {}
    for pair in pairs:
        by = {"first": pair.first.text_key, "second": pair.second.text_key}
        winners.setdefault(pair.key, set()).add(by.get(pair.label or "", pair.label))
    return {key for key, found in winners.items() if len(found) > 1}
