"""The heavy libraries, which only a rehearsal of training needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rubricate.errors import SettingsError


@contextmanager
def needed() -> Iterator[None]:
    """Around imports: says which extra brings what is missing.

    Raises:
        SettingsError: a library of the extra `train` is not installed.
    """
    try:
        yield
    except ImportError as missing:
        raise SettingsError(
            f"a rehearsal of training needs {missing.name or 'a library'} that is not installed; "
            "install it with: pip install 'rubricate[train]'"
        ) from missing
