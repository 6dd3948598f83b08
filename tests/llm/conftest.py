"""Fixtures of this room. A real llama.cpp server answers behind `llama_endpoint`."""

from llama_server import llama_endpoint, tiny_model

__all__ = ["llama_endpoint", "tiny_model"]
