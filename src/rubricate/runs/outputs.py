"""Records -> the files of a run folder: rubrics.jsonl, scores.jsonl, and the official shapes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rubricate.dialects.fields import as_number
from rubricate.dialects.rows.own import own_criteria, paper_row
from rubricate.domain.conversation import Pool, Response
from rubricate.domain.record import NOT_ASKED, PromptRecord, Round, Standing
from rubricate.domain.rubric import Rubric
from rubricate.runs.writing import replacing

Finished = Iterable[tuple[Pool, PromptRecord]]


def write_rubrics(finished: Finished, path: Path) -> int:
    """One JSON line per prompt that has a rubric; how many. Written whole or not at all."""
    written = 0
    with replacing(path) as draft, draft.open("w", encoding="utf-8") as target:
        for pool, record in finished:
            if record.rubric is None:
                continue
            target.write(json.dumps(rubric_row(pool, record, record.rubric), ensure_ascii=False) + "\n")
            written += 1
    return written


def rubric_row(pool: Pool, record: PromptRecord, rubric: Rubric) -> dict[str, Any]:
    """The fields of the published dataset, and beside them what it cannot carry."""
    return {
        "id": record.id,
        "prompt": pool.prompt.text,
        "rubrics": own_criteria(rubric),
        "number_of_criteria": len(rubric.criteria),
        "total_weight": as_number(rubric.total_weight),
        "state": record.state,
        "version": rubric.version,
    }


def write_scores(finished: Finished, path: Path) -> int:
    """One JSON line per response and its standing under the final rubric, best first; how many.

    `score` is in [0, 1] or null; `raw_score` the sum of the weights of the met criteria; `verdicts` by
    criterion id is true, false, or null where unjudged. Where criteria were not asked, their verdicts and the
    score are null and `reason` says so. `gold` is there if the input had one.
    """
    written = 0
    with replacing(path) as draft, draft.open("w", encoding="utf-8") as target:
        for pool, record in finished:
            if record.rubric is None:
                continue
            by_key = {response.key: response for response in pool.responses}
            for standing in record.standings:
                row = _score_row(record.id, record.rubric, standing, by_key[standing.response])
                target.write(json.dumps(row, ensure_ascii=False) + "\n")
                written += 1
    return written


def _score_row(id: str, rubric: Rubric, standing: Standing, response: Response) -> dict[str, Any]:
    said = {"+": True, "-": False, "?": None, NOT_ASKED: None}
    row = {
        "id": id,
        "generator": response.generator,
        "response": response.text,
        "score": standing.score,
        "raw_score": as_number(raw_score(rubric, standing)),
        "coverage": standing.coverage,
        "verdicts": {c.id: said[mark] for c, mark in zip(rubric.criteria, standing.marks, strict=True)},
    }
    if not standing.is_asked:
        row["reason"] = "not asked: it could not matter (grade.coverage)"
    return row if response.gold is None else {**row, "gold": response.gold}


def official_files(finished: Finished) -> dict[str, list[dict[str, Any]]]:
    """The files of the official workflow by name: initial_rubrics.json, final_rubrics.json, and for every
    round iteration_NN_scored_responses.json and iteration_NN_rubrics.json.

    Scores are the raw weighted sums that official code writes; a response without a score (also one that a
    round did not ask for, see `grade.coverage`) is left out of the scored responses, since official readers
    would take it for a zero.
    """
    files: dict[str, list[dict[str, Any]]] = {"initial_rubrics.json": [], "final_rubrics.json": []}
    for pool, record in finished:
        if record.initial is None or record.rubric is None:
            continue
        files["initial_rubrics.json"].append(official_rubric(pool, record.id, record.initial))
        rubric = record.initial
        for played in record.rounds:
            name = f"iteration_{played.number:02d}"
            scored = files.setdefault(f"{name}_scored_responses.json", [])
            scored.append(_scored(pool, record.id, rubric, played))
            if played.decision == "accepted" and played.proposed is not None:
                rubric = played.proposed
            files.setdefault(f"{name}_rubrics.json", []).append(official_rubric(pool, record.id, rubric))
        files["final_rubrics.json"].append(official_rubric(pool, record.id, record.rubric))
    return dict(sorted(files.items()))


def official_rubric(pool: Pool, id: str, rubric: Rubric) -> dict[str, Any]:
    """A rubric as official code writes it."""
    return paper_row(id, pool.prompt.text, rubric)


def _scored(pool: Pool, id: str, rubric: Rubric, played: Round) -> dict[str, Any]:
    place = {response.key: number for number, response in enumerate(pool.responses)}
    return {
        "id": id,
        "prompt": pool.prompt.text,
        "scored_responses": [
            {
                "prompt_id": id,
                "response": pool.responses[place[standing.response]].text,
                "response_idx": place[standing.response],
                "score": as_number(raw_score(rubric, standing)),
                "parsed_answers": {
                    f"c{number}": {
                        "answer": {"+": "yes", "-": "no"}.get(mark),
                        "weight": as_number(criterion.weight),
                        "criterion_text": criterion.text,
                        "found": mark != "?",
                    }
                    for number, (criterion, mark) in enumerate(
                        zip(rubric.criteria, standing.marks, strict=True), 1
                    )
                },
            }
            for standing in played.standings
            if standing.score is not None
        ],
    }


def raw_score(rubric: Rubric, standing: Standing) -> float:
    """The sum of the weights of the met criteria: the score of official code, not normalised."""
    return sum(c.weight for c, mark in zip(rubric.criteria, standing.marks, strict=True) if mark == "+")


def write_official(finished: Finished, folder: Path) -> Iterator[Path]:
    """Writes `official_files`, one after the other; gives their paths."""
    for name, rows in official_files(finished).items():
        path = folder / name
        with replacing(path) as draft:
            draft.write_text(json.dumps(rows, indent=2, ensure_ascii=False), encoding="utf-8")
        yield path
