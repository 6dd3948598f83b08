"""Settings -> a plant that works: ledger, servers, endpoints, roles. Opened inside the commands only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from rubricate.domain.conversation import Pool
from rubricate.domain.identity import key_of
from rubricate.domain.record import Step
from rubricate.errors import SettingsError
from rubricate.llm.batches.chat import Pending
from rubricate.llm.budget import Budget
from rubricate.llm.chat import Chat
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.ledger import Ledger
from rubricate.llm.meter import Meter, MeteredChat
from rubricate.llm.prices import Prices, known_prices
from rubricate.llm.sense import Sense
from rubricate.llm.server import Server
from rubricate.llm.servers import Tenant, must_be_installed, serve_roles
from rubricate.llm.store import Place, open_ledger
from rubricate.runs.pipeline import Memory, Plant
from rubricate.runs.plan import Shape
from rubricate.runs.refinement import Rules
from rubricate.runs.rollouts import fill_up, models_of
from rubricate.settings.schema import OFFLINE, Role, Settings
from rubricate.settings.secrets import LEDGER_SECRETS, Access, access, ledger_of
from rubricate.settings.wiring import Limits, Line, OwnLimits, Wiring
from rubricate.steps.asking import Heard, Manner, template, unheard
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

LEDGER = Place(Path("workflow_outs") / "ledger.sqlite")

_STEPS: Mapping[Role, tuple[Step, ...]] = {
    "proposer": ("propose", "refine"),
    "verifier": ("grade",),
    "judge": ("judge",),
    "rollouts": ("sample",),
}
_MOST_BY_BATCH, _USUAL_RESPONSES = 10_000, 16
_QUESTIONS_BY_BATCH = 50_000  # at some 20 kB each, measured with texts of 4 kB: 1 GB (docs/endpoints.md)


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


def rules_of(settings: Settings) -> Rules:
    """How prompts are refined under these settings."""
    return Rules(
        max_iterations=settings.workflow.max_iterations,
        policy=settings.policy,
        gate=settings.gate.enabled,
        score_final=settings.workflow.score_final,
        floor=settings.grade.coverage_floor,
        must_have_rubric=settings.workflow.must_have_rubric,
        coverage=settings.grade.coverage,
    )


def prices_of(settings: Settings) -> Prices:
    """The price table of a run: the shipped one, the user's over it, nothing for models that run here, and
    less for what is asked by batch."""
    prices = known_prices(Path(settings.budget.prices) if settings.budget.prices else None)
    return prices.with_free([*local_models(settings).values(), OFFLINE]).with_batch(batch_steps(settings))


def batch_steps(settings: Settings) -> tuple[Step, ...]:
    """The steps that are asked by batch."""
    return tuple(step for role in _STEPS if role in settings.batch_roles for step in _STEPS[role])


def local_models(settings: Settings) -> dict[str, str]:
    """Model by role, for the roles that a server of ours plays."""
    models = settings.models
    backend = {"proposer": models.proposer_backend, "verifier": models.verifier_backend}
    model = {"proposer": models.rubric_generator, "verifier": models.verifier}
    return {role: model[role] for role in model if backend[role] != "api" and model[role] != OFFLINE}


def asked_models(settings: Settings) -> tuple[str, ...]:
    """The models that a run may ask over HTTP, each once."""
    models = [settings.models.rubric_generator, settings.models.verifier]
    models += [settings.gate.judge] if settings.gate.judge and settings.gate.enabled else []
    models += models_of(settings.rollouts.models)
    return tuple(dict.fromkeys(model for model in models if model != OFFLINE))


def manner_of(settings: Settings, model: str) -> Manner:
    """How a model is asked under these settings."""
    api = settings.api
    return Manner(
        model,
        temperature=api.temperature,
        retries=api.max_retries + api.stutter_retries,
        retry_temperature=api.retry_temperature,
        max_tokens=api.max_tokens,
    )


def shape_of(settings: Settings) -> Shape:
    """What of the settings decides the bill."""
    proposer, grader = settings.models.rubric_generator, settings.models.verifier
    return Shape(
        rules=rules_of(settings),
        proposer=None if proposer == OFFLINE else proposer,
        grader=None if grader == OFFLINE else grader,
        judge=settings.gate.judge,
        reuse=settings.grade.reuse,
        criteria_per_call=settings.grade.criteria_per_call,
        samplers=models_of(settings.rollouts.models),
        responses_per_model=settings.rollouts.responses_per_model,
    )


def identity_of(settings: Settings) -> str:
    """Content key of all that shapes a result: settings, and the texts of our prompts. Where models run, how
    fast, for how much money and into which folder does not."""
    api = settings.api
    return key_of(
        "settings",
        settings.models.rubric_generator,
        settings.models.verifier,
        settings.gate,
        settings.grade,
        settings.rollouts,
        rules_of(settings),
        settings.workflow.pitfalls,
        [api.max_retries, api.stutter_retries, api.retry_temperature, api.temperature, api.max_tokens],
        settings.random_seed,
        [template(step) for step in ("propose", "grade", "refine", "compare")],
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
    for tenant in _tenants(settings):
        must_be_installed(tenant.settings, env)


def role_models(settings: Settings) -> dict[str, str]:
    """The model of each role that is played; `offline` where nobody is asked."""
    models = {"proposer": settings.models.rubric_generator, "verifier": settings.models.verifier}
    judge = settings.gate.judge if settings.gate.enabled else None
    return models if judge is None else {**models, "judge": judge}


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
            serve_roles(_tenants(settings), folder, secrets=_key_names(settings), say=say)
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


def default_in_flight(settings: Settings) -> int:
    """How many prompts are worked on at a time. By batch all of them, as far as memory goes, since whoever is
    not in this batch waits for a whole turnaround: as many as fill one batch with gradings."""
    if not settings.batch_roles:
        return settings.api.workers
    responses = settings.workflow.initial_responses_per_prompt or _USUAL_RESPONSES
    return max(1, min(_MOST_BY_BATCH, _QUESTIONS_BY_BATCH // responses))


def budget_of(settings: Settings, prices: Prices) -> Budget:
    """What a run may take."""
    limits = settings.budget
    return Budget(prices, max_calls=limits.max_calls, max_cost_usd=limits.max_cost_usd)


def prompts_in_flight(settings: Settings) -> int:
    """How many prompts are worked on at a time, by all who work on them."""
    return settings.workflow.prompts_in_flight or default_in_flight(settings)


def ledger_place(settings: Settings, env: Mapping[str, str]) -> Place:
    """Where paid replies are kept, with the password that the environment has for it.

    Raises:
        SettingsError: the variable RUBRICATE_LEDGER names no ledger.
    """
    return (settings.ledger or LEDGER).with_access(env, ledger_of(env))


def pinned(settings: Settings, env: Mapping[str, str]) -> Settings:
    """The settings of a run that begins: what the environment says of the ledger becomes part of them, but
    for the password, so that the run finds its ledger again whatever the environment says then.

    Raises:
        SettingsError: the variable RUBRICATE_LEDGER names no ledger.
    """
    said = ledger_of(env)
    if settings.ledger is not None or said is None:
        return settings
    return msgspec.structs.replace(settings, ledger=said.without_secret())


def role_access(settings: Settings, env: Mapping[str, str], role: str) -> Access:
    """Where a role (proposer, verifier, judge) is asked, and with which key."""
    own_url = getattr(settings.api, f"{role}_base_url")
    own_key = getattr(settings.api, f"{role}_key_env")
    return access(env, settings.api.base_url, own_url, own_key)


def _tenants(settings: Settings) -> Sequence[Tenant]:
    models = settings.models
    backend = {"proposer": models.proposer_backend, "verifier": models.verifier_backend}
    return [
        Tenant(role, model, settings.vllm if backend[role] == "vllm" else settings.llamacpp)
        for role, model in local_models(settings).items()
    ]


def _key_names(settings: Settings) -> tuple[str, ...]:
    """The environment variables that hold keys: no local server gets to see them."""
    own = (settings.api.proposer_key_env, settings.api.verifier_key_env, settings.api.judge_key_env)
    return ("LITELLM_KEY", "OPENAI_API_KEY", *LEDGER_SECRETS, *(name for name in own if name))


def variables_of(settings: Settings) -> tuple[str, ...]:
    """The environment variables that a run reads: addresses and keys of endpoints."""
    return ("LITELLM_BASE_URL", "OPENAI_BASE_URL", *_key_names(settings))


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


def offline_proposer(seed: int) -> Proposer:
    """The offline engine's proposer; imported here, since it needs numpy."""
    from rubricate.offline.engine import OfflineProposer

    return OfflineProposer(seed=seed)


def offline_grader() -> Grader:
    """The offline engine's grader."""
    from rubricate.offline.engine import OfflineGrader

    return OfflineGrader()


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
