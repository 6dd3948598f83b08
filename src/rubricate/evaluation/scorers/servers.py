"""Any reward server over HTTP as a scorer.

Asked is `POST URL` with JSON of three lists of one length:

    {"prompts": [str], "responses": [str], "query": [str]}

where a query is prompt, newline, response (the form of TRL's and OpenRLHF's remote reward models). Answered
is `{"rewards": [float | null]}`, `{"scores": [...]}` or the bare list, in the same order; null is no
judgement.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from rubricate.errors import RunError
from rubricate.evaluation.scorers.marks import Item, Mark

if TYPE_CHECKING:
    import aiohttp

_SHOWN = 200
_PAUSES_S = (0.5, 2.0, 8.0)


@dataclass
class ServerScorer:
    """A reward server at `url`. A failure on the server's side is tried again; what then fails is unjudged,
    but a server that never answered at all ends the measurement.

    `body` is `full` (all three lists) or `query` (that list alone, for servers that refuse unknown fields).
    """

    session: aiohttp.ClientSession
    url: str
    body: str = "full"
    key: str | None = None
    batch_size: int = 16
    in_flight: int = 8
    pauses_s: tuple[float, ...] = _PAUSES_S
    _answered: bool = False

    @property
    def name(self) -> str:
        """The address, without what stands behind a question mark."""
        return f"server {self.url.partition('?')[0]}"

    def __repr__(self) -> str:
        return f"ServerScorer({self.url!r})"

    async def score(self, items: Sequence[Item]) -> Sequence[Mark]:
        """The server's rewards.

        Raises:
            RunError: it cannot be reached, refuses the request, or answers in another form.
        """
        lists = {
            "prompts": [item.prompt.text for item in items],
            "responses": [item.text for item in items],
            "query": [f"{item.prompt.text}\n{item.text}" for item in items],
        }
        asked = lists if self.body == "full" else {"query": lists["query"]}
        answer, why = await self._answer(msgspec.json.encode(asked))
        if answer is None:
            return [Mark(None, why) for _ in items]
        self._answered = True
        rewards = self._rewards(answer, len(items))
        return [self._mark(reward) for reward in rewards]

    async def _answer(self, body: bytes) -> tuple[bytes | None, str]:
        import aiohttp

        headers = {"content-type": "application/json"}
        if self.key is not None:
            headers["authorization"] = f"Bearer {self.key}"
        why = ""
        for pause_s in (*self.pauses_s, None):
            try:
                async with self.session.post(self.url, data=body, headers=headers) as reply:
                    text = await reply.read()
                    if reply.status == 200:
                        return text, ""
                    why = f"HTTP {reply.status}: {_excerpt(text)}"
                    if reply.status < 500 and reply.status not in (408, 429):
                        raise RunError(f"{self.name} refuses the request: {why}")
            except (aiohttp.ClientError, TimeoutError) as failure:
                why = f"{type(failure).__name__}: {failure}"
            if pause_s is not None:
                await asyncio.sleep(pause_s)
        if not self._answered:
            raise RunError(f"{self.name} does not answer: {why}")
        return None, why

    def _rewards(self, text: bytes, n: int) -> list[Any]:
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError:
            raise RunError(f"{self.name} answered no JSON: {_excerpt(text)}") from None
        if isinstance(value, dict):
            value = value.get("rewards", value.get("scores"))
        if not isinstance(value, list):
            raise RunError(f'{self.name} answered without a list "rewards": {_excerpt(text)}')
        if len(value) != n:
            raise RunError(f"{self.name} gave {len(value)} rewards for {n} responses")
        return value

    def _mark(self, reward: Any) -> Mark:
        if isinstance(reward, list) and len(reward) == 1:
            reward = reward[0]
        if reward is None:
            return Mark(None, "the server gave null")
        if isinstance(reward, bool) or not isinstance(reward, int | float) or not math.isfinite(reward):
            raise RunError(f"{self.name} gave {str(reward)[:40]!r} as a reward: a number or null is needed")
        return Mark(float(reward))


def _excerpt(text: bytes) -> str:
    return " ".join(text[: 4 * _SHOWN].decode("utf-8", "replace").split())[:_SHOWN]
