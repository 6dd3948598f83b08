"""Keys and base URLs of endpoints: the one place that reads the environment and `.env`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from rubricate.errors import SettingsError

LITELLM_DEFAULT = "http://localhost:4000"
OPENAI_DEFAULT = "https://api.openai.com/v1"


class Access(msgspec.Struct, frozen=True):
    """Where to ask, and with which key. The key is not part of the repr, and is never written."""

    base_url: str
    api_key: str | None
    key_name: str | None

    def __repr__(self) -> str:
        return f"Access({self.base_url!r}, key from {self.key_name or 'nowhere'})"


def environment(folder: Path | None = None) -> Mapping[str, str]:
    """The environment, and below it what a `.env` file in the folder (default: the current one) says."""
    from dotenv import dotenv_values

    path = (folder or Path.cwd()) / ".env"
    said = {name: value for name, value in dotenv_values(path).items() if value} if path.is_file() else {}
    return {**said, **{name: value for name, value in os.environ.items() if value}}


def access(env: Mapping[str, str], base_url: str | None = None, key_env: str | None = None) -> Access:
    """Where to ask.

    `LITELLM_KEY` and `LITELLM_BASE_URL` as in the official README, then `OPENAI_API_KEY` and
    `OPENAI_BASE_URL`; a given `base_url` replaces theirs, a given `key_env` names another variable.

    Raises:
        SettingsError: the variable `key_env` is not set.
    """
    if key_env is not None and key_env not in env:
        raise SettingsError(
            f"the environment variable {key_env} is not set, and a setting names it as the key"
        )
    by_litellm = "LITELLM_KEY" in env or "LITELLM_BASE_URL" in env
    by_openai = not by_litellm and ("OPENAI_API_KEY" in env or "OPENAI_BASE_URL" in env)
    found = (
        env.get("OPENAI_BASE_URL", OPENAI_DEFAULT)
        if by_openai
        else env.get("LITELLM_BASE_URL", LITELLM_DEFAULT)
    )
    name = key_env or next((name for name in ("LITELLM_KEY", "OPENAI_API_KEY") if name in env), None)
    return Access(base_url or found, env[name] if name else None, name)
