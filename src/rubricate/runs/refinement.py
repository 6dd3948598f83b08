"""ONE prompt through the loop: propose, then grade, select, refine and gate, round after round.

Source: Chasing the Tail, Algorithm 1 (arXiv 2509.21500, section 4). Ours are the gate, the tie shares, and
that the best rubric so far is kept; with `Rules.gate` off the rounds are the paper's. Nothing here touches
the disk or the clock: given the replies, the record is a function of its arguments.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rubricate.domain.conversation import Pool, Prompt, Response
from rubricate.domain.judgement import Scorecard
from rubricate.domain.record import Decision, PromptRecord, Round, Standing
from rubricate.domain.rubric import Lineage, Rubric
from rubricate.domain.scoring import COVERAGE_FLOOR, coverage, ranked, score, tie_share, top_of, top_tie_share
from rubricate.domain.selection import Pair, Policy, in_play, select
from rubricate.errors import BadRequest, ReplyError
from rubricate.steps.asking import gathered
from rubricate.steps.crew import Crew


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a prompt is refined.

    `gate` off accepts every valid proposal, as the paper does. `score_final` grades the whole pool on the
    final rubric (only new criteria cost anything). `floor` is the share of weight that must be judged.
    With `must_have_rubric` no rubric is proposed: a prompt that was given none fails.
    """

    max_iterations: int = 4
    policy: Policy = "exclude_used"
    gate: bool = True
    score_final: bool = True
    floor: float = COVERAGE_FLOOR
    must_have_rubric: bool = False


Scores = dict[str, float | None]


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
    first, rounds = rubric, list[Round]()
    tried: list[tuple[str, str]] = []
    why = {0: "no round was asked for", 1: "the one round was played"}.get(
        rules.max_iterations, f"all {rules.max_iterations} rounds were played"
    )
    while len(rounds) < rules.max_iterations:
        playing = in_play(rules.policy, pool.responses, tried)
        standings = () if rules.policy == "first_two" else await stand(crew, prompt, playing, rubric, rules)
        choice = select(rules.policy, playing, scores_of(standings), tried)
        if choice.pair is None:
            why = choice.why
            break
        if _is_stuck(choice.pair, rubric, rounds):
            why = "nothing separates the top two any more"
            break
        outcome = await play_round(
            crew, prompt, rubric, choice.pair, standings, playing, rules, len(rounds) + 1
        )
        rounds.append(outcome)
        tried.append(outcome.pair)
        if outcome.decision == "accepted" and outcome.proposed is not None:
            rubric = outcome.proposed
    final = await stand(crew, prompt, pool.responses, rubric, rules) if rules.score_final else ()
    return PromptRecord(
        key="",
        id=prompt.id,
        prompt=prompt.key,
        state="refined" if rubric is not first else "kept",
        why=why if rubric is not first or not rounds else f"{rounds[-1].why}; {why}",
        initial=first,
        rubric=rubric,
        rounds=tuple(rounds),
        standings=final,
        tie_share_before=rounds[0].tie_share_before if rounds else top_tie_share(scores_of(final)),
        tie_share_after=top_tie_share(scores_of(final)),
        set_aside=pool.set_aside,
    )


