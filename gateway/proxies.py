"""Whose X-Forwarded-For is believed: addresses, networks, and proxies that are known by name.

A balancer in a container has another address whenever it is made anew, so names are looked up again and again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Collection

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from shared.errors import SettingsError

log = structlog.get_logger()

_LOOK_AGAIN = 2.0  # s: for so long the clients of a balancer that was made anew seem to have its address
_PATIENCE = 5.0  # s for one answer of the resolver: its own first retry comes after as many
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"  # RFC 1123; Docker allows underscores
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*\.?")
_GONE = (socket.EAI_NONAME, socket.EAI_NODATA)
ANYBODY = "*"

Resolve = Callable[[str], Awaitable[Collection[str]]]
"""The addresses of a host name. Raises socket.gaierror where it has none."""


async def resolve(name: str) -> Collection[str]:
    """What the system's resolver says, IPv4 and IPv6. Raises socket.gaierror, TimeoutError."""
    async with asyncio.timeout(_PATIENCE):
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return {str(address[0]) for *_, address in found}


class TrustedProxies:
    """An ASGI application around another: what a trusted proxy says of its client becomes the client's address.

    `trusted` is FORWARDED_ALLOW_IPS: addresses, networks and host names, separated by commas, or `*` for anybody.
    """

    def __init__(self, app: ASGIApp, trusted: str, resolver: Resolve = resolve) -> None:
        """Does no I/O: until `run` has looked them up, names trust nobody. Raises SettingsError for what is neither."""
        self._app = app
        self._resolver = resolver
        self._fixed: list[str] = []
        self._found: dict[str, frozenset[str]] = {}
        parts = [part.strip() for part in trusted.split(",") if part.strip()]
        for part in parts:
            if part == ANYBODY or _is_network(part):
                self._fixed.append(part)
            elif _NAME.fullmatch(part) and not part.rpartition(".")[2].isdecimal():
                self._found[part] = frozenset()
            else:
                raise SettingsError(f"FORWARDED_ALLOW_IPS: {part!r} is no address, network or host name")
        if ANYBODY in self._fixed and len(parts) > 1:
            raise SettingsError("FORWARDED_ALLOW_IPS: `*` stands for everybody, alone")
        self._believing = self._around()

    @property
    def has_names(self) -> bool:
        """Whether there is anything for `run` to do."""
        return bool(self._found)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        await self._believing(scope, receive, send)  # type: ignore[arg-type]  # uvicorn's types of the same things

    async def run(self) -> None:
        """Look the names up until cancelled."""
        while True:
            for name in self._found:
                await self.look_up(name)
            await asyncio.sleep(_LOOK_AGAIN)

    async def look_up(self, name: str) -> None:
        """Trust the addresses that `name` has now; nobody, where it has none any more."""
        known = self._found[name]
        try:
            found = frozenset(await self._resolver(name))
        except socket.gaierror as error:
            if error.errno not in _GONE:
                return  # the resolver is in trouble: that says nothing about the proxy
            found = frozenset()  # it is gone, and its address may be another's soon
        except TimeoutError:
            return
        if found != known:
            self._found[name] = found
            self._believing = self._around()
            if found:
                log.info("proxy trusted", proxy=name, addresses=sorted(found))
            else:
                log.warning("proxy gone: nobody is trusted by this name", proxy=name)

    def _around(self) -> ProxyHeadersMiddleware:
        found = {address for addresses in self._found.values() for address in addresses}
        # An IPv4 peer of a socket that listens on IPv6 has an address of this form.
        mapped = {f"::ffff:{address}" for address in (*found, *self._fixed) if _is_ipv4(address)}
        trusted: list[str] | str = ANYBODY if ANYBODY in self._fixed else [*self._fixed, *found, *mapped]
        return ProxyHeadersMiddleware(self._app, trusted)  # type: ignore[arg-type]  # as above


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
