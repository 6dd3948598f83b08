"""Settings -> a reward for a trainer: a rubric with its grader, proposer and ledger, or a learned model."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rubricate.domain.rubric import Rubric
from rubricate.errors import SettingsError
from rubricate.reward_model import scoring
from rubricate.rewards.batch.rubrics import Unseen
from rubricate.rewards.batch.texts import MAX_CHARS
from rubricate.rewards.batch.versions import Versions
from rubricate.rewards.learned import LearnedReward
from rubricate.rewards.options import Options
from rubricate.rewards.panel import Panel
from rubricate.rewards.reward import RubricReward
from rubricate.rewards.seam import Reward
from rubricate.runs.folder import RUBRICS
from rubricate.runs.rows import Row
from rubricate.runs.rubric_files import read_rubrics, rubric_of_row
from rubricate.settings.loading import load_settings
from rubricate.settings.roles import opened_roles
from rubricate.settings.schema import Settings
from rubricate.settings.secrets import environment

CHECKPOINT = "checkpoint:"


def reward_of(spec: str | Path | None = None, overrides: Sequence[str] = (), **options: Any) -> Reward:
    """The reward that one word names, as commands and servers are told it.

    `checkpoint:PATH` is a learned reward, the model in a folder or of the hub; `options` are those of
    `learned_reward`, and `overrides` have no use. Anything else are the rubrics of `rubric_reward`, to which
    `overrides` and `options` go.

    Raises:
        SettingsError: as the one that it is; an option that it does not have.
        DataError: the rubrics cannot be read.
    """
    if not str(spec).startswith(CHECKPOINT):
        return rubric_reward(spec, overrides, **options)
    known = list(inspect.signature(learned_reward).parameters)[1:]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise SettingsError(f"a learned reward has no option {unknown[0]!r}; it has {', '.join(known)}")
    return learned_reward(str(spec).removeprefix(CHECKPOINT), **options)


def learned_reward(
    model: str | Path,
    *,
    squash: bool = False,
    batch_size: int = 8,
    max_length: int | None = None,
    bf16: bool = False,
    max_chars: int = MAX_CHARS,
) -> LearnedReward:
    """The reward that a saved model is: of `rubricate train bt`, or any sequence classifier of one output.

    `squash` puts rewards into (0, 1), see `LearnedReward`; the rest is as in `reward_model.scoring.load`.
    The model is loaded with the first batch, but a folder without one is told here.

    Raises:
        SettingsError: `model` is a path, and there is no model.
    """
    said, folder = f"{CHECKPOINT}{model}", Path(model).expanduser()
    is_path = isinstance(model, Path) or folder.exists() or model.startswith((".", "/", "~")) or not model
    if is_path and not (folder / "config.json").is_file():
        raise SettingsError(f"{said}: there is no model in that folder: it has no config.json")
    load = partial(
        scoring.load,
        str(folder) if is_path else str(model),
        batch_size=batch_size,
        max_length=max_length,
        bf16=bf16,
        said=said,
    )
    return LearnedReward(load, squash=squash, max_chars=max_chars)


def rubric_reward(
    rubrics: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    config: str = "iterative",
    unseen: Unseen = "fail",
    rule: str = "weighted_mean",
    second_grader: str | None = None,
    versions: Versions | None = None,
    **options: float,
) -> RubricReward:
    """The reward that the settings describe.

    `rubrics` is a file that `rubricate` reads, the folder of a run, or None where a dataset column or the
    proposer has them. `overrides` are the settings of the command line, such as
    `"models.verifier=openai/gpt-4.1-mini"`; the grader, the endpoint, the ledger, the budget, the coverage
    floor and `random_seed` come from there. `unseen` is the policy for prompts without a rubric, `rule` the
    aggregation, `second_grader` a model at the grader's endpoint, and `options` are the fields of
    `rewards.options.Options`. With `versions` (`training.online.rubrics.OnlineRubrics`) rubrics may change
    while a policy is trained; the proposer, and the judge of `gate.judge`, then refine them.

    Nothing is opened and nobody is asked before the first batch. Keys are read then, where the reward is
    used, so that a pickled reward carries none.

    Raises:
        SettingsError: a setting, a rule or an option is wrong.
        DataError: the rubrics cannot be read.
    """
    settings = load_settings(config, overrides)
    unknown = sorted(set(options) - set(Options.__struct_fields__))
    if unknown:
        raise SettingsError(f"no option {unknown[0]!r}; there are {', '.join(Options.__struct_fields__)}")
    asked = {"seed": settings.random_seed, **options}
    chosen = Options(**asked)  # type: ignore[arg-type]  # checked by name above
    return RubricReward(
        partial(
            _panel, settings, unseen == "make" or versions is not None, second_grader, versions is not None
        ),
        None if rubrics is None else read_rubrics(str(rubrics_file(Path(rubrics)))),
        unseen=unseen,
        rule=rule,
        floor=settings.grade.coverage_floor,
        options=chosen,
        read_column=rubric_in_column,
        versions=versions,
    )


def rubrics_file(path: Path) -> Path:
    """The file of rubrics that a path means: that of the run, where it is a run's folder."""
    return path / RUBRICS if path.is_dir() and (path / RUBRICS).is_file() else path


def rubric_in_column(value: Any) -> Rubric:
    """The rubric that one row of a dataset holds: a list of criteria, an object with such a list, either of
    them as JSON text, or a `Rubric`. The forms of criteria are those of rubric files.

    Raises:
        DataError, ValueError: it is none.
    """
    if isinstance(value, Rubric):
        return value
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as problem:
            raise ValueError(f"is a text, and no JSON of a rubric ({problem})") from None
    rubric = rubric_of_row(
        Row(value if isinstance(value, Mapping) else {"criteria": value}, "the dataset column", None)
    )
    if rubric is None:
        raise ValueError("is a rubric without criteria")
    return rubric


@asynccontextmanager
async def _panel(
    settings: Settings, proposes: bool, second: str | None, refines: bool = False
) -> AsyncIterator[Panel]:
    judge = settings.gate.judge if refines and settings.gate.enabled else None
    roles = ("proposer", "verifier") if proposes else ("verifier",)
    models = [model for model in (second, judge) if model is not None]
    async with opened_roles(
        settings,
        environment(),
        say=lambda line: None,
        roles=roles if judge is None else (*roles, "judge"),
        models=models,
    ) as opened:
        yield Panel(
            await opened.grader(),
            await opened.proposer() if proposes else None,
            await opened.grader(second) if second is not None else None,
            await opened.judge(judge) if judge is not None else None,
        )
