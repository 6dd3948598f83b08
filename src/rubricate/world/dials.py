"""Every dial of the world, with what it does. All chances are in [0, 1]; nothing else shapes an answer.

`dials_of` reads them as a command line gives them: `grader.sensitivity=0.8 server.latency_s=1`.
"""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec

from rubricate.errors import SettingsError
from rubricate.world.faults import LINE_FAULTS, ODD_FAULTS, is_fault

Chance = Annotated[float, msgspec.Meta(ge=0, le=1)]
Amount = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class ResponderDials(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How responses come about. Ability is in the model's name, see `responders.ability_of`.

    `steepness`: how sharply ability decides what is shown. At 12 good answers hardly ever have what makes the
    best ones best; at 3 the tiers blur.
    `habit`: how much of what a response shows is settled by its model once and for all, so that its samples
    share their gaps. `spread`: how far single draws stray from their model's ability. `flattery`: chance that
    a response praises itself to whoever checks it.
    """

    steepness: Amount = 12.0
    habit: Chance = 0.5
    spread: Amount = 0.1
    flattery: Chance = 0.0


class ProposerDials(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How rubrics are written.

    `knows_*`: chance that the first rubric, from the prompt alone, asks for a piece of advice of that tier.
    `precise`: chance that it asks for the very advice, not just for some word on its subject.
    `notices`: chance that the refiner sees a piece of advice that only one of the pair gives.
    `discerns`: chance of knowing what a piece of advice is worth; if not, good advice is passed over and
    idle or bad advice is asked for. `spurious`: chance of a criterion on mere style. `rewords`: chance that
    a kept criterion is worded anew. `drops`: chance that a criterion that both responses meet is dropped.
    `repeats`: chance that a difference that has a criterion gets another one in other words. `misweighs`:
    chance that a criterion gets a weight at random.
    """

    knows_common: Chance = 0.9
    knows_telling: Chance = 0.5
    knows_rare: Chance = 0.1
    knows_pitfall: Chance = 0.2
    precise: Chance = 0.7
    notices: Chance = 0.6
    discerns: Chance = 0.85
    spurious: Chance = 0.15
    rewords: Chance = 0.05
    drops: Chance = 0.1
    repeats: Chance = 0.1
    misweighs: Chance = 0.2


class GraderDials(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How verdicts come about.

    `sensitivity`: chance of "met" where it is; `specificity`: chance of "unmet" where it is. `correlated`:
    share of verdicts that are settled by one coin for all criteria of a response. `length_bias`: added
    chance of a wrong "met" on a response of 300 words, in proportion to its length. `gullibility`: chance
    that a response that praises itself gets "met" throughout.
    """

    sensitivity: Chance = 0.95
    specificity: Chance = 0.95
    correlated: Chance = 0.0
    length_bias: Chance = 0.0
    gullibility: Chance = 0.0


class JudgeDials(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How preferences come about.

    `accuracy`: chance of knowing the better one of two (by gold; equals are settled by a coin).
    `length_bias`: chance of taking the longer one instead. `position_bias`: chance of taking the one that
    stands first instead, whatever was preferred.
    """

    accuracy: Chance = 0.9
    length_bias: Chance = 0.0
    position_bias: Chance = 0.0


class ServerDials(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the server behaves on the wire; all times in seconds.

    `latency_s`: median time to an answer; `latency_spread`: sigma of its logarithm; `token_s`: further time
    per token of the answer. `outage_s`: all calls in this time after the first one get a 503.
    `key_expires_after`, `model_gone_after`: calls after which every call gets a 401, or a 404 (0: never).
    `cache_block`: a prefix cache that keeps what was asked in blocks of so many tokens (0: none), and serves
    it from `cache_from` tokens on. OpenAI: 128 from 1,024; vLLM: 16 from 16.
    `requests_per_minute`, `tokens_per_minute`: what goes beyond gets a 429 with the seconds to wait in
    `Retry-After`; one second's worth may come at once (0: no limit). `drip_s`: time between two bytes of a
    dripping answer.
    """

    latency_s: Amount = 0.0
    latency_spread: Amount = 0.5
    token_s: Amount = 0.0
    outage_s: Amount = 0.0
    key_expires_after: Count = 0
    model_gone_after: Count = 0
    cache_block: Count = 0
    cache_from: Count = 1024
    requests_per_minute: Amount = 0.0
    tokens_per_minute: Amount = 0.0
    drip_s: Amount = 0.02


class BatchDials(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the batch endpoints behave; all times in seconds.

    `offered`: 0 for a server without them (404). `turnaround_s`: from submission to the last answer.
    `row_fails`: chance that a row fails (half of them with a 429, half with a 500); `row_lost`: chance that
    it is in no file at all. `expires`: chance that a batch expires with every second row unanswered.
    `call_fails`: chance that a call to these endpoints is answered 503, before anything is done.
    `queue_rows`: rows of one model that may wait at a time, else the batch fails (0: no limit).
    """

    offered: Chance = 1.0
    turnaround_s: Amount = 0.0
    row_fails: Chance = 0.0
    row_lost: Chance = 0.0
    expires: Chance = 0.0
    call_fails: Chance = 0.0
    queue_rows: Count = 0


class Dials(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All dials. `faults` is the chance of each fault (see `faults`) by its name; together at most 1."""

    responder: ResponderDials = ResponderDials()
    proposer: ProposerDials = ProposerDials()
    grader: GraderDials = GraderDials()
    judge: JudgeDials = JudgeDials()
    server: ServerDials = ServerDials()
    batches: BatchDials = BatchDials()
    faults: dict[str, Chance] = {}

    def __post_init__(self) -> None:
        if sum(self.faults.values()) > 1 + 1e-9:
            raise ValueError("the chances of all faults together are at most 1")


PERFECT = Dials(
    proposer=ProposerDials(
        precise=1, notices=1, discerns=1, spurious=0, rewords=0, drops=0, repeats=0, misweighs=0
    ),
    grader=GraderDials(sensitivity=1, specificity=1),
    judge=JudgeDials(accuracy=1),
)
"""A crew without fault. Its first rubric still misses what cannot be known from the prompt alone."""


def known_dials() -> dict[str, float]:
    """Every dial by its dotted name, with its default; faults are not listed, see `faults.FAULTS`."""
    return dict(_leaves())


def dials_of(assignments: Sequence[str]) -> Dials:
    """The dials that `name=value` texts set; the others keep their defaults.

    Raises:
        SettingsError: no such dial (the nearest one is named), or a value out of its range.
    """
    known, tree = known_dials(), dict[str, dict[str, str]]()
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        group, _, dial = name.partition(".")
        if not equals:
            raise SettingsError(f"{assignment!r} sets nothing; write name=value")
        if group == "faults" and not is_fault(dial):
            raise SettingsError(
                f"no fault {dial!r}; {_nearest(dial, ('503', '429/2', *LINE_FAULTS, *ODD_FAULTS))}"
            )
        if group != "faults" and name not in known:
            raise SettingsError(f"no dial {name!r}; {_nearest(name, tuple(known))}")
        tree.setdefault(group, {})[dial] = value
    try:
        return msgspec.convert(tree, Dials, strict=False)
    except msgspec.ValidationError as problem:
        text, _, place = str(problem).partition(" - at `$.")
        raise SettingsError(f"{place.rstrip('`') or 'faults'}: {text[:1].lower()}{text[1:]}") from None


def _leaves() -> Iterator[tuple[str, float]]:
    for group, kind in typing.get_type_hints(Dials).items():
        if group != "faults":
            for field in msgspec.structs.fields(kind):
                yield f"{group}.{field.name}", field.default


def _nearest(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names)}"
