from tests.served import desk

__all__ = ["desk"]
