"""The settings of a run, frozen and typed. The YAML files beside this one hold the defaults and say what
each key means; this is the shape that every config must have, no key more and none less."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from rubricate.domain.selection import Policy
from rubricate.llm.local.engines import LlamaCppSettings, VllmSettings
from rubricate.llm.store import Place
from rubricate.llm.wires.wire import Client
from rubricate.runs.standing import Coverage

Backend = Literal["api", "vllm", "llamacpp"]
Mode = Literal["interactive", "batch"]
Role = Literal["proposer", "verifier", "judge", "rollouts"]
Engine = Literal["local", "ray"]
AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Temperature = Annotated[float, msgspec.Meta(ge=0, le=2)]

OFFLINE = "offline"


class Files(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`files.*`"""

    initial_rubrics: str | None
    responses_file: str | None
    output_dir: str | None
    rows_per_shard: AtLeastOne | None


class Workflow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`workflow.*`"""

    initial_responses_per_prompt: AtLeastOne | None
    max_iterations: NotNegative
    sample_size: AtLeastOne | None
    exclude_used_reference_responses: bool
    pair_policy: Policy | None
    score_final: bool
    prompts_in_flight: AtLeastOne | None
    must_have_rubric: bool
    pitfalls: bool


class Models(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`models.*`"""

    verifier_backend: Backend
    verifier: str
    proposer_backend: Backend
    rubric_generator: str


class Api(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`api.*`"""

    mode: Mode
    base_url: str | None
    workers: AtLeastOne
    max_retries: NotNegative
    stutter_retries: NotNegative
    retry_temperature: Temperature
    proposer_base_url: str | None
    proposer_key_env: str | None
    verifier_base_url: str | None
    verifier_key_env: str | None
    judge_base_url: str | None
    judge_key_env: str | None
    temperature: Temperature | None
    max_tokens: AtLeastOne | None
    timeout_s: Seconds
    patience_s: Seconds
    hedge: Share
    requests_per_minute: AtLeastOne | None
    tokens_per_minute: AtLeastOne | None
    structured_output: Literal["auto", "off"]
    client: Client


class BatchMode(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`batch.*`"""

    roles: tuple[Role, ...] | None
    linger_s: Seconds
    poll_s: Seconds
    longest_poll_s: Seconds
    max_requests: AtLeastOne
    window: str


class Grade(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`grade.*`"""

    checks: bool
    reuse: bool
    criteria_per_call: AtLeastOne | None
    coverage_floor: Share
    coverage: Coverage


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`gate.*`"""

    enabled: bool
    judge: str | None


class Rollouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`rollouts.*`"""

    models: tuple[str, ...]
    responses_per_model: AtLeastOne
    temperature: Temperature | None
    top_p: Share | None
    max_tokens: AtLeastOne | None


class BudgetLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`budget.*`"""

    max_calls: NotNegative | None
    max_cost_usd: Annotated[float, msgspec.Meta(ge=0)] | None
    prices: str | None


class Resume(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`resume.*`"""

    path: str | None


class RaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`ray.*`"""

    address: str | None
    workers: AtLeastOne | None
    cpus_per_worker: Annotated[float, msgspec.Meta(ge=0)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings of a run."""

    files: Files
    workflow: Workflow
    models: Models
    vllm: VllmSettings
    llamacpp: LlamaCppSettings
    api: Api
    batch: BatchMode
    grade: Grade
    gate: Gate
    rollouts: Rollouts
    budget: BudgetLimits
    ledger: Place | None
    engine: Engine
    ray: RaySettings
    random_seed: int
    resume: Resume

    @property
    def batch_roles(self) -> frozenset[Role]:
        """The roles that are asked by batch. What a server of ours answers never is."""
        if self.api.mode == "interactive":
            return frozenset()
        asked: tuple[Role, ...] = ("proposer", "verifier", "judge", "rollouts")
        backend = {"proposer": self.models.proposer_backend, "verifier": self.models.verifier_backend}
        wanted = asked if self.batch.roles is None else self.batch.roles
        return frozenset(role for role in wanted if backend.get(role, "api") == "api")

    @property
    def policy(self) -> Policy:
        """The pair policy: the one asked for, else what the official key stands for."""
        if self.workflow.pair_policy is not None:
            return self.workflow.pair_policy
        return "exclude_used" if self.workflow.exclude_used_reference_responses else "top2"
