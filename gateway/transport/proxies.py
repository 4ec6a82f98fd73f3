"""Trusted proxies, whose X-Forwarded-For counts: addresses, networks and host names.

A balancer in a container gets a new address whenever it is recreated, so names are resolved periodically.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import time
from collections.abc import Awaitable, Callable, Collection

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from shared.errors import SettingsError

log = structlog.get_logger()

_LOOK_AGAIN = 2.0  # s between lookups: for so long the clients of a recreated balancer appear with its address
_PATIENCE = 5.0  # s per lookup; the resolver itself retries after 5 s
# s that known addresses stay trusted while the resolver fails; the balancer's own `hold` is as long. Not for ever:
# without an upstream, Docker's DNS answers SERVFAIL for a container that no longer exists, and the next container may
# get its address. Beyond it nobody is trusted.
_HOLD = 30.0
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"  # RFC 1123; Docker allows underscores
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*\.?")
_NUMBER = re.compile(
    r"[0-9]+|0[xX][0-9a-fA-F]*"
)  # not a top-level domain: 10.0.0.300 and 0x7f000001 are invalid addresses
_GONE = (socket.EAI_NONAME, socket.EAI_NODATA)
ANYBODY = "*"

Resolve = Callable[[str], Awaitable[Collection[str]]]
"""The addresses of a host name. Raises socket.gaierror if it has none, OSError if the lookup fails."""


async def resolve(name: str) -> Collection[str]:
    """IPv4 and IPv6 addresses from the system's resolver. Raises OSError: socket.gaierror, TimeoutError."""
    async with asyncio.timeout(_PATIENCE):
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return {str(address[0]) for *_, address in found}


class TrustedProxies:
    """An ASGI application around another: the client address that a trusted proxy reports replaces that of the proxy.

    `trusted` is FORWARDED_ALLOW_IPS: addresses, networks and host names, separated by commas, or `*` for anybody.
    """

    def __init__(
        self,
        app: ASGIApp,
        trusted: str,
        resolver: Resolve = resolve,
        *,
        every: float = _LOOK_AGAIN,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Does no I/O: a name trusts nobody until `run` has resolved it. Raises SettingsError for an invalid entry."""
        self._app = app
        self._resolver = resolver
        self._every = every
        self._clock = clock
        self._fixed: list[str] = []
        self._found: dict[str, frozenset[str] | None] = {}  # None: not looked up yet
        self._resolved_at: dict[str, float] = {}
        parts = [part.strip() for part in trusted.split(",") if part.strip()]
        for part in parts:
            if part == ANYBODY or _is_network(part):
                self._fixed.append(part)
            elif _NAME.fullmatch(part) and not _NUMBER.fullmatch(part.rstrip(".").rpartition(".")[2]):
                self._found[part] = None
            else:
                raise SettingsError(f"FORWARDED_ALLOW_IPS: {part!r} is no address, network or host name")
        if ANYBODY in self._fixed and len(parts) > 1:
            raise SettingsError("FORWARDED_ALLOW_IPS: `*` stands for everybody, alone")
        self._believing = self._around()

    @property
    def has_names(self) -> bool:
        """Whether there are names for `run` to resolve."""
        return bool(self._found)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        await self._believing(scope, receive, send)  # type: ignore[arg-type]  # uvicorn's types of the same things

    async def run(self) -> None:
        """Resolve the names periodically, until cancelled."""
        while True:
            for name in self._found:
                await self.look_up(name)
            await asyncio.sleep(self._every)

    async def look_up(self, name: str) -> None:
        """Trust the addresses that `name` has now; nobody if it has none."""
        known = self._found[name]
        try:
            found = frozenset(await self._resolver(name))
            self._resolved_at[name] = self._clock()
        except OSError as error:  # also gaierror, TimeoutError, and a process without file descriptors left
            gone = isinstance(error, socket.gaierror) and error.errno in _GONE
            if known and not gone and self._clock() - self._resolved_at[name] < _HOLD:
                return  # the resolver fails, which says nothing about the proxy
            found = frozenset()
        if found == known:
            return
        self._found[name] = found
        self._believing = self._around()
        if found:
            log.info("proxy known", proxy=name, addresses=sorted(found))
        else:
            log.warning("proxy unknown: nobody is trusted by this name", proxy=name)

    def _around(self) -> ProxyHeadersMiddleware:
        listed = [*self._fixed, *(address for found in self._found.values() for address in found or ())]
        if ANYBODY in listed:
            return ProxyHeadersMiddleware(self._app, ANYBODY)  # type: ignore[arg-type]  # as above
        # On a socket that listens on IPv6, the address of an IPv4 peer has another form.
        mapped = [form for form in map(_mapped, listed) if form]
        return ProxyHeadersMiddleware(self._app, [*listed, *mapped])  # type: ignore[arg-type]  # as above


def _mapped(text: str) -> str | None:
    """An IPv4 address or network in IPv6 notation (RFC 4291, section 2.5.5.2); None for an IPv6 one."""
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError:
        return None
    return f"::ffff:{network.network_address}/{96 + network.prefixlen}"


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
