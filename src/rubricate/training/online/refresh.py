"""The round that changes rubrics: from what the current policy says to criteria that tell its best apart.

Sources: Chasing the Tail (arXiv 2509.21500), section 4, for refinement on a pair of the best; OnlineRubrics
(arXiv 2510.07284) for pairs of the current policy against a reference during training; DR Tulu (arXiv
2511.19399) for retiring what has no variance, under a cap. The gate, the merging by rule, that retired
criteria come back, and the versions are ours (docs/decisions/0025-online-rubrics.md).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from rubricate.domain.judgement import Verdict
from rubricate.errors import AccountError, ChatError, SettingsError
from rubricate.rewards.panel import Panel
from rubricate.rewards.reward import RubricReward
from rubricate.steps.asking import gathered
from rubricate.steps.crew import Crew, RecallingGrader
from rubricate.training.online.files.records import Learnt, Met, Version
from rubricate.training.online.rubrics import OnlineRubrics
from rubricate.training.online.turns.figures import figures_of
from rubricate.training.online.turns.players import Calls, CountedJudge, CountedProposer, NotedGrader
from rubricate.training.online.turns.turn import Case, Group, Turn

_AT_A_TIME = 256
"""Prompts whose texts are in memory at a time; more than there are calls at a time."""


def refresh(reward: RubricReward, step: int) -> dict[str, float]:
    """Changes the rubrics of all prompts of which completions were graded since their last refresh; the new
    ones count from this step on. Gives its figures, as `online/...`; empty when it was done before.

    Many prompts at a time, each with `pairs` calls of the proposer (one more against a reference) and the
    gradings of what is new. What fails for one prompt leaves its rubric as it is, and says why. Nothing is
    written before all are done, so a kill loses nothing that is in the ledger: the same refresh again asks
    the same questions.

    Raises:
        SettingsError: the reward has no versions, its panel no proposer, or the folder is another training's.
        RunError: another process is refreshing, or a file cannot be written.
        AccountError, RunStopped: nothing can be asked any more; nothing was changed.
    """
    online = online_of(reward)
    return reward.inside(lambda panel, grader: _refreshed(online, reward.floor, panel, grader, step))


async def arefresh(reward: RubricReward, step: int) -> dict[str, float]:
    """As `refresh`, awaited on any loop."""
    online = online_of(reward)
    return await reward.ainside(lambda panel, grader: _refreshed(online, reward.floor, panel, grader, step))


def online_of(reward: RubricReward) -> OnlineRubrics:
    """The versions that a reward keeps.

    Raises:
        SettingsError: it keeps none.
    """
    if not isinstance(reward.versions, OnlineRubrics):
        raise SettingsError("the reward keeps no versions of its rubrics: make it with OnlineRubrics")
    return reward.versions


async def _refreshed(
    online: OnlineRubrics, floor: float, panel: Panel, grader: RecallingGrader, step: int
) -> dict[str, float]:
    if panel.proposer is None:
        raise SettingsError("rubrics are refined by a proposer, and the panel has none")
    online.open(grader.name)
    hold = online.holding()
    try:
        online.cut()
        if online.is_refreshed(step):
            return {}
        online.graded.look()
        calls: Calls = Counter()
        learnt = list[Learnt]()
        recalling = RecallingGrader(NotedGrader(grader.inner, calls, learnt), grader.memory)
        crew = Crew(
            CountedProposer(panel.proposer, calls),
            recalling,
            None if panel.judge is None else CountedJudge(panel.judge, calls),
        )
        places = asyncio.Semaphore(_AT_A_TIME)

        async def turn(key: str) -> Version | None:
            async with places:
                return await _version(online, key, crew, recalling, floor, step)

        found = await gathered(turn(key) for key in online.graded.prompts)
        versions = [version for version in found if version is not None]
        figures = figures_of(versions, calls)
        online.add(versions, sorted(learnt, key=_content), step, figures)
        return figures
    finally:
        hold.let_go()


def _content(one: Learnt) -> tuple[str, ...]:
    return (one.prompt, one.text, *one.said)


async def _version(
    online: OnlineRubrics, key: str, crew: Crew, recalling: RecallingGrader, floor: float, step: int
) -> Version | None:
    """What becomes of the rubric of one prompt; None where nothing was graded since its last refresh."""
    old, last = online.version(key, step), online.last_graded(key, step)
    if last is None or (old is not None and last < old.step):
        return None
    met = online.graded.met(key)
    assert met is not None, "it is one of the log's prompts"
    case = Case(
        prompt=met.prompt,
        old=old or Version(key, 0, met.rubric, False, "as it began"),
        history=online.history(key, step),
        groups=_groups(online, met, step),
        reference=online.reference.get(key, ()),
        number=online.next_number(key, met.rubric),
        step=step,
    )
    try:
        return await Turn(case, crew, recalling, online.rules, floor).version()
    except AccountError:
        raise
    except ChatError as failure:
        return _kept(case.old, step, f"a call failed for good: {failure}")


def _groups(online: OnlineRubrics, met: Met, step: int) -> Sequence[Group]:
    found = []
    for parts in online.groups(met.prompt.key, step):
        texts, said = list[str](), list[Mapping[str, Verdict]]()
        for part in parts:
            rubric = online.numbered(met.prompt.key, part.version)
            assert rubric is not None, "what was graded on was written down"
            names = [criterion.text for criterion in rubric.criteria]
            texts += [row.text for row in part.rows]
            said += [dict(zip(names, row.said, strict=True)) for row in part.rows]
        found.append(Group(parts[0].step, tuple(texts), tuple(said)))
    return found


def _kept(old: Version, step: int, why: str) -> Version:
    """The rubric as it was."""
    return msgspec.structs.replace(
        old, step=step, is_new=False, why=why, failed=True, played=(), added=(), returned=(), newly_retired=()
    )
