"""Subscription: every update of some services, in order, without gaps or duplicates.

The pub/sub object of redis-py is not used: it neither notices a half-open socket nor reports a silent reconnect that
lost messages. Here a loop with a deadline reads one connection. If nothing arrives, a probe that is published to
ourselves proves delivery. After every (re)subscribe the gap is filled from the stream.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

from shared.bus.bus import Position
from shared.bus.client import REDIS_FAULTS, redis_call
from shared.channels import Channels
from shared.envelope import Envelope
from shared.errors import BusError, EnvelopeError
from shared.metrics import BusMetrics
from shared.outage import Backoff, Outage

log = structlog.get_logger()

Deliver = Callable[[Envelope, bytes], None]
"""Takes one update, decoded and as the bytes from Redis. Must not block: the read loop calls it."""

_PAGE = 200  # stream entries per read: at 10 kB each about 2 MB, well within a command's deadline
_FIRST_PAUSE = 0.1  # s before the first reconnect; doubles with each failure
_EPOCHS_TOGETHER = 90.0
"""Seconds within which further new epochs are logged at debug only. When Redis lost its data or restarted with all
workers, every service begins one at its next update: the slowest service publishes every 60 s."""
_LONGEST_PAUSE = 5.0  # s: full jitter spreads the reconnects of many gateways over this time


class Subscription:
    """The reading side of the bus. `run` is its only task."""

    def __init__(
        self,
        redis: Redis,
        channels: Channels,
        services: Sequence[str],
        node: str,
        *,
        deadline: float,
        metrics: BusMetrics,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`node` names this process. After `deadline` seconds of silence, delivery counts as lost."""
        self._redis = redis
        self._channels = channels
        self._services = tuple(services)
        self._probe_channel = channels.probe(node)
        self._deadline = deadline
        self._metrics = metrics
        self._clock = clock
        self._backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, jitter)
        self._positions: dict[str, Position] = {}
        self._heard_at = float("-inf")
        self._epoch_at = float("-inf")
        """When an epoch last began."""
        self._filled = False
        self._deliver: Deliver = lambda envelope, raw: None

    @property
    def proven(self) -> bool:
        """Whether Redis has delivered something within the deadline and no gap is left to fill: readiness."""
        return self._filled and self._clock() - self._heard_at < self._deadline

    async def run(self, deliver: Deliver) -> None:
        """Deliver updates until cancelled, and reconnect after every failure. Never returns by itself."""
        self._deliver = deliver
        redis = Outage("redis lost: reconnecting until it is back", "redis back", clock=self._clock)
        while True:
            connection: AbstractConnection = self._redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                early = await self._subscribe(connection)
                redis.back()
                self._backoff.reset()
                await self._read(connection, early)
            except (*REDIS_FAULTS, BusError) as error:
                redis.lost(error)
                self._metrics.reconnects.inc()
            finally:
                self._filled = False
                await connection.disconnect(nowait=True)
            await asyncio.sleep(self._backoff.pause())

    async def _subscribe(self, connection: AbstractConnection) -> list[Any]:
        """Subscribe to everything and fill the gap. Returns the replies that arrived meanwhile."""
        async with asyncio.timeout(self._deadline):
            await connection.connect()  # type: ignore[no-untyped-call]
            names = [*(self._channels.channel(service) for service in self._services), self._probe_channel]
            await connection.send_command("SUBSCRIBE", *names)
            confirmed, early = 0, []
            while confirmed < len(names):
                reply = await connection.read_response(timeout=self._deadline)
                if reply is None:
                    raise BusError("no answer to SUBSCRIBE")
                if reply[0] == b"subscribe":
                    confirmed += 1
                else:
                    early.append(reply)
        self._heard_at = self._clock()
        for service in self._services:
            await self._fill(service)
        self._filled = True
        return early

    async def _read(self, connection: AbstractConnection, early: list[Any]) -> None:
        """Read until delivery can't be proven any more, then raise BusError."""
        for reply in early:
            await self._take(reply)
        quiet = self._deadline / 3  # leaves two thirds of the deadline for the probe
        probed_at = float("-inf")
        while True:
            reply = await connection.read_response(timeout=quiet / 2)
            now = self._clock()
            if reply is not None:
                self._heard_at = now
                await self._take(reply)
            elif now - self._heard_at >= self._deadline:
                raise BusError(f"nothing delivered for {self._deadline:g} s, not even our own probe")
            elif now - self._heard_at >= quiet and now - probed_at >= quiet:
                probed_at = now
                async with asyncio.timeout(self._deadline - (now - self._heard_at)):
                    await self._redis.publish(self._probe_channel, b"")

    async def _take(self, reply: Any) -> None:
        kind, channel, raw = reply[0], reply[1], reply[2]
        service = self._channels.service_of(channel.decode()) if kind == b"message" else None
        if service is None:  # our own probe
            return
        envelope = self._unpack(service, raw)
        if envelope is None:
            return
        known = self._positions.get(service)
        if known is None or known.epoch != envelope.epoch or envelope.seq > known.seq + 1:
            await self._fill(service)
        self._accept(envelope, raw)

    async def _fill(self, service: str) -> None:
        """Deliver what the stream has after our position, or all of it if the epoch is another one."""
        known = self._positions.get(service)
        start = f"({known.seq}-0" if known else "-"
        while True:
            async with redis_call(f"stream of {service}"), self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hget(self._channels.meta(service), "epoch")
                pipeline.xrange(self._channels.stream(service), min=start, max="+", count=_PAGE)
                epoch, entries = await pipeline.execute()
            known = self._positions.get(service)
            if known is not None and epoch is not None and epoch.decode() != known.epoch:
                self._log_epoch(service, epoch.decode())
                del self._positions[service]
                start = "-"
                continue
            for _, fields in entries:
                raw = fields.get(b"m", b"")
                envelope = self._unpack(service, raw)
                if envelope is not None:
                    self._accept(envelope, raw)
                    self._metrics.filled.labels(service).inc()
            if len(entries) < _PAGE:
                return
            start = f"({entries[-1][0].decode()}"

    def _log_epoch(self, service: str, epoch: str) -> None:
        """Log a new epoch: the first of several that have one cause at info, the others at debug."""
        now = self._clock()
        write = log.debug if now - self._epoch_at < _EPOCHS_TOGETHER else log.info
        write("new epoch", service=service, epoch=epoch)
        self._epoch_at = now

    def _unpack(self, service: str, raw: bytes) -> Envelope | None:
        """The message, or None, counted and logged, if it is none of `service`: others may write to Redis too."""
        try:
            envelope = Envelope.unpack(raw)
            if envelope.service != service:
                raise EnvelopeError(f"it is one of {envelope.service}")
        except EnvelopeError as error:
            self._metrics.malformed.labels(service).inc()
            log.warning("foreign message dropped", service=service, reason=str(error))
            return None
        return envelope

    def _accept(self, envelope: Envelope, raw: bytes) -> None:
        known = self._positions.get(envelope.service)
        if known is not None:
            if envelope.epoch != known.epoch:
                return  # overtaken: the stream already had a newer epoch
            if envelope.seq <= known.seq:
                self._metrics.duplicates.labels(envelope.service).inc()
                return
            missing = envelope.seq - known.seq - 1
            if missing:
                self._metrics.unfilled.labels(envelope.service).inc(missing)
                log.warning("history too short to fill a gap", service=envelope.service, missing=missing)
        self._positions[envelope.service] = Position(envelope.epoch, envelope.seq)
        self._metrics.received.labels(envelope.service).inc()
        self._deliver(envelope, raw)
