"""The figures that a benchmark is quoted by: its own weights over its own subsets.

Every headline is a weighted mean of accuracies of disjoint subsets, ties as wrong; but for the subset Ties of
RewardBench 2, which has a rule of its own (`ties.py`). A subset that the file lacks leaves the mean, and is
named.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from rubricate.domain.intervals import Estimate
from rubricate.evaluation import resampling
from rubricate.evaluation.benchmarks.figures.outcomes import Unit

Weights = Mapping[str, float]

REWARD_BENCH_COUNTS = {
    "alpacaeval-easy": 100,
    "alpacaeval-length": 95,
    "alpacaeval-hard": 95,
    "mt-bench-easy": 28,
    "mt-bench-med": 40,
    "mt-bench-hard": 37,
    "math-prm": 984,  # 447 pairs, weighted as the six code subsets together
    "refusals-dangerous": 100,
    "refusals-offensive": 100,
    "llmbar-natural": 100,
    "llmbar-adver-neighbor": 134,
    "llmbar-adver-GPTInst": 92,
    "llmbar-adver-GPTOut": 47,
    "llmbar-adver-manual": 46,
    "xstest-should-refuse": 250,
    "xstest-should-respond": 154,
    "donotanswer": 136,
    "hep-cpp": 164,
    "hep-go": 164,
    "hep-java": 164,
    "hep-js": 164,
    "hep-python": 164,
    "hep-rust": 164,
}
"""Weights of the subsets of RewardBench within their sections, as its repository gives them. The two of
XSTest are swapped there (the data has 154 to refuse and 250 to respond to), and so in every published figure
of its section Safety; what the section would be without that stands beside it."""

UNSWAPPED = {"xstest-should-refuse": 154.0, "xstest-should-respond": 250.0}

REWARD_BENCH_SECTIONS = {
    "Chat": ("alpacaeval-easy", "alpacaeval-length", "alpacaeval-hard", "mt-bench-easy", "mt-bench-med"),
    "Chat Hard": (
        "mt-bench-hard",
        "llmbar-natural",
        "llmbar-adver-neighbor",
        "llmbar-adver-GPTInst",
        "llmbar-adver-GPTOut",
        "llmbar-adver-manual",
    ),
    "Safety": (
        "refusals-dangerous",
        "refusals-offensive",
        "xstest-should-refuse",
        "xstest-should-respond",
        "donotanswer",
    ),
    "Reasoning": ("math-prm", "hep-cpp", "hep-go", "hep-java", "hep-js", "hep-python", "hep-rust"),
}

RM_BENCH_DOMAINS = {
    "chat": {"chat": 1.0},
    "math": {"math": 1.0},
    "code": {"code": 1.0},
    "safety": {"safety-refuse": 0.5, "safety-response": 0.5},
}
RM_BENCH_LEVELS = ("hard", "normal", "easy")
REWARD_BENCH_2_SUBSETS = ("Factuality", "Precise IF", "Math", "Safety", "Focus")
LLM_BAR_ADVERSARIAL = tuple(f"Adversarial {name}" for name in ("Neighbor", "GPTInst", "GPTOut", "Manual"))
RMB_GOALS = ("Helpfulness", "Harmlessness")


class Headline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure by which a benchmark is quoted; None where it cannot be had, with `why`.

    `estimate.n` counts prompts. `missing` names the subsets that the file does not have.
    """

    name: str
    estimate: Estimate | None
    missing: tuple[str, ...] = ()
    why: str | None = None


def headlines(shape: str, units: Sequence[Unit]) -> list[Headline]:
    """The headlines of a shape, in the order in which its authors give them; none for shapes without."""
    groups = {group for unit in units for group in unit.groups}
    return [_headline(name, weights, units, groups) for name, weights in plans(shape, groups).items()]


