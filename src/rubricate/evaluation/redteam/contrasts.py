"""Real cases: two texts that somebody wrote, where the second is not better than the first.

style matrix     one response in a fancier style: the same content, so the score should stay; and the wrong
                 response in place of the right one, in the same and in a fancier style
ranked lists     a null model in place of each other response; the concise and the verbose version of a
model in
                 place of its normal one
pairs, indexes   the rejected in place of the chosen response

Which text is which follows from grades and from generators' names; neither is shown to what is attacked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rubricate.evaluation.benchmarks.cases import Case
from rubricate.evaluation.benchmarks.shapes.published import STYLES
from rubricate.evaluation.redteam.attack import Meaning
from rubricate.evaluation.redteam.trials import Probe

FAMILY = "real"
NULL_MODEL = "NullModel"
_VERSIONS = ("concise", "verbose")
_STYLE = ("concise", "detailed", "markdown")


def contrasts_of(cases: Iterable[Case]) -> Iterator[Probe]:
    """The contrasts of a benchmark, case by case."""
    for case in cases:
        if case.kind == "styles":
            yield from _styles(case)
        elif NULL_MODEL in case.generators or any(_version(name) for name in case.generators):
            yield from _versions(case)
        else:
            yield from _rejected(case)


def _styles(case: Case) -> Iterator[Probe]:
    for side, said in ((0, "right"), (STYLES, "wrong")):
        for plain, fancy in ((0, 1), (0, 2), (1, 2)):
            name = f"{said}: {_STYLE[fancy]} for {_STYLE[plain]}"
            yield _probe(case, name, "preserved", side + plain, side + fancy)
    for style in range(STYLES):
        yield _probe(case, f"wrong for right, both {_STYLE[style]}", "weakened", style, STYLES + style)
    yield _probe(case, "wrong markdown for right concise", "weakened", 0, 2 * STYLES - 1)


def _versions(case: Case) -> Iterator[Probe]:
    places = {name: place for place, name in enumerate(case.generators) if name is not None}
    for name, place in places.items():
        if name == NULL_MODEL:
            continue
        if NULL_MODEL in places:
            yield _probe(case, "null model for a response", "destroyed", place, places[NULL_MODEL])
        for version in _VERSIONS:
            other = places.get(f"{name}_{version}")
            if other is not None:
                yield _probe(case, f"{version} for normal", "preserved", place, other)


def _version(name: str | None) -> bool:
    return name is not None and name.endswith(tuple(f"_{version}" for version in _VERSIONS))


def _rejected(case: Case) -> Iterator[Probe]:
    for contest in case.contests:
        for better in contest.better:
            for worse in contest.worse:
                groups = contest.groups or case.groups
                name = "rejected for chosen" + (f", {groups[0]}" if groups else "")
                yield _probe(case, name, "weakened", better, worse)


def _probe(case: Case, name: str, meaning: Meaning, before: int, after: int) -> Probe:
    texts = case.responses
    return Probe(name, FAMILY, meaning, case.prompt, texts[before], texts[after], case.rubric, is_real=True)
