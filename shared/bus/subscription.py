"""Subscription: every update of some services, in order, without gaps or duplicates.

It listens on a line, and repairs from the streams what the line has not delivered: after every (re)subscribe, where a
`seq` is missing, and where an audit finds that a service stands further than what was heard. What no stream holds any
more is reported as a gap with the next update.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterable, Sequence

import structlog
from redis.asyncio import Redis

from shared.bus.histories import START, Histories, Page, after
from shared.bus.listening import Listening, SharedOutage, routes
from shared.bus.position import Gap, Position, began
from shared.bus.role import Role
from shared.channels import Channels
from shared.envelope import Envelope
from shared.errors import BusError, EnvelopeError
from shared.metrics import BusMetrics
from shared.outage import Outage

log = structlog.get_logger()

Deliver = Callable[[Envelope, bytes, Gap | None], None]
"""Takes one update, decoded and as the bytes from Redis, and what is lost before it. Must not block."""

AUDIT_SECONDS = 5.0
"""How often it is compared where the services stand: the shortest interval of a service."""

_GRACE = 1.0  # s for an update that an audit finds: it is probably on its way
_PROOFS_APART = 0.1  # s between two audits that clients ask for
_EPOCHS_TOGETHER = 90.0
"""Seconds within which further new epochs are logged at debug only. When Redis lost its data or restarted with all
workers, every service begins one at its next update: the slowest service publishes every 60 s."""
_EPOCHS_KEPT = 16  # ended epochs of a service whose end is remembered


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
        audit: float = AUDIT_SECONDS,
    ) -> None:
        """`node` names this process. After `deadline` seconds of silence, delivery counts as lost.

        `redis` serves no requests of clients: they could keep it from its connections.
        """
        self._redis = redis
        self._channels = channels
        self._services = tuple(services)
        self._metrics = metrics
        self._clock = clock
        self._histories = Histories(redis, channels)
        self._role = Role(redis)
        self._audit_seconds = audit
        self._positions: dict[str, Position] = {}
        self._ended: dict[str, dict[str, int]] = {}
        """By service, its earlier epochs and the last seq of each. A stale answer of Redis may still name them."""
        self._heard_until: dict[str, str] = {}
        """When the newest update of each service that was delivered had been published."""
        self._older: dict[str, tuple[int, str]] = {}
        """By service whose Redis went back to an earlier epoch: how far that goes, and what was heard meanwhile."""
        self._passed_over: dict[str, int] = {}
        """By service, the first update of its epoch that was older than what was heard. The next one tells of them."""
        self._epoch_at = float("-inf")
        """When an epoch last began."""
        outage = SharedOutage(Outage("redis lost: reconnecting until it is back", "redis back", clock=clock))
        self._listenings = [
            Listening(
                redis,
                route,
                self._fill,
                self._take,
                deadline=deadline,
                metrics=metrics,
                outage=outage,
                clock=clock,
                jitter=jitter,
            )
            for route in routes(redis, channels, services, node)
        ]
        self._asked = asyncio.Event()
        self._asking: list[asyncio.Future[None]] = []
        self._suspected: dict[str, Position] = {}
        """Where services stood in the last audit, if what was heard had not come so far."""
        self._deliver: Deliver = lambda envelope, raw, gap: None

    @property
    def proven(self) -> bool:
        """Whether Redis has delivered something within the deadline and no gap is left to fill: readiness."""
        return all(each.proven for each in self._listenings) and not self._role.detached

    @property
    def whole(self) -> bool:
        """Whether all histories were read once: before that, nobody can be told what was missed."""
        return all(each.whole for each in self._listenings)

    async def prove(self) -> None:
        """Return once it is known how far every service has come, as of now or later. Waits until Redis answers.

        What was published before now has been delivered then. Cancel it where that takes too long.
        """
        asking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asking.append(asking)
        self._asked.set()
        await asking

    async def run(self, deliver: Deliver) -> None:
        """Deliver updates until cancelled, and reconnect after every failure. Never returns by itself."""
        self._deliver = deliver
        tasks = [asyncio.ensure_future(each.run()) for each in self._listenings]
        tasks.append(asyncio.ensure_future(self._audit_for_ever()))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self, channel: str, raw: bytes) -> None:
        service = self._channels.service_of(channel)
        if service is None:  # our own probe
            return
        envelope = self._unpack(service, raw)
        if envelope is None:
            return
        known = self._positions.get(service)
        if known is None or known.epoch != envelope.epoch or envelope.seq > known.seq + 1:
            await self._fill([service])
        self._accept(envelope, raw)

    # Audits.

    async def _audit_for_ever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GRACE if self._suspected else self._audit_seconds):
                    await self._asked.wait()
            self._asked.clear()
            if not self.whole:
                await asyncio.sleep(_PROOFS_APART)
                continue
            asking, self._asking = self._asking, []
            try:
                await self._audit(at_once=bool(asking))
            except BusError:  # the line has the same trouble, and logs it
                self._asking = [each for each in (*asking, *self._asking) if not each.done()]
            else:
                _settle(asking)
            if self._asking:
                self._asked.set()
            await asyncio.sleep(_PROOFS_APART)

    async def _audit(self, *, at_once: bool) -> None:
        """Fill the services that stand further than what was heard, except what is probably on its way."""
        await self._role.look()
        stand = await self._histories.positions(self._services)
        ahead = {service: at for service, at in stand.items() if at is not None and not self._has(service, at)}
        late = [service for service, at in self._suspected.items() if service in ahead and not self._has(service, at)]
        self._suspected = ahead
        if at_once or late:
            await self._fill(ahead if at_once else late)
            self._suspected = {}

    def _has(self, service: str, position: Position) -> bool:
        known = self._positions.get(service)
        return known is not None and known.epoch == position.epoch and known.seq >= position.seq

    # Streams.

    async def _fill(self, services: Iterable[str]) -> None:
        """Deliver what the streams have after our positions, or all of a stream whose epoch is another one."""
        starts = {service: self._start(service) for service in services}
        while starts:
            known = {service: self._positions.get(service) for service in starts}
            pages = await self._histories.read(starts)
            following = {service: self._turn(service, page, known[service]) for service, page in pages.items()}
            starts = {service: start for service, start in following.items() if start is not None}

    def _start(self, service: str) -> str:
        known = self._positions.get(service)
        return START if known is None else after(known)

    def _turn(self, service: str, page: Page, asked_from: Position | None) -> str | None:
        """Deliver a page that was asked for when `asked_from` was known. Returns where the next begins, if any."""
        known = self._positions.get(service)
        if known is not None and asked_from is not None and known.epoch != asked_from.epoch:
            return self._start(service)  # a fill beside this one has followed an epoch: this page began anywhere in it
        if page.position is not None and known is not None and page.position.epoch != known.epoch:
            if known == asked_from:  # else the answer may be older than what was heard since
                self._begin_epoch(service, page.position)
            return self._start(service)
        for raw in page.messages:
            envelope = self._unpack(service, raw)
            if envelope is not None:
                self._accept(envelope, raw)
                self._metrics.filled.labels(service).inc()
        if known is None and page.position is not None and not page.messages:
            self._positions[service] = page.position  # a stream that has been emptied
        return page.next

    def _begin_epoch(self, service: str, stands: Position) -> None:
        """Follow another epoch, from its start or from where it was left.

        A second failover may lead to a server that never had the epoch that we followed. Then that which it has of the
        one before is older than what was heard.
        """
        known, epoch = self._positions[service], stands.epoch
        ended = self._ended.setdefault(service, {})
        self._older.pop(service, None)
        self._passed_over.pop(service, None)
        if epoch in ended or (began(epoch) or 0) < (began(known.epoch) or 0):
            self._older[service] = (stands.seq, self._heard_until.get(service, ""))
        ended[known.epoch] = known.seq
        while len(ended) > _EPOCHS_KEPT:
            del ended[next(iter(ended))]
        self._positions[service] = Position(epoch, ended.pop(epoch, 0))
        self._log_epoch(service, epoch)

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
        service, known = envelope.service, self._positions.get(envelope.service)
        gap = None
        if known is not None:
            if envelope.epoch != known.epoch:
                return  # overtaken: the stream already had a newer epoch
            if envelope.seq <= known.seq:
                self._metrics.duplicates.labels(service).inc()
                return
            seq, heard_until = self._older.get(service, (0, ""))
            if envelope.seq <= seq and envelope.timestamp <= heard_until:
                self._passed_over.setdefault(service, known.seq + 1)
                self._positions[service] = Position(envelope.epoch, envelope.seq)
                return
            first = self._passed_over.pop(service, known.seq + 1)
            if first < envelope.seq:
                gap = Gap(first, envelope.seq - 1)
            missing = envelope.seq - known.seq - 1
            if missing:
                self._metrics.unfilled.labels(service).inc(missing)
                log.warning("history too short to fill a gap", service=service, missing=missing)
        self._positions[service] = Position(envelope.epoch, envelope.seq)
        self._heard_until[service] = envelope.timestamp
        self._metrics.received.labels(service).inc()
        self._deliver(envelope, raw, gap)


def _settle(asking: Iterable[asyncio.Future[None]]) -> None:
    for each in asking:
        if not each.done():
            each.set_result(None)
