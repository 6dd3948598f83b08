"""ONE prompt through the loop: propose, then grade, select, refine and gate, round after round.

Source: Chasing the Tail, Algorithm 1 (arXiv 2509.21500, section 4). Ours are the gate, the tie shares, and
that the best rubric so far is kept; with `Rules.gate` off the rounds are the paper's. Nothing here touches
the disk or the clock: given the replies, the record is a function of its arguments.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rubricate.domain.bounds import tie_share_of_top
from rubricate.domain.conversation import Pool, Prompt
from rubricate.domain.record import Decision, PromptRecord, Round
from rubricate.domain.rubric import Lineage, Rubric
from rubricate.domain.scoring import COVERAGE_FLOOR
from rubricate.domain.selection import Pair, Policy, in_play, select
from rubricate.errors import BadRequest, ReplyError
from rubricate.runs.standing import Coverage, Field, ask, compare_top, score_all, stand
from rubricate.steps.crew import Crew


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a prompt is refined.

    `gate` off accepts every valid proposal, as the paper does. `score_final` grades the whole pool on the
    final rubric (only new criteria cost anything). `floor` is the share of weight that must be judged.
    `coverage` says whom a round grades: `all` everybody in play, `top` only those on whom the pair and the
    gate hang, for the same pairs and the same rubrics. With `must_have_rubric` no rubric is proposed: a
    prompt that was given none fails.
    """

    max_iterations: int = 4
    policy: Policy = "exclude_used"
    gate: bool = True
    score_final: bool = True
    floor: float = COVERAGE_FLOOR
    must_have_rubric: bool = False
    coverage: Coverage = "all"


async def refine_prompt(pool: Pool, crew: Crew, rules: Rules, initial: Rubric | None = None) -> PromptRecord:
    """The record of one prompt: its rounds and its final rubric, in the state refined or kept.

    At most 1 + `max_iterations` calls of the proposer; every response is graded once on each criterion.

    Raises:
        ReplyError: not even a first rubric could be read.
        ChatError: a call failed for good; the prompt is owed again.
    """
    prompt, rubric = pool.prompt, initial
    if rubric is None and rules.must_have_rubric:
        raise ReplyError("no rubric was given for this prompt")
    if rubric is None:
        rubric = await crew.proposer.propose(prompt)
        rubric = msgspec.structs.replace(rubric, lineage=Lineage(crew.proposer.name))
    first, rounds, opening = rubric, list[Round](), None
    tried: list[tuple[str, str]] = []
    why = {0: "no round was asked for", 1: "the one round was played"}.get(
        rules.max_iterations, f"all {rules.max_iterations} rounds were played"
    )
    while len(rounds) < rules.max_iterations:
        playing = in_play(rules.policy, pool.responses, tried)
        scored = () if rules.policy == "first_two" else playing
        policy = rules.policy if rules.coverage == "top" else None
        field = await stand(crew, prompt, scored, rubric, rules.floor, policy)
        opening = opening or field
        choice = select(rules.policy, playing, field.scores, tried)
        if choice.pair is None:
            why = choice.why
            break
        if _is_stuck(choice.pair, rubric, rounds):
            why = "nothing separates the top two any more"
            break
        outcome = await play_round(crew, prompt, choice.pair, field, rules, len(rounds) + 1)
        rounds.append(outcome)
        tried.append(outcome.pair)
        if outcome.decision == "accepted" and outcome.proposed is not None:
            rubric = outcome.proposed
    final = Field(crew, prompt, pool.responses if rules.score_final else (), rubric, rules.floor)
    await score_all(final, opening)
    tie_share = tie_share_of_top(final.reaches)
    return PromptRecord(
        key="",
        id=prompt.id,
        prompt=prompt.key,
        state="refined" if rubric is not first else "kept",
        why=why if rubric is not first or not rounds else f"{rounds[-1].why}; {why}",
        initial=first,
        rubric=rubric,
        rounds=tuple(rounds),
        standings=final.standings,
        tie_share_before=tie_share_of_top(opening.reaches) if opening and rounds else tie_share,
        tie_share_after=tie_share,
        set_aside=pool.set_aside,
    )


async def play_round(
    crew: Crew, prompt: Prompt, pair: Pair, field: Field, rules: Rules, number: int
) -> Round:
    """One refinement on one pair: the proposal, and whether it replaces the rubric of the field."""
    rubric, keys = field.rubric, (pair[0].key, pair[1].key)
    played = Round(
        number=number,
        before=rubric.key,
        standings=field.standings,
        pair=keys,
        decision="failed",
        why="",
        pair_scores_before=(field.scores.get(keys[0]), field.scores.get(keys[1])),
        tie_share_before=tie_share_of_top(field.reaches),
    )
    try:
        text = await crew.proposer.refine(prompt, rubric, pair)
    except (ReplyError, BadRequest) as failure:
        return msgspec.structs.replace(played, why=f"no new rubric: {failure}")
    proposed = msgspec.structs.replace(
        text,
        version=rubric.version + 1,
        lineage=Lineage(crew.proposer.name, number, rubric.key, keys),
    )
    played = msgspec.structs.replace(played, proposed=proposed)
    if proposed.key == rubric.key:
        return msgspec.structs.replace(played, decision="refused", why="the proposer changed nothing")
    if not rules.gate:
        return msgspec.structs.replace(played, decision="accepted", why="accepted unseen (no gate)")
    new = Field(crew, prompt, field.responses.values() or pair, proposed, rules.floor)
    return await gate(crew, pair, field, new, played, rules)


async def gate(crew: Crew, pair: Pair, old: Field, new: Field, played: Round, rules: Rules) -> Round:
    """The round with its decision: the new rubric stays only if it does what it was written for.

    It must separate the pair; it must not tie more of the top than the old one did, over the same
    responses; and where there is a judge, it must separate the pair in the direction that the judge prefers
    in both orders. Grades the pair, and then as much of the old top as the decision hangs on, on what they
    lack.
    """
    await ask(played.pair, new)
    first, second = (new.scores[key] for key in played.pair)
    played = msgspec.structs.replace(played, pair_scores_after=(first, second))

    def decided(decision: Decision, why: str) -> Round:
        return msgspec.structs.replace(played, decision=decision, why=why)

    if first is None or second is None:
        return decided("refused", "the pair could not be judged on the new rubric")
    if first == second:
        return decided("refused", f"the new rubric ties the pair, both at {first:.3f}")
    ties = await compare_top(old, new, rules.coverage)
    played = msgspec.structs.replace(played, tie_share_after=ties.share_after)
    if not ties.no_more:
        return decided(
            "refused", f"ties more of the top: {ties.share_after:.0%} after {ties.share_before:.0%}"
        )
    if crew.judge is None:
        return decided("accepted", f"separates the pair, {first:.3f} against {second:.3f}")
    preference = await crew.judge.compare(new.prompt, *pair)
    if preference.winner not in ("first", "second"):
        return decided(
            "refused", f"the judge has no clear preference: {preference.reason or preference.winner}"
        )
    if (preference.winner == "first") != (first > second):
        return decided("refused", "separates the pair against the judge's preference")
    return decided("accepted", f"separates the pair as the judge does, {first:.3f} against {second:.3f}")


def _is_stuck(pair: Pair, rubric: Rubric, rounds: Sequence[Round]) -> bool:
    """Whether this very pair was tried on this very rubric: the same question has the same answer."""
    keys = {pair[0].key, pair[1].key}
    return any(set(past.pair) == keys and past.before == rubric.key for past in rounds)
