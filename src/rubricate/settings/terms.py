"""Settings -> the terms of a run: its rules, prices, budget and ledger, and what makes it the same run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from rubricate.domain.identity import key_of
from rubricate.domain.record import Step
from rubricate.llm.budget import Budget
from rubricate.llm.prices import Prices, known_prices
from rubricate.llm.store import Place
from rubricate.runs.plan import Shape
from rubricate.runs.refinement import Rules
from rubricate.runs.rollouts import models_of
from rubricate.settings.casting import local_models
from rubricate.settings.schema import OFFLINE, Role, Settings
from rubricate.settings.secrets import ledger_of
from rubricate.steps.asking import template

LEDGER = Place(Path("workflow_outs") / "ledger.sqlite")

_STEPS: Mapping[Role, tuple[Step, ...]] = {
    "proposer": ("propose", "refine"),
    "verifier": ("grade",),
    "judge": ("judge",),
    "rollouts": ("sample",),
}
_MOST_BY_BATCH, _USUAL_RESPONSES = 10_000, 16
_QUESTIONS_BY_BATCH = 50_000  # at some 20 kB each, measured with texts of 4 kB: 1 GB (docs/endpoints.md)


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


def budget_of(settings: Settings, prices: Prices) -> Budget:
    """What a run may take."""
    limits = settings.budget
    return Budget(prices, max_calls=limits.max_calls, max_cost_usd=limits.max_cost_usd)


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


def default_in_flight(settings: Settings) -> int:
    """How many prompts are worked on at a time. By batch all of them, as far as memory goes, since whoever is
    not in this batch waits for a whole turnaround: as many as fill one batch with gradings."""
    if not settings.batch_roles:
        return settings.api.workers
    responses = settings.workflow.initial_responses_per_prompt or _USUAL_RESPONSES
    return max(1, min(_MOST_BY_BATCH, _QUESTIONS_BY_BATCH // responses))


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
