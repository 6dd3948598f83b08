"""What one prompt's questions took, step by step, whether the replies were paid now or remembered.

The ledger counts what a session paid; a meter counts what a prompt is worth. So the figures of a resumed
run are those of the unbroken one.
"""

from __future__ import annotations

from collections import defaultdict

from rubricate.domain.record import Spend, Step
from rubricate.llm.chat import Chat, Reply, Request, Usage
from rubricate.llm.prices import Prices


class Meter:
    """Adds up the calls of one prompt; whole tokens only, so that the order of arrival leaves no trace."""

    def __init__(self) -> None:
        self._usage: dict[Step, dict[str, Usage]] = defaultdict(dict)
        self._counts: dict[Step, dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def add_call(self, step: Step, model: str, usage: Usage) -> None:
        """One reply of `model` in `step`."""
        self._usage[step][model] = self._usage[step].get(model, Usage()) + usage
        self._counts[step]["calls"] += 1

    def count(self, step: Step, **counts: int) -> None:
        """Adds to the other fields of `Spend`, by their names."""
        for name, number in counts.items():
            self._counts[step][name] += number

    def spend(self, prices: Prices) -> dict[Step, Spend]:
        """What each step took so far, steps in the order of their names."""
        steps = sorted(set(self._usage) | set(self._counts))
        return {step: self._of(step, prices) for step in steps}

    def _of(self, step: Step, prices: Prices) -> Spend:
        total, costs = Usage(), []
        for model, usage in sorted(self._usage[step].items()):
            total = total + usage
            costs.append(prices.cost(model, usage, step))
        known = [cost for cost in costs if cost is not None]
        return Spend(
            prompt_tokens=total.prompt_tokens,
            completion_tokens=total.completion_tokens,
            cached_tokens=total.cached_tokens,
            cost_usd=sum(known, 0.0) if len(known) == len(costs) else None,
            **self._counts[step],
        )


class MeteredChat:
    """A chat around another that tells a meter of every reply."""

    def __init__(self, inner: Chat, meter: Meter, step: Step):
        self._inner, self._meter, self._step = inner, meter, step

    async def ask(self, request: Request) -> Reply:
        """The reply of the inner chat, counted."""
        reply = await self._inner.ask(request)
        self._meter.add_call(self._step, request.model, reply.usage)
        return reply
