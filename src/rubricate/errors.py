"""Every exception of rubricate. Each says whose mistake it is and what to do about it.

    RubricateError
    ├── SettingsError          a setting is wrong: name the key, say the nearest right one
    ├── DataError              a file is wrong: name the file, the line and the field
    ├── RunError               the run as a whole cannot start or go on
    │   └── RunStopped         it stopped on purpose (budget, circuit, signal) and can be resumed
    ├── ReplyError             a model answered, but not with what was asked for
    └── ChatError              a call to a model failed
        ├── ChatTimeout        no answer in time                       worth another try
        ├── RateLimited        429, with the wait that was asked for   worth another try
        ├── Unavailable        no connection, reset, 502-504           worth another try
        ├── ServerFault        500: may depend on the model's output   worth few tries
        ├── BadAnswer          200, but not a chat completion          worth few tries
        ├── BadRequest         400, 413, 422: the request's own fault  never
        └── AccountError       401, 403, 404: key or model is wrong    never, and the run stops

Nothing here is caught to be forgotten: a chat's failure becomes a value (`unjudged`, a failed
prompt), a user's mistake ends the command with exit code 2, and a bug crashes.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "AccountError",
    "BadAnswer",
    "BadRequest",
    "ChatError",
    "ChatTimeout",
    "DataError",
    "RateLimited",
    "ReplyError",
    "RubricateError",
    "RunError",
    "RunStopped",
    "ServerFault",
    "SettingsError",
    "Unavailable",
    "first_line",
]


def first_line(failure: BaseException) -> str:
    """The first line of what a failure of another library says, or its kind where it says nothing."""
    return next(iter(str(failure).strip().splitlines()), type(failure).__name__)


class RubricateError(Exception):
    """The root of the tree; its text is fit to be shown to a user as it is."""


class SettingsError(RubricateError):
    """A setting that is unknown, of the wrong type or out of range."""


class DataError(RubricateError):
    """A file that cannot be used; says where, what is wrong, and what would be right.

    `line` counts from 1 and is None where the format has no lines; `field` is a dotted path.
    """

    def __init__(self, path: Path | str, problem: str, *, line: int | None = None, field: str | None = None):
        self.path, self.problem, self.line, self.field = str(path), problem, line, field
        place = self.path if line is None else f"{self.path}:{line}"
        super().__init__(f"{place}: {f'{field}: ' if field else ''}{problem}")


class RunError(RubricateError):
    """The run as a whole cannot start or go on."""


class RunStopped(RunError):
    """The run stopped on purpose; what was paid is kept and the same command resumes it."""


class ReplyError(RubricateError):
    """A model answered, but not with what was asked for. Keeps the raw text."""

    def __init__(self, problem: str, raw: str = ""):
        self.problem, self.raw = problem, raw
        super().__init__(problem)


class ChatError(RubricateError):
    """A call to a model failed. `retryable` says whether the same call may go through later."""

    retryable = False


class ChatTimeout(ChatError):
    """No answer within the time allowed."""

    retryable = True


class RateLimited(ChatError):
    """429. `retry_after_s` is the wait that the server asked for, in seconds, or None."""

    retryable = True

    def __init__(self, problem: str, retry_after_s: float | None = None):
        self.retry_after_s = retry_after_s
        super().__init__(problem)


class Unavailable(ChatError):
    """No connection, a connection lost, or 502, 503, 504. May carry a Retry-After in seconds."""

    retryable = True

    def __init__(self, problem: str, retry_after_s: float | None = None):
        self.retry_after_s = retry_after_s
        super().__init__(problem)


class ServerFault(ChatError):
    """500. llama.cpp answers so for some model outputs, so it is counted apart from outages."""

    retryable = True


class BadAnswer(ChatError):
    """200 with a body that is no chat completion: wrong type, broken bytes, too large, no choice."""

    retryable = True


class BadRequest(ChatError):
    """The request itself was refused; the same request will be refused again."""


class AccountError(ChatError):
    """The key, the account or the model name is wrong: no other call of this run will fare better."""
