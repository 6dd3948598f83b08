"""Fixtures of this room. A real llama.cpp server answers behind `llama_endpoint`; the laws of ledgers hold
for every store at a `place`."""

import itertools
from collections.abc import Callable

import pytest
from llama_server import llama_endpoint, tiny_model

from rubricate.llm.store import Place
from tests.postgres_server import database, postgres_server

__all__ = ["database", "llama_endpoint", "place", "places", "postgres_server", "tiny_model"]

STORES = ("sqlite", "postgres")
_numbers = itertools.count()


@pytest.fixture(params=STORES)
def places(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Place]:
    """Gives a new place of one store, where nothing is yet, as often as it is called."""
    if request.param == "sqlite":
        return lambda: Place(tmp_path_factory.mktemp("ledger") / "new" / "ledger.sqlite")
    server = request.getfixturevalue("postgres_server")
    return lambda: Place.parse(server.url("postgres", query=f"schema=law_{next(_numbers)}"))


@pytest.fixture
def place(places: Callable[[], Place]) -> Place:
    """A new place of one store."""
    return places()
