"""The settings of a policy training, frozen and typed, one shape for each way to train.

What a grader needs (`models`, `api`, ..., `ledger`) is the same section as in a run, key by key; what a
training does not read is no key of it (docs/decisions/0024-training-settings.md).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from rubricate.llm.local.engines import LlamaCppSettings, VllmSettings
from rubricate.llm.store import Place
from rubricate.rewards.batch.rubrics import Unseen
from rubricate.settings.schema import Api, AtLeastOne, BudgetLimits, Models, Share
from rubricate.training.online.rules import OnlineRules
from rubricate.training.recipes.dpo import DpoRecipe
from rubricate.training.recipes.grpo import GrpoRecipe
from rubricate.training.recipes.sft import SftRecipe

Chat = Literal["auto", "on", "off"]


class Files(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`files.*`"""

    responses_file: str | None
    evaluation_file: str | None
    output_dir: str | None
    sample_size: AtLeastOne | None


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`policy.*`"""

    model: str
    tokenizer: str | None
    chat: Chat


class RewardSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`reward.*`"""

    rubrics: str | None
    unseen: Unseen
    rule: str
    second_grader: str | None
    dropout: Share
    canaries: Share
    second_look: Share
    reweight: Share


class Learned(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`learned.*`: how a learned reward scores."""

    squash: bool
    batch_size: AtLeastOne
    max_length: AtLeastOne | None
    bf16: bool


class MonitorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`monitor.*`: looks at the policy on held-out prompts while it is trained."""

    prompts: str | None
    gold: str | None
    every: AtLeastOne
    stop: bool
    max_tokens: AtLeastOne
    temperature: Annotated[float, msgspec.Meta(ge=0)]
    gap_samples: Annotated[int, msgspec.Meta(ge=0)]


class OnlineSettings(OnlineRules, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`online.*`: rubrics that change while the policy is trained, and by which rules."""

    enabled: bool
    reference: str | None
    judge: str | None

    @property
    def rules(self) -> OnlineRules:
        """The rules alone."""
        return OnlineRules(**{name: getattr(self, name) for name in OnlineRules.__struct_fields__})


class Grading(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`grade.*`, as far as a reward has use for it."""

    checks: bool
    criteria_per_call: AtLeastOne | None
    coverage_floor: Share


class Shown(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`shown.*`: which responses SFT is shown."""

    generators: tuple[str, ...]
    responses_per_prompt: AtLeastOne | None
    pick: Literal["first", "best"]


class PairSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`pairs.*`: which pairs DPO learns from."""

    preferences: str | None
    which: Literal["extremes", "all"]
    margin: Annotated[float, msgspec.Meta(ge=0)]


class Adapter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`lora.*`"""

    rank: AtLeastOne | None
    alpha: AtLeastOne
    dropout: Share
    target_modules: str | tuple[str, ...]


class GrpoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings of `rubricate train grpo`."""

    made_by: tuple[str, ...]
    files: Files
    policy: Policy
    reward: RewardSettings
    learned: Learned
    recipe: GrpoRecipe
    lora: Adapter
    trainer: dict[str, Any]
    launch: dict[str, Any]
    models: Models
    vllm: VllmSettings
    llamacpp: LlamaCppSettings
    api: Api
    grade: Grading
    online: OnlineSettings
    monitor: MonitorSettings
    budget: BudgetLimits
    ledger: Place | None
    random_seed: int


class SftSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings of `rubricate train sft`."""

    made_by: tuple[str, ...]
    files: Files
    policy: Policy
    shown: Shown
    recipe: SftRecipe
    lora: Adapter
    trainer: dict[str, Any]
    launch: dict[str, Any]
    random_seed: int


class DpoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings of `rubricate train dpo`."""

    made_by: tuple[str, ...]
    files: Files
    policy: Policy
    pairs: PairSettings
    recipe: DpoRecipe
    lora: Adapter
    trainer: dict[str, Any]
    launch: dict[str, Any]
    random_seed: int


TrainSettings = GrpoSettings | SftSettings | DpoSettings
Kind = Literal["grpo", "sft", "dpo"]
SHAPES: dict[Kind, type[GrpoSettings] | type[SftSettings] | type[DpoSettings]] = {
    "grpo": GrpoSettings,
    "sft": SftSettings,
    "dpo": DpoSettings,
}
FREE = ("trainer", "launch")
"""Sections whose keys are those of another program: fields of TRL, flags of `accelerate launch`."""

ELSEWHERE = ("lora", "trainer", "seed")
"""Fields of a recipe that are said in a place of their own: `lora.*`, `trainer.*`, `random_seed`."""
