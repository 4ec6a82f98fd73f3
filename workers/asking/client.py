"""The HTTP client of a worker. It sends to the upstreams, or to a simulator in their place."""

from __future__ import annotations

import functools
import re
import ssl

import httpx

from shared.payloads.fields import SIMULATED
from shared.settings import Settings

_KEEP_OPEN = 30.0  # s an idle connection is kept: longer than the 5 s between cycles, to save TLS handshakes
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_BACKSTOP = 60.0  # s a socket may be silent; every ask has a shorter deadline, so this is never reached


@functools.cache  # it takes 20 ms to read all certificates, and the tests open hundreds of clients
def _trusted() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


class SimulatorTransport(httpx.AsyncBaseTransport):
    """Sends every request to the simulator, with its Host header unchanged, which identifies the upstream.

    Requests to this machine (an operator's own node in RPC_NODES) go to their own address.
    """

    def __init__(self, address: str) -> None:
        """`address` is the simulator's, like `http://127.0.0.1:7870`."""
        self._address = httpx.URL(address)
        # No proxy and no .netrc: the simulator is on this machine or in this compose network.
        self._inner = httpx.AsyncHTTPTransport(
            verify=_trusted(), trust_env=False, limits=httpx.Limits(keepalive_expiry=_KEEP_OPEN)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx.AsyncBaseTransport."""
        if request.url.host in _LOOPBACK:
            return await self._inner.handle_async_request(request)
        address = self._address
        url = request.url.copy_with(scheme=address.scheme, host=address.host, port=address.port)
        return await self._inner.handle_async_request(
            httpx.Request(
                request.method, url, headers=request.headers, stream=request.stream, extensions=request.extensions
            )
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def open_client(settings: Settings) -> httpx.AsyncClient:
    """The HTTP client of a worker: to the upstreams, or to the simulator of SIMULATOR_URL. The caller closes it."""
    timeout = httpx.Timeout(_BACKSTOP)
    if settings.simulator_url is not None:
        transport = SimulatorTransport(settings.simulator_url)
        return httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False)
    return httpx.AsyncClient(timeout=timeout, limits=httpx.Limits(max_connections=100, keepalive_expiry=_KEEP_OPEN))


def source_label(name: str, settings: Settings) -> str:
    """A provider's name in payloads: with ` (simulated)` if the simulator answered for it."""
    simulated = settings.simulator_url is not None and name not in _own_nodes(settings)
    return name + SIMULATED if simulated else name


def _own_nodes(settings: Settings) -> set[str]:
    """Names of the operator's nodes on this machine, which SimulatorTransport lets through."""
    if settings.rpc_nodes is None:
        return set()
    entries = (entry.partition("=") for entry in re.split(r"[\s,]+", settings.rpc_nodes.get_secret_value()))
    return {name for name, _, url in entries if httpx.URL(url).host in _LOOPBACK}