async def play_round(
    crew: Crew,
    prompt: Prompt,
    rubric: Rubric,
    pair: Pair,
    standings: tuple[Standing, ...],
    playing: Sequence[Response],
    rules: Rules,
    number: int,
) -> Round:
    """One refinement on one pair: the proposal, and whether it replaces the rubric."""
    keys = (pair[0].key, pair[1].key)
    before = scores_of(standings)
    played = Round(
        number=number,
        before=rubric.key,
        standings=standings,
        pair=keys,
        decision="failed",
        why="",
        pair_scores_before=(before.get(keys[0]), before.get(keys[1])),
        tie_share_before=top_tie_share(before),
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
    return await gate(crew, prompt, pair, playing, played, proposed, rules)


async def gate(
    crew: Crew,
    prompt: Prompt,
    pair: Pair,
    playing: Sequence[Response],
    played: Round,
    proposed: Rubric,
    rules: Rules,
) -> Round:
    """The round with its decision: the new rubric stays only if it does what it was written for.

    It must separate the pair; it must not tie more of the top than the old one did, over the same
    responses; and where there is a judge, it must separate the pair in the direction that the judge prefers
    in both orders. Grades the pair, and then the rest of the old top, on the new criteria only.
    """
    before = scores_of(played.standings)
    top = [key for key in top_of(before) if key not in played.pair]
    by_key = {response.key: response for response in playing}
    after = scores_of(await stand(crew, prompt, pair, proposed, rules))
    first, second = (after[key] for key in played.pair)
    played = msgspec.structs.replace(played, pair_scores_after=(first, second))

    def decided(decision: Decision, why: str) -> Round:
        return msgspec.structs.replace(played, decision=decision, why=why)

    if first is None or second is None:
        return decided("refused", "the pair could not be judged on the new rubric")
    if first == second:
        return decided("refused", f"the new rubric ties the pair, both at {first:.3f}")
    after |= scores_of(await stand(crew, prompt, [by_key[key] for key in top], proposed, rules))
    played = msgspec.structs.replace(played, tie_share_after=tie_share(after.values()))
    tied_before = tie_share(before.get(key) for key, value in after.items() if value is not None)
    if tied_before is not None and (played.tie_share_after or 0.0) > tied_before:
        return decided(
            "refused", f"ties more of the top: {played.tie_share_after:.0%} after {tied_before:.0%}"
        )
    if crew.judge is None:
        return decided("accepted", f"separates the pair, {first:.3f} against {second:.3f}")
    preference = await crew.judge.compare(prompt, *pair)
    if preference.winner not in ("first", "second"):
        return decided(
            "refused", f"the judge has no clear preference: {preference.reason or preference.winner}"
        )
    if (preference.winner == "first") != (first > second):
        return decided("refused", "separates the pair against the judge's preference")
    return decided("accepted", f"separates the pair as the judge does, {first:.3f} against {second:.3f}")


async def stand(
    crew: Crew, prompt: Prompt, responses: Sequence[Response], rubric: Rubric, rules: Rules
) -> tuple[Standing, ...]:
    """How the responses stand under the rubric, best first; all are graded at once."""
    cards = await gathered(_card(crew, prompt, response, rubric) for response in responses)
    by_key = {card.response: standing_of(card, rubric, rules.floor) for card in cards}
    return tuple(by_key[key] for key in ranked({key: standing.score for key, standing in by_key.items()}))


async def _card(crew: Crew, prompt: Prompt, response: Response, rubric: Rubric) -> Scorecard:
    return Scorecard(rubric.key, response.key, await crew.grader.grade(prompt, response, rubric.criteria))


def standing_of(card: Scorecard, rubric: Rubric, floor: float = COVERAGE_FLOOR) -> Standing:
    """The standing that a scorecard gives: score, coverage, one mark per criterion, reasons."""
    marks = {"met": "+", "unmet": "-", "unjudged": "?"}
    by_program = "".join("x" if verdict.by == "check" else "." for verdict in card.verdicts)
    return Standing(
        response=card.response,
        score=score(rubric, card.verdicts, floor),
        coverage=coverage(rubric, card.verdicts),
        marks="".join(marks[verdict.outcome] for verdict in card.verdicts),
        reasons={
            criterion.id: verdict.reason
            for criterion, verdict in zip(rubric.criteria, card.verdicts, strict=True)
            if verdict.outcome == "unjudged" and verdict.reason
        },
        by_program=by_program if "x" in by_program else "",
    )


def scores_of(standings: Sequence[Standing]) -> Scores:
    """Score by response key."""
    return {standing.response: standing.score for standing in standings}


def _is_stuck(pair: Pair, rubric: Rubric, rounds: Sequence[Round]) -> bool:
    """Whether this very pair was tried on this very rubric: the same question has the same answer."""
    keys = {pair[0].key, pair[1].key}
    return any(set(past.pair) == keys and past.before == rubric.key for past in rounds)
