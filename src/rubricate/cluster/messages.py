"""What a run and its workers tell each other. Texts travel once: a pool to the worker that refines it."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from rubricate.domain.conversation import Pool
from rubricate.domain.record import PromptRecord
from rubricate.domain.rubric import Rubric
from rubricate.errors import RubricateError, RunError, RunStopped, SettingsError
from rubricate.llm.leases import Done, Want
from rubricate.llm.prices import Prices
from rubricate.settings.schema import Settings

Message = TypeVar("Message")


class Charter(msgspec.Struct, frozen=True):
    """All that a worker has to know, once. It carries keys: it goes from process to process in one call,
    never into a log, a file or the object store.

    `environment` holds only the variables that a run reads. `ledger` is the path or the URL of the ledger
    that all workers share, which `settings` leave out; its password is in the environment. `identity` is the
    content key of the settings as the run sees them.
    """

    settings: Settings
    environment: dict[str, str]
    ledger: str
    verdicts_up_to: int
    prices: Prices
    identity: str

    def __repr__(self) -> str:
        return f"Charter(identity={self.identity!r})"


class Task(msgspec.Struct, frozen=True, array_like=True):
    """A prompt to refine, by its place in the input, and the rubric it starts from."""

    place: int
    pool: Pool
    initial: Rubric | None


class Orders(msgspec.Struct, array_like=True):
    """What a worker is told: prompts to refine, and permits that are granted."""

    tasks: list[Task] = []
    granted: list[int] = []


class Finished(msgspec.Struct, frozen=True, array_like=True):
    """What became of a prompt; `sampled` is its pool if that was filled up."""

    place: int
    record: PromptRecord
    sampled: Pool | None


class Counts(msgspec.Struct, frozen=True, array_like=True):
    """What a worker took so far: calls paid and reused, money, probes, hedges and retries."""

    calls_paid: int = 0
    calls_reused: int = 0
    usd_paid: float = 0.0
    probes: int = 0
    hedges: int = 0
    retries: int = 0

    def __add__(self, other: Counts) -> Counts:
        mine, theirs = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Counts(*(a + b for a, b in zip(mine, theirs, strict=True)))


class Stop(msgspec.Struct, frozen=True, array_like=True):
    """Why a worker cannot go on: an error of ours, by its class and its line."""

    kind: str
    why: str

    @classmethod
    def of(cls, error: RubricateError) -> Stop:
        """The word on an error."""
        return cls(type(error).__name__, str(error))

    def error(self) -> RubricateError:
        """The error, as far as the command tells errors apart."""
        kinds: dict[str, type[RubricateError]] = {"RunStopped": RunStopped, "SettingsError": SettingsError}
        return kinds.get(self.kind, RunError)(self.why)


class Said(msgspec.Struct, array_like=True):
    """What a worker says: calls that wait for permits, permits given back, finished prompts, and where it
    stands."""

    wants: list[Want] = []
    dones: list[Done] = []
    finished: list[Finished] = []
    counts: Counts = Counts()
    stop: Stop | None = None


class Hello(msgspec.Struct, frozen=True, array_like=True):
    """A worker is ready (or not: `stop`), in this process on the machine of this address."""

    pid: int
    address: str
    stop: Stop | None = None


def encoded(message: Any) -> bytes:
    """The message as it travels."""
    return _encode(message)


def decoded(content: bytes, kind: type[Message]) -> Message:
    """The message that arrived."""
    return msgspec.msgpack.decode(content, type=kind)


_encode = msgspec.msgpack.Encoder().encode
