"""Inspect AI: a scorer.

Contract: inspect_ai 0.3, `inspect_ai/scorer/_scorer.py`: an async function of the task's state and target
that gives a `Score`, one without a value where nothing can be said.
"""

from __future__ import annotations

from typing import Any

from rubricate.errors import SettingsError
from rubricate.rewards.batch.rubrics import rubric_under
from rubricate.rewards.seam import Reward


def rubric_scorer(reward: Reward) -> Any:
    """The scorer for `Task(scorer=...)`, with mean and standard error.

    Evaluates: no option of the reward is on. The rubric stands in the sample's metadata as `rubric`,
    `rubrics` or `criteria`, or was given to the reward. A sample that could not be judged is unscored and
    leaves the mean. Verdicts stand in the score's metadata.

    Raises:
        SettingsError: inspect_ai is not installed.
    """
    try:
        from inspect_ai.scorer import Score, mean, scorer, stderr
    except ImportError:
        raise SettingsError("this needs Inspect AI: pip install inspect-ai") from None

    @scorer(metrics=[mean(), stderr()], name="rubricate/rubric")  # type: ignore[untyped-decorator]
    def rubric() -> Any:
        async def score(state: Any, target: Any) -> Any:
            given = rubric_under(state.metadata or {})
            batch = await reward.agrade([state.input], [state.output.completion], [given], evaluation=True)
            (one,) = batch.graded
            if one.score is None:
                return Score.unscored(explanation=one.why, metadata={"criteria": one.vector})
            unmet = [text for text, worth in one.vector.items() if worth is not None and worth < 1]
            said = "Not met: " + "; ".join(unmet) if unmet else "All criteria are met."
            if one.rubric is None:
                said = "By a learned model, which names no criteria."
            return Score(
                value=one.score, answer=one.text, explanation=said, metadata={"criteria": one.vector}
            )

        return score

    return rubric()
