"""Settings -> the cast: which model plays which role, where it is asked and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rubricate.llm.local.servers import Tenant
from rubricate.runs.rollouts import models_of
from rubricate.settings.schema import OFFLINE, Settings
from rubricate.settings.secrets import LEDGER_SECRETS, Access, access
from rubricate.steps.asking import Manner
from rubricate.steps.roles import Grader, Proposer


def role_models(settings: Settings) -> dict[str, str]:
    """The model of each role that is played; `offline` where nobody is asked."""
    models = {"proposer": settings.models.rubric_generator, "verifier": settings.models.verifier}
    judge = settings.gate.judge if settings.gate.enabled else None
    return models if judge is None else {**models, "judge": judge}


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


def role_access(settings: Settings, env: Mapping[str, str], role: str) -> Access:
    """Where a role (proposer, verifier, judge) is asked, and with which key."""
    own_url = getattr(settings.api, f"{role}_base_url")
    own_key = getattr(settings.api, f"{role}_key_env")
    return access(env, settings.api.base_url, own_url, own_key)


def tenants_of(settings: Settings) -> Sequence[Tenant]:
    models = settings.models
    backend = {"proposer": models.proposer_backend, "verifier": models.verifier_backend}
    return [
        Tenant(role, model, settings.vllm if backend[role] == "vllm" else settings.llamacpp)
        for role, model in local_models(settings).items()
    ]


def key_names(settings: Settings) -> tuple[str, ...]:
    """The environment variables that hold keys: no local server gets to see them."""
    own = (settings.api.proposer_key_env, settings.api.verifier_key_env, settings.api.judge_key_env)
    return ("LITELLM_KEY", "OPENAI_API_KEY", *LEDGER_SECRETS, *(name for name in own if name))


def variables_of(settings: Settings) -> tuple[str, ...]:
    """The environment variables that a run reads: addresses and keys of endpoints."""
    return ("LITELLM_BASE_URL", "OPENAI_BASE_URL", *key_names(settings))


def offline_proposer(seed: int) -> Proposer:
    """The offline engine's proposer; imported here, since it needs numpy."""
    from rubricate.offline.engine import OfflineProposer

    return OfflineProposer(seed=seed)


def offline_grader() -> Grader:
    """The offline engine's grader."""
    from rubricate.offline.engine import OfflineGrader

    return OfflineGrader()
