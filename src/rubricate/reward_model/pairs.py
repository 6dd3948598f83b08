"""Preference pairs: which of them a reward model is trained on, and which prompts are held out.

Pairs have a source, by who wrote the two responses (Chasing the Tail, appendix D and table 6): on-policy when
both are of the policy, off-policy when neither is. The paper's third model has the pairs of both, not pairs
of one response each; such pairs are `across`, and take part only where sources make no difference.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import zip_longest
from typing import Literal

import msgspec

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.identity import chance_of, key_of

Source = Literal["on-policy", "off-policy", "across", "unknown"]
Wanted = Literal["all", "on", "off", "mixed"]
_SOURCES: Mapping[Wanted, tuple[Source, ...]] = {
    "on": ("on-policy",),
    "off": ("off-policy",),
    "mixed": ("on-policy", "off-policy"),
}


class PreferencePair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A prompt with the response that is preferred and the one that is not.

    `gap` is by how much the gold score of the one is above that of the other, None where nobody gave scores.
    `unit` is what the source calls the prompt where several have one text.
    """

    prompt: Prompt
    chosen: Response
    rejected: Response
    gap: float | None = None
    unit: str = ""

    @property
    def key(self) -> str:
        """Content key, by direction."""
        return key_of("preference", self.prompt.key, self.chosen.text_key, self.rejected.text_key)

    @property
    def place(self) -> str:
        """What is held out together, and drawn with again for an interval: the prompt."""
        return self.unit or self.prompt.key


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which pairs are wanted.

    source          all pairs, on-policy ones, off-policy ones, or both of these
    policy          names of the policy's generators; * and ? as in file names
    min_gap         least gap between gold scores; 0 takes labels without scores too
    per_prompt      pairs of one prompt and one source at most
    most            pairs in all at most; of mixed sources half of each
    balance_length  as many pairs whose preferred response is the longer one as others, so that length alone
                    predicts nothing; pairs of equal length stay
    seed            what is drawn where there are too many
    """

    source: Wanted = "all"
    policy: tuple[str, ...] = ()
    min_gap: float = 0.0
    per_prompt: int | None = None
    most: int | None = None
    balance_length: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.source not in ("all", *_SOURCES):
            raise ValueError(f"source is {self.source!r}; it is all, on, off or mixed")
        if self.source != "all" and not self.policy:
            raise ValueError(f"source {self.source} needs the names of the policy's generators")
        if self.min_gap < 0 or any(n is not None and n < 1 for n in (self.per_prompt, self.most)):
            raise ValueError("a gap is at least 0, and a number of pairs at least 1")


class Chosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The pairs that take part, how many of each source, and by reason how many do not."""

    pairs: tuple[PreferencePair, ...]
    sources: dict[str, int]
    dropped: dict[str, int]


def source_of(pair: PreferencePair, policy: Sequence[str]) -> Source:
    """Who wrote the two responses; unknown where a generator is, or where no policy is named."""
    writers = (pair.chosen.generator, pair.rejected.generator)
    if not policy or None in writers:
        return "unknown"
    of_policy = [any(fnmatchcase(writer or "", name) for name in policy) for writer in writers]
    return "on-policy" if all(of_policy) else "across" if any(of_policy) else "off-policy"


def chosen_pairs(pairs: Iterable[PreferencePair], choice: Choice) -> Chosen:
    """The pairs that are wanted, in an order drawn from seed and content.

    Every pair that is given is in the result or counted as dropped.
    """
    dropped: Counter[str] = Counter()
    wanted = _SOURCES.get(choice.source)
    by_source: dict[Source, list[PreferencePair]] = defaultdict(list)
    for pair in _drawn(_consistent(pairs, dropped), choice.seed):
        source = source_of(pair, choice.policy)
        why = _why_not(pair, source, wanted, choice.min_gap)
        if why is not None:
            dropped[why] += 1
            continue
        by_source[source if wanted is not None else "unknown"].append(pair)
    kept: list[PreferencePair] = []
    quota = None if choice.most is None else choice.most // len(wanted or ("all",))
    for source in sorted(by_source):
        kept += _within(by_source[source], choice, quota, dropped)
    kept = _drawn(kept, choice.seed)
    sources = Counter(source_of(pair, choice.policy) for pair in kept)
    return Chosen(tuple(kept), dict(sorted(sources.items())), dict(sorted(dropped.items())))


