"""Good responses -> the rows of SFT."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from rubricate.domain.conversation import Pool, Response
from rubricate.errors import DataError
from rubricate.training.data.material import Example, Prepared, material_of, prepared

Pick = Literal["first", "best"]


def shown_of(
    source: str,
    *,
    generators: Collection[str] = (),
    per_prompt: int | None = 2,
    pick: Pick = "first",
    sample_size: int | None = None,
    seed: int = 0,
) -> Prepared:
    """The responses that are shown, prompt by prompt: those of the named generators (all, when none is), the
    first `per_prompt` in the order of the file or the best by their worth, ties by content key.

    Raises:
        DataError: the file is malformed; no response is left, or `best` is asked for and none has a worth.
    """
    found, seen, scored = prepared(), set[str](), False
    for pool, worth in material_of(source, sample_size=sample_size, seed=seed):
        for note in pool.set_aside:
            found.leave_out(pool.prompt.id, f"set aside in the file: {note.why}")
        seen |= {response.generator or "" for response in pool.responses}
        scored = scored or any(value is not None for value in worth.values())
        chosen = _chosen(pool, worth, generators, per_prompt, pick, found)
        if not chosen:
            found.leave_out(pool.prompt.id, "no response of the prompt fits shown.*")
        found.rows += [Example(pool.prompt.id, pool.prompt.messages, completion=one.text) for one in chosen]
    if pick == "best" and not scored:
        raise DataError(
            source, "shown.pick=best needs gold scores, or the folder of a run that scored its pool"
        )
    if not found.rows:
        named = ", ".join(sorted(name for name in seen if name)) or "no named one"
        wanted = f" of {', '.join(generators)}" if generators else ""
        raise DataError(source, f"no response{wanted} is left to be shown; its generators are: {named}")
    return found


def _chosen(
    pool: Pool,
    worth: Mapping[str, float | None],
    generators: Collection[str],
    per_prompt: int | None,
    pick: Pick,
    found: Prepared,
) -> list[Response]:
    fit = [one for one in pool.responses if not generators or one.generator in generators]
    if pick == "best":
        unscored = sum(worth[one.key] is None for one in fit)
        for _ in range(unscored):
            found.leave_out(pool.prompt.id, "a response without a score (shown.pick=best)")
        scores = {one.key: value for one in fit if (value := worth[one.key]) is not None}
        fit = sorted((one for one in fit if one.key in scores), key=lambda one: (-scores[one.key], one.key))
    return fit if per_prompt is None else fit[:per_prompt]
