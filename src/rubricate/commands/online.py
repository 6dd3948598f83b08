"""`rubricate online`: rubrics that change while a policy is trained, from the command line."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from rubricate.commands.bench import stopped
from rubricate.dialects.rows.own import OWN
from rubricate.dialects.seam import Entry
from rubricate.errors import DataError, RunStopped, SettingsError
from rubricate.rewards.batch.graded import Batch
from rubricate.rewards.batch.rubrics import rubric_under
from rubricate.rewards.reward import RubricReward
from rubricate.runs.rows import rows_of
from rubricate.runs.writing import replacing
from rubricate.settings.online import online_rubrics
from rubricate.settings.reward import rubric_reward
from rubricate.training.online.recompute import replayed
from rubricate.training.online.refresh import refresh
from rubricate.training.online.rubrics import OnlineRubrics

_PROMPT = ("prompt", "question", "instruction", "messages", "conversation")
_TEXT = ("completion", "response", "text", "output", "answer")


@dataclass(frozen=True)
class RefreshOrder:
    """What was asked for on the command line."""

    folder: Path
    step: int
    overrides: tuple[str, ...] = ()
    config_name: str = "iterative"
    completions: str | None = None
    rubrics: str | None = None
    reference: str | None = None
    rules: tuple[str, ...] = ()


def refresh_folder(order: RefreshOrder, console: Console, *, as_json: bool = False) -> int:
    """Grades the completions, if there are any, refreshes, and says what it did; the exit code."""
    given = dict(_rule(said) for said in order.rules)
    online = online_rubrics(order.folder, reference=order.reference, **given)
    online.look()
    if online.head is None and order.completions is None:
        raise DataError(
            order.folder, "no training wrote its rubrics here; give --completions, or the folder of one"
        )
    batches = {} if order.completions is None else _completions(order.completions, order.step)
    reward = rubric_reward(
        order.rubrics, order.overrides, config=order.config_name, unseen="make", versions=online
    )
    try:
        with reward:
            _graded(reward, online, batches)
            figures = refresh(reward, order.step)
    except RunStopped as stop:
        return stopped(stop, Console(stderr=True) if as_json else console)
    if as_json:
        console.print_json(json.dumps(figures))
    elif not figures:
        console.print(f"The refresh of step {order.step} was done before; nothing was asked or changed.")
    else:
        _print_figures(figures, order.step, console)
    return 0


def _graded(
    reward: RubricReward, online: OnlineRubrics, batches: Mapping[int, list[Mapping[str, Any]]]
) -> None:
    """Grades what the folder does not have yet. The same command again grades nothing twice."""
    online.graded.look()
    for step, rows in sorted(batches.items()):
        if not online.batches(step):
            rubrics = [row["rubric"] for row in rows]
            reward.grade(
                [row["prompt"] for row in rows],
                [row["completion"] for row in rows],
                rubrics if any(rubric is not None for rubric in rubrics) else None,
                step=step,
            )


def show(
    folder: Path, step: int | None, output: Path | None, console: Console, *, whole: bool, as_json: bool
) -> int:
    """Says what was done, and writes the rubrics; the exit code."""
    online = _opened(folder)
    rows = list(_rubrics(online, step, whole=whole))
    if output is not None:
        _write(output, rows)
    if as_json:
        console.print_json(json.dumps(rows, ensure_ascii=False))
        return 0
    at = "now" if step is None else f"at step {step}"
    n_criteria = sum(row["number_of_criteria"] for row in rows)
    console.print(f"rubrics {at}: {len(rows)}, with {n_criteria} criteria in all")
    for done, figures in online.refreshes(step):
        _print_figures(figures, done, console)
    if output is not None:
        console.print(str(output), markup=False, highlight=False, soft_wrap=True)
    return 0


def recompute(folder: Path, step: int, output: Path | None, console: Console) -> int:
    """Makes the rewards of a step again; the exit code."""
    batches = replayed(_opened(folder), step)
    rows = [row for batch in batches for row in _rewards(batch)]
    if output is not None:
        _write(output, rows)
    else:
        for row in rows:
            console.print_json(json.dumps(row, ensure_ascii=False), indent=None)
    return 0


def resume(folder: Path, step: int, console: Console) -> int:
    """Goes back to a step; the exit code."""
    online = _opened(folder)
    before = len(online.resumes)
    online.resume(step)
    if len(online.resumes) == before:
        console.print(f"Nothing was done at or after step {step}; nothing is superseded.")
    else:
        console.print(f"What was done at or after step {step} does not count any more. It is still there.")
    return 0


def _opened(folder: Path) -> OnlineRubrics:
    online = OnlineRubrics(folder)
    online.look()
    if online.head is None:
        raise DataError(folder, "no training wrote its rubrics here")
    return online


def _rule(said: str) -> tuple[str, str]:
    name, equals, value = said.partition("=")
    if not equals:
        raise SettingsError(f"--rule {said}: write NAME=VALUE")
    return name, value


def _completions(source: str, step: int) -> dict[int, list[Mapping[str, Any]]]:
    """Rows of completions by step; those without one were sampled just before the refresh."""
    found: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows_of(source):
        if not isinstance(row.value, Mapping):
            raise row.error("a row is an object with a prompt and a completion")
        prompt = next((row.value[key] for key in _PROMPT if row.value.get(key) is not None), None)
        if prompt is None:
            raise row.error("missing; a completion needs its prompt", "prompt")
        name = next((key for key in _TEXT if key in row.value), None)
        if name is None:
            raise row.error(f"missing; a completion is one of {', '.join(_TEXT)}", "completion")
        at = row.value.get("step", step - 1)
        if isinstance(at, bool) or not isinstance(at, int) or at < 0:
            raise row.error("a step is a whole number from 0 on", "step")
        if at < step:
            rubric = rubric_under(row.value)
            found[at].append({"prompt": prompt, "completion": row.value[name], "rubric": rubric})
    if not found:
        raise DataError(source, f"no completion was sampled before step {step}")
    return found


def _rubrics(online: OnlineRubrics, step: int | None, *, whole: bool) -> Iterator[dict[str, Any]]:
    assert OWN.write is not None
    for key in online.graded.prompts:
        met = online.graded.met(key)
        assert met is not None
        rubric = online.at(met.prompt, met.rubric, step, evaluation=whole)
        version = online.version(key, step)
        row = dict(OWN.write(Entry(met.prompt.id, met.prompt, rubric)).value)
        row["state"] = "refined" if version is not None and rubric.key != met.rubric.key else "kept"
        yield row


def _rewards(batch: Batch) -> Iterator[dict[str, Any]]:
    for one in batch.graded:
        yield {
            "step": batch.step,
            "prompt": None if one.prompt is None else one.prompt.text,
            "completion": one.text,
            "reward": one.reward,
            "score": one.score,
            "version": None if one.rubric is None else one.rubric.version,
            "why": one.why,
        }


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    with replacing(path) as draft, draft.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _print_figures(figures: Mapping[str, float], step: int, console: Console) -> None:
    def n(name: str) -> str:
        return f"{figures.get(f'online/{name}', 0):g}"

    reasons = [
        f"{name.removeprefix('online/refused_').replace('_', ' ')} {value:g}"
        for name, value in figures.items()
        if name.startswith("online/refused_")
    ]
    refused = f"{n('refused')} refused" + (f" ({', '.join(reasons)})" if reasons else "")
    console.print(
        f"step {step}: prompts {n('prompts')}, pairs {n('pairs')}: {n('accepted')} accepted, {refused}, "
        f"{n('failed')} failed; criteria: {n('added')} added, {n('merged')} merged, {n('retired')} retired, "
        f"{n('returned')} back; asked: proposals {n('proposals')}, gradings {n('gradings')}, "
        f"comparisons {n('comparisons')}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
