"""What the offline engine is worth on real data, beside "the longer response is better".

    python benchmarks/offline_engine.py [--prompts N]

Needs the development data in ../shared/data beside the repository; a part whose file is not there is
skipped and says so. Neither the proposer nor the grader sees who wrote a response or its gold score.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rubricate.domain.checks import decide, is_decidable
from rubricate.domain.conversation import Pool, Prompt, Response
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.offline.engine import OfflineGrader, OfflineProposer

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
N_BOOTSTRAPS = 500
N_ROUNDS = 4


def rows_of(name: str) -> list[dict[str, Any]] | None:
    """The lines of a data file, or None when it is not there, which is printed."""
    path = DATA / f"{name}.jsonl.gz"
    if not path.exists():
        print(f"  skipped: {path.name} is not in {DATA}")
        return None
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def interval(
    groups: dict[str, list[Any]], statistic: Callable[[list[Any]], float]
) -> tuple[float, float, float]:
    """The statistic over all items, and its 95% interval by bootstrap over the groups (prompts, articles)."""
    chance, names = random.Random(0), sorted(groups)
    drawn = sorted(
        statistic([item for name in chance.choices(names, k=len(names)) for item in groups[name]])
        for _ in range(N_BOOTSTRAPS)
    )
    low, high = drawn[int(0.025 * N_BOOTSTRAPS)], drawn[int(0.975 * N_BOOTSTRAPS) - 1]
    return statistic([item for name in names for item in groups[name]]), low, high


def balanced_accuracy(items: list[tuple[float, bool]]) -> float:
    """Mean of the hit rates on true and false labels; items are (said, label) with said True or False."""
    rates = [[bool(said) == label for said, label in items if label is side] for side in (True, False)]
    return sum(sum(rate) / len(rate) if rate else 0.0 for rate in rates) / 2


def auc(items: list[tuple[float, bool]]) -> float:
    """Chance that a true item has a higher value than a false one, ties as half."""
    ordered, rank, total, n_true = sorted(items), 0, 0.0, sum(label for _, label in items)
    by_value: dict[float, list[bool]] = defaultdict(list)
    for value, label in ordered:
        by_value[value].append(label)
    for value in sorted(by_value):
        labels = by_value[value]
        total += sum(labels) * (rank + (len(labels) + 1) / 2)
        rank += len(labels)
    n_false = len(items) - n_true
    return (total - n_true * (n_true + 1) / 2) / (n_true * n_false) if n_true and n_false else 0.5


def checks() -> None:
    """Criteria that a program decides, against IFEval's own programs."""
    print("\nChecks on ifeval_criteria_dev (labels: IFEval, strict)")
    rows = rows_of("ifeval_criteria_dev")
    if rows is None:
        return
    by_type: dict[str, list[tuple[bool | None, bool, bool]]] = defaultdict(list)
    by_prompt: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        for criterion in row["criteria"]:
            text = criterion["criterion"]
            claimed, said = is_decidable(text), decide(text, row["prompt"], row["response"])
            by_type[criterion["type"]].append((said, criterion["label"], claimed))
            if claimed and said is not None:
                by_prompt[row["prompt_id"]].append((said, criterion["label"]))
    print(f"  {'type':44} {'n':>5} {'claimed':>8} {'undecided':>10} {'balanced accuracy':>18}")
    for kind, items in sorted(by_type.items()):
        told = [(said, label) for said, label, _ in items if said is not None]
        share = sum(claimed for _, _, claimed in items) / len(items)
        undecided = sum(claimed and said is None for said, _, claimed in items)
        print(f"  {kind:44} {len(items):5} {share:8.2f} {undecided:10} {balanced_accuracy(told):18.3f}")
    everything = [item for items in by_type.values() for item in items]
    value, low, high = interval(by_prompt, balanced_accuracy)
    share = sum(claimed for _, _, claimed in everything) / len(everything)
    undecided = sum(claimed and said is None for said, _, claimed in everything)
    print(
        f"  {'all':44} {len(everything):5} {share:8.2f} {undecided:10} {value:18.3f}  [{low:.3f}, {high:.3f}]"
    )


def content() -> None:
    """Content criteria by words, against crowd workers."""
    print("\nContent criteria on realsumm_criteria_dev (labels: majority of 3-4 readers)")
    rows = rows_of("realsumm_criteria_dev")
    if rows is None:
        return
    grader, values, outcomes = OfflineGrader(), defaultdict(list), defaultdict(list)
    n_claimed = n_unjudged = 0
    for row in rows:
        kept = [criterion for criterion in row["criteria"] if criterion["label"] is not None]
        criteria = [Criterion(f"c{n}", criterion["criterion"]) for n, criterion in enumerate(kept, 1)]
        verdicts = asyncio.run(
            grader.grade(Prompt.of_text(row["prompt"]), Response(row["response"]), criteria)
        )
        for criterion, verdict in zip(kept, verdicts, strict=True):
            n_claimed += verdict.by == "check"
            if not verdict.is_judged:
                n_unjudged += 1
                continue
            values[row["prompt_id"]].append((verdict.probability, criterion["label"]))
            outcomes[row["prompt_id"]].append((verdict.outcome == "met", criterion["label"]))
    n = sum(map(len, values.values()))
    print(
        f"  n = {n} in {len(values)} articles, unjudged {n_unjudged}, wrongly claimed by a program "
        f"{n_claimed}"
    )
    for name, groups, statistic in (("AUC", values, auc), ("balanced accuracy", outcomes, balanced_accuracy)):
        value, low, high = interval(groups, statistic)
        print(f"  {name:44} {value:.3f}  [{low:.3f}, {high:.3f}]")


