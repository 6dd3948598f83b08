"""Where a model is reached: the address, the key, and the connections that live there."""

from __future__ import annotations

import ipaddress
import urllib.parse
import urllib.request
from dataclasses import dataclass, field

from rubricate.errors import SettingsError

_COMPLETIONS = "/chat/completions"


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible server. A dataclass with a hidden key, so that no repr and no log can show it.

    `base_url` may come as people write it: with or without `/v1`, a slash at the end, or the whole address
    of the chat completions. A bare host is given `/v1`; any other path is left as it is.

    Raises:
        SettingsError: no http(s) address, or one with a password or a query in it.
    """

    base_url: str
    api_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", _normal(self.base_url))
        object.__setattr__(self, "api_key", (self.api_key or "").strip() or None)
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.isprintable()):
            raise SettingsError(f"the API key for {self.base_url} holds characters that no key has")

    @property
    def chat_url(self) -> str:
        """The address that chat completions are posted to."""
        return self.base_url + _COMPLETIONS

    @property
    def headers(self) -> dict[str, str]:
        """What every call carries."""
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.api_key is not None:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return headers

    @property
    def proxy(self) -> str | None:
        """The proxy that the environment names for this address (HTTPS_PROXY, NO_PROXY, ...), if any.

        Asked once per session, not once per call as `trust_env` does; this machine itself is never
        reached through a proxy.
        """
        parts = urllib.parse.urlsplit(self.base_url)
        host = parts.hostname or ""
        if _is_this_machine(host) or urllib.request.proxy_bypass(host):
            return None
        return urllib.request.getproxies().get(parts.scheme)


def _normal(base_url: str) -> str:
    parts = urllib.parse.urlsplit(base_url.strip())
    try:
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise SettingsError(
            "the base URL holds a password, a query or a fragment: give the key as the API key"
        )
    if not is_address:
        raise SettingsError(f"{base_url!r} is no address of a server, such as http://localhost:4000")
    path = parts.path.rstrip("/").removesuffix(_COMPLETIONS).rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
