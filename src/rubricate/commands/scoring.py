"""What is to be measured, from the command line: one word for a scorer -> the scorer, opened."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rubricate.commands.progress import RunProgress
from rubricate.errors import SettingsError
from rubricate.evaluation.scorers.callables import callable_scorer
from rubricate.evaluation.scorers.checkpoints import checkpoint_scorer
from rubricate.evaluation.scorers.floors import Longer, Random
from rubricate.evaluation.scorers.graders import JudgeComparer, RubricScorer
from rubricate.evaluation.scorers.marks import Comparer, Scorer
from rubricate.evaluation.scorers.servers import ServerScorer
from rubricate.runs.rubric_files import read_rubrics
from rubricate.settings.loading import load_settings
from rubricate.settings.roles import Roles, opened_roles
from rubricate.settings.schema import Settings
from rubricate.settings.secrets import environment

SCORERS = "rubric, judge:MODEL, checkpoint:PATH, call:module:function, http(s)://..., longer or random"
_QUIET_S = 10.0

WIDEST = 200
"""Columns that a table may take: what is narrower than its content is cut by rich, figures included."""


def print_table(console: Console, table: Table) -> None:
    """Prints a table as wide as its content; where a terminal is narrower, it wraps the lines itself."""
    width = console.width
    console.width = max(width, WIDEST)
    try:
        console.print(table, crop=False)
    finally:
        console.width = width


@dataclass(frozen=True)
class ScorerOrder:
    """What was asked for: the scorer in a word, and the settings under which models are asked."""

    scorer: str = "rubric"
    config_name: str = "iterative"
    overrides: tuple[str, ...] = ()
    config_dir: Path | None = None
    rubrics: str | None = None
    http_body: str = "full"
    http_key_env: str | None = None
    batch_size: int | None = None
    max_length: int | None = None

    def settings(self) -> Settings:
        """The settings.

        Raises:
            SettingsError: as `load_settings`.
        """
        return load_settings(self.config_name, self.overrides, config_dir=self.config_dir)


@dataclass(frozen=True)
class Opened:
    """The scorer or the judge, and the roles that it and others are played by."""

    scorer: Scorer | None
    judge: Comparer | None
    roles: Roles


@asynccontextmanager
async def opened_scorer(
    order: ScorerOrder,
    console: Console,
    *,
    models: tuple[str, ...] = (),
    rubrics_are_copied: bool = False,
) -> AsyncIterator[Opened]:
    """What the order names, for as long as the block lasts; `models` will be asked beside it.
    `rubrics_are_copied`: rubrics have a use even where nothing is graded by them.

    Raises:
        SettingsError: there is no such scorer, or it lacks something.
        DataError: the file of rubrics is malformed.
    """
    settings, env = order.settings(), environment()
    kind, _, rest = order.scorer.partition(":")
    if order.rubrics is not None and kind != "rubric" and not rubrics_are_copied:
        raise SettingsError(f"--rubrics goes with --scorer rubric, not with {order.scorer!r}")
    if kind == "judge" and not rest:
        raise SettingsError("--scorer judge: write judge:MODEL")
    if order.http_body not in ("full", "query"):
        raise SettingsError(f"--http-body {order.http_body!r}: full or query")
    if order.http_key_env is not None and order.http_key_env not in env:
        raise SettingsError(f"--http-key-env: the environment variable {order.http_key_env} is not set")

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False)

    played = ("proposer", "verifier") if kind == "rubric" else ()
    asked = (*models, *((rest,) if kind == "judge" else ()))
    async with opened_roles(settings, env, say=say, roles=played, models=asked) as roles:
        if kind == "judge":
            judge = JudgeComparer(await roles.judge(rest), in_flight=_in_flight(settings))
            yield Opened(None, judge, roles)
        elif kind in ("http", "https"):
            import aiohttp

            timeout = aiohttp.ClientTimeout(total=settings.api.timeout_s)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                key = env[order.http_key_env] if order.http_key_env else None
                server = ServerScorer(session, order.scorer, order.http_body, key, order.batch_size or 16)
                yield Opened(server, None, roles)
        else:
            yield Opened(await _scorer(order, settings, roles), None, roles)


async def _scorer(order: ScorerOrder, settings: Settings, roles: Roles) -> Scorer:
    kind, _, rest = order.scorer.partition(":")
    if order.scorer == "rubric":
        return RubricScorer(
            await roles.grader(),
            None if settings.workflow.must_have_rubric else await roles.proposer(),
            read_rubrics(order.rubrics) if order.rubrics else None,
            floor=settings.grade.coverage_floor,
            in_flight=_in_flight(settings),
        )
    if kind == "checkpoint" and rest:
        return checkpoint_scorer(rest, batch_size=order.batch_size or 8, max_length=order.max_length)
    if kind == "call" and rest:
        return callable_scorer(rest)
    if order.scorer == "longer":
        return Longer()
    if order.scorer == "random":
        return Random(settings.random_seed)
    raise SettingsError(f"--scorer {order.scorer!r}: there is no such scorer; give {SCORERS}")


def _in_flight(settings: Settings) -> int:
    return settings.workflow.prompts_in_flight or settings.api.workers


class Ticker:
    """Tells how far a measurement is: a live line on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console, what: str, roles: Roles):
        self._console, self._what, self._roles = console, what, roles
        self._progress: RunProgress | None = None
        self._shown, self._last = 0, time.monotonic()

    def __call__(self, n: int, total: int) -> None:
        if not self._console.is_terminal:
            now = time.monotonic()
            if now - self._last > _QUIET_S:
                self._last = now
                self._console.print(f"{n:,} of {total:,} {self._what}", markup=False, highlight=False)
            return
        if self._progress is None:
            self._progress = RunProgress(self._console, total, self._spent)
            self._progress.__enter__()
        self._progress.add(self._what, n - self._shown)
        self._shown = n
        if n == total:
            self.close()

    def close(self) -> None:
        """Ends the live line."""
        if self._progress is not None:
            self._progress.__exit__()
            self._progress, self._shown = None, 0

    def _spent(self) -> tuple[int, float]:
        return self._roles.n_paid, self._roles.budget.spent_usd
