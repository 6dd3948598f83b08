"""Any reward of any step, made again: by the rubrics as they stood, the options as they were drawn, and the
verdicts as they were given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rubricate.domain.aggregation import RULES
from rubricate.domain.guarantee import guaranteed
from rubricate.domain.judgement import Verdict
from rubricate.domain.rubric import Rubric
from rubricate.errors import DataError
from rubricate.rewards.batch.graded import Batch, Graded
from rubricate.rewards.batch.grading import Found, Item
from rubricate.rewards.batch.settling import settled, tallied
from rubricate.rewards.batch.texts import Unreadable, completion_of, prompt_of
from rubricate.rewards.measures.tally import Tally
from rubricate.rewards.reward import RubricReward
from rubricate.training.online.files.graded import Kept
from rubricate.training.online.refresh import online_of
from rubricate.training.online.rubrics import OnlineRubrics


def replayed(online: OnlineRubrics, step: int) -> list[Batch]:
    """The batches of a step of this life, from the folder alone: nobody is asked, nothing is opened.

    One batch for each call of the reward, by process and in order, with the rewards that were given. Batches
    and completions without a reward have their reason. `second` scores are not in the folder.

    Raises:
        DataError: nothing was graded at this step; or the folder holds something else.
    """
    online.look()
    online.graded.look()
    if online.head is None:
        raise DataError(online.folder, "no training wrote its rubrics here")
    found = [_settled(online, *_parts(online, kept), step) for kept in online.batches(step)]
    if not found:
        raise DataError(online.folder, f"nothing was graded at step {step} in this life of the training")
    return found


def recompute(
    reward: RubricReward,
    step: int,
    prompts: Sequence[Any],
    completions: Sequence[Any],
    rubrics: Sequence[Any] | None = None,
) -> Batch:
    """The batch that `reward.grade` gave, or would have given, for these at a step; with all completions of
    the groups, where options compare them.

    What was graded at this step has its verdicts in the folder. Anything else is asked as it would have been
    asked then: of what was paid once the ledger has the reply. Nothing is written down or added to totals.

    Raises:
        DataError: as `reward.grade`.
        SettingsError: the reward keeps no versions.
    """
    online = online_of(reward)
    online.look()
    online.graded.look()
    known = {key: one for kept in online.batches(step) for key, one in _said(online, kept)}
    read = [_key(asked, said, reward.max_chars) for asked, said in zip(prompts, completions, strict=False)]
    rest = [at for at, key in enumerate(read) if key not in known]
    if len(prompts) != len(completions):
        rest = list(range(max(len(prompts), len(completions))))  # refused below
    asked = reward.grade_as_of(
        [prompts[at] for at in rest if at < len(prompts)],
        [completions[at] for at in rest if at < len(completions)],
        None if rubrics is None else [rubrics[at] for at in rest],
        step=step,
    )
    by_place = dict(zip(rest, (_again(one) for one in asked.graded), strict=True))
    pairs = [known[key] if key in known else by_place[at] for at, key in enumerate(read)]
    return _settled(online, [item for item, _ in pairs], [found for _, found in pairs], step)


def _key(prompt: Any, completion: Any, max_chars: int) -> tuple[str, str]:
    """Prompt key and text of a completion; empty where one of them cannot be read."""
    asked, said = prompt_of(prompt, max_chars), completion_of(completion, max_chars)
    return ("", "") if isinstance(asked, Unreadable) or isinstance(said, Unreadable) else (asked.key, said)


def _again(one: Graded) -> tuple[Item | Unreadable, Found]:
    """What was graded, as it stood before it was settled."""
    if one.prompt is None or one.text is None:
        return Unreadable(one.why or ""), Found(None, why=one.why)
    return Item(one.prompt, one.text), Found(one.rubric, one.verdicts, why=None if one.verdicts else one.why)


def _said(
    online: OnlineRubrics, kept: Kept
) -> Iterator[tuple[tuple[str, str], tuple[Item | Unreadable, Found]]]:
    """What a batch was made of, by prompt key and text."""
    items, found = _parts(online, kept)
    for item, one in zip(items, found, strict=True):
        if isinstance(item, Item):
            yield (item.prompt.key, item.text), (item, one)
    for silent in online.graded.done(kept.done).silent:
        if silent.prompt is not None and silent.text is not None:
            nothing = Found(None, why=silent.why)
            yield (silent.prompt, silent.text), (Unreadable(silent.why), nothing)


def _parts(online: OnlineRubrics, kept: Kept) -> tuple[list[Item | Unreadable], list[Found]]:
    """A batch as it stood before it was settled."""
    done = online.graded.done(kept.done)
    items: list[Item | Unreadable] = [Unreadable("")] * done.n
    found = [Found(None)] * done.n
    for place in kept.groups:
        group = online.graded.group(place)
        met = online.graded.met(group.prompt)
        rubric = online.numbered(group.prompt, group.version)
        if met is None or rubric is None:
            raise DataError(
                online.folder, f"the rubric of step {group.step} is not here: version {group.version}"
            )
        for row in group.rows:
            items[row.at] = Item(met.prompt, row.text)
            found[row.at] = Found(rubric, row.said)
    for silent in done.silent:
        items[silent.at] = Unreadable(silent.why)
        found[silent.at] = Found(None, why=silent.why)
    return items, found


def _settled(
    online: OnlineRubrics, items: Sequence[Item | Unreadable], found: Sequence[Found], step: int
) -> Batch:
    assert online.head is not None, "the folder was read"
    rule, floor = RULES[online.head.rule], online.head.floor

    def worth(rubric: Rubric, verdicts: Sequence[Verdict]) -> float | None:
        return guaranteed(rule, rubric, verdicts, floor)

    graded, groups = settled(items, found, worth, online.options, step)
    tally = Tally()
    tallied([tally], graded, groups, worth)
    return Batch(graded, tally, step)
