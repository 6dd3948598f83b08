"""Benchmarks in the shapes in which they were published. One function for each: a row -> its case.

Field names are those of the published files: `allenai/reward-bench`, `allenai/reward-bench-2`,
`THU-KEG/RM-Bench`, `Zhou-Zoey/RMB-Reward-Model-Benchmark`, `ScalerLab/JudgeBench`, `princeton-nlp/LLMBar` and
`openai/simple-evals` (HealthBench).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath

from rubricate.evaluation.benchmarks.cases import Case, Contest
from rubricate.evaluation.benchmarks.shapes.fields import (
    answer_of,
    conversation,
    id_of,
    is_list,
    prompt_of,
    rubric_of,
    said,
    text_of,
    texts_of,
)
from rubricate.runs.rows import Row

STYLES = 3
RM_BENCH_PARTS = ("chat", "math", "code", "safety-refuse", "safety-response")


def reward_bench(row: Row) -> Case:
    """A pair of RewardBench; also of any set with `prompt`, `chosen` and `rejected`.

    Either side may be a whole conversation; then the prompt is what came before its last turn.
    """
    before, chosen = answer_of(row, "chosen")
    _, rejected = answer_of(row, "rejected")
    prompt = before if before is not None else prompt_of(row)
    subset = row.value.get("subset")
    groups = (text_of(row, "subset"),) if subset is not None else ()
    return Case(
        id=id_of(row, "id", "prompt_id"),
        prompt=prompt,
        kind="pair",
        responses=(chosen, rejected),
        contests=(Contest((0,), (1,)),),
        groups=groups,
        generators=tuple(
            given if isinstance(given := row.value.get(side), str) else None
            for side in ("chosen_model", "rejected_model")
        ),
    )


def reward_bench_2(row: Row) -> Case:
    """Best of four of RewardBench 2; in the subset Ties each of several right answers against each wrong
    one."""
    chosen, rejected = texts_of(row, "chosen"), texts_of(row, "rejected")
    subset = text_of(row, "subset")
    id = id_of(row, "id")
    if subset.casefold() == "ties" and re.fullmatch(r"(ref|tied):\d+", id) is None:
        raise row.error(f'an id of the subset Ties is "ref:NUMBER" or "tied:NUMBER", not {id!r}', "id")
    right = tuple(range(len(chosen)))
    wrong = tuple(range(len(chosen), len(chosen) + len(rejected)))
    return Case(
        id=id,
        prompt=prompt_of(row),
        kind="best_of_n",
        responses=chosen + rejected,
        contests=(Contest(right, wrong),),
        groups=(subset,),
    )


def rm_bench(row: Row) -> Case:
    """The 3 x 3 matrix of RM-Bench: nine contests over three chosen and three rejected responses.

    Styles are concise, detailed, detailed with markdown, in this order on either side. A contest is hard
    where the chosen one has the plainer style, normal on the diagonal, easy where it has the fancier one:
    three distinct cells each.

    Source: RM-Bench (arXiv 2410.16184), section 3.3, and `compute_accuracy` of its repository.
    """
    sides = {side: texts_of(row, side) for side in ("chosen", "rejected")}
    for side, texts in sides.items():
        if len(texts) != STYLES:
            raise row.error(f"{STYLES} styles are needed (concise, detailed, markdown): {len(texts)}", side)
    domain = _domain(row)
    contests = [
        Contest((i,), (STYLES + j,), (level(i, j), f"{domain} {level(i, j)}"))
        for i in range(STYLES)
        for j in range(STYLES)
    ]
    return Case(
        id=id_of(row, "id"),
        prompt=prompt_of(row),
        kind="styles",
        responses=sides["chosen"] + sides["rejected"],
        contests=tuple(contests),
        groups=(domain,),
    )


def _domain(row: Row) -> str:
    """The domain of an item of RM-Bench. Some of its files name the source of an item there (`alpacaeval`),
    and the domain is the file's own name (`chat_filtered.json`)."""
    said_here = text_of(row, "domain" if row.value.get("domain") is not None else "subset")
    by_file = PurePath(row.path).name.partition(".")[0].removesuffix("_filtered")
    return said_here if said_here in RM_BENCH_PARTS or by_file not in RM_BENCH_PARTS else by_file


def level(chosen_style: int, rejected_style: int) -> str:
    """How hard a cell of the style matrix is: easy, normal or hard."""
    if chosen_style == rejected_style:
        return "normal"
    return "hard" if chosen_style < rejected_style else "easy"


def rmb_pair(row: Row) -> Case:
    """A pair of RMB."""
    sides = [_answer(row, side, row.value.get(side)) for side in ("chosen", "reject")]
    return Case(
        id=id_of(row, "pair_uid"),
        prompt=conversation(row, "conversation_input", row.value.get("conversation_input")),
        kind="pair",
        responses=tuple(sides),
        contests=(Contest((0,), (1,)),),
        groups=(f"{_goal(row)} pairs",),
    )


