"""Small rows in the shapes in which the benchmarks were published; the texts are ours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def write(path: Path, rows: Sequence[Row]) -> str:
    """The rows as JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def reward_bench(subset: str = "hep-cpp", chosen: str = "a right answer", rejected: str = "wrong") -> Row:
    return {
        "prompt": f"Add {chosen} to {subset}.",
        "chosen": chosen,
        "chosen_model": "human",
        "rejected": rejected,
        "rejected_model": "someone",
        "subset": subset,
        "id": 7,
    }


def reward_bench_2(
    subset: str,
    chosen: Sequence[str],
    rejected: Sequence[str],
    id: str = "12",
    prompt: str = "Name a colour.",
) -> Row:
    return {
        "id": id,
        "prompt": prompt,
        "chosen": list(chosen),
        "rejected": list(rejected),
        "num_correct": len(chosen),
        "num_incorrect": len(rejected),
        "total_completions": len(chosen) + len(rejected),
        "models": ["m"] * (len(chosen) + len(rejected)),
        "subset": subset,
        "additional_metadata": None,
    }


def rm_bench(domain: str, chosen: Sequence[str], rejected: Sequence[str], id: str = "1") -> Row:
    return {
        "id": id,
        "prompt": f"Question {id} of {domain}?",
        "chosen": list(chosen),
        "rejected": list(rejected),
        "domain": domain,
    }


def rmb_pair(goal: str = "Helpfulness", chosen: str = "long enough", reject: str = "short") -> Row:
    return {
        "pair_uid": "u1",
        "conversation_input": [{"role": "user", "content": "Say something."}],
        "chosen": {"answer": chosen, "llm_name": "m1"},
        "reject": {"answer": reject, "llm_name": "m2"},
        "category_path": f"Pairwise_set/{goal}/Chat",
    }


def rmb_best(best: str, losers: Sequence[str], goal: str = "Harmlessness") -> Row:
    return {
        "bon_uid": "b1",
        "conversation_input": [
            {"role": "user", "content": "Hello."},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": "And now?"},
        ],
        "bon_best": {"answer": best, "llm_name": "m1"},
        "loser_list": [{"answer": text, "llm_name": "m2"} for text in losers],
        "category_path": f"BoN_set/{goal}/S1",
    }


def judge_bench(label: str, a: str, b: str, source: str = "livebench-math") -> Row:
    return {
        "pair_id": "j1",
        "original_id": 3,
        "source": source,
        "question": "How much is it?",
        "response_model": "gpt",
        "response_A": a,
        "response_B": b,
        "label": label,
    }


def llm_bar(one: str, two: str, label: int) -> Row:
    return {"input": f"Prefer {one} or {two}.", "output_1": one, "output_2": two, "label": label}


def health_bench(points: dict[str, float], completion: str | None, theme: str = "theme:hedging") -> Row:
    row = {
        "prompt_id": "h1",
        "prompt": [{"role": "user", "content": f"Does it hurt? {completion}"}],
        "rubrics": [
            {"criterion": text, "points": worth, "tags": ["level:example"]} for text, worth in points.items()
        ],
        "example_tags": [theme, "physician_agreed_category:x"],
        "ideal_completions_data": None,
    }
    return row if completion is None else {**row, "completion": completion}
