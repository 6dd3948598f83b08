"""Settings -> rubrics that change while a policy is trained, and what the policy is compared with."""

from __future__ import annotations

import difflib
from pathlib import Path

import msgspec

from rubricate.errors import SettingsError
from rubricate.runs.intake import read_pools
from rubricate.training.online.rubrics import OnlineRubrics
from rubricate.training.online.rules import OnlineRules


def online_rubrics(
    folder: str | Path, *, reference: str | Path | None = None, **rules: int | float | str | bool
) -> OnlineRubrics:
    """Rubrics that change, kept in a folder of their own; for `rubric_reward(versions=...)`.

    `rules` are the fields of `training.online.rules.OnlineRules`, also as texts; without any, those of the
    folder hold, or the defaults. `reference` is a file of prompts with responses, such as `rubricate
    rollouts` samples from the reference policy: a refresh then also compares the policy's best with the
    reference's best.

    Raises:
        SettingsError: no such rule (the nearest is named), or a value out of its range.
        DataError: the file cannot be read.
    """
    known = OnlineRules.__struct_fields__
    unknown = sorted(set(rules) - set(known))
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        raise SettingsError(f"no rule {unknown[0]!r} of online refinement; {hint}")
    try:
        chosen = msgspec.convert(rules, OnlineRules, strict=False) if rules else None
    except msgspec.ValidationError as problem:
        text, _, place = str(problem).partition(" - at `$.")
        raise SettingsError(f"online.{place.rstrip('`')}: {text[:1].lower()}{text[1:]}") from None
    return OnlineRubrics(folder, chosen, {} if reference is None else reference_responses(reference))


def reference_responses(source: str | Path) -> dict[str, tuple[str, ...]]:
    """The texts of a file of prompts with responses, by prompt key.

    Raises:
        DataError: the file cannot be read.
    """
    found: dict[str, tuple[str, ...]] = {}
    with read_pools(str(source)) as pools:
        for pool in pools:
            texts = tuple(response.text for response in pool.responses)
            found[pool.prompt.key] = (*found.get(pool.prompt.key, ()), *texts)
    return found
