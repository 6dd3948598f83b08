"""Fixtures of this room."""

from tests.cluster.nodes import nodes
from tests.postgres_server import database, postgres_server
from tests.served import desk

__all__ = ["database", "desk", "nodes", "postgres_server"]
