"""The files of a training -> its rows, with what does not fit left out and said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rubricate.errors import DataError, SettingsError
from rubricate.evaluation.judging.pairs import Pair, Pairs, read_pairs
from rubricate.evaluation.judging.preferences import read_preferences
from rubricate.runs.rubric_files import RubricFile, read_rubrics
from rubricate.samples import SAMPLE, sample_pool
from rubricate.settings.reward import rubrics_file
from rubricate.settings.training.reward import is_learned
from rubricate.settings.training.schema import DpoSettings, GrpoSettings, SftSettings, TrainSettings
from rubricate.training.data.material import Prepared, is_run, prepared, row_of
from rubricate.training.data.pairs import pair_row, scored_pairs_of
from rubricate.training.data.prompts import prompts_of, rubrics_in
from rubricate.training.data.shown import shown_of
from rubricate.training.recipes.grpo import GrpoRecipe
from rubricate.training.running import folder as folders


@dataclass(frozen=True)
class Data:
    """What is trained on, and what is evaluated on, if anything is."""

    train: Prepared
    evaluation: Prepared | None = None

    @classmethod
    def of_folder(cls, folder: Path) -> Data:
        """The rows of a training that was begun."""
        train = prepared()
        train.rows = folders.read_rows(folder / folders.DATA)
        if not (folder / folders.EVALUATION).is_file():
            return cls(train)
        held_out = prepared()
        held_out.rows = folders.read_rows(folder / folders.EVALUATION)
        return cls(train, held_out)


def data_of(settings: TrainSettings) -> Data:
    """The rows that the settings name, before anything is known of tokens.

    Raises:
        SettingsError: no file is named, or one is not there (then with the commands that make it).
        DataError: a file is malformed, or nothing is left to train on.
    """
    source = settings.files.responses_file
    if source is None:
        made = _made(settings)
        raise SettingsError(f"files.responses_file is not set{f'; {made}' if made else ': name a file'}")
    train = _rows_of(settings, source, settings.files.sample_size)
    if settings.files.evaluation_file is None:
        return Data(train)
    held_out = _rows_of(settings, settings.files.evaluation_file, None)
    seen = {row.prompt.key for row in train.rows}
    both = [row.id for row in held_out.rows if row.prompt.key in seen]
    if both:
        raise DataError(
            settings.files.evaluation_file,
            f"{len(both):,} of its prompts are trained on, {both[0]!r} first: hold others out",
        )
    return Data(train, held_out)


def _rows_of(settings: TrainSettings, source: str, sample_size: int | None) -> Prepared:
    seed = settings.random_seed
    source = str(sample_pool()) if source == SAMPLE else source
    if isinstance(settings, GrpoSettings):
        rubrics = None if is_learned(settings) else _rubrics(settings, source)
        return prompts_of(source, rubrics, settings.reward.unseen, sample_size=sample_size, seed=seed)
    if isinstance(settings, SftSettings):
        shown = settings.shown
        return shown_of(
            source,
            generators=shown.generators,
            per_prompt=shown.responses_per_prompt,
            pick=shown.pick,
            sample_size=sample_size,
            seed=seed,
        )
    return _pairs(settings, source, sample_size)


def rubrics_to_come(settings: GrpoSettings) -> str | None:
    """The rubrics that the settings name, where they are not there yet."""
    named = settings.reward.rubrics
    if named is None or is_learned(settings) or "://" in named or Path(named).exists():
        return None
    return named


def _rubrics(settings: GrpoSettings, source: str) -> list[RubricFile]:
    """Rubrics in the rows themselves come first, then those of the file that is named."""
    found = [read_rubrics(source) if is_run(source) else rubrics_in(source)]
    named = settings.reward.rubrics
    if named is None:
        return found
    if rubrics_to_come(settings) is not None:
        made = _made(settings)
        raise SettingsError(f"reward.rubrics: {named} is not there{f'; {made}' if made else ''}")
    return [*found, read_rubrics(str(rubrics_file(Path(named))) if "://" not in named else named)]


def _made(settings: TrainSettings) -> str:
    """The commands that make what is missing, as the end of a sentence."""
    if not settings.made_by:
        return ""
    return "\n  ".join(["these commands make what this training stands on:", *settings.made_by])


def _pairs(settings: DpoSettings, source: str, sample_size: int | None) -> Prepared:
    """Pairs of a judge, of a file of pairs, or of a scored pool.

    Raises:
        SettingsError: a number of prompts is to be drawn from pairs, which is not done.
        DataError: no pair is decided.
    """
    how = settings.pairs
    given = None if how.preferences is None and is_run(source) else read_pairs(source)
    if how.preferences is None and (given is None or given.shape in ("pool", "ranked")):
        return scored_pairs_of(
            source, which=how.which, margin=how.margin, sample_size=sample_size, seed=settings.random_seed
        )
    assert given is not None, "a run without preferences was handled above"
    if sample_size is not None:
        raise SettingsError("files.sample_size draws prompts of a pool, not of pairs; draw them beforehand")
    found = prepared()
    found.left_out.update(given.left_out)
    winner = _winners(how.preferences, given) if how.preferences is not None else None
    for pair in given.pairs:
        said = winner.get(pair.key) if winner is not None else pair.label
        if said not in ("first", "second"):
            found.leave_out(pair.id, f"the pair is {said or 'without a label'}")
            continue
        better, worse = (pair.first, pair.second) if said == "first" else (pair.second, pair.first)
        found.rows.append(pair_row(pair.prompt, better, worse))
    if not found.rows:
        raise DataError(how.preferences or source, "no pair is decided: there is nothing to learn from")
    return found


def _winners(preferences: str, pairs: Pairs) -> dict[str, str]:
    """Who won each pair, by key, in terms of the sides as they stand here.

    Raises:
        DataError: the preferences are of other pairs.
    """
    here: dict[str, Pair] = {pair.key: pair for pair in pairs.pairs}
    found = {}
    for line in read_preferences(preferences):
        pair = here.get(line.key)
        if pair is None:
            continue
        turned = pair.first.text_key != line.first.key
        swap = {"first": "second", "second": "first"} if turned else {}
        found[line.key] = swap.get(line.winner, line.winner)
    if not found:
        raise DataError(preferences, "it has preferences on none of the pairs of files.responses_file")
    return found


def within_length(data: Data, tokenizer: Any, recipe: Any, *, chat: bool, source: str) -> Data:
    """The rows that fit: prompts of at most `recipe.max_prompt` tokens, examples of `recipe.max_sequence`.

    TRL would cut longer ones, or drop them without a word.

    Raises:
        DataError: none fits.
    """
    for part in (data.train, data.evaluation):
        if part is None:
            continue
        kept = []
        for row in part.rows:
            why = _too_long(row_of(row, chat=chat), tokenizer, recipe, chat)
            if why is None:
                kept.append(row)
            else:
                part.leave_out(row.id, why)
        if part.rows and not kept:
            raise DataError(source, f"nothing is left to train on: {next(iter(part.left_out))}")
        part.rows = kept
    return data


def _too_long(row: dict[str, Any], tokenizer: Any, recipe: Any, chat: bool) -> str | None:
    options = dict(recipe.trainer.get("chat_template_kwargs") or {})
    if isinstance(recipe, GrpoRecipe):
        n = _tokens(tokenizer, row["prompt"], chat, options)
        if n <= recipe.max_prompt:
            return None
        return f"the prompt has more than {recipe.max_prompt:,} tokens (recipe.max_prompt)"
    for name in ("completion", "chosen", "rejected"):
        if (
            name in row
            and 1 + _tokens(tokenizer, row["prompt"] + row[name], chat, options) > recipe.max_sequence
        ):
            return f"prompt and {name} have more than {recipe.max_sequence:,} tokens (recipe.max_sequence)"
    return None


def _tokens(tokenizer: Any, said: Any, chat: bool, options: dict[str, Any]) -> int:
    if not chat:
        return len(tokenizer(said)["input_ids"])
    asks = said[-1]["role"] != "assistant"
    text = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=asks, **options)
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])
