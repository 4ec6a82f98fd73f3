"""Listening: keeps a line open to the channels of some services, through every failure.

One server needs one line for all services. On a Redis Cluster each service has a line of its own, to the node that
serves its slot: a slot that moves, or a node that dies, interrupts no other service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

from shared.bus.client import REDIS_FAULTS
from shared.bus.cluster import Cluster
from shared.bus.line import Line, Take
from shared.channels import Channels
from shared.errors import BusError
from shared.metrics import BusMetrics
from shared.outage import Backoff, Outage

_FIRST_PAUSE = 0.1  # s before the first reconnect; doubles with each failure
_LONGEST_PAUSE = 3.0
"""Seconds over which full jitter spreads the reconnects of many gateways. Everything must be live again five seconds
after a Redis is back, or another one has become the primary."""

Fill = Callable[[Sequence[str]], Awaitable[None]]
"""Delivers what the streams of some services have beyond what was heard."""


class Route:
    """How some services are listened to: the connection, the channels, and the probe that proves it."""

    def __init__(self, redis: Redis, channels: Channels, services: Sequence[str], node: str) -> None:
        """Opens nothing. On a Redis Cluster, `services` is one service."""
        self.services = tuple(services)
        self._redis = redis
        self._cluster = redis if isinstance(redis, Cluster) else None
        if self._cluster is not None:
            self.command = "SSUBSCRIBE"
            # In braces, so that it is on the slot of the service.
            self._probe_channel = channels.probe(f"{{{self.services[0]}}}:{node}")
        else:
            self.command = "SUBSCRIBE"
            self._probe_channel = channels.probe(node)
        self.channels = [*(channels.channel(service) for service in self.services), self._probe_channel]

    async def connection(self) -> AbstractConnection:
        """A connection of its own, not opened yet. Raises what redis-py raises."""
        if self._cluster is not None:
            return await self._cluster.connection_to(self._probe_channel)
        made: AbstractConnection = self._redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        return made

    async def probe(self) -> None:
        """Publish to ourselves. Raises what redis-py raises."""
        if self._cluster is not None:
            await self._cluster.spublish(self._probe_channel, b"")
        else:
            await self._redis.publish(self._probe_channel, b"")


def routes(redis: Redis, channels: Channels, services: Sequence[str], node: str) -> list[Route]:
    """How all services are listened to."""
    groups = [(service,) for service in services] if isinstance(redis, Cluster) else [tuple(services)]
    return [Route(redis, channels, group, node) for group in groups]


class SharedOutage:
    """The outage of several lines: it begins with the first that is lost, and ends when all are back."""

    def __init__(self, outage: Outage) -> None:
        self._outage = outage
        self._lost: set[Listening] = set()

    def lost(self, line: Listening, reason: object) -> None:
        """A line was lost."""
        self._lost.add(line)
        self._outage.lost(reason)

    def back(self, line: Listening) -> None:
        """A line is back."""
        self._lost.discard(line)
        if not self._lost:
            self._outage.back()


class Listening:
    """The line of one route. `run` is its only task."""

    def __init__(
        self,
        redis: Redis,
        route: Route,
        fill: Fill,
        take: Take,
        *,
        deadline: float,
        metrics: BusMetrics,
        outage: SharedOutage,
        clock: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        """`fill` is awaited after every subscribe; every message is passed to `take`."""
        self._redis = redis
        self._route = route
        self._fill = fill
        self._take = take
        self._deadline = deadline
        self._metrics = metrics
        self._outage = outage
        self._clock = clock
        self._backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, jitter)
        self._line: Line | None = None
        self._filled = False
        self.whole = False
        """Whether the histories of its services were read once."""

    @property
    def proven(self) -> bool:
        """Whether Redis has delivered something within the deadline and no gap is left to fill."""
        return self._filled and self._line is not None and self._line.proven

    async def run(self) -> None:
        """Listen until cancelled, and reconnect after every failure. Never returns by itself."""
        while True:
            try:
                await self._listen()
            except (*REDIS_FAULTS, BusError) as error:
                self._outage.lost(self, error)
                self._metrics.reconnects.inc()
            finally:
                self._filled = False
                if self._line is not None:
                    await self._line.aclose()
            # Idle connections may be dead, too: each would have to be waited for until its deadline.
            await self._redis.connection_pool.disconnect(inuse_connections=False)
            await asyncio.sleep(self._backoff.pause())

    async def _listen(self) -> None:
        route = self._route
        async with asyncio.timeout(self._deadline):
            connection = await route.connection()
        self._line = Line(
            connection, route.channels, route.probe, deadline=self._deadline, clock=self._clock, command=route.command
        )
        await self._line.subscribe()
        await self._fill(route.services)
        self._line.heard()
        self._filled = self.whole = True
        self._outage.back(self)
        self._backoff.reset()
        await self._line.read(self._take)
