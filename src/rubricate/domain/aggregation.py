"""Rules beside the weighted mean for making one score of verdicts. Which is better is for an audit to say.

Every rule gives a score in [0, 1], or None exactly where `scoring.score` does: a rule decides what verdicts
are worth, never how many of them must be there. Unjudged criteria leave every sum, product and gate, and a
decisive criterion that failed makes 0 under each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence

from rubricate.domain.judgement import Verdict
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.domain.scoring import COVERAGE_FLOOR, has_failed, score

Rule = Callable[[Rubric, Sequence[Verdict], float], float | None]

LEAST = 0.05
"""What a criterion that fails is worth in the geometric mean: with 0, one failure would settle everything."""

_DIGITS = 12
"""Equal sums of logarithms in another order differ beyond this; equal verdicts are to tie."""


def weighted_mean(rubric: Rubric, verdicts: Sequence[Verdict], floor: float = COVERAGE_FLOOR) -> float | None:
    """The rule of the paper, `scoring.score`: here under the name that a comparison gives it."""
    return score(rubric, verdicts, floor)


def unweighted(rubric: Rubric, verdicts: Sequence[Verdict], floor: float = COVERAGE_FLOOR) -> float | None:
    """The share of criteria that are met, less that of pitfalls that happened: every weight is one.

    Source: the "all weights equal" ablation that every weighted sum invites; Dawes (1979), The robust beauty
    of improper linear models, American Psychologist 34, on why it is hard to beat.
    """
    mean = score(rubric, verdicts, floor)
    if mean is None or has_failed(rubric, verdicts):
        return mean
    judged = list(_judged(rubric, verdicts))
    met = sum(math.copysign(1, criterion.weight) for criterion, verdict in judged if _is_met(verdict))
    return _clipped(met / sum(criterion.weight > 0 for criterion, _ in judged))


def rules_first(rubric: Rubric, verdicts: Sequence[Verdict], floor: float = COVERAGE_FLOOR) -> float | None:
    """0 when a rule is broken, else the weighted mean of the rest: hard rules gate principles.

    Without a rule in the rubric it is the weighted mean. Without a judged principle it is that of the rules
    and pitfalls, once all rules are kept. A rule that is unjudged neither opens nor closes the gate.

    Source: hard rules and principles are those of OpenRubrics (arXiv 2510.07743); its judge checks rules
    first. That a broken rule is worth 0 is ours.
    """
    mean = score(rubric, verdicts, floor)
    if mean is None or has_failed(rubric, verdicts):
        return mean
    judged = list(_judged(rubric, verdicts))
    if any(criterion.kind == "rule" and not _is_met(verdict) for criterion, verdict in judged):
        return 0.0
    rest = [(criterion, verdict) for criterion, verdict in judged if criterion.kind != "rule"]
    if not any(criterion.weight > 0 for criterion, _ in rest):
        rest = judged
    return _mean(rest, lambda verdict: float(_is_met(verdict)))


def geometric(rubric: Rubric, verdicts: Sequence[Verdict], floor: float = COVERAGE_FLOOR) -> float | None:
    """The weighted geometric mean of what each criterion is worth, stretched to [0, 1]: one failure costs the
    more, the better all else is.

    A criterion is worth its probability of being met (1 or 0 where there is none), a pitfall that of not
    having happened, and never less than `LEAST`. With verdicts alone and without pitfalls this is LEAST to
    the power of the unmet share: it orders as the weighted mean does and only spaces otherwise, so that
    ties, pairs and regret are the same and the frontier is not.

    Source: weighted product aggregation, Bridgman (1922), Dimensional Analysis; as a scoring rule, Miller and
    Starr (1969), Executive Decisions and Operations Research.
    """
    mean = score(rubric, verdicts, floor)
    if mean is None or has_failed(rubric, verdicts):
        return mean
    judged = list(_judged(rubric, verdicts))
    positive = math.fsum(criterion.weight for criterion, _ in judged if criterion.weight > 0)
    logs = (
        abs(criterion.weight) * math.log(max(LEAST, _worth(criterion, verdict)))
        for criterion, verdict in judged
    )
    worth = math.exp(math.fsum(logs) / positive)
    return _clipped(round((worth - LEAST) / (1 - LEAST), _DIGITS))


def critical_veto(
    rubric: Rubric,
    verdicts: Sequence[Verdict],
    floor: float = COVERAGE_FLOOR,
    flagged: Collection[str] = (),
) -> float | None:
    """0 when a critical criterion fails, else the weighted mean.

    Critical are the criteria whose ids are `flagged`; without a flag in the rubric those of the highest
    weight (pitfalls by its absolute value), and none when all weights are alike: then nothing stands out.

    Source: non-compensatory rules, Einhorn (1970), The use of nonlinear, noncompensatory models in decision
    making, Psychological Bulletin 73.
    """
    mean = score(rubric, verdicts, floor)
    if mean is None:
        return None
    weights = {abs(criterion.weight) for criterion in rubric.criteria}
    ids = {criterion.id for criterion in rubric.criteria} & set(flagged)
    if not ids and len(weights) > 1:
        ids = {criterion.id for criterion in rubric.criteria if abs(criterion.weight) == max(weights)}
    failed = any(
        criterion.id in ids and _is_met(verdict) == (criterion.weight < 0)
        for criterion, verdict in _judged(rubric, verdicts)
    )
    return 0.0 if failed else mean


def probability_weighted(
    rubric: Rubric, verdicts: Sequence[Verdict], floor: float = COVERAGE_FLOOR
) -> float | None:
    """The weighted mean of probabilities of being met: what the weighted mean would be on average.

    A verdict without a probability counts as its share of votes, and without votes as 1 or 0.

    Source: as soft scores, RUBRIC-ARROW (arXiv 2605.29156): hard verdicts tie where probabilities do not.
    """
    mean = score(rubric, verdicts, floor)
    if mean is None or has_failed(rubric, verdicts):
        return mean
    return _mean(list(_judged(rubric, verdicts)), probability_of)


RULES: dict[str, Rule] = {
    "weighted_mean": weighted_mean,
    "unweighted": unweighted,
    "rules_first": rules_first,
    "geometric": geometric,
    "critical_veto": critical_veto,
    "probability_weighted": probability_weighted,
}
"""Rules that need one response only, by name; `evaluation.aggregation` has those that are fitted on many."""


def probability_of(verdict: Verdict) -> float:
    """The probability of being met that a judged verdict stands for, in [0, 1]."""
    if verdict.probability is not None:
        return verdict.probability
    if verdict.votes is not None and verdict.votes[1] > 0:
        return verdict.votes[0] / verdict.votes[1]
    return float(_is_met(verdict))


def _judged(rubric: Rubric, verdicts: Sequence[Verdict]) -> Iterator[tuple[Criterion, Verdict]]:
    return (pair for pair in zip(rubric.criteria, verdicts, strict=True) if pair[1].is_judged)


def _is_met(verdict: Verdict) -> bool:
    return verdict.outcome == "met"


def _worth(criterion: Criterion, verdict: Verdict) -> float:
    probability = probability_of(verdict)
    return probability if criterion.weight > 0 else 1 - probability


def _mean(judged: Sequence[tuple[Criterion, Verdict]], worth: Callable[[Verdict], float]) -> float:
    """The weighted sum of worths over the positive weights, clipped."""
    positive = math.fsum(criterion.weight for criterion, _ in judged if criterion.weight > 0)
    return _clipped(math.fsum(criterion.weight * worth(verdict) for criterion, verdict in judged) / positive)


def _clipped(value: float) -> float:
    return min(1.0, max(0.0, value))
