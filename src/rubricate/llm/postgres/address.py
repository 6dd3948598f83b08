"""Where a PostgreSQL ledger is: a URL that anybody may see, and beside it the password, which nobody may."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

SCHEMES = ("postgresql", "postgres")
SCHEMA = "rubricate"
_SCHEMA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_HOST = re.compile(r"(\[[^\[\]]+\]|[^:\[\]]*)(:\d{1,5})?")
_CONNECT_S = 10.0


@dataclass(frozen=True)
class Address:
    """One database, and the schema in it that holds the ledger.

    `url` has no password, and is what is written to configs and told in errors. `?schema=NAME` is ours; the
    other parameters are those of libpq (`host` for a Unix socket, `sslmode`, ...). The password is in no repr
    and no text; it goes along when an address is pickled, for workers that need it.
    """

    url: str
    schema: str = SCHEMA
    password: str | None = field(default=None, repr=False)
    passfile: str | None = field(default=None, repr=False)
    user: str | None = None

    @classmethod
    def parse(cls, written: str) -> Self:
        """The address that a user wrote.

        Raises:
            ValueError: it is none; says why, without the text, for that may hold a password.
        """
        try:
            parts = urlsplit(written)
            hosts = parts.netloc.rpartition("@")[2]
            is_whole = "://" in written and not parts.fragment and "@" not in parts.path + parts.query
            if not is_whole or not all(_HOST.fullmatch(host) for host in hosts.split(",")):
                raise ValueError
            query = parse_qsl(parts.query, strict_parsing=True) if parts.query else []
            ports = re.findall(r":(\d+)(?:,|$)", hosts) + dict(query).get("port", "0").split(",")
            if any(int(port) > 65535 for port in ports):
                raise ValueError
        except ValueError:
            raise ValueError(
                "is no PostgreSQL URL such as postgresql://user@host:5432/database?schema=rubricate; "
                "write special characters of a password as % and two hexadecimal digits (@ is %40)"
            ) from None
        login, at, _ = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        asked = dict(query)
        if "sslpassword" in asked:
            raise ValueError("has an sslpassword, which cannot be kept secret here: use a key without one")
        schema = asked.get("schema", SCHEMA)
        if not _SCHEMA_NAME.fullmatch(schema):
            raise ValueError("names a schema that is none: letters, digits and _, at most 63")
        shown = {name: value for name, value in query if name != "password"}
        netloc = f"{user}{at}{hosts}" if user else hosts
        return cls(
            _joined(netloc, parts.path, shown), schema, unquote(password) or asked.get("password") or None
        )

    def with_access(self, env: Mapping[str, str]) -> Self:
        """The address with what the variables of PostgreSQL add: the password where the URL had none, the
        password file, the user."""
        return replace(
            self,
            password=self.password or env.get("PGPASSWORD"),
            passfile=env.get("PGPASSFILE"),
            user=None if self._names_user else env.get("PGUSER"),
        )

    def __str__(self) -> str:
        return self.url

    @property
    def told(self) -> str:
        """Host and database, as an error names them."""
        parts, asked = urlsplit(self.url), self._asked
        host = parts.netloc.rpartition("@")[2] or asked.get("host") or "this machine"
        database = unquote(parts.path.lstrip("/")) or asked.get("dbname") or asked.get("database")
        return f"PostgreSQL at {host}, database {database or 'of the same name as the user'}"

    def options(self) -> dict[str, Any]:
        """What `asyncpg.connect` takes."""
        parts = urlsplit(self.url)
        asked = {"application_name": "rubricate", **self._asked}
        asked.pop("schema", None)
        dsn = _joined(parts.netloc, parts.path, asked)
        given = {"password": self.password, "passfile": self.passfile, "user": self.user}
        return {"dsn": dsn, "timeout": _CONNECT_S, **{name: value for name, value in given.items() if value}}

    @property
    def _asked(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.url).query))

    @property
    def _names_user(self) -> bool:
        return "@" in urlsplit(self.url).netloc or "user" in self._asked


def _joined(netloc: str, path: str, query: Mapping[str, str]) -> str:
    asked = urlencode(query, quote_via=quote, safe="/")
    return f"postgresql://{netloc}{path}{f'?{asked}' if asked else ''}"
