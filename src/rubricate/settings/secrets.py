"""Keys and base URLs of endpoints, and the ledger: the one place that reads the environment and `.env`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from rubricate.errors import SettingsError
from rubricate.llm.store import Place

LITELLM_DEFAULT = "http://localhost:4000"
OPENAI_DEFAULT = "https://api.openai.com/v1"
LEDGER_VARIABLE = "RUBRICATE_LEDGER"
LEDGER_SECRETS = (LEDGER_VARIABLE, "PGPASSWORD")


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


def access(
    env: Mapping[str, str],
    base_url: str | None = None,
    own_url: str | None = None,
    own_key_env: str | None = None,
) -> Access:
    """Where to ask.

    `LITELLM_KEY` and `LITELLM_BASE_URL` as in the official README; where neither is set, `OPENAI_API_KEY`
    and `OPENAI_BASE_URL`. The keys of the one are never sent to the other. `base_url` (`api.base_url`)
    replaces the address and takes their key, as in the official workflow. A role's `own_url` gets the key
    that `own_key_env` names or none at all: no key goes to an address that it was not given for.

    Raises:
        SettingsError: the variable `own_key_env` is not set.
    """
    if own_key_env is not None and own_key_env not in env:
        raise SettingsError(
            f"the environment variable {own_key_env} is not set, and a setting names it as the key"
        )
    by_litellm = "LITELLM_KEY" in env or "LITELLM_BASE_URL" in env
    by_openai = not by_litellm and ("OPENAI_API_KEY" in env or "OPENAI_BASE_URL" in env)
    if by_openai:
        shared_url, shared_key = env.get("OPENAI_BASE_URL", OPENAI_DEFAULT), "OPENAI_API_KEY"
    else:
        shared_url, shared_key = env.get("LITELLM_BASE_URL", LITELLM_DEFAULT), "LITELLM_KEY"
    name = own_key_env or (shared_key if own_url is None and shared_key in env else None)
    return Access(own_url or base_url or shared_url, env[name] if name else None, name)


def ledger_of(env: Mapping[str, str]) -> Place | None:
    """The ledger that RUBRICATE_LEDGER names: a file or a URL, which may hold the password. None if unset.

    Raises:
        SettingsError: it names none.
    """
    written = env.get(LEDGER_VARIABLE)
    try:
        return Place.parse(written) if written else None
    except ValueError as mistake:
        raise SettingsError(f"the environment variable {LEDGER_VARIABLE} {mistake}") from None
