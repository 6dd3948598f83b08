"""One run: GRPO by TRL on one reward from the taught model, measured as it climbs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rubricate.rehearsal.ascent.measuring import Point, Yardstick
from rubricate.rehearsal.ascent.rewards import Payment
from rubricate.rehearsal.plan import Plan
from rubricate.rehearsal.pupil.learner import QUIET
from rubricate.rehearsal.pupil.lessons import School
from rubricate.training.recipes.grpo import GrpoRecipe, grpo_trainer


def marks_of(plan: Plan) -> list[int]:
    """The steps at which is measured: the first, the last, and between them about `plan.marks`, close
    together at the beginning, where the policy leaves the KL that a pool can tell of."""
    grown = {round(plan.steps * (number / plan.marks) ** 1.7) for number in range(1, plan.marks + 1)}
    return sorted({0, plan.steps, *grown})


def recipe_of(plan: Plan, seed: int) -> GrpoRecipe:
    """The paper's recipe in small: its 16 rollouts, KL weight 0.01 and constant rate after a warm-up; fewer
    prompts a step, and a rate that a model a ten-thousandth of the size bears."""
    return GrpoRecipe(
        rollouts=plan.rollouts,
        prompts_per_step=plan.prompts,
        per_device_batch=plan.prompts * plan.rollouts,
        learning_rate=plan.learning_rate,
        kl=plan.kl,
        steps=plan.steps,
        warmup=0.05,
        seed=seed,
        trainer=QUIET | {"max_completion_length": plan.budget},
    )


def climb(
    school: School,
    model: Path,
    payment: Payment,
    reward: str,
    yardstick: Yardstick,
    told: Callable[[Point], None] = lambda point: None,
) -> list[Point]:
    """The points of one training, from first step to last. `model` is the folder of the taught model."""
    from transformers import TrainerCallback

    points, marks = list[Point](), set(marks_of(school.plan))

    class Looking(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            self._look(rest["model"], 0)

        def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            if state.global_step in marks:
                self._look(rest["model"], state.global_step)

        def _look(self, policy: Any, step: int) -> None:
            points.append(yardstick.point(policy, payment, reward, step))
            told(points[-1])

    with tempfile.TemporaryDirectory() as scratch:
        trainer = grpo_trainer(
            recipe_of(school.plan, school.seed),
            model=str(model),
            rows=[{"prompt": prompt} for prompt in school.asked],
            reward_funcs=payment.function,
            folder=Path(scratch),
            tokenizer=str(model),
            callbacks=[Looking()],
        )
        trainer.train()
    return points
