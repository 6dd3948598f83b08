"""`rubricate serve`: a reward behind HTTP, until a signal ends it."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from rubricate.commands.session import in_loop
from rubricate.domain.identity import key_of
from rubricate.errors import SettingsError
from rubricate.rewards.reward import RubricReward
from rubricate.rewards.seam import Reward
from rubricate.rewards.serving.app import App
from rubricate.rewards.serving.contracts.seam import API, Served, Version
from rubricate.rewards.serving.intake.gate import Limits
from rubricate.rewards.serving.server import RewardServer
from rubricate.settings.reward import CHECKPOINT, learned_reward, rubric_reward, rubrics_file
from rubricate.settings.secrets import environment

_SHORTEST_TOKEN = 16
_SMALL = 1024 * 1024


@dataclass(frozen=True)
class Order:
    """What is to be served, and where. `reward` is "rubric" or "checkpoint:PATH"."""

    rubrics: Path | None = None
    overrides: Sequence[str] = ()
    config: str = "iterative"
    reward: str = "rubric"
    unseen: str = "fail"
    rule: str = "weighted_mean"
    options: dict[str, float] = field(default_factory=dict)
    second_grader: str | None = None
    model: str = "rubricate"
    unjudged: float | None = None
    host: str = "127.0.0.1"
    port: int = 8500
    token_env: str | None = None
    token_file: Path | None = None
    without_token: bool = False
    open_metrics: bool = False
    limits: Limits = field(default_factory=Limits)


def serve(order: Order, console: Console) -> int:
    """Serves until SIGTERM or Ctrl-C, then finishes what was accepted; the exit code: 0 when all of it was
    answered, 1 when its time was over. A second signal ends the process at once.

    Raises:
        SettingsError: a setting, a token or the address is wrong, or the grader cannot be opened.
        DataError: the rubrics cannot be read.
        RunError: the address is taken.
    """
    tokens = tokens_of(order)
    is_local = _is_local(order.host)
    if not tokens and not is_local and not order.without_token:
        raise SettingsError(
            f"{order.host} can be reached from other machines, and whoever reaches it spends your money: "
            "name a token by --token-env or --token-file, or say --without-token"
        )
    reward = _reward(order)

    async def stay() -> int:
        ending = _signals()
        async with _at_home(reward) as identity:
            key = key_of("served", identity, order.reward, _rubrics_key(order), _model_key(order))
            app = App(
                reward,
                Served(Version(API, version("rubricate"), key), order.model, order.unjudged),
                order.limits,
                tokens=tokens,
                open_metrics=order.open_metrics,
                only_local_names=is_local and not tokens,
            )
            server = RewardServer(app)
            await server.start(order.host, order.port)
            console.print(
                f"reward {key[:8]} at {server.url} (POST /v1/rewards)", markup=False, soft_wrap=True
            )
            await ending.wait()
            n = app.gate.busy + app.gate.n_waiting
            console.print(f"draining: {n} requests to finish; a second signal ends at once", markup=False)
            left = await server.drain()
            judged, unjudged = (app.metrics.completions[outcome] for outcome in ("judged", "unjudged"))
            console.print(f"{judged:,} rewards, {unjudged:,} without; {left} requests cut off", markup=False)
            return 1 if left else 0

    return in_loop(stay())


def tokens_of(order: Order) -> list[str]:
    """The tokens that clients may send: of an environment variable, or the lines of a file.

    Raises:
        SettingsError: the variable is not set, the file cannot be read, or a token is short or no ASCII.
    """
    if order.token_env is not None and order.token_file is not None:
        raise SettingsError("give --token-env or --token-file, not both")
    if order.token_env is not None:
        token = environment().get(order.token_env)
        if token is None:
            raise SettingsError(
                f"the environment variable {order.token_env} is not set, and --token-env names it"
            )
        found, source = [token.strip()], order.token_env
    elif order.token_file is not None:
        try:
            lines = order.token_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as problem:
            raise SettingsError(f"{order.token_file} cannot be read: {problem}") from None
        found, source = [line.strip() for line in lines if line.strip()], str(order.token_file)
        if not found:
            raise SettingsError(f"{source} holds no token")
    else:
        return []
    for token in found:
        if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
            raise SettingsError(
                f"a token of {source} is unfit: {_SHORTEST_TOKEN} or more printable ASCII characters, "
                "such as `openssl rand -hex 32` gives"
            )
    return found


def _reward(order: Order) -> Reward:
    """The reward that is served. Every kind of reward has its line here."""
    if order.reward.startswith(CHECKPOINT):
        if order.rubrics is not None or order.options or order.second_grader is not None:
            raise SettingsError(f"--reward {order.reward} has no use for rubrics, nor for options of theirs")
        return learned_reward(order.reward.removeprefix(CHECKPOINT))
    if order.reward == "rubric":
        return rubric_reward(
            order.rubrics,
            order.overrides,
            config=order.config,
            unseen=order.unseen,  # type: ignore[arg-type]  # checked by the reward
            rule=order.rule,
            second_grader=order.second_grader,
            **order.options,  # type: ignore[arg-type]  # shares by name
        )
    raise SettingsError(f"no reward {order.reward!r}; there are 'rubric' and 'checkpoint:PATH'")


@asynccontextmanager
async def _at_home(reward: Reward) -> AsyncIterator[str]:
    """The reward on this loop where it can be, opened, so that what it lacks is said now; gives its
    identity."""
    if isinstance(reward, RubricReward):
        async with reward.on_this_loop():
            yield await reward.identity()
        return
    try:
        yield ""
    finally:
        reward.close()


def _rubrics_key(order: Order) -> str:
    """Content key of the rubrics that were given."""
    if order.rubrics is None:
        return ""
    path = rubrics_file(order.rubrics)
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return key_of("rubric files", [key_of("file", file.read_bytes()) for file in files])


def _model_key(order: Order) -> str:
    """Content key of a saved model: its small files whole, weights by name and size, so that the start of a
    server does not wait for gigabytes to be read; of a model of the hub there is the name alone."""
    folder = Path(order.reward.removeprefix(CHECKPOINT)).expanduser()
    if not order.reward.startswith(CHECKPOINT) or not folder.is_dir():
        return ""
    files = sorted(file for file in folder.iterdir() if file.is_file())
    return key_of("model files", [[file.name, _content_of(file)] for file in files])


def _content_of(file: Path) -> str:
    size = file.stat().st_size
    return str(size) if size > _SMALL else key_of("file", file.read_bytes())


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _signals() -> asyncio.Event:
    """Set by the first SIGTERM or Ctrl-C; the second is not caught."""
    loop, ending = asyncio.get_running_loop(), asyncio.Event()

    def end() -> None:
        ending.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    return ending
