"""One stay of a training in this process: from the checkpoint that it found to the end, or to a stop."""

from __future__ import annotations

import shlex
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from rubricate.commands.run import DONE, STOPPED
from rubricate.commands.session import Interrupted
from rubricate.commands.train_data import Data
from rubricate.rewards.reward import RubricReward
from rubricate.rewards.seam import Reward
from rubricate.settings.training.loading import of_kind
from rubricate.settings.training.reward import Till, is_learned
from rubricate.settings.training.schema import GrpoSettings, TrainSettings
from rubricate.training.data.material import row_of
from rubricate.training.online.callback import online_callback
from rubricate.training.recipes.dpo import DpoRecipe, dpo_trainer
from rubricate.training.recipes.grpo import GrpoRecipe, grpo_trainer
from rubricate.training.recipes.sft import sft_trainer
from rubricate.training.running import folder as folders
from rubricate.training.running.logbook import Line, logbook
from rubricate.training.running.summary import summary_of
from rubricate.training.running.together import rank, shared_function, world


class Stretch:
    """One stay of a training in this process, from the checkpoint that it found to the end or to a stop."""

    def __init__(
        self,
        settings: TrainSettings,
        recipe: Any,
        folder: Path,
        data: Data,
        tokenizer: Any,
        chat: bool,
        reward: Reward | None,
        till: Till,
        console: Console,
        monitor: Any = None,
    ):
        self.settings, self.recipe, self.folder, self.data = settings, recipe, folder, data
        self.tokenizer, self.chat, self.reward, self.till = tokenizer, chat, reward, till
        self.console, self.monitor = console, monitor
        self._began = time.monotonic()
        self._first_step = 0

    def run(self, *, resumed: bool) -> int:
        checkpoint = folders.last_checkpoint(self.folder) if resumed else None
        n_rows = len(self.data.train.rows)
        steps = self.recipe.steps_for(n_rows, world())
        if checkpoint is not None:
            self._first_step = int(checkpoint.name.rpartition("-")[2])
            if self._first_step >= steps and (self.folder / folders.POLICY).exists():
                self._say(f"{self.folder} is finished: {steps:,} of {steps:,} steps")
                return DONE
        if resumed:
            at = f"step {self._first_step}" if checkpoint else "the beginning"
            self._say(f"resuming {self.folder} from {at} of {steps:,} steps")
        self._say(_announced(self.settings, self.recipe, n_rows, self.data))
        trainer = self._trainer()
        if self.monitor is not None:
            self.monitor.attach(trainer)
        with _signals():
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        self._save(trainer)
        if rank() == 0:
            ended, why = trainer.state.global_step, getattr(self.monitor, "stopped_by", None)
            self._conclude("done" if why is None else f"ended by the monitor: {why}", ended)
            summary = summary_of(self.folder, self.settings.policy.model, self.recipe, n_rows)
            folders.write_summary(self.folder, summary)
            self._say(f"{ended:,} steps are done. The policy: {self.folder / folders.POLICY}")
            if why is not None:
                self._say(f"The monitor ended it: {why}")
            for line in _lines_of(summary):
                self._say(line)
        return DONE

    def stopped(self, stop: BaseException) -> int:
        """Says why the training stopped, what is kept, and how to go on."""
        code = 130 if isinstance(stop, KeyboardInterrupt) else STOPPED
        code = 128 + stop.signal_number if isinstance(stop, Interrupted) else code
        if rank() == 0:
            checkpoint = folders.last_checkpoint(self.folder)
            at = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
            self._conclude(f"stopped: {str(stop) or 'Ctrl-C'}", at)
            self._say(f"Stopped: {str(stop) or 'Ctrl-C'}")
            kept = f"The checkpoint of step {at} is kept" if checkpoint else "There is no checkpoint yet"
            self._say(f"{kept}; every reply that was paid for is in the ledger. To go on:")
            again = [
                "rubricate",
                "train",
                of_kind(self.settings),
                "--resume",
                f"files.output_dir={self._named()}",
            ]
            self._say(f"  {shlex.join(again)}")
        return code

    def _named(self) -> str:
        return self.settings.files.output_dir or self.folder.name

    def _trainer(self) -> Any:
        given: dict[str, Any] = {
            "model": self.settings.policy.model,
            "tokenizer": self.tokenizer,
            "rows": self._rows(self.data.train.rows),
            "eval_rows": self._rows(self.data.evaluation.rows) if self.data.evaluation else None,
            "folder": self.folder / folders.CHECKPOINTS,
            "callbacks": [*self._watchers()],
        }
        if isinstance(self.recipe, GrpoRecipe):
            assert self.reward is not None, "GRPO has one"
            return grpo_trainer(self.recipe, reward_funcs=shared_function(self.reward), **given)
        maker: Callable[..., Any] = dpo_trainer if isinstance(self.recipe, DpoRecipe) else sft_trainer
        return maker(self.recipe, **given)

    def _watchers(self) -> Sequence[Any]:
        """The callbacks of a training, in their order. This is the place for more."""
        watchers = [logbook(self.folder, self._tell)]
        if isinstance(self.settings, GrpoSettings) and self.settings.online.enabled:
            assert isinstance(self.reward, RubricReward), "a learned one is refused before"
            watchers.append(online_callback(self.reward))
        return watchers if self.monitor is None else [*watchers, self.monitor]

    def _rows(self, examples: Sequence[Any]) -> list[dict[str, Any]]:
        rows = []
        for example in examples:
            row = row_of(example, chat=self.chat)
            if isinstance(self.settings, GrpoSettings) and not is_learned(self.settings):
                row["rubric"] = example.rubric or ""
            rows.append(row)
        return rows

    def _tell(self, line: Line, steps: int) -> None:
        shown = [
            f"{name} {line[key]:.4g}"
            for name, key in (
                ("reward", "reward"),
                ("KL", "kl"),
                ("loss", "loss"),
                ("margin", "rewards/margins"),
                ("unjudged", "rubric/unjudged_rate"),
                ("no spread", "frac_reward_zero_std"),
                ("eval reward", "eval_reward"),
                ("eval loss", "eval_loss"),
            )
            if isinstance(line.get(key), int | float) and not (key == "loss" and "reward" in line)
        ]
        if not shown:
            return
        cost = f", {self.till.usd:,.2f} USD" if self.till.usd else ""
        calls = f", {self.till.n_paid:,} calls paid{cost}" if self.till.n_paid else ""
        self._say(f"step {line.get('step', 0):,} of {steps:,}: {', '.join(shown)}{calls}")

    def _save(self, trainer: Any) -> None:
        """The policy, whole or not at all."""
        draft, place = self.folder / f".{folders.POLICY}.partial", self.folder / folders.POLICY
        trainer.save_model(str(draft))
        trainer.accelerator.wait_for_everyone()
        if rank() == 0:
            if place.exists():
                shutil.rmtree(place)
            draft.rename(place)

    def _conclude(self, how: str, step: int) -> None:
        session = {
            "how": how,
            "from_step": self._first_step,
            "to_step": step,
            "processes": world(),
            "seconds": round(time.monotonic() - self._began, 1),
        }
        if isinstance(self.settings, GrpoSettings):
            session |= {
                "calls_paid": self.till.n_paid,
                "calls_reused": self.till.n_reused,
                "usd_paid": round(self.till.usd, 6),
            }
        folders.add_session(self.folder, session)

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _announced(settings: TrainSettings, recipe: Any, n_rows: int, data: Data) -> str:
    steps = recipe.steps_for(n_rows, world())
    left = sum(data.train.left_out.values())
    aside = f" ({left:,} left out: {_most(data.train.left_out)})" if left else ""
    if isinstance(settings, GrpoSettings):
        cut = recipe.batches(world())
        who = settings.reward.rubrics if is_learned(settings) else settings.models.verifier
        return (
            f"{n_rows:,} prompts{aside}, {steps:,} steps of {cut.per_step / cut.rollouts:g} prompts x "
            f"{cut.rollouts} rollouts: at most {cut.rollouts_in(steps):,} completions for {who}"
        )
    return f"{n_rows:,} {'pairs' if isinstance(recipe, DpoRecipe) else 'examples'}{aside}, {steps:,} steps"


def _most(reasons: dict[str, int]) -> str:
    return "; ".join(f"{why} ({n:,})" for why, n in sorted(reasons.items(), key=lambda one: -one[1])[:3])


def _lines_of(summary: dict[str, Any]) -> Iterator[str]:
    for name in ("reward", "loss"):
        if name in summary:
            first, last = summary[name]["first"], summary[name]["last"]
            yield f"{name}: {first:.3f} in the first tenth of the steps, {last:.3f} in the last"
    if summary.get("unjudged"):
        share = summary["unjudged"]
        yield (
            f"unjudged: {share['value']:.2%} of {share['n']:,} completions "
            f"(95% interval {share['low']:.2%} to {share['high']:.2%}, over steps)"
        )
    paid = [session.get("calls_paid") for session in summary["sessions"]]
    if any(paid):
        reused = sum(session.get("calls_reused", 0) for session in summary["sessions"])
        usd = sum(session.get("usd_paid", 0.0) for session in summary["sessions"])
        yield f"calls: {sum(n or 0 for n in paid):,} paid, {reused:,} from the ledger; {usd:,.4f} USD"


@contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM stops a training as Ctrl-C does."""

    def stop(number: int, _: Any) -> None:
        raise Interrupted(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
