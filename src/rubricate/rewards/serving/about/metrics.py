"""What a server has done, as Prometheus reads it: text format 0.0.4."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

SECONDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
)
REWARDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]
"""Names with their values, in the order in which they are written."""


@dataclass
class Histogram:
    """How many values are at most each bound, and their sum."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """One more value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str, labels: Labels) -> Iterator[str]:
        """Its samples; the counts are cumulative."""
        below = 0
        for bound, count in zip((*self.bounds, None), self.counts, strict=True):
            below += count
            le = "+Inf" if bound is None else f"{bound:g}"
            yield _sample(f"{name}_bucket", (*labels, ("le", le)), below)
        yield _sample(f"{name}_sum", labels, self.total)
        yield _sample(f"{name}_count", labels, below)


class Metrics:
    """The counters of one server. `about` are the labels of `rubricate_info`."""

    def __init__(self, about: Mapping[str, str]):
        self._about = tuple(about.items())
        self.requests: Counter[tuple[str, int]] = Counter()
        self.refused: Counter[str] = Counter()
        self.completions: Counter[str] = Counter()
        self.seconds: dict[str, Histogram] = {}
        self.grading, self.rewards = Histogram(SECONDS), Histogram(REWARDS)

    def answered(self, path: str, status: int, code: str | None, took_s: float) -> None:
        """One more answer; `code` is that of a refusal. `path` is one that the server knows."""
        self.requests[path, status] += 1
        if code is not None:
            self.refused[code] += 1
        known = self.seconds.get(path)
        if known is None:
            known = self.seconds[path] = Histogram(SECONDS)
        known.add(took_s)

    def graded(self, rewards: Iterable[float | None], took_s: float) -> None:
        """One more batch."""
        self.grading.add(took_s)
        for reward in rewards:
            if reward is None:
                self.completions["unjudged"] += 1
            else:
                self.completions["judged"] += 1
                self.rewards.add(reward)

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """The page. `gauges` are figures of the moment by name, each with what it is."""
        lines = [
            *_head("info", "gauge", "What is served; the labels say it."),
            _sample("info", self._about, 1),
        ]
        for name, (about, value) in gauges.items():
            lines += [*_head(name, "gauge", about), _sample(name, (), value)]
        lines += _head("requests_total", "counter", "Answers by path and status.")
        lines += [
            _sample("requests_total", (("path", path), ("status", str(status))), n)
            for (path, status), n in sorted(self.requests.items())
        ]
        lines += _head("refused_total", "counter", "Answers without a reward, by their code.")
        lines += [_sample("refused_total", (("code", code),), n) for code, n in sorted(self.refused.items())]
        lines += _head("completions_total", "counter", "Completions by whether they got a reward.")
        lines += [
            _sample("completions_total", (("outcome", outcome),), self.completions[outcome])
            for outcome in ("judged", "unjudged")
        ]
        lines += _head("request_seconds", "histogram", "From a request's head to its answer.")
        for path, known in sorted(self.seconds.items()):
            lines += known.lines("request_seconds", (("path", path),))
        lines += _head("grading_seconds", "histogram", "How long the reward took over a batch.")
        lines += self.grading.lines("grading_seconds", ())
        lines += _head("reward", "histogram", "Rewards that were given.")
        lines += self.rewards.lines("reward", ())
        return "\n".join([*lines, ""])


def _head(name: str, kind: str, about: str) -> list[str]:
    return [f"# HELP rubricate_{name} {about}", f"# TYPE rubricate_{name} {kind}"]


def _sample(name: str, labels: Labels, value: float) -> str:
    inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    return f"rubricate_{name}{{{inside}}} {value!r}" if labels else f"rubricate_{name} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
