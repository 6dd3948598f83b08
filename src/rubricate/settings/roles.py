"""Settings -> a grader, a proposer or a judge outside of a run: the same lines, ledger and budget as a run.

What measures a reward (benchmarks, red team, agreement) asks models too. What they say goes through the same
ledger, so the same command again pays for nothing that was answered before, and an interrupted one goes on
where it stopped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rubricate.llm.budget import Budget
from rubricate.llm.chat import Chat
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.local.server import Server
from rubricate.llm.local.servers import serve_roles
from rubricate.llm.store import open_ledger
from rubricate.settings.casting import (
    key_names,
    local_models,
    manner_of,
    offline_grader,
    offline_proposer,
    role_access,
    tenants_of,
)
from rubricate.settings.schema import OFFLINE, Settings
from rubricate.settings.terms import ledger_place, prices_of
from rubricate.settings.wiring import OwnLimits, Wiring
from rubricate.steps.crew import CheckedGrader, ModelGrader, ModelJudge, ModelProposer
from rubricate.steps.roles import Grader, Proposer

SERVERS = Path("workflow_outs") / "servers"


@dataclass
class Roles:
    """Opens who is asked for, when it is asked for; the offline engine opens nothing and writes nothing."""

    settings: Settings
    env: Mapping[str, str]
    budget: Budget
    _stack: AsyncExitStack
    _servers: Mapping[str, Server]
    _wiring: Wiring | None = field(default=None)

    @property
    def n_paid(self) -> int:
        """Calls that were paid for so far."""
        return sum(line.chat.n_paid for line in self._wiring.lines.values()) if self._wiring else 0

    @property
    def n_reused(self) -> int:
        """Replies that were taken from the ledger so far."""
        return sum(line.chat.n_reused for line in self._wiring.lines.values()) if self._wiring else 0

    async def grader(self, model: str | None = None) -> Grader:
        """The grader of the settings, or one that is `model` at the grader's endpoint."""
        name = model or self.settings.models.verifier
        grader: Grader
        if name == OFFLINE:
            grader = offline_grader()
        else:
            chat = await self.chat("verifier", name)
            grader = ModelGrader(chat, manner_of(self.settings, name), self.settings.grade.criteria_per_call)
        return CheckedGrader(grader) if self.settings.grade.checks else grader

    async def proposer(self) -> Proposer:
        """The proposer of the settings."""
        name = self.settings.models.rubric_generator
        if name == OFFLINE:
            return offline_proposer(self.settings.random_seed)
        chat = await self.chat("proposer", name)
        seed, pitfalls = self.settings.random_seed, self.settings.workflow.pitfalls
        return ModelProposer(chat, chat, manner_of(self.settings, name), seed=seed, pitfalls=pitfalls)

    async def judge(self, model: str) -> ModelJudge:
        """A judge that is `model`."""
        return ModelJudge(await self.chat("judge", model), manner_of(self.settings, model))

    async def chat(self, role: str, model: str) -> Chat:
        """The line to a model in a role (proposer, verifier, judge); the first one opens the ledger."""
        wiring = await self._opened()
        server = self._servers.get(role)
        if server is not None and model == local_models(self.settings)[role]:
            return (await wiring.line(Endpoint(server.base_url), role, server)).chat
        where = role_access(self.settings, self.env, role)
        return (await wiring.line(Endpoint(where.base_url, where.api_key), role)).chat

    async def _opened(self) -> Wiring:
        if self._wiring is None:
            ledger = await self._stack.enter_async_context(open_ledger(ledger_place(self.settings, self.env)))
            limits = OwnLimits(self.settings.api, self.budget)
            self._wiring = Wiring(self.settings.api, ledger, limits, self._stack)
        return self._wiring


@asynccontextmanager
async def opened_roles(
    settings: Settings,
    env: Mapping[str, str],
    *,
    say: Callable[[str], None],
    roles: Collection[str] = ("proposer", "verifier"),
    models: Sequence[str] = (),
) -> AsyncIterator[Roles]:
    """Roles for as long as the block lasts.

    `roles` are those that will be played: only for these a server of ours is started. `models` are asked
    beside the settings' own.

    Raises:
        SettingsError: a price that is not known under a limit on cost; on opening a role, a key that is not
            set or a program that is not installed.
    """
    limits = settings.budget
    own = {"proposer": settings.models.rubric_generator, "verifier": settings.models.verifier}
    asked = [*(model for role, model in own.items() if role in roles), *models]
    budget = Budget(prices_of(settings), max_calls=limits.max_calls, max_cost_usd=limits.max_cost_usd)
    budget.check(tuple(dict.fromkeys(model for model in asked if model != OFFLINE)))
    tenants = [tenant for tenant in tenants_of(settings) if tenant.role in roles]
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(
            serve_roles(tenants, SERVERS, secrets=key_names(settings), say=say)
        )
        yield Roles(settings, env, budget, stack, servers)
