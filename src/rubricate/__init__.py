"""rubricate: rubric rewards that tell excellent responses from merely great ones.

The public names stand here; each is imported from its room when it is first asked for, so that
`import rubricate` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rubricate.domain.conversation import Message, Pool, Prompt, Response
    from rubricate.domain.judgement import Preference, Scorecard, Verdict
    from rubricate.domain.record import PromptRecord
    from rubricate.domain.rubric import Criterion, Rubric
    from rubricate.domain.scoring import score
    from rubricate.errors import RubricateError
    from rubricate.rewards.reward import RubricReward
    from rubricate.runs.refinement import Rules, refine_prompt
    from rubricate.settings.reward import rubric_reward
    from rubricate.steps.crew import Crew

_ROOMS = {
    "Crew": "steps.crew",
    "Criterion": "domain.rubric",
    "Message": "domain.conversation",
    "Pool": "domain.conversation",
    "Preference": "domain.judgement",
    "Prompt": "domain.conversation",
    "PromptRecord": "domain.record",
    "Response": "domain.conversation",
    "Rubric": "domain.rubric",
    "RubricReward": "rewards.reward",
    "RubricateError": "errors",
    "Rules": "runs.refinement",
    "Scorecard": "domain.judgement",
    "Verdict": "domain.judgement",
    "refine_prompt": "runs.refinement",
    "rubric_reward": "settings.reward",
    "score": "domain.scoring",
}

__all__ = [
    "Crew",
    "Criterion",
    "Message",
    "Pool",
    "Preference",
    "Prompt",
    "PromptRecord",
    "Response",
    "Rubric",
    "RubricReward",
    "RubricateError",
    "Rules",
    "Scorecard",
    "Verdict",
    "refine_prompt",
    "rubric_reward",
    "score",
]


def __getattr__(name: str) -> Any:
    room = _ROOMS.get(name)
    if room is None:
        raise AttributeError(f"module 'rubricate' has no attribute {name!r}")
    return getattr(import_module(f"rubricate.{room}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
