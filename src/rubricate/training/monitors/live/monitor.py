"""Watches a policy in training: samples it on held-out prompts, asks gold, keeps the journal, decides."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec

from rubricate.errors import RubricateError, SettingsError
from rubricate.rewards.seam import Reward
from rubricate.training.monitors.live.gold import Gold
from rubricate.training.monitors.live.held_out import HeldOut, with_rubric
from rubricate.training.monitors.live.journal import NAME, Journal, Line
from rubricate.training.monitors.live.policy import (
    Said,
    Sampling,
    divergences,
    encoded,
    must_be_whole,
    sampled,
    token_log_probs,
    undisturbed,
)
from rubricate.training.monitors.logs.names import named
from rubricate.training.monitors.rules.findings import KINDS, Finding
from rubricate.training.monitors.rules.limits import Limits
from rubricate.training.monitors.rules.watching import Watched, watch
from rubricate.training.monitors.series.points import (
    GAP,
    GOLD,
    GOLD_UNJUDGED,
    HELD_OUT_REWARD,
    KL,
    Point,
    Reading,
    reading_of,
)

ANSWER_LENGTH = "held_out_length"


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a look at the policy came to: figures to log, the finding that ends the training, whether this is
    the best step so far."""

    metrics: dict[str, float]
    stop: Finding | None = None
    is_best: bool = False