def rmb_best(row: Row) -> Case:
    """Best of n of RMB: right only if the best one beats every loser.

    Source: RMB (arXiv 2410.09893), section 3.2.
    """
    losers = row.value.get("loser_list")
    if not is_list(losers) or not losers:
        raise row.error(f"a list of responses is needed, not {said(losers)}", "loser_list")
    best = _answer(row, "bon_best", row.value.get("bon_best"))
    others = [_answer(row, f"loser_list[{place}]", loser) for place, loser in enumerate(losers)]
    return Case(
        id=id_of(row, "bon_uid"),
        prompt=conversation(row, "conversation_input", row.value.get("conversation_input")),
        kind="best_of_n",
        responses=(best, *others),
        contests=(Contest((0,), tuple(range(1, len(losers) + 1))),),
        groups=(f"{_goal(row)} best of n",),
    )


def _answer(row: Row, name: str, entry: object) -> str:
    if not isinstance(entry, Mapping):
        raise row.error(f'an object with "answer" is needed, not {said(entry)}', name)
    return text_of(row, f"{name}.answer", entry.get("answer"))


def _goal(row: Row) -> str:
    """Helpfulness or Harmlessness: in `category_path`, else in the path of the file."""
    path = f"{row.value.get('category_path') or ''}/{row.path}".casefold()
    found = [goal for goal in ("Helpfulness", "Harmlessness") if goal.casefold() in path]
    if len(found) != 1:
        raise row.error("neither it nor the file's path says Helpfulness or Harmlessness", "category_path")
    return found[0]


def judge_bench(row: Row) -> Case:
    """A pair of JudgeBench, whose label says which of A and B is right."""
    label = row.value.get("label")
    if label not in ("A>B", "B>A"):
        raise row.error(f'a label is "A>B" or "B>A", not {label!r}', "label")
    places = (0, 1) if label == "A>B" else (1, 0)
    source = text_of(row, "source")
    categories = {"mmlu-pro": "Knowledge", "livebench-reasoning": "Reasoning", "livebench-math": "Math"}
    categories |= {"livecodebench": "Coding"}
    category = next((name for start, name in categories.items() if source.startswith(start)), source)
    return Case(
        id=id_of(row, "pair_id"),
        prompt=prompt_of(row, "question"),
        kind="pair",
        responses=(text_of(row, "response_A"), text_of(row, "response_B")),
        contests=(Contest((places[0],), (places[1],)),),
        groups=(category,),
    )


def llm_bar(row: Row) -> Case:
    """A pair of LLMBar; its subset is the folder of the file, as in
    `LLMBar/Adversarial/Neighbor/dataset.json`."""
    label = row.value.get("label")
    if isinstance(label, bool) or label not in (1, 2):
        raise row.error(f"a label is 1 or 2, not {label!r}", "label")
    parts = [part for part in PurePath(row.path).parts if part not in ("Dataset", "LLMBar")]
    folder = parts[-2] if len(parts) > 1 else PurePath(row.path).stem
    is_adversarial = "Adversarial" in parts
    groups = (f"Adversarial {folder}", "Adversarial") if is_adversarial else (folder,)
    return Case(
        id=id_of(row, "id"),
        prompt=prompt_of(row, "input"),
        kind="pair",
        responses=(text_of(row, "output_1"), text_of(row, "output_2")),
        contests=(Contest((int(label) - 1,), (2 - int(label),)),),
        groups=groups,
    )


def health_bench(row: Row) -> Case:
    """A conversation of HealthBench with its rubric; the answers are in `completion`, `response`,
    `responses`, or those that the file brings itself (`ideal_completions_data`)."""
    tags = row.value.get("example_tags") or ()
    themes = tuple(tag for tag in tags if isinstance(tag, str) and tag.startswith("theme:"))
    return Case(
        id=id_of(row, "prompt_id", "id"),
        prompt=conversation(row, "prompt", row.value.get("prompt")),
        kind="points",
        responses=_completions(row),
        groups=themes,
        rubric=rubric_of(row, "rubrics", "points"),
    )


def _completions(row: Row) -> tuple[str, ...]:
    for name in ("completion", "response"):
        if row.value.get(name) is not None:
            return (text_of(row, name),)
    if row.value.get("responses") is not None:
        entries = row.value["responses"]
        if not is_list(entries) or not entries:
            raise row.error(f"a list of responses is needed, not {said(entries)}", "responses")
        return tuple(
            text_of(row, f"responses[{place}]", e.get("response") if isinstance(e, Mapping) else e)
            for place, e in enumerate(entries)
        )
    ideal = row.value.get("ideal_completions_data")
    if isinstance(ideal, Mapping) and isinstance(ideal.get("ideal_completion"), str):
        return (ideal["ideal_completion"],)
    return ()