def refine_pool(pool: Pool) -> tuple[Rubric, list[float]]:
    """The final rubric of one pool and the score of each response under it, in order.

    Four rounds: the two best that were not yet compared, one refinement, kept if it separates the two.
    """
    return asyncio.run(_refined(pool))


def scores_under_first(pool: Pool) -> list[float]:
    """The score of each response of a pool under the rubric that the prompt alone gives, in order."""

    async def scores() -> list[float]:
        rubric = await OfflineProposer().propose(pool.prompt)
        return await _scores_under(pool, rubric, pool.responses)

    return asyncio.run(scores())


async def _refined(pool: Pool) -> tuple[Rubric, list[float]]:
    proposer = OfflineProposer()
    rubric = await proposer.propose(pool.prompt)
    used: set[int] = set()
    for _ in range(N_ROUNDS):
        scores = await _scores_under(pool, rubric, pool.responses)
        left = [place for place in range(len(scores)) if place not in used]
        left.sort(key=lambda place: (-scores[place], pool.responses[place].text_key))
        if len(left) < 2:
            break
        pair = (pool.responses[left[0]], pool.responses[left[1]])
        used.update(left[:2])
        proposed = await proposer.refine(pool.prompt, rubric, pair)
        if proposed.key != rubric.key:
            first, second = await _scores_under(pool, proposed, pair)
            rubric = proposed if first != second else rubric
    return rubric, await _scores_under(pool, rubric, pool.responses)


async def _scores_under(pool: Pool, rubric: Rubric, responses: Iterable[Response]) -> list[float]:
    grader, found = OfflineGrader(), []
    for response in responses:
        verdicts = await grader.grade(pool.prompt, response, rubric.criteria)
        judged = [(c.weight, v) for c, v in zip(rubric.criteria, verdicts, strict=True) if v.is_judged]
        total = sum(weight for weight, _ in judged if weight > 0)
        got = sum(weight for weight, verdict in judged if verdict.outcome == "met")
        found.append(min(1.0, max(0.0, got / total)) if total else 0.0)
    return found


def pairs(stem: str, n_prompts: int | None) -> None:
    """Final rubrics of the loop against a judge's preferences between responses."""
    print(f"\nPairs of {stem} (labels: a judge's preference)")
    rows, index = rows_of(stem), rows_of(f"{stem}_pairs")
    if rows is None or index is None:
        return
    rows = rows[:n_prompts]
    scores: dict[str, dict[str, float]] = {}
    lengths: dict[str, dict[str, int]] = {}
    sizes, started = [], time.perf_counter()
    for row in rows:
        names = [response["generator"] for response in row["responses"]]
        pool = Pool(
            Prompt.of_text(row["prompt"], row["id"]), tuple(Response(r["response"]) for r in row["responses"])
        )
        rubric, final = refine_pool(pool)
        sizes.append(len(rubric.criteria))
        scores[row["id"]] = dict(zip(names, final, strict=True))
        lengths[row["id"]] = {name: len(r.text) for name, r in zip(names, pool.responses, strict=True)}
    took = (time.perf_counter() - started) / len(rows)
    print(
        f"  {len(rows)} pools, {sum(sizes) / len(sizes):.1f} criteria in the final rubric, "
        f"{1000 * took:.0f} ms a pool"
    )
    print(
        f"  {'pairs':24} {'n':>5} {'ties':>5}  {'ties as half':>22}  {'ties as wrong':>22}  "
        f"{'longer is better':>22}"
    )
    kinds = {
        "confident": lambda pair: pair["confident"],
        "length-matched": lambda pair: pair["confident"] and pair["length_matched"],
        "tail": lambda pair: pair["tail"],
        "strong five": lambda pair: pair["confident"] and pair.get("strong5", False),
    }
    for kind, belongs in kinds.items():
        groups: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for pair in index:
            if pair["prompt_id"] in scores and belongs(pair):
                by_score, by_length = scores[pair["prompt_id"]], lengths[pair["prompt_id"]]
                groups[pair["prompt_id"]].append(
                    (_sign(by_score[pair["chosen"]], by_score[pair["rejected"]]),
                     _sign(by_length[pair["chosen"]], by_length[pair["rejected"]]))
                )  # fmt: skip
        if groups:
            _print_pairs(kind, groups)


def _sign(one: float, other: float) -> float:
    return 0.5 if one == other else float(one > other)


def _print_pairs(kind: str, groups: dict[str, list[tuple[float, float]]]) -> None:
    items = [item for group in groups.values() for item in group]
    ties = sum(ours == 0.5 for ours, _ in items) / len(items)
    cells = []
    for of_item in (lambda item: item[0], lambda item: float(item[0] == 1), lambda item: item[1]):
        mean = lambda drawn, of_item=of_item: sum(map(of_item, drawn)) / len(drawn)  # noqa: E731
        value, low, high = interval(groups, mean)
        cells.append(f"{value:.3f} [{low:.3f}, {high:.3f}]")
    print(f"  {kind:24} {len(items):5} {ties:5.2f}  " + "  ".join(f"{cell:>22}" for cell in cells))


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--prompts", type=int, default=None, help="only the first N prompts of each pool file"
    )
    parser.add_argument("--only", choices=("checks", "content", "pairs"), default=None)
    options = parser.parse_args()
    if options.only in (None, "checks"):
        checks()
    if options.only in (None, "content"):
        content()
    if options.only in (None, "pairs"):
        for stem in ("alpacaeval16_dev", "bon16_dev"):
            pairs(stem, options.prompts)


if __name__ == "__main__":
    main()
