"""Any Python callable as a scorer: `module:function` of prompt and response, plain or async."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from rubricate.errors import RunError, SettingsError
from rubricate.evaluation.scorers.marks import Item, Mark


@dataclass
class CallableScorer:
    """A function `(prompt: str, response: str) -> float | None`. A coroutine function is awaited in the
    loop, a plain one runs in threads, so it may be called from several at a time."""

    function: Callable[[str, str], Any]
    name: str = "function"
    batch_size: int = 1
    in_flight: int = 8

    async def score(self, items: Sequence[Item]) -> Sequence[Mark]:
        """What the function says; None and what is not finite is unjudged. What it raises goes through."""
        return [self._read(await self._called(item)) for item in items]

    async def _called(self, item: Item) -> Any:
        if inspect.iscoroutinefunction(self.function):
            return await self.function(item.prompt.text, item.text)
        result = await asyncio.to_thread(self.function, item.prompt.text, item.text)
        return await result if inspect.isawaitable(result) else result

    def _read(self, result: Any) -> Mark:
        if result is None:
            return Mark(None, "the function gave None")
        if isinstance(result, bool) or not isinstance(result, Real):
            kind = type(result).__name__
            raise RunError(f"{self.name} returned a {kind}: a reward is a float, or None for no judgement")
        value = float(result)
        return Mark(value) if math.isfinite(value) else Mark(None, f"the function gave {value}")


def callable_scorer(spec: str) -> CallableScorer:
    """The scorer of `module:function`; the current folder is searched too.

    Raises:
        SettingsError: there is no such module or function.
    """
    module_name, _, path = spec.partition(":")
    if not module_name or not path:
        raise SettingsError(f"--scorer call:{spec}: write call:module:function")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as missing:
        if missing.name is None or not (module_name + ".").startswith(missing.name + "."):
            raise  # the module is there, and something that it needs is not
        raise SettingsError(f"--scorer call:{spec}: there is no module {missing.name!r}") from None
    for name in path.split("."):
        if not hasattr(found, name):
            raise SettingsError(f"--scorer call:{spec}: {module_name} has no {path!r}")
        found = getattr(found, name)
    if not callable(found):
        raise SettingsError(f"--scorer call:{spec}: it is no function")
    return CallableScorer(found, spec)