def is_held_out(place: str, share: float, seed: int = 0) -> bool:
    """Whether a prompt is held out: by its content alone, so the same in every file and for every model."""
    return chance_of(seed, "held out", place) < share


def held_out(
    pairs: Iterable[PreferencePair], share: float, seed: int = 0
) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """The pairs to train on and those of held-out prompts; no prompt is in both."""
    parts: tuple[list[PreferencePair], list[PreferencePair]] = ([], [])
    for pair in pairs:
        parts[is_held_out(pair.place, share, seed)].append(pair)
    return parts


def data_key(pairs: Iterable[PreferencePair]) -> str:
    """Content key of pairs in their order."""
    return key_of("preferences", [pair.key for pair in pairs])


def _consistent(pairs: Iterable[PreferencePair], dropped: Counter[str]) -> list[PreferencePair]:
    """Each pair once, and none that is preferred both ways."""
    found: dict[str, PreferencePair] = {}
    n = 0
    for pair in pairs:
        n += 1
        found.setdefault(pair.key, pair)
    turned = {
        key
        for key, pair in found.items()
        if key_of("preference", pair.prompt.key, pair.rejected.text_key, pair.chosen.text_key) in found
    }
    dropped["comes again"] += n - len(found)
    dropped["preferred one way and the other"] += len(turned)
    for why in ("comes again", "preferred one way and the other"):
        if not dropped[why]:
            del dropped[why]
    return [pair for key, pair in found.items() if key not in turned]


def _drawn(pairs: Iterable[PreferencePair], seed: int) -> list[PreferencePair]:
    keyed = [(chance_of(seed, "pair", pair.key), pair.key, pair) for pair in pairs]
    return [pair for _, _, pair in sorted(keyed, key=lambda entry: entry[:2])]


def _why_not(
    pair: PreferencePair, source: Source, wanted: tuple[Source, ...] | None, min_gap: float
) -> str | None:
    if wanted is not None and source not in wanted:
        return {
            "unknown": "who wrote a response is not known",
            "across": "one response of the policy, the other not",
            "on-policy": "both responses of the policy",
            "off-policy": "no response of the policy",
        }[source]
    if min_gap > 0 and pair.gap is None:
        return "no gold scores, so no gap"
    if pair.gap is not None and pair.gap < min_gap:
        return f"a gap below {min_gap:g}"
    return None


def _within(
    pairs: Sequence[PreferencePair], choice: Choice, quota: int | None, dropped: Counter[str]
) -> list[PreferencePair]:
    """The pairs of one source, in drawn order: first so many a prompt, then balanced, then so many in all."""
    if choice.per_prompt is not None:
        by_prompt: dict[str, list[PreferencePair]] = defaultdict(list)
        for pair in pairs:
            by_prompt[pair.place].append(pair)
        capped = [
            pair
            for group in by_prompt.values()
            for pair in (_alternating(group) if choice.balance_length else group)[: choice.per_prompt]
        ]
        _count(dropped, f"more than {choice.per_prompt:,} of a prompt", len(pairs) - len(capped))
        pairs = _drawn(capped, choice.seed)
    if choice.balance_length:
        longer, shorter, even = _by_length(pairs)
        n = min(len(longer), len(shorter))
        balanced = [*_alternating([*longer[:n], *shorter[:n]]), *even]
        _count(dropped, "more of this length than of the other", len(pairs) - len(balanced))
        pairs = balanced
    if quota is not None:
        _count(dropped, "more than wanted in all", len(pairs) - len(pairs[:quota]))
        pairs = pairs[:quota]
    return list(pairs)


def _by_length(
    pairs: Iterable[PreferencePair],
) -> tuple[list[PreferencePair], list[PreferencePair], list[PreferencePair]]:
    """Pairs whose preferred response is longer, shorter, and of equal length, in characters."""
    parts: tuple[list[PreferencePair], ...] = ([], [], [])
    for pair in pairs:
        longer = len(pair.chosen.text) - len(pair.rejected.text)
        parts[0 if longer > 0 else 1 if longer < 0 else 2].append(pair)
    return parts[0], parts[1], parts[2]


def _alternating(pairs: Sequence[PreferencePair]) -> list[PreferencePair]:
    """Longer and shorter in turn as long as there are both, then the rest."""
    longer, shorter, even = _by_length(pairs)
    turns = [pair for both in zip_longest(shorter, longer) for pair in both if pair is not None]
    return [*turns, *even]


def _count(dropped: Counter[str], why: str, n: int) -> None:
    if n:
        dropped[why] += n
