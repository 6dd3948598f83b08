"""Files -> preference pairs for a reward model: pairs with labels, pools with gold, a judge's preferences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from rubricate.domain.conversation import Prompt, Response
from rubricate.errors import DataError
from rubricate.evaluation.judging.pairs import Pair, read_pairs
from rubricate.evaluation.judging.preferences import Judged, read_preferences
from rubricate.evaluation.reading.columns import GOLD, RESPONSE, SOURCE
from rubricate.evaluation.reading.records import Record, records_of
from rubricate.llm.thinking import strip_thinking
from rubricate.reward_model.pairs import PreferencePair
from rubricate.rewards.batch.texts import Unreadable, prompt_of

_PROMPT_TEXT = ("prompt", "question", "instruction", "query", "messages", "conversation")


def preference_pairs(
    sources: Iterable[str], *, gold: str | None = None, judged: str | None = None
) -> tuple[list[PreferencePair], dict[str, int]]:
    """The pairs of files in their order, and by reason how many take no part.

    A source is whatever `rubricate compare` reads: a file of pairs in any shape with labels, a pool with gold
    scores, whose responses make a pair wherever they differ, or a run; and a CSV or any other file with a
    score in the column `gold`. `judged` is a file of preferences as `rubricate compare` writes it: these
    count in place of labels and gold.

    Raises:
        DataError: a file is missing or malformed, or there is no pair in any of them.
    """
    left_out: Counter[str] = Counter()
    found: list[PreferencePair] = []
    named = {line.key: line for line in read_preferences(judged)} if judged is not None else None
    for source in sources:
        if gold is not None or ".csv" in Path(source).suffixes:
            found += _of_records(Path(source), gold, left_out)
            continue
        pairs = read_pairs(source)
        left_out.update(pairs.left_out)
        for pair in pairs.pairs:
            found += _labelled(pair, named, left_out)
    if not found:
        why = ", ".join(f"{reason} ({n:,})" for reason, n in left_out.items())
        raise DataError(", ".join(sources), f"no pair with a preference in it{': ' if why else ''}{why}")
    return found, dict(left_out)


def _labelled(
    pair: Pair, judged: Mapping[str, Judged] | None, left_out: Counter[str]
) -> Iterable[PreferencePair]:
    winner = pair.label
    if judged is not None:
        line = judged.get(pair.key)
        if line is None:
            left_out["not among the judge's preferences"] += 1
            return
        winner = _winner(pair, line)
        if winner is None:
            left_out[f"the judge said {line.winner}"] += 1
            return
    if winner is None or winner == "tie":
        left_out["a tie" if winner == "tie" else "nobody says which is better"] += 1
        return
    sides = (pair.first, pair.second) if winner == "first" else (pair.second, pair.first)
    gap = None
    if judged is None and sides[0].gold is not None and sides[1].gold is not None:
        gap = sides[0].gold - sides[1].gold
    yield PreferencePair(pair.prompt, *sides, gap, pair.cluster)


def _winner(pair: Pair, line: Judged) -> Any:
    """Who won, by content: the judge's file may name the other side first."""
    if line.winner not in ("first", "second"):
        return None
    named = line.first if line.winner == "first" else line.second
    return "first" if named.key == pair.first.text_key else "second"


def _of_records(path: Path, gold: str | None, left_out: Counter[str]) -> list[PreferencePair]:
    """Pairs of flat rows, nested pools or rows of chosen and rejected, also from CSV."""
    by_prompt: dict[str, tuple[Prompt, list[Response]]] = {}
    pairs: list[PreferencePair] = []
    chosen: Response | None = None
    for record in records_of(path):
        prompt = _prompt(record)
        response = _response(record, gold)
        if response is None:
            left_out["a response without text"] += 1
        if record.side == "chosen":
            chosen = response
        elif record.side == "rejected":
            if chosen is not None and response is not None:
                _add(PreferencePair(prompt, chosen, response, _gap(chosen, response)), pairs, left_out)
        elif response is not None:
            by_prompt.setdefault(prompt.key, (prompt, []))[1].append(response)
    for prompt, responses in by_prompt.values():
        scored = [response for response in responses if response.gold is not None]
        left_out["a response without a score"] += len(responses) - len(scored)
        for one, two in combinations(scored, 2):
            better, worse = (one, two) if (one.gold or 0) >= (two.gold or 0) else (two, one)
            gap = _gap(better, worse)
            if gap == 0:
                left_out["a tie"] += 1
            else:
                _add(PreferencePair(prompt, better, worse, gap), pairs, left_out)
    for why in [why for why, n in left_out.items() if not n]:
        del left_out[why]
    return pairs


def _add(pair: PreferencePair, pairs: list[PreferencePair], left_out: Counter[str]) -> None:
    if pair.chosen.text_key == pair.rejected.text_key:
        left_out["both sides are one text"] += 1
    else:
        pairs.append(pair)


def _gap(better: Response, worse: Response) -> float | None:
    return None if better.gold is None or worse.gold is None else better.gold - worse.gold


def _prompt(record: Record) -> Prompt:
    for name in _PROMPT_TEXT:
        given = record.get(name)
        if given:
            found = prompt_of(given)
            if isinstance(found, Unreadable):
                raise record.error(found.why, name)
            return found
    raise record.error(f"the text of the prompt is needed, in one of {', '.join(_PROMPT_TEXT)}", "prompt")


def _response(record: Record, gold: str | None) -> Response | None:
    names = (record.side,) if record.side else RESPONSE
    text = next((text for name in names if (text := record.text(name))), None)
    if text is None or not (text := strip_thinking(text)).strip():
        return None
    writer = next((writer for name in SOURCE if (writer := record.name(name))), None)
    column = gold or next((name for name in GOLD if record.get(name) is not None), None)
    value = record.number(column) if column is not None else None
    if value is not None and value != value:
        value = None
    return Response(text, writer, value)
