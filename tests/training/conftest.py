"""A tiny policy, made once, and one thread for torch."""

from __future__ import annotations

import pytest

from tests.training.tiny_policy import tiny_policy


@pytest.fixture(scope="session")
def policy(tmp_path_factory) -> str:
    """The folder of a policy without a chat template."""
    pytest.importorskip("trl")
    return tiny_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture
def one_thread():
    """Torch on one thread: more are slower with so little to do."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
