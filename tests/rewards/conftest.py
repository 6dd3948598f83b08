"""What the tests of rewards share."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from types import ModuleType

import pytest


@pytest.fixture
def verl(monkeypatch):
    """verl's base class as its source has it; verl itself needs another transformers than we test with."""

    class RewardManagerBase(ABC):
        def __init__(self, config, tokenizer, compute_score):
            self.config, self.tokenizer, self.compute_score = config, tokenizer, compute_score
            self.init_class(config, tokenizer)

        @classmethod
        def init_class(cls, config, tokenizer):
            cls.is_ready = True

        @abstractmethod
        async def run_single(self, data): ...

    path = "verl.experimental.reward_loop.reward_manager.base"
    parts = path.split(".")
    for end in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:end]), ModuleType(parts[end - 1]))
    sys.modules[path].RewardManagerBase = RewardManagerBase
    return RewardManagerBase
