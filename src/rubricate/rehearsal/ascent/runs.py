"""A folder of finished runs: what is in it is not done again, and what was cut off begins anew.

plan.json                  the plan and the dials, so that no two rehearsals mix
seed-N/model, seed-N/bt    the taught model, and the Bradley-Terry model
seed-N/pool.jsonl          the starting pool: answers of the starting policy, gold and all rewards' scores
seed-N/start.json          golds of the starting policy on held-out prompts
seed-N/REWARD.jsonl        the points of one run; it is there whole or not at all
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from rubricate.errors import DataError, RunError
from rubricate.rehearsal.ascent.climbing import climb
from rubricate.rehearsal.ascent.measuring import Golds, Point, Yardstick
from rubricate.rehearsal.ascent.rewards import (
    GoldPayment,
    Payment,
    learned_payment,
    rubric_payment,
    rubrics_of,
)
from rubricate.rehearsal.extras import needed
from rubricate.rehearsal.plan import REWARDS, Plan
from rubricate.rehearsal.pupil.learner import say, teach
from rubricate.rehearsal.pupil.lessons import School
from rubricate.runs.writing import replacing
from rubricate.world.dials import Dials

PLAN = "plan.json"
POOL = "pool.jsonl"
START = "start.json"

Kind = TypeVar("Kind")


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a folder is of."""

    plan: Plan
    dials: Dials


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One answer of the starting policy to a prompt of training, and what each reward pays for it. A file of
    such rows can be audited: `rubricate audit pool.jsonl --proxy bt --proxy initial --proxy refined`."""

    prompt_id: str
    prompt: str
    response: str
    gold: float
    bt: float | None
    initial: float | None
    refined: float | None


def opened(folder: Path, terms: Terms) -> None:
    """Makes the folder, or finds it to be of the same terms.

    Raises:
        RunError: it holds a rehearsal on other terms, or something else.
    """
    path, said = folder / PLAN, msgspec.json.format(msgspec.json.encode(terms), indent=1) + b"\n"
    if path.is_file():
        if path.read_bytes() != said:
            raise RunError(
                f"{folder} holds a rehearsal with another plan or other dials; choose another folder"
            )
        return
    if folder.exists() and any(folder.iterdir()):
        raise RunError(f"{folder} is not empty and holds no rehearsal; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        draft.write_bytes(said)


class Site:
    """One seed of a rehearsal: its world, its taught model, its rewards, its finished runs."""

    def __init__(self, folder: Path, terms: Terms, seed: int):
        self.school = School(terms.plan, terms.dials, seed)
        self.folder = folder / f"seed-{seed}"
        self._records: list[Any] | None = None

    @property
    def model(self) -> Path:
        """The folder of the taught model; there once it is taught."""
        return self.folder / "model"

    def points(self, reward: str) -> list[Point] | None:
        """The points of a finished run, None for one that is not.

        Raises:
            DataError: the file cannot be read.
        """
        return _read(self.folder / f"{reward}.jsonl", Point)

    def pool(self) -> list[Row] | None:
        """The starting pool, once it is there.

        Raises:
            DataError: the file cannot be read.
        """
        return _read(self.folder / POOL, Row)

    def begin(self, told: Callable[[str], None]) -> None:
        """Teaches the model and draws the starting pool, as far as they are not there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.model / "config.json").is_file():
            told("teaching the language")
            draft = self.folder / "model.unfinished"
            shutil.rmtree(draft, ignore_errors=True)
            teach(self.school, draft)
            draft.rename(self.model)
        if not (self.folder / POOL).is_file():
            told("drawing the starting pool")
            self._draw()

    def _draw(self) -> None:
        """Answers of the starting policy: to prompts of training with all scores, to others with gold alone.
        The pool is written last: it is there when all is."""
        base, tokenizer = _loaded(self.model)
        plan, school = self.school.plan, self.school
        others = say(base, tokenizer, _each(school.held_out, plan.start), plan.budget, school.seed + 1)
        golds = Golds()
        for prompt, text in zip(others.prompts, others.texts, strict=True):
            golds.setdefault(prompt, []).append(school.gold(prompt, text))
        with replacing(self.folder / START) as draft:
            draft.write_bytes(msgspec.json.encode(golds))
        said = say(base, tokenizer, _each(school.asked, plan.base), plan.budget, school.seed)
        columns: dict[str, list[float | None]] = {}
        for reward in REWARDS:
            with self._paid(reward) as payment:
                columns[reward] = payment.scores(said.prompts, said.texts)
        ids = {prompt: f"asked-{number}" for number, prompt in enumerate(school.asked)}
        with replacing(self.folder / POOL) as draft, draft.open("wb") as file:
            for prompt, text, *paid in zip(said.prompts, said.texts, *columns.values(), strict=True):
                scores: dict[str, Any] = dict(zip(columns, paid, strict=True))
                file.write(msgspec.json.encode(Row(ids[prompt], prompt, text, **scores)) + b"\n")

    def run(self, reward: str, told: Callable[[Point], None]) -> list[Point]:
        """The points of a run: of the finished one, or of one that is made now."""
        found = self.points(reward)
        if found is not None:
            return found
        base, tokenizer = _loaded(self.model)
        yardstick = Yardstick(self.school, tokenizer, base, self._start())
        with self._paid(reward) as payment:
            points = climb(self.school, self.model, payment, reward, yardstick, told)
        with replacing(self.folder / f"{reward}.jsonl") as draft, draft.open("wb") as file:
            file.writelines(msgspec.json.encode(point) + b"\n" for point in points)
        return points

    def _start(self) -> Golds:
        """Golds of the starting policy: of the pool for prompts of training, of new answers for others."""
        found: Golds = msgspec.json.decode((self.folder / START).read_bytes())
        for row in self.pool() or []:
            found.setdefault(row.prompt, []).append(row.gold)
        return found

    @contextmanager
    def _paid(self, reward: str) -> Iterator[Payment]:
        if reward in ("initial", "refined") and self._records is None:
            self._records = rubrics_of(self.school)
        makers: Mapping[str, Callable[[], Payment]] = {
            "gold": lambda: GoldPayment(self.school),
            "bt": lambda: learned_payment(self.school, self.model, self.folder / "bt"),
            "initial": lambda: rubric_payment(self.school, self._records or [], refined=False),
            "refined": lambda: rubric_payment(self.school, self._records or [], refined=True),
        }
        payment = makers[reward]()
        try:
            yield payment
        finally:
            payment.close()


def _each(prompts: Sequence[str], times: int) -> list[str]:
    return [prompt for prompt in prompts for _ in range(times)]


def _loaded(folder: Path) -> tuple[Any, Any]:
    with needed():
        from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    model.eval()
    return model.to(_device()), PreTrainedTokenizerFast.from_pretrained(folder)


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _read(path: Path, kind: type[Kind]) -> list[Kind] | None:
    if not path.is_file():
        return None
    rows, decode = list[Kind](), msgspec.json.Decoder(kind).decode
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            rows.append(decode(line))
        except msgspec.DecodeError as problem:
            raise DataError(
                f"{path}, line {number}", f"{problem}; delete the file to make it again"
            ) from None
    return rows
