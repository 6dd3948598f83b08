"""One prompt in a refresh: the pairs, the new criteria, those that retire and those that come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.judgement import Verdict
from rubricate.domain.record import Round
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.domain.scoring import TOP, ranked
from rubricate.domain.selection import Pair, select
from rubricate.rewards.measures.tally import Course
from rubricate.runs.refinement import Rules, play_round
from rubricate.runs.standing import Field, stand
from rubricate.steps.asking import gathered
from rubricate.steps.crew import Crew, RecallingGrader
from rubricate.training.online.files.records import Between, Played, Version
from rubricate.training.online.rules import OnlineRules
from rubricate.training.online.turns.criteria import (
    Retired,
    courses_of,
    to_retire,
    varying,
    without,
)
from rubricate.training.online.turns.players import MergingProposer

POLICY, REFERENCE = "policy", "reference"
"""The generators of responses: the policy under training, and what it is compared with."""

Said = Mapping[str, Verdict]
"""The verdicts on one completion by text of the criterion."""


@dataclass(frozen=True)
class Group:
    """The completions of the prompt in one batch: texts, and what was said of each."""

    step: int
    texts: tuple[str, ...]
    said: tuple[Said, ...]


@dataclass(frozen=True)
class Case:
    """What is known of a prompt when its turn comes: its last version, what the earlier refreshes made of it,
    its latest groups (oldest first), and a free version number."""

    prompt: Prompt
    old: Version
    history: Sequence[Version]
    groups: Sequence[Group]
    reference: Sequence[str]
    number: int
    step: int


class Turn:
    """The turn of one prompt, with this crew by these rules."""

    def __init__(self, case: Case, crew: Crew, recalling: RecallingGrader, rules: OnlineRules, floor: float):
        self._case, self._crew, self._recalling = case, crew, recalling
        self._rules, self._floor = rules, floor
        self._played: list[Played] = []
        past = [played for version in case.history for played in version.played]
        self._tried = [played.pair for played in past]
        self._done = {(frozenset(played.pair), played.before) for played in past}
        self._resting = {one.criterion.text: one for one in case.old.retired}
        self._ids = {criterion.id for criterion in case.old.rubric.criteria}
        self._own = [Response(text, POLICY) for text in _latest(case)[: rules.pool]]

    async def version(self) -> Version:
        """The version that the refresh makes of the rubric.

        Raises:
            ChatError: a call failed for good, other than by the proposer's fault.
        """
        rubric, scores = self._case.old.rubric, dict[str, float | None]()
        policy = self._rules.policy if self._rules.coverage == "top" else None
        for number in range(1, self._rules.pairs + 1):
            field = await stand(self._crew, self._case.prompt, self._own, rubric, self._floor, policy)
            scores = field.scores
            choice = select(self._rules.policy, self._own, scores, self._tried)
            if choice.pair is None:
                break
            rubric = await self._round("current", choice.pair, field, number)
        if self._case.reference:
            others = [Response(text, REFERENCE) for text in dict.fromkeys(self._case.reference)]
            field = await stand(self._crew, self._case.prompt, [*self._own, *others], rubric, self._floor)
            pair = _best_of_each(field.scores, self._own, others)
            if pair is not None:
                rubric = await self._round("reference", pair, field, self._rules.pairs + 1)
        return await self._settled(rubric, scores)

    async def _round(self, between: Between, pair: Pair, field: Field, number: int) -> Rubric:
        """The rubric after a round on this pair. The same question has the same answer and is not asked
        again."""
        before, keys = field.rubric, (pair[0].key, pair[1].key)
        question = (frozenset(keys), before.key)
        if question in self._done:
            return before
        self._done.add(question)
        self._tried.append(keys)
        resting = tuple(self._resting.values())
        merging = MergingProposer(self._crew.proposer, resting, self._rules.alike, self._ids)
        crew = Crew(merging, self._crew.grader, self._crew.judge)
        rules = Rules(gate=self._rules.gate, floor=self._floor, coverage=self._rules.coverage)
        outcome = await play_round(crew, self._case.prompt, pair, field, rules, number)
        self._played.append(_told(between, outcome, merging))
        if outcome.decision != "accepted" or outcome.proposed is None:
            return before
        self._ids.update(criterion.id for criterion in outcome.proposed.criteria)
        self._note_dropped(outcome.proposed)
        return outcome.proposed

    def _note_dropped(self, rubric: Rubric) -> None:
        """Notes which of the criteria that count until now are not in the new rubric, and takes back those
        that are again."""
        left = {criterion.text for criterion in rubric.criteria}
        for criterion in self._case.old.rubric.criteria:
            if criterion.text not in left:
                why = "left out of a rubric that was accepted"
                self._resting.setdefault(criterion.text, Retired(criterion, "dropped", self._case.step, why))
            elif criterion.text in self._resting:
                del self._resting[criterion.text]

    async def _settled(self, rubric: Rubric, scores: Mapping[str, float | None]) -> Version:
        """The version with this rubric, once it is settled who retires and who comes back."""
        case, rules, old = self._case, self._rules, self._case.old
        resting, proposed = self._resting, {criterion.text for criterion in rubric.criteria}
        again = [text for text in resting if text in proposed]
        if again:
            idle = set(again) - set(varying(await self._known(rubric), again))
            rubric = without(rubric, idle) if _may_go(rubric, idle) else rubric
        back = await self._varying_again(resting, rubric, scores)
        room = max(0, rules.max_active - len(rubric.criteria))
        rubric = msgspec.structs.replace(rubric, criteria=(*rubric.criteria, *back[:room]))
        active = {criterion.text for criterion in rubric.criteria}
        returned = [text for text in resting if text in active]
        for text in returned:
            del resting[text]
        fresh = active - {criterion.text for criterion in old.rubric.criteria}
        since = {
            text: case.step if text in fresh else old.since[text]
            for text in sorted(active)
            if text in fresh or text in old.since
        }
        gone = to_retire(
            rubric,
            self._courses(rubric, since),
            n_groups=rules.groups,
            min_verdicts=rules.min_verdicts,
            min_active=rules.min_active,
            max_active=rules.max_active,
        )
        rubric = without(rubric, [criterion.text for criterion, _, _ in gone])
        for criterion, how, why in gone:
            resting[criterion.text] = Retired(criterion, how, case.step, why)
            since.pop(criterion.text, None)
        is_new = rubric.key != old.rubric.key
        left = {criterion.text for criterion in rubric.criteria}
        return Version(
            prompt=case.prompt.key,
            step=case.step,
            rubric=msgspec.structs.replace(rubric, version=case.number) if is_new else old.rubric,
            is_new=is_new,
            why=self._why(),
            retired=tuple(resting.values()),
            since=since,
            played=tuple(self._played),
            added=tuple(sorted((fresh - set(returned)) & left)),
            returned=tuple(sorted(set(returned) & left)),
            newly_retired=tuple(
                text for text, one in resting.items() if one.step == case.step and one.how != "dropped"
            ),
        )

    async def _known(self, rubric: Rubric) -> list[Said]:
        """What is known without asking of the policy's completions."""
        known = await gathered(
            self._recalling.known(self._case.prompt, response, rubric.criteria) for response in self._own
        )
        return [
            {
                criterion.text: verdict
                for criterion, verdict in zip(rubric.criteria, verdicts, strict=True)
                if verdict is not None
            }
            for verdicts in known
        ]

    async def _varying_again(
        self, resting: Mapping[str, Retired], rubric: Rubric, scores: Mapping[str, float | None]
    ) -> list[Criterion]:
        """The retired criteria that tell some of the policy's completions apart, from best to worst. What the
        proposer left out stays out."""
        active = {criterion.text for criterion in rubric.criteria}
        asked = [
            one.criterion for text, one in resting.items() if one.how != "dropped" and text not in active
        ]
        shown = _spread_over(self._own, scores, self._rules.look_again)
        if not asked or len(shown) < 2:
            return []
        said = await gathered(
            self._crew.grader.grade(self._case.prompt, response, asked) for response in shown
        )
        by_text = [
            {criterion.text: verdict for criterion, verdict in zip(asked, verdicts, strict=True)}
            for verdicts in said
        ]
        vary = set(varying(by_text, [criterion.text for criterion in asked]))
        return [criterion for criterion in asked if criterion.text in vary]

    def _courses(self, rubric: Rubric, since: Mapping[str, int]) -> dict[str, Course]:
        """How each criterion fared in the latest groups, from the step on from which it counts."""
        found: dict[str, Course] = {}
        for criterion in rubric.criteria:
            groups = [group.said for group in self._case.groups if group.step >= since.get(criterion.text, 0)]
            found |= courses_of(groups, [criterion.text])
        return found

    def _why(self) -> str:
        if not self._played:
            return "no pair was there to compare, or it was compared before"
        return "; ".join(f"{played.between}: {played.why}" for played in self._played)