def plans(shape: str, groups: Iterable[str]) -> dict[str, Weights]:
    """The weights of each headline by subset; those of a mean of means are multiplied out.

    Sources: RewardBench (2403.13787) and RewardBench 2 (2506.01937), `rewardbench/constants.py` and
    `utils.py`; RM-Bench (2410.16184), section 4.1: domains weigh the same, and the two parts of safety are
    one domain; RMB (2410.09893), Table 2; LLMBar (2310.07641), Table 4.
    """
    present = set(groups)
    if shape == "pairs" and present & set(REWARD_BENCH_COUNTS):
        return _reward_bench(present)
    if shape == "rewardbench2":
        return {name: {name: 1.0} for name in REWARD_BENCH_2_SUBSETS}
    if shape == "rmbench":
        return _rm_bench(present)
    if shape == "rmb-pairs":
        return {f"{goal} pairs": {f"{goal} pairs": 1.0} for goal in RMB_GOALS}
    if shape == "rmb-best-of-n":
        return {f"{goal} best of n": {f"{goal} best of n": 1.0} for goal in RMB_GOALS}
    if shape == "llmbar":
        adversarial = dict.fromkeys(LLM_BAR_ADVERSARIAL, 1.0)
        both = {"Natural": 1.0, **adversarial}
        return {"Natural": {"Natural": 1.0}, "Adversarial, mean of four": adversarial, "mean of five": both}
    if shape == "judgebench":
        categories = ("Knowledge", "Reasoning", "Math", "Coding")
        return {**{name: {name: 1.0} for name in categories}, "overall": {"all": 1.0}}
    return {}


def _reward_bench(present: set[str]) -> dict[str, Weights]:
    plan: dict[str, Weights] = {}
    overall: dict[str, float] = {}
    for section, subsets in REWARD_BENCH_SECTIONS.items():
        counts = {name: float(REWARD_BENCH_COUNTS[name]) for name in subsets}
        plan[section] = counts
        total = sum(count for name, count in counts.items() if name in present)
        overall |= {name: count / total if name in present else count for name, count in counts.items()}
    safety = {**plan["Safety"], **UNSWAPPED}
    return {**plan, "overall": overall, "Safety, not swapped": safety}


def _rm_bench(present: set[str]) -> dict[str, Weights]:
    plan: dict[str, Weights] = {}
    # The public subset of this project names its parts as the benchmark does, and lacks maths.
    shares: dict[str, float] = {}
    for parts in RM_BENCH_DOMAINS.values():
        here = {part: share for part, share in parts.items() if part in present}
        shares |= {part: share / sum(here.values()) for part, share in here.items()}
        shares |= {part: share for part, share in parts.items() if part not in present}
    for level in RM_BENCH_LEVELS:
        plan[level] = {f"{part} {level}": share for part, share in shares.items()}
    plan |= {domain: dict(parts) for domain, parts in RM_BENCH_DOMAINS.items()}
    return {**plan, "overall": shares}


def _headline(name: str, weights: Weights, units: Sequence[Unit], groups: set[str]) -> Headline:
    missing = tuple(group for group in weights if group not in groups)
    if len(missing) == len(weights):
        return Headline(name, None, missing, "the file has none of its subsets")
    return Headline(name, weighted(weights, units), missing)


def weighted(weights: Weights, units: Sequence[Unit]) -> Estimate | None:
    """The weighted mean of the accuracies of disjoint groups, ties as wrong, with an interval over prompts.

    A contest weighs its group's weight over the contests of the group, so the mean is a ratio of two sums
    over prompts, and its interval the bootstrap of that ratio.
    """
    sizes = Counter(group for unit in units for group in unit.groups if group in weights)
    top: dict[str, float] = defaultdict(float)
    bottom: dict[str, float] = defaultdict(float)
    for unit in units:
        for group in unit.groups:
            if group in weights:
                share = weights[group] / sizes[group]
                bottom[unit.prompt] += share
                top[unit.prompt] += share * (unit.outcome == "won")
    prompts = list(bottom)
    return resampling.ratio([top[key] for key in prompts], [bottom[key] for key in prompts])
