"""Scored responses -> gradings: a run folder, our scores.jsonl, and the official scored responses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rubricate.domain.conversation import Prompt, Response
from rubricate.errors import DataError
from rubricate.evaluation.alignment.definitions import Score
from rubricate.evaluation.benchmarks.shapes.fields import is_list, number_of, said
from rubricate.evaluation.judging.preferences import Judged
from rubricate.llm.thinking import strip_thinking
from rubricate.runs.folder import CONFIG, POOL, RunFolder
from rubricate.runs.rows import Row, rows_of

_TEXT = ("response", "text", "output", "completion", "answer")
_LISTS = ("scored_responses", "responses")
_ID = ("prompt_id", "id", "task_id")


class _Scored(NamedTuple):
    """One grading of one response."""

    id: str | None
    prompt: str | None
    text: str
    scores: tuple[Score, ...]


class Gradings:
    """The scores of each response in order of their gradings, found by prompt and text.

    The prompt counts by its content; where a file has no prompts (`scores.jsonl`) by its id. Either way the
    text must be the same, so that an id that names another prompt in another file finds nothing.
    """

    def __init__(self, name: str) -> None:
        self.name, self.failed = name, 0
        self._found: dict[tuple[str, str, str], list[Score]] = {}
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def add(self, id: str | None, prompt: str | None, text: str, *scores: Score) -> None:
        """Adds gradings of a response; further ones of the same response are further draws."""
        keys = [("prompt", prompt, text)] if prompt is not None else [("id", id or "", text)]
        for key in keys:
            self._n += key not in self._found
            self._found.setdefault(key, []).extend(scores)
        self.failed += sum(score is None for score in scores)

    def of(self, line: Judged) -> tuple[list[Score], list[Score]] | None:
        """The gradings of the two sides of a preference; None where one of them was never graded."""
        sides = []
        for side in (line.first, line.second):
            found = self._found.get(("prompt", line.prompt, side.key))
            found = found if found is not None else self._found.get(("id", line.id, side.key))
            if found is None:
                return None
            sides.append(found)
        return sides[0], sides[1]


def read_gradings(source: str) -> Gradings:
    """The gradings of a run folder (final standings) or of a file.

    Rows of a file: `{id, response, score}`, one a grading, or with `scores`, a list of them; and
    `{id, prompt, scored_responses: [{response, score, parsed_answers}]}`, as official code writes, also with
    `responses`. A score of null, or whose `parsed_answers` has not a single verdict in it, is a grading that
    failed: official code writes 0 there. Equal texts of one prompt are one response.

    Raises:
        DataError: a malformed row, or no score in it at all.
    """
    found = Gradings(source)
    if (Path(source) / CONFIG).is_file() and (Path(source) / POOL).is_file():
        with RunFolder(Path(source)) as run:
            for pool, record in run.finished():
                by_key = {response.key: response for response in pool.responses}
                for standing in record.standings:
                    text = by_key[standing.response].text_key
                    found.add(record.id, pool.prompt.key, text, standing.score)
    else:
        for row in rows_of(source):
            for scored in _scored_of(row):
                found.add(scored.id, scored.prompt, scored.text, *scored.scores)
    if not len(found):
        raise DataError(source, "there is no scored response in it")
    return found


def holds_scores(source: str) -> bool:
    """Whether a source has scores; else it may be a file of rubrics."""
    if Path(source).is_dir():
        return True
    first = next(rows_of(source), None)
    if first is None:
        raise DataError(source, "there is no row in it")
    value = first.value
    return isinstance(value, Mapping) and bool({"score", "scores", *_LISTS} & set(value))


def _scored_of(row: Row) -> Iterator[_Scored]:
    value = row.value
    if not isinstance(value, Mapping):
        raise row.error(f"an object with scored responses is needed, not {said(value)}")
    id = next((str(value[name]) for name in _ID if isinstance(value.get(name), str | int)), row.name)
    prompt = value.get("prompt")
    key = Prompt.of_text(prompt).key if isinstance(prompt, str) else None
    if id is None and key is None:
        raise row.error("missing; a row needs the id or the text of its prompt", "id")
    name = next((name for name in _LISTS if value.get(name) is not None), None)
    entries, within = ([value], "") if name is None else (value[name], f"{name}[{{}}].")
    if not is_list(entries):
        raise row.error(f"a list of scored responses is needed, not {said(entries)}", name)
    for place, entry in enumerate(entries):
        field = within.format(place)
        if not isinstance(entry, Mapping):
            raise row.error(
                f"an object with a response and its score is needed, not {said(entry)}", field[:-1]
            )
        text = next((entry[key] for key in _TEXT if isinstance(entry.get(key), str)), None)
        if text is None:
            raise row.error("a text is needed", f"{field}response")
        scores = tuple(_scores_of(row, entry, field))
        yield _Scored(id, key, Response(strip_thinking(text)).text_key, scores)


def _scores_of(row: Row, entry: Mapping[str, Any], field: str) -> Iterator[Score]:
    if is_list(entry.get("scores")):
        for place, score in enumerate(entry["scores"]):
            yield number_of(row, f"{field}scores[{place}]", score)
        return
    answers = entry.get("parsed_answers")
    if isinstance(answers, Mapping) and not any(_is_found(answer) for answer in answers.values()):
        yield None
    elif "score" in entry:
        yield number_of(row, f"{field}score", entry["score"])
    elif isinstance(answers, Mapping):
        yield _raw_score(row, answers, field)
    else:
        raise row.error("missing; a scored response needs a score", f"{field}score")


def _is_found(answer: Any) -> bool:
    return answer.get("found") is not False if isinstance(answer, Mapping) else answer is not None


def _raw_score(row: Row, answers: Mapping[str, Any], field: str) -> float:
    """The weights of what was answered with yes."""
    total = []
    for id, answer in answers.items():
        if not isinstance(answer, Mapping):
            raise row.error("an object with answer and weight is needed", f"{field}parsed_answers.{id}")
        weight = number_of(row, f"{field}parsed_answers.{id}.weight", answer.get("weight", 1))
        if str(answer.get("answer")).casefold() == "yes":
            total.append(weight or 0.0)
    return math.fsum(total)
