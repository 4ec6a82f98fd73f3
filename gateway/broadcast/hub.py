"""Hub: from a service to its subscribers, by cohorts. `broadcast` never awaits, so a slow client delays nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Any, Protocol

from gateway.broadcast.cohorts import Cohort, Wanted
from gateway.broadcast.compression import STREAMS, Streams
from gateway.broadcast.outbox import Outbox
from gateway.broadcast.recent import Recent, Spare
from gateway.broadcast.replays import Replays
from gateway.filters.filter import Filter
from gateway.frames import SILENCE, Form, Frame
from gateway.messages.message import Message
from gateway.updates import FILTERED_BYTES, Filtered, Update
from shared.catalog import SYSTEM
from shared.metrics import GatewayMetrics

_SLICE = 0.005  # s of writing in one turn of the loop; commands, pings and new connections get their turn between
_FILTERING = 5  # writes that take as long as to filter and encode an update
_WRITES = 50  # between two looks at the clock: half a millisecond if they are small, 4 ms at 64 KiB each


class Subscriber(Protocol):
    """What the hub needs from a session."""

    outbox: Outbox
    form: Form

    @property
    def filters(self) -> Mapping[str, Filter]:
        """By service, of those that are not sent whole."""
        ...


class Hub:
    """The subscribers and the newest updates of every service."""

    def __init__(
        self,
        services: Iterable[str],
        recent_length: int,
        metrics: GatewayMetrics,
        *,
        kept: int,
        joins: bool = True,
        streams: int = STREAMS,
        slice_seconds: float = _SLICE,
        writes: int = _WRITES,
        spare_bytes: int = 0,
        filtered_bytes: int = FILTERED_BYTES,
    ) -> None:
        """A cohort keeps at most `kept` bytes for a later slice; beyond, its round is finished at once.

        Without `joins` every update is written by itself, as soon as it comes. At most `streams` cohorts have a stream
        of compressed updates. Writing takes about `slice_seconds` of a turn of the loop, and at least `writes` writes.
        For a minute, updates beyond `recent_length` are kept, of all services together at most `spare_bytes`. At most
        `filtered_bytes` of frames of filtered updates are kept.
        """
        spare = Spare(spare_bytes)
        self.recent = {service: Recent(recent_length, spare) for service in services}
        self.replays = Replays(metrics, joins=joins)
        self.filtered = Filtered(filtered_bytes)
        self._metrics = metrics
        self._kept = kept if joins else -1
        self._slice = slice_seconds
        self._writes = writes
        self._streams = Streams(streams)
        self._cohorts: dict[Wanted, Cohort] = {}
        self._wanting: dict[str, dict[Cohort, None]] = {service: {} for service in self.recent}
        self._places: dict[Outbox, Cohort] = {}
        self._due: dict[Cohort, None] = {}
        self._scheduled = False
        self._failed = asyncio.Event()
        self._error: Exception | None = None
        metrics.cohorts.set_function(lambda: self.cohorts)
        metrics.streams.set_function(lambda: self.streams)

    @property
    def cohorts(self) -> int:
        """How many groups of subscribers want the same bytes."""
        return len(self._cohorts)

    @property
    def streams(self) -> int:
        """How many of them have a stream of compressed updates."""
        return len(self._streams)

    def want(self, subscriber: Subscriber, services: Collection[str]) -> None:
        """Send these services to the subscriber from now on, in its form, and no others."""
        outbox = subscriber.outbox
        self.settle(subscriber)
        before = self._places.get(outbox)
        self._place(subscriber, () if outbox.closed else services)  # it may have been too slow for what was settled
        for service, updates in outbox.delivery.restrict(services, meta=subscriber.form.has_meta):
            filters = subscriber.filters if before is None else before.filters  # as it was when they were postponed
            outbox.queue(self._newest(subscriber, service, updates, filters))

    def _place(self, subscriber: Subscriber, services: Collection[str]) -> None:
        filters = frozenset([each for each in subscriber.filters.values() if each.service in services])
        wanted = Wanted(subscriber.form, frozenset(services), filters)
        before = self._places.get(subscriber.outbox)
        if before is not None:
            if before.wanted == wanted:
                return
            before.leave(subscriber.outbox)
            del self._places[subscriber.outbox]
            if not before:
                self._close(before)
        if services:
            cohort = self._cohorts.get(wanted) or self._open(wanted)
            cohort.enter(subscriber.outbox)
            self._places[subscriber.outbox] = cohort

    def settle(self, subscriber: Subscriber) -> None:
        """Send what was broadcast before now, so that what is sent next comes after it."""
        cohort = self._places.get(subscriber.outbox)
        if cohort is not None:
            cohort.give(subscriber.outbox)

    def send_latest(self, subscriber: Subscriber, service: str) -> None:
        """Send the newest update of a service, if there is one, also where the subscriber had it before."""
        if self.recent[service].latest is not None and not subscriber.outbox.postpones(service):
            subscriber.outbox.offer_alone(self._newest(subscriber, service, 0, subscriber.filters))

    def drain(self, subscriber: Subscriber) -> None:
        """Send what waits, then the newest of what was postponed. Called when the socket is ready again."""
        outbox = subscriber.outbox
        if outbox.delivery.due:
            self.settle(subscriber)  # else what follows could come a second time
        outbox.drain()
        if outbox.delivery.due:
            outbox.catch_up(partial(self._newest, subscriber, filters=subscriber.filters))

    def _newest(self, subscriber: Subscriber, service: str, updates: int, filters: Mapping[str, Filter]) -> Frame:
        """The newest update, which stands for so many; for none, it is the repetition that a subscribe asks for."""
        latest, only = self.recent[service].latest, filters.get(service)
        assert latest is not None
        if updates == 0:
            return latest.frame(subscriber.form.as_snapshot(), only)
        self._metrics.dropped.labels("replaced").inc(updates - 1)
        lost, gap = self.recent[service].lost_in_last(updates)
        return latest.after(updates - 1 + lost, subscriber.form, gap, only)

    def broadcast(self, update: Update) -> None:
        """Keep `update`, and send it in this turn of the loop to everybody who wants it, encoded once per form.

        Filters are applied once each, when it is written: where there are many, in a later turn.
        """
        update.keep_filtered(self.filtered)
        self.recent[update.service].append(update)
        self._metrics.broadcasts.labels(update.service).inc()
        offered = 0
        for cohort in tuple(self._wanting[update.service]):  # one may end: its last client may be too slow
            self._add(cohort, update)
            offered += len(cohort)
        self._metrics.offered.labels(update.service).inc(offered)

    def announce(self, message: Message[Any]) -> None:
        """Send a message of the gateway's own to the subscribers of `system`, encoded once per form. It is not kept."""
        frames: dict[Form, Frame] = {}
        for cohort in tuple(self._wanting[SYSTEM]):
            form = cohort.wanted.form.plain
            if form not in frames:
                frames[form] = form.encode(message)
            self._add(cohort, frames[form])

    def keep_alive(self) -> None:
        """Send a comment to every event stream that is live."""
        for cohort in tuple(self._cohorts.values()):
            if cohort.wanted.form is Form.EVENTS:
                self._add(cohort, SILENCE)

    def _add(self, cohort: Cohort, what: Frame | Update) -> None:
        """Send it to a cohort in this turn of the loop, behind all before it."""
        cohort.add(what)
        if cohort.size > self._kept:
            cohort.deliver()
            self._count_bytes()
            return
        self._due[cohort] = None
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._deliver)

    async def run(self) -> None:
        """Wait until a delivery fails, and raise what it raised: the loop alone would only log it."""
        await self._failed.wait()
        assert self._error is not None
        raise self._error

    def _deliver(self) -> None:
        try:
            self._deliver_slice()
            self._count_bytes()
        except Exception as error:  # noqa: BLE001 - `run` raises it
            self._error = error
            self._failed.set()

    def _deliver_slice(self) -> None:
        end = time.perf_counter() + self._slice
        left = self._writes
        while self._due:
            cohort = next(iter(self._due))
            del self._due[cohort]
            given = cohort.deliver(left)
            if given == left:
                self._due[cohort] = None  # behind the others: they have waited as long
            left -= given + (_FILTERING if cohort.wanted.filters else 0)
            if left > 0 or not self._due:
                continue
            if time.perf_counter() >= end:
                asyncio.get_running_loop().call_soon(self._deliver)
                return
            left = self._writes
        self._scheduled = False

    def _count_bytes(self) -> None:
        plain, sent = self._streams.counted()
        if plain:
            self._metrics.plain_bytes.inc(plain)
            self._metrics.sent_bytes.inc(sent)

    def _open(self, wanted: Wanted) -> Cohort:
        cohort = self._cohorts[wanted] = Cohort(wanted, self._streams)
        for service in wanted.services:
            self._wanting[service][cohort] = None
        return cohort

    def _close(self, cohort: Cohort) -> None:
        del self._cohorts[cohort.wanted]
        for service in cohort.wanted.services:
            del self._wanting[service][cohort]
        self._due.pop(cohort, None)
