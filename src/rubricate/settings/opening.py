"""Settings -> a plant that works: ledger, servers, endpoints, roles. Opened inside the commands only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rubricate.domain.conversation import Pool
from rubricate.errors import SettingsError
from rubricate.llm.batches.chat import Pending
from rubricate.llm.budget import Budget
from rubricate.llm.chat import Chat
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.ledger import Ledger
from rubricate.llm.local.server import Server
from rubricate.llm.local.servers import must_be_installed, serve_roles
from rubricate.llm.meter import Meter, MeteredChat
from rubricate.llm.prices import Prices
from rubricate.llm.sense import Sense
from rubricate.llm.store import Place, open_ledger
from rubricate.runs.pipeline import Memory, Plant
from rubricate.runs.rollouts import fill_up, models_of
from rubricate.settings.casting import (
    asked_models,
    key_names,
    local_models,
    manner_of,
    offline_grader,
    offline_proposer,
    role_access,
    role_models,
    tenants_of,
)
from rubricate.settings.schema import OFFLINE, Settings
from rubricate.settings.secrets import Access, access
from rubricate.settings.terms import budget_of, prices_of, prompts_in_flight, rules_of
from rubricate.settings.wiring import Limits, Line, OwnLimits, Wiring
from rubricate.steps.asking import Heard, unheard
from rubricate.steps.crew import (
    CheckedGrader,
    CountedGrader,
    Crew,
    ModelGrader,
    ModelJudge,
    ModelProposer,
    RecallingGrader,
)
from rubricate.steps.roles import Grader, Judge, Proposer
from rubricate.steps.sample import Sampling


@dataclass(frozen=True)
class Opened:
    """A plant, and what the session has to tell of it: `lines` by endpoint, and the shared budget."""

    plant: Plant
    ledger: Ledger
    lines: Collection[Line]
    budget: Budget

    @property
    def n_paid(self) -> int:
        """Calls that this session paid for."""
        return sum(line.chat.n_paid for line in self.lines)

    @property
    def n_reused(self) -> int:
        """Replies that this session took from the ledger."""
        return sum(line.chat.n_reused for line in self.lines)

    @property
    def pending(self) -> Pending:
        """What is waited for by batch."""
        each = [line.batch.pending for line in self.lines if line.batch is not None]
        return Pending(
            sum(pending.batches for pending in each),
            sum(pending.questions for pending in each),
            max((pending.oldest_s for pending in each), default=0.0),
        )


def check_reach(settings: Settings, env: Mapping[str, str]) -> None:
    """Finds the mistakes that would else only show when the run has begun and has written something.

    Raises:
        SettingsError: a key that is not set, an address that is none, a price that is not known under a
            limit on cost, a program that is not installed.
        DataError: the price file is wrong.
    """
    budget_of(settings, prices_of(settings)).check(asked_models(settings))
    local = local_models(settings)
    if settings.engine == "ray" and local:
        raise SettingsError(
            f"with engine=ray no server is started for the {' and the '.join(local)}: start it where all "
            "workers reach it and give its address in api.*_base_url, or run with engine=local"
        )
    for role, model in role_models(settings).items():
        if role not in local and model != OFFLINE:
            where = role_access(settings, env, role)
            Endpoint(where.base_url, where.api_key)
    for tenant in tenants_of(settings):
        must_be_installed(tenant.settings, env)


@asynccontextmanager
async def opened(
    settings: Settings,
    env: Mapping[str, str],
    folder: Path,
    *,
    place: Place,
    verdicts_up_to: int,
    say: Callable[[str], None],
    prices: Prices | None = None,
    limits: Callable[[Budget], Limits] | None = None,
) -> AsyncIterator[Opened]:
    """All that a run works with, for as long as the block lasts; `folder` takes the logs of local servers.

    `prices` are those of the settings unless they are given. With `limits` somebody else keeps the account's
    limits, and the budget only counts.

    Raises:
        SettingsError: a setting that only shows its fault now: a key that is not set, a price that is not
            known under a limit on cost, a program that is not installed.
        RunError: the ledger cannot be used.
    """
    prices = prices or prices_of(settings)
    budget = Budget(prices) if limits else budget_of(settings, prices)
    budget.check(asked_models(settings))
    async with AsyncExitStack() as stack:
        ledger = await stack.enter_async_context(open_ledger(place))
        servers = await stack.enter_async_context(
            serve_roles(tenants_of(settings), folder, secrets=key_names(settings), say=say)
        )
        kept = limits(budget) if limits else OwnLimits(settings.api, budget)
        wiring = Wiring(settings.api, ledger, kept, stack, batch=settings.batch, say=say)
        plant = Plant(
            crew=await _crews(settings, env, wiring, servers, ledger, verdicts_up_to),
            rules=rules_of(settings),
            prices=prices,
            remember=ledger.keep_verdicts,
            fill_up=await _filler(settings, env, wiring),
            prompts_in_flight=prompts_in_flight(settings),
        )
        yield Opened(plant, ledger, wiring.lines.values(), budget)


async def _crews(
    settings: Settings,
    env: Mapping[str, str],
    wiring: Wiring,
    servers: Mapping[str, Server],
    ledger: Ledger,
    verdicts_up_to: int,
) -> Callable[[Meter, Memory], Crew]:
    models = settings.models

    async def chat(role: str, model: str | None) -> tuple[Chat | None, Heard]:
        if model is None or model == OFFLINE:
            return None, unheard
        server = servers.get(role)
        where = role_access(settings, env, role) if server is None else Access(server.base_url, None, None)
        by_batch = server is None and role in settings.batch_roles
        line = await wiring.line(Endpoint(where.base_url, where.api_key), role, server, by_batch=by_batch)
        return line.chat, Sense(f"{role} {model}", lambda: line.chat.n_paid).hear

    proposing, proposer_heard = await chat("proposer", models.rubric_generator)
    grading, grader_heard = await chat("verifier", models.verifier)
    judge_model = settings.gate.judge if settings.gate.enabled else None
    judging, judge_heard = await chat("judge", judge_model)
    manner = partial(manner_of, settings)
    # A run that began on an empty ledger has no earlier verdicts to look up.
    recorded = partial(ledger.verdicts, watermark=verdicts_up_to) if verdicts_up_to else None

    def crew(meter: Meter, memory: Memory) -> Crew:
        proposer: Proposer
        if proposing is None:
            proposer = offline_proposer(settings.random_seed)
        else:
            proposer = ModelProposer(
                MeteredChat(proposing, meter, "propose"),
                MeteredChat(proposing, meter, "refine"),
                manner(models.rubric_generator),
                seed=settings.random_seed,
                pitfalls=settings.workflow.pitfalls,
                repaired=lambda step: meter.count(step, repaired=1),
                heard=proposer_heard,
            )
        grader: Grader
        if grading is None:
            grader = offline_grader()
        else:
            grader = ModelGrader(
                MeteredChat(grading, meter, "grade"),
                manner(models.verifier),
                settings.grade.criteria_per_call,
                repaired=lambda: meter.count("grade", repaired=1),
                heard=grader_heard,
            )
        grader = CountedGrader(
            grader, lambda n, silent: meter.count("grade", verdicts_asked=n, verdicts_unjudged=silent)
        )
        if settings.grade.checks:
            grader = CheckedGrader(grader, decided=lambda n: meter.count("grade", verdicts_by_program=n))
        if settings.grade.reuse:
            reused = lambda n: meter.count("grade", verdicts_reused=n)  # noqa: E731
            grader = RecallingGrader(grader, memory, recorded, reused)
        judge: Judge | None = None
        if judging is not None and judge_model is not None:
            judge = ModelJudge(MeteredChat(judging, meter, "judge"), manner(judge_model), judge_heard)
        return Crew(proposer, grader, judge)

    return crew


async def _filler(
    settings: Settings, env: Mapping[str, str], wiring: Wiring
) -> Callable[[Pool, Meter], Awaitable[Pool]] | None:
    rollouts = settings.rollouts
    models = models_of(rollouts.models)
    if not models:
        return None
    where = access(env, settings.api.base_url)
    by_batch = "rollouts" in settings.batch_roles
    line = await wiring.line(Endpoint(where.base_url, where.api_key), "rollouts", by_batch=by_batch)
    samplings = [
        Sampling(model, rollouts.temperature, rollouts.top_p, rollouts.max_tokens) for model in models
    ]

    async def fill(pool: Pool, meter: Meter) -> Pool:
        chats = dict.fromkeys(models, line.chat)
        return await fill_up(pool, meter, chats, samplings, rollouts.responses_per_model)

    return fill