def _latest(case: Case) -> list[str]:
    """The latest different texts, newest first: those that were graded on all that counts now, whose standing
    costs nothing, and only where these are few the others."""
    said: dict[str, Said] = {}
    for group in reversed(case.groups):
        for text, verdicts in zip(reversed(group.texts), reversed(group.said), strict=True):
            said.setdefault(text, verdicts)
    now = [criterion.text for criterion in case.old.rubric.criteria]
    known = [text for text, verdicts in said.items() if all(name in verdicts for name in now)]
    others = [text for text in said if text not in known]
    return known + others[: max(0, TOP - len(known))]


def _told(between: Between, outcome: Round, merging: MergingProposer) -> Played:
    return Played(
        between=between,
        pair=outcome.pair,
        before=outcome.before,
        decision=outcome.decision,
        why=outcome.why,
        proposed=None if outcome.proposed is None else outcome.proposed.key,
        same=() if merging.last is None else merging.last.same,
        scores_before=outcome.pair_scores_before,
        scores_after=outcome.pair_scores_after,
        tie_share_before=outcome.tie_share_before,
        tie_share_after=outcome.tie_share_after,
    )


def _may_go(rubric: Rubric, texts: set[str]) -> bool:
    return any(c.weight > 0 and c.text not in texts for c in rubric.criteria)


def _best_of_each(
    scores: Mapping[str, float | None], own: Sequence[Response], others: Sequence[Response]
) -> Pair | None:
    """The best of the policy and the best of the reference, the better one first."""
    by_key = {response.key: response for response in (*own, *others)}
    order = [by_key[key] for key in ranked(dict(scores)) if scores[key] is not None]
    best = [next((one for one in order if one in some), None) for some in (own, others)]
    if best[0] is None or best[1] is None:
        return None
    first, second = sorted((best[0], best[1]), key=order.index)
    return (first, second)


def _spread_over(responses: Sequence[Response], scores: Mapping[str, float | None], n: int) -> list[Response]:
    """`n` of the responses, evenly from the best to the worst."""
    by_key = {response.key: response for response in responses}
    order = ranked({key: scores.get(key) for key in by_key})
    if len(order) <= n:
        return [by_key[key] for key in order]
    places = {round(place * (len(order) - 1) / max(1, n - 1)) for place in range(n)}
    return [by_key[order[place]] for place in sorted(places)]