class Monitor:
    """Looks at a policy every `every` steps, and at the step at which a training begins.

    `gold` says what held-out answers are worth; `reward`, the one that is trained on, is asked about them too
    where it is given. `reference` is the reference model, or what makes it of the policy (an adapter switched
    off); with it, and answers drawn at temperature 1, KL is measured on the held-out prompts.
    `gap_samples` answers a prompt, drawn with its rubric told to the policy, measure the self-internalisation
    gap: the mean log-probability of a token without the rubric less that with it.

    `stop_on` are the kinds of findings that end the training. `changed` hears of every new state; a page is
    written there. What cannot be asked at the first look ends the training, for it is a mistake of the
    settings; later it is noted, and the training goes on.

    Source of the gap: Reward Hacking in Rubric-Based RL (arXiv 2605.12474), which draws ten answers a prompt.
    How the rubric is told to the policy is ours (`held_out.with_rubric`).
    """

    def __init__(
        self,
        held_out: HeldOut,
        gold: Gold,
        *,
        every: int = 20,
        reward: Reward | None = None,
        reference: Any = None,
        sampling: Sampling | None = None,
        gap_samples: int = 0,
        limits: Limits | None = None,
        stop_on: Sequence[str] = (),
        journal: Path | None = None,
        changed: Callable[[Watched, Path], None] | None = None,
    ):
        unknown = sorted(set(stop_on) - set(KINDS))
        if unknown:
            raise SettingsError(f"the monitor cannot stop on {unknown[0]!r}; there are {', '.join(KINDS)}")
        if every < 1:
            raise SettingsError(f"the monitor looks every {every} steps; it is at least 1")
        if gap_samples < 0:
            raise SettingsError(f"gap_samples is {gap_samples}; it is at least 0")
        if gap_samples and held_out.rubrics is None:
            raise SettingsError(
                "gap_samples: the gap needs a rubric for at least one of the held-out prompts"
            )
        self.held_out, self.gold, self.every, self.reward = held_out, gold, every, reward
        self.reference, self.sampling = reference, sampling or Sampling()
        self.gap_samples, self.limits, self.stop_on = gap_samples, limits or Limits(), tuple(stop_on)
        self._path, self._changed = journal, changed
        self._journal: Journal | None = None
        self._looked_at = -1
        self.best: int | None = None

    @property
    def journal(self) -> Path:
        """The file of the journal, once the training has begun."""
        assert self._path is not None
        return self._path

    def begin(self, step: int, folder: Path) -> None:
        """A training begins at a step; the journal lies in its folder, unless it was given another place."""
        self._path = self._path or folder / NAME
        self._journal = Journal(self._path)
        self._add(
            Line(kind="begin", step=step, held_out=self.held_out.key, prompts=len(self.held_out.prompts))
        )
        known = self._journal.read()
        self._looked_at = max((p.step for p in known.points if GOLD in p.readings), default=-1)
        self.best = known.best.step if known.best else None

    def is_due(self, step: int) -> bool:
        """Whether the policy is to be looked at now."""
        return step % self.every == 0 and step > self._looked_at

    def logged(self, step: int, logs: Mapping[str, Any]) -> None:
        """Keeps of what the trainer logs what the monitor knows; what is no finite number is left out."""
        figures = named({name: float(value) for name, value in logs.items() if _is_figure(value)})
        if figures and not any(name.startswith("monitor/") for name in logs):
            self._add(Line(kind="logged", step=step, point=Point(step, figures)))

    def look(self, step: int, model: Any, tokenizer: Any) -> Decision:
        """Samples, asks, writes down, decides. The training notices nothing of it but the time it takes.

        Raises:
            SettingsError: the policy cannot be sampled from here.
            RubricateError: at the first look, what gold or the reward raise.
        """
        must_be_whole(model)
        is_first = self._looked_at < 0
        try:
            with undisturbed(model, tokenizer):
                point = self._point(step, model, tokenizer)
        except RubricateError as failure:
            if is_first:
                raise
            self.note(step, f"the policy was not looked at: {failure}")
            self._looked_at = step
            return Decision({})
        self._looked_at = step
        self._add(Line(kind="seen", step=step, point=point))
        seen = self.watched()
        stop = next(iter(seen.holding(self.stop_on)), None)
        is_best = GOLD in point.readings and seen.best == step
        if is_best:
            self.best = step
        if stop is not None:
            self._add(Line(kind="stop", step=step, text=f"the monitor stopped the training: {stop.text}"))
        self._tell(seen)
        return Decision(_metrics(point, seen), stop, is_best)

    def note(self, step: int, text: str) -> None:
        """Writes down, and warns of, what went wrong without ending the training."""
        self._add(Line(kind="note", step=step, text=text))
        warnings.warn(f"monitor, step {step}: {text}", stacklevel=2)

    def marked(self, step: int, checkpoint: str | None) -> None:
        """Writes down where the checkpoint of the best step lies."""
        self._add(Line(kind="best", step=step, checkpoint=checkpoint))

    def end(self, step: int) -> Watched:
        """The training has ended."""
        self._add(Line(kind="end", step=step))
        seen = self.watched()
        self._tell(seen)
        return seen

    def watched(self) -> Watched:
        """What there is to say so far."""
        assert self._journal is not None
        read = self._journal.read()
        return watch(read.points, self.limits, read.notes)

    def _point(self, step: int, model: Any, tokenizer: Any) -> Point:
        said = sampled(model, tokenizer, self.held_out.given, self.sampling)
        answers, key = [one.text for one in said], self.held_out.key
        told = self.gold.of(self.held_out, answers)
        found: dict[str, Reading | None] = {GOLD: reading_of([each.value for each in told], key)}
        if self.reward is not None:
            batch = self.reward.grade(self.held_out.given, answers, self.held_out.rubrics, evaluation=True)
            found[HELD_OUT_REWARD] = reading_of(batch.rewards, key)
        reference = self._reference(model)
        if reference is not None and self.sampling.temperature == 1.0:
            found[KL] = reading_of(
                _divergences(model, reference, said, self.sampling.batch), key, may_be_hits=False
            )
        if self.gap_samples:
            found[GAP] = reading_of(self._gaps(model, tokenizer), key, may_be_hits=False)
        figures = {
            GOLD_UNJUDGED: sum(each.value is None for each in told) / len(told),
            ANSWER_LENGTH: sum(len(one.tokens) for one in said) / len(said),
        }
        return Point(step, figures, {name: reading for name, reading in found.items() if reading is not None})

    def _reference(self, model: Any) -> Any:
        if self.reference is not None:
            return self.reference
        switched_off: Callable[[], AbstractContextManager[Any]] | None = getattr(
            model, "disable_adapter", None
        )
        return switched_off

    def _gaps(self, model: Any, tokenizer: Any) -> list[float | None]:
        """For each prompt the mean over its drawn answers; None for a prompt without a rubric."""
        told = [
            (place, with_rubric(one, one.rubric))
            for place, one in enumerate(self.held_out.prompts)
            if one.rubric is not None
        ]
        gaps: list[list[float]] = [[] for _ in self.held_out.prompts]
        for draw in range(self.gap_samples):
            how = msgspec.structs.replace(self.sampling, temperature=1.0, seed=self.sampling.seed + draw)
            said = sampled(model, tokenizer, [prompt for _, prompt in told], how)
            plain = [encoded(tokenizer, self.held_out.prompts[place].given) for place, _ in told]
            with_it = token_log_probs(model, [(one.prompt, one.tokens) for one in said], how.batch)
            without = token_log_probs(
                model, [(row, one.tokens) for row, one in zip(plain, said, strict=True)], how.batch
            )
            for (place, _), one, other in zip(told, without, with_it, strict=True):
                if len(one):
                    gaps[place].append(float((one - other).mean()))
        return [sum(each) / len(each) if each else None for each in gaps]

    def _add(self, line: Line) -> None:
        assert self._journal is not None, "the training has not begun"
        self._journal.add(line)

    def _tell(self, seen: Watched) -> None:
        if self._changed is not None:
            self._changed(seen, self.journal)


def _divergences(model: Any, reference: Any, said: Sequence[Said], batch: int) -> list[float | None]:
    return list(divergences(model, reference, [(one.prompt, one.tokens) for one in said], batch))


def _metrics(point: Point, seen: Watched) -> dict[str, float]:
    """What is logged: the readings with their intervals, and whether anything is found."""
    metrics = {f"monitor/{name}": value for name, value in point.figures.items()}
    for name, reading in point.readings.items():
        metrics[f"monitor/{name}"] = reading.value
        for end, value in (("n", reading.n), ("low", reading.low), ("high", reading.high)):
            if value is not None:
                metrics[f"monitor/{name}_{end}"] = float(value)
    metrics["monitor/findings"] = float(sum(finding.holds for finding in seen.findings))
    return metrics


def _is_figure(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)
