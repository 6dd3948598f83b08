"""The form of NeMo Gym's resources servers: `/verify`, which gives back a row with its reward.

Contract: NeMo Gym, `nemo_gym/base_resources_server.py` and `nemo_gym/judge.py`, commit 011c338. There a
failed judge is a row with the placeholder 0.0 and marks by which it is put aside, kept out of all figures
and can be verified again; `mask_sample` says the same to newer versions. Nothing is kept between requests,
so a session is begun and ended by saying so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rubricate.rewards.batch.graded import Batch
from rubricate.rewards.batch.rubrics import rubric_under
from rubricate.rewards.serving.contracts.plain import rewarded
from rubricate.rewards.serving.contracts.seam import Asked, Form, Served, reward_of
from rubricate.rewards.serving.intake.refusals import Refusal

_OBJECT = {"type": "object", "additionalProperties": True}
REQUEST = {
    **_OBJECT,
    "description": "A row with the parameters of its response and the response; other fields come back.",
    "required": ["responses_create_params", "response"],
    "properties": {
        "responses_create_params": {**_OBJECT, "required": ["input"], "properties": {"input": {}}},
        "response": {**_OBJECT, "required": ["output"], "properties": {"output": {"type": "array"}}},
    },
}
RESPONSE = {
    **_OBJECT,
    "description": "What was posted, with the reward. mask_sample: it is a placeholder and no measurement.",
    "required": ["responses_create_params", "response", "reward", "mask_sample", "rubricate"],
    "properties": {
        "reward": {"type": "number"},
        "mask_sample": {"type": "boolean"},
        "failure_kind": {"type": ["string", "null"]},
        "failure_reason": {"type": ["string", "null"]},
        "_ng_failure_class": {"type": "string"},
        "_ng_failure_judge_error": {"type": "string"},
        "rubricate": _OBJECT,
    },
}


def row_read(row: Mapping[str, Any]) -> tuple[list[Any], Any, Any]:
    """The prompt of a row as messages, its completion, and its rubric.

    The rubric stands in the row under `rubric`, `rubrics` or `criteria`, or under these in its `metadata` or
    `verifier_metadata`. The completion is the last message of the response; reasoning and calls of tools are
    no part of it.

    Raises:
        Refusal: there is no input or no output.
    """
    asked, response = row.get("responses_create_params"), row.get("response")
    if not isinstance(asked, Mapping) or "input" not in asked:
        raise Refusal(
            "invalid_request", "responses_create_params.input: missing", field="responses_create_params"
        )
    if not isinstance(response, Mapping) or not isinstance(response.get("output"), list):
        raise Refusal("invalid_request", "response.output: is no list", field="response")
    given = asked["input"]
    prompt = [{"role": "user", "content": given}] if isinstance(given, str) else _messages(given)
    if isinstance(asked.get("instructions"), str):
        prompt = [{"role": "system", "content": asked["instructions"]}, *prompt]
    rubric = rubric_under(row)
    for name in ("verifier_metadata", "metadata"):
        if rubric is None and isinstance(row.get(name), Mapping):
            rubric = rubric_under(row[name])
    return prompt, _messages(response["output"]), rubric


def _messages(items: Any) -> list[Any]:
    """The messages among the items of the Responses API."""
    if not isinstance(items, list):
        return [items]
    return [
        item for item in items if not isinstance(item, Mapping) or item.get("type", "message") == "message"
    ]


def _read(value: Any, served: Served) -> Asked:
    if not isinstance(value, dict):
        raise Refusal("invalid_request", "the body is an object")
    prompt, completion, rubric = row_read(value)
    return Asked([prompt], [completion], [rubric], form=value)


def _answer(asked: Asked, batch: Batch, served: Served) -> dict[str, Any]:
    one = batch.graded[0]
    reward = reward_of(one)
    said = {"rubricate": {**_plain(rewarded(one, detail=True)), "version": served.version}}
    if reward is not None:
        return {**asked.form, "reward": reward, "mask_sample": False, **said}
    why = one.why or "no reward"
    failed = {
        "reward": 0.0 if served.unjudged is None else served.unjudged,
        "mask_sample": True,
        "failure_kind": "judge_failed",
        "failure_reason": why,
        "_ng_failure_class": "judge_failed",
        "_ng_failure_judge_error": why,
    }
    return {**asked.form, **failed, **said}


def _plain(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


NEMO = Form(
    "/verify", "The resources server of NeMo Gym: verifies one row.", REQUEST, RESPONSE, _read, _answer
)
