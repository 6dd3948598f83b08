"""A benchmark and a system -> a report: every case asked, every contest settled, the floors beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from rubricate.domain.conversation import Prompt
from rubricate.domain.identity import chance_of
from rubricate.domain.intervals import Estimate, rate
from rubricate.domain.judgement import Preference
from rubricate.errors import SettingsError
from rubricate.evaluation.benchmarks.cases import Benchmark, Case, cluster_of
from rubricate.evaluation.benchmarks.figures import ties
from rubricate.evaluation.benchmarks.figures.headlines import Headline, headlines
from rubricate.evaluation.benchmarks.figures.outcomes import (
    Scores,
    Unit,
    by_preferences,
    by_scores,
    scores_of,
)
from rubricate.evaluation.benchmarks.figures.points import PointTally, point_tallies
from rubricate.evaluation.benchmarks.figures.tally import Tally, tallies
from rubricate.evaluation.scorers.floors import Longer, Random, better_generator
from rubricate.evaluation.scorers.marks import Comparer, Item, Marks, Scorer, marks_of, preferences_of

MOST_REASONS = 5
Done = Callable[[int, int], None]


class System(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one system gets. `consistent` is the share of duels that a judge settles alike in both orders,
    among those it settles at all; `reasons` counts why responses or duels were not judged, the commonest
    first."""

    name: str
    tallies: tuple[Tally, ...] = ()
    headlines: tuple[Headline, ...] = ()
    points: tuple[PointTally, ...] = ()
    consistent: Estimate | None = None
    reasons: dict[str, int] = {}


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A benchmark measured: first the system that was asked for, then the floors."""

    source: str
    shape: str
    seed: int
    cases: int
    prompts: int
    responses: int
    left_out: dict[str, int]
    repeated: int
    systems: tuple[System, ...]


def only(benchmark: Benchmark, n_prompts: int | None, group: str | None, seed: int) -> Benchmark:
    """The benchmark with the cases of one group, and of at most so many prompts, drawn by content and seed.

    Raises:
        SettingsError: there is no such group.
    """
    cases = benchmark.cases
    if group is not None:
        cases = tuple(part for case in cases if (part := _within(case, group)) is not None)
        if not cases:
            names = {name for case in benchmark.cases for name in _groups(case)}
            raise SettingsError(f"--subset: there is no {group!r}; there are {', '.join(sorted(names))}")
    keys = {cluster_of(case) for case in cases}
    if n_prompts is not None and n_prompts < len(keys):
        keys = set(sorted(keys, key=lambda key: chance_of(seed, "prompt", key))[:n_prompts])
        cases = tuple(case for case in cases if cluster_of(case) in keys)
    return msgspec.structs.replace(benchmark, cases=cases)


def _groups(case: Case) -> set[str]:
    return {*case.groups, *(name for contest in case.contests for name in contest.groups)}


def _within(case: Case, group: str) -> Case | None:
    if group in case.groups:
        return case
    contests = tuple(contest for contest in case.contests if group in contest.groups)
    return msgspec.structs.replace(case, contests=contests) if contests else None


def items_of(cases: Iterable[Case]) -> Iterable[Item]:
    """All that a scorer has to mark: only responses that some contest or figure needs."""
    for case in cases:
        needed = {place for c in case.contests for place in (*c.better, *c.worse)}
        for place, text in enumerate(case.responses):
            if case.kind == "points" or place in needed:
                yield Item(case.prompt, text, case.rubric)


def duels_of(cases: Iterable[Case]) -> Iterable[tuple[Prompt, str, str]]:
    """All that a judge has to compare; equal texts are tied without asking."""
    for case in cases:
        for contest in case.contests:
            for place in contest.better:
                for other in contest.worse:
                    one, two = case.responses[place], case.responses[other]
                    if one != two:
                        yield case.prompt, one, two


async def measure(
    source: str,
    benchmark: Benchmark,
    *,
    scorer: Scorer | None = None,
    judge: Comparer | None = None,
    seed: int = 0,
    done: Done = lambda n, total: None,
) -> Report:
    """The report of one scorer or one judge on a benchmark.

    Raises:
        SettingsError: the benchmark scores by points, and there are no verdicts to take points from.
        RunStopped: the budget is spent or the endpoint is gone; what was answered is in the ledger.
    """
    cases = benchmark.cases
    with_points = any(case.kind == "points" for case in cases)
    if with_points and scorer is None:
        raise SettingsError("this benchmark gives points by criteria: a grader is needed, not a judge")
    longer = [by_scores(case, [float(len(text)) for text in case.responses]) for case in cases]
    floor = [unit for units in longer for unit in units]
    if judge is not None:
        preferences = await preferences_of(duels_of(cases), judge, done)
        measured = _judged(judge.name, benchmark, preferences, floor)
    else:
        assert scorer is not None, "there is something to measure"
        marks = await marks_of(items_of(cases), scorer, done)
        if with_points and all(mark.rubric is None for mark in marks.values() if mark.score is not None):
            raise SettingsError(f"this benchmark gives points by criteria, and {scorer.name} has no verdicts")
        measured = _scored(scorer.name, benchmark, marks, floor)
    systems = [measured] if with_points else [measured, *await _floors(benchmark, floor, seed)]
    return Report(
        source=source,
        shape=benchmark.shape,
        seed=seed,
        cases=len(cases),
        prompts=len({cluster_of(case) for case in cases}),
        responses=len({item.key for item in items_of(cases)}),
        left_out=benchmark.left_out,
        repeated=benchmark.repeated,
        systems=tuple(systems),
    )


def _scored(name: str, benchmark: Benchmark, marks: Marks, floor: Sequence[Unit]) -> System:
    reasons = Counter(mark.why or "no reason given" for mark in marks.values() if mark.score is None)
    common = dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:MOST_REASONS])
    if any(case.kind == "points" for case in benchmark.cases):
        return System(name, points=point_tallies(benchmark.cases, marks), reasons=common)
    scores = [scores_of(case, marks) for case in benchmark.cases]
    return by_case_scores(name, benchmark, scores, floor, common)


def by_case_scores(
    name: str,
    benchmark: Benchmark,
    scores: Sequence[Scores],
    floor: Sequence[Unit],
    reasons: Mapping[str, int] | None = None,
) -> System:
    """What a system gets that gives these scores, one list for each case, one score for each response."""
    by_case = [by_scores(case, values) for case, values in zip(benchmark.cases, scores, strict=True)]
    units = [unit for case_units in by_case for unit in case_units]
    heads = headlines(benchmark.shape, units)
    if benchmark.shape == "rewardbench2":
        tied = [pair for pair in zip(benchmark.cases, scores, strict=True) if ties.is_ties(pair[0])]
        heads.append(
            ties.composite([case for case, _ in tied], [values for _, values in tied])
            if tied
            else Headline("Ties", None, ("Ties",), "the file has none of its subsets")
        )
        heads.append(ties.mean_of(heads))
    return System(name, tallies(units, floor), tuple(heads), reasons=dict(reasons or {}))


def _judged(
    name: str,
    benchmark: Benchmark,
    preferences: Mapping[str, tuple[str, Preference]],
    floor: Sequence[Unit],
) -> System:
    units = [unit for case in benchmark.cases for unit in by_preferences(case, preferences)]
    winners = Counter(preference.winner for _, preference in preferences.values())
    reasons = Counter(
        p.reason or "no reason given" for _, p in preferences.values() if p.winner == "unjudged"
    )
    heads = headlines(benchmark.shape, units)
    if benchmark.shape == "rewardbench2":
        heads.append(Headline("Ties", None, (), "a judge of pairs gives no margins"))
        heads.append(ties.mean_of(heads))
    agreed = winners["first"] + winners["second"]
    return System(
        name,
        tallies(units, floor),
        tuple(heads),
        consistent=rate(agreed, agreed + winners["tie"]),
        reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:MOST_REASONS]),
    )


async def _floors(benchmark: Benchmark, floor: Sequence[Unit], seed: int) -> list[System]:
    systems = []
    for scorer in (Longer(), Random(seed)):
        marks = await marks_of(items_of(benchmark.cases), scorer)
        systems.append(_scored(scorer.name, benchmark, marks, floor))
    by_name = better_generator(benchmark.cases)
    if by_name is not None:
        systems.append(by_case_scores("better generator", benchmark, by_name, floor))
    return systems
