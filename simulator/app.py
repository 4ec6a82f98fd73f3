"""The simulator as one ASGI application: the Host header selects the simulated upstream."""

from __future__ import annotations

import asyncio
from functools import lru_cache

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simulator.control import PREFIX, Tally, control
from simulator.faults import FaultBook
from simulator.host import Host, World, answer
from simulator.hosts import HOSTS, open_hosts
from simulator.wire import SPOIL, Exchange
from simulator.world.clock import Clock, HostClock
from simulator.world.coins import load_coins
from simulator.world.market import Market


@lru_cache(maxsize=4)  # it has no state except caches: simulators of one seed share what they have computed
def _market(seed: int) -> Market:
    return Market(load_coins(), seed)


class Simulator:
    """All simulated hosts, their faults, and the counts of their requests."""

    def __init__(
        self,
        *,
        seed: int = 1,
        clock: Clock | None = None,
        coingecko_refresh: float = 60.0,
        binance_weight: int = 6000,
    ) -> None:
        self.clock = clock or Clock()
        self.market = _market(seed)
        self._clocks = {name: HostClock(self.clock) for name in HOSTS}
        self.hosts = open_hosts(World(self.market, self.clock, coingecko_refresh, binance_weight), self._clocks)
        self.faults = FaultBook(self.hosts.keys())
        self.tally = Tally()
        self.stopping = asyncio.Event()
        """Set when the server begins to stop, to end requests that hang on purpose."""
        self._apps = {name: _application(host) for name, host in self.hosts.items()}
        self._control = control(self.faults, self.tally, self.clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the simulator speaks HTTP only, not {scope['type']}")

        async def labelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Simulated"] = "coinwire"
            await send(message)

        await self._answer(scope, receive, labelled)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path.startswith(PREFIX):
            await self._control(scope, receive, send)
            return
        name = Headers(scope=scope).get("host", "").partition(":")[0].lower().rstrip(".")
        if name not in self.hosts:
            body = {"error": f"no such host here: {name!r}; the Host header chooses who answers"}
            await answer(body | {"hosts": sorted(self.hosts)}, 404)(scope, receive, send)
            return
        self.tally.count(name, path)
        app = self._apps[name]
        clock = self._clocks[name]
        fault = self.faults.take(name)
        if fault is None or fault.fault != "stuck":
            clock.go_on()
        if fault is None:
            await app(scope, receive, send)
        else:
            exchange = Exchange(fault, self.hosts[name], app, clock, scope, receive, send, self.stopping)
            await SPOIL[fault.fault](exchange)


def _application(host: Host) -> ASGIApp:
    async def not_found(request: Request, error: Exception) -> Response:
        return answer(host.not_found, 404)

    return Starlette(routes=host.routes, exception_handlers={404: not_found})
