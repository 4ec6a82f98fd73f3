"""REDIS_URL: one server, the Sentinels of a service, or the nodes of a Redis Cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlencode

from redis.asyncio.connection import parse_url

from shared.errors import SettingsError

Kind = Literal["server", "sentinel", "cluster"]
Host = tuple[str, int]

_SCHEMES: dict[str, tuple[Kind, str]] = {
    "redis": ("server", "redis"),
    "rediss": ("server", "rediss"),
    "unix": ("server", "unix"),
    "redis+sentinel": ("sentinel", "redis"),
    "rediss+sentinel": ("sentinel", "rediss"),
    "redis+cluster": ("cluster", "redis"),
    "rediss+cluster": ("cluster", "rediss"),
}
"""What each scheme means, and the scheme by which redis-py knows the options of its connections."""

_PORTS: dict[Kind, int] = {"sentinel": 26379, "cluster": 6379}
_OWN = frozenset({"protocol", "decode_responses", "retry", "driver_info", "socket_timeout", "connection_class"})
"""Options that coinwire sets itself. Its code depends on them."""

_FORMS: dict[Kind, str] = {
    "server": "a redis://, rediss:// or unix:// address",
    "sentinel": "of the form redis+sentinel://user:password@host:port,host:port/service-name/db",
    "cluster": "of the form redis+cluster://user:password@host:port,host:port",
}


@dataclass(frozen=True)
class Address:
    """What REDIS_URL says. Its repr has no password."""

    kind: Kind
    hosts: tuple[Host, ...] = ()
    """Of the Sentinels, or of some nodes of the cluster. Empty for one server: `options` has its address."""
    service: str = ""
    """The name that the Sentinels know the servers by."""
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    """Options of redis-py for connections to the servers."""
    sentinel_options: dict[str, Any] = field(default_factory=dict, repr=False)
    """The same for connections to the Sentinels."""


def parse_address(url: str) -> Address:
    """Read REDIS_URL. Raises SettingsError, which says what is wrong and never contains the URL or a part of it."""
    scheme, separator, rest = url.strip().partition("://")
    if not separator or scheme.lower() not in _SCHEMES:
        raise SettingsError(
            "REDIS_URL: not a redis://, rediss:// or unix:// address, nor redis+sentinel:// or redis+cluster:// "
            "(rediss+sentinel:// and rediss+cluster:// with TLS)"
        )
    kind, plain = _SCHEMES[scheme.lower()]
    if "#" in rest:
        raise malformed(kind, "in a password, # is written %23")
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    login, _, hosts = authority.rpartition("@")
    if kind == "server":
        return Address(kind, options=_options(kind, f"{plain}://{rest}", query))
    names = _hosts(kind, hosts)
    parts = [unquote(part) for part in path.split("/")] if path else []
    service = ""
    if kind == "sentinel":
        if not parts or not parts[0]:
            raise malformed(kind, "the name of the service is missing behind the hosts")
        service = parts.pop(0)
    if len(parts) > 1 or not all(re.fullmatch(r"\d*", part) for part in parts):
        raise malformed(kind, "the database is a number, and nothing follows it")
    database = int(parts[0]) if parts and parts[0] else 0
    if kind == "cluster" and database:
        raise malformed(kind, "a Redis Cluster has only database 0")
    theirs, ours = _split_query(query)
    base = f"{plain}://{login}@127.0.0.1:1/{database}" if login else f"{plain}://127.0.0.1:1/{database}"
    options = _options(kind, base, ours)
    if kind == "cluster" and options.pop("db", 0):
        raise malformed(kind, "a Redis Cluster has only database 0")
    for name in ("host", "port"):
        options.pop(name)
    if kind == "cluster":
        if theirs:
            raise malformed(kind, "options of Sentinels don't apply")
        return Address(kind, names, options=options)
    shared = {name: value for name, value in options.items() if name.startswith(("ssl_", "connection_class"))}
    return Address(kind, names, service, options, shared | theirs)


def _options(kind: Kind, url: str, query: str) -> dict[str, Any]:
    """redis-py's options of a connection."""
    for name, _ in parse_qsl(query, keep_blank_values=True):
        if name in _OWN:
            raise SettingsError(f"REDIS_URL: coinwire sets the option {name} itself")
    try:
        return dict(parse_url(f"{url}?{query}" if query else url))
    except (ValueError, TypeError):
        raise malformed(kind) from None


def _split_query(query: str) -> tuple[dict[str, str], str]:
    """The login of the Sentinels, and the query without it."""
    pairs = parse_qsl(query, keep_blank_values=True)
    names = {"sentinel_username": "username", "sentinel_password": "password"}
    theirs = {names[name]: value for name, value in pairs if name in names and value}
    return theirs, urlencode([(name, value) for name, value in pairs if name not in names])


def _hosts(kind: Kind, text: str) -> tuple[Host, ...]:
    """`host:port,host,[::1]:port`."""
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^\s:\[\]@/]+))(?::(\d{1,5}))?", part.strip())
        if match is None or not 0 < int(match[3] or _PORTS[kind]) <= 65535:
            raise malformed(kind, "hosts are separated by commas, each with or without its port")
        found.append((unquote(match[1] or match[2]), int(match[3] or _PORTS[kind])))
    return tuple(found)


def malformed(kind: Kind, reason: str = "") -> SettingsError:
    """What REDIS_URL should look like. `reason` is a text of ours: nothing of the URL."""
    text = f"REDIS_URL: not {_FORMS[kind]} with options that redis-py knows"
    return SettingsError(f"{text}: {reason}" if reason else text)
