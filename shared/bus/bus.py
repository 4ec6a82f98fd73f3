"""Bus: publishes updates, and reads the newest one of each service."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from redis.asyncio import Redis

from shared.bus.client import answers_of, load_script, redis_call
from shared.bus.cluster import Cluster
from shared.bus.once import ONCE_SECONDS, Once, Wait
from shared.bus.position import Position
from shared.bus.stream_reader import StreamReader
from shared.catalog import SYSTEM
from shared.channels import Channels
from shared.envelope import Envelope, pack_draft
from shared.errors import BusError, EnvelopeError, UnconfirmedError
from shared.outage import Outage
from shared.timestamps import now_iso

HISTORY_BYTES = 96 * 2**20
"""Default of HISTORY_BYTES, and of publish.lua."""

_REPLICA_SECONDS = 0.5
"""Seconds to wait for replicas. One in the same data centre has an update within a few milliseconds. Clients have it
already; only the publisher waits, for at most a tenth of the shortest interval."""

_SHARED = frozenset({SYSTEM})
"""Services without a lease that several processes publish."""


class LastPublish(NamedTuple):
    """The newest update of a service."""

    position: Position
    age: float | None
    """Seconds since it was published, by the clock of Redis; None if an older version published it."""
    own: bool
    """Whether this process published it."""


_NOWHERE = Position("", 0)


@dataclass(frozen=True, slots=True)
class _Update:
    """An update on its way: sent again, it is the same."""

    number: int
    """Among those of this Bus and service."""
    data: dict[str, Any]
    draft: bytes


@dataclass(slots=True)
class _Memory:
    """What a Bus remembers of a service."""

    position: Position = _NOWHERE
    number: int = 0
    """That of the newest update."""
    unconfirmed: _Update | None = None
    """The newest update, if Redis did not say whether it was published."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One update is on its way at a time: a repetition can't change their order."""


class Bus:
    """The publishing side. One instance per process; it remembers its last position per service."""

    def __init__(
        self,
        redis: Redis,
        channels: Channels,
        history_length: int,
        *,
        history_bytes: int = HISTORY_BYTES,
        replicas: int = 0,
        on_unreplicated: Callable[[str], None] = lambda service: None,
        held: Callable[[], int] | None = None,
        repeat_seconds: float = ONCE_SECONDS,
    ) -> None:
        """`history_length` and `history_bytes` bound each service's stream. `replicas` are waited for after each
        publish; `on_unreplicated` is called with the service of an update that fewer of them had in time.
        `held` gives the fence that this process holds at the moment: an update under another one is not vouched for.
        An update without an answer is sent again for `repeat_seconds`.
        """
        self._redis = redis
        self._channels = channels
        self._history = (history_length, history_bytes)
        self._command = "SPUBLISH" if isinstance(redis, Cluster) else "PUBLISH"
        self._wait = Wait(replicas, _REPLICA_SECONDS) if replicas else None
        self._on_unreplicated = on_unreplicated
        self._held = held
        self._replication = Outage(
            "updates reach too few replicas", "updates reach the replicas again", wanted=replicas
        )
        self._memories: defaultdict[str, _Memory] = defaultdict(_Memory)
        self._name = secrets.token_hex(8)
        self._publish = Once(redis, "publish", seconds=repeat_seconds)
        self._resume = load_script(redis, "resume")

    async def publish(
        self, service: str, data: dict[str, Any], *, fence: int = 0, cursor: bytes | None = None
    ) -> Position:
        """Give `data` the next position of `service`, store it, and deliver it to every subscriber, once.

        `fence` is that of the publisher's lease; `cursor` is stored in the same call, for `cursor_of`. If the answer is
        lost, the update is sent again for a while; Redis recognizes it, and the position is that of the
        first time. Updates of a service go one after another.

        Raises FencedError if a newer holder took the lease, UnconfirmedError if it may have been published or not,
        another BusError if it was not, EnvelopeError if `data` can't be packed. After UnconfirmedError, publishing
        equal `data` next is a repetition too. An update that too few replicas have in time is published all the same:
        that is logged, and `on_unreplicated` is called.
        """
        memory = self._memories[service]
        try:
            async with asyncio.timeout(self._publish.seconds):
                await memory.turn.acquire()
        except TimeoutError:
            raise BusError(f"publish of {service}: earlier ones still wait for their answer") from None
        try:
            return await self._publish_next(service, memory, data, fence, cursor or b"")
        finally:
            memory.turn.release()

    async def _publish_next(
        self, service: str, memory: _Memory, data: dict[str, Any], fence: int, cursor: bytes
    ) -> Position:
        update, sent = memory.unconfirmed, True
        # Nobody can tell any more which seq an update has that was given up.
        vouches = service not in _SHARED and (update is None or update.data == data)
        if update is None or update.data != data:
            update, sent = _Update(memory.number + 1, data, pack_draft(service, data, now_iso())), False
        memory.number = update.number
        memory.unconfirmed = update  # also if this task is cancelled
        names = self._channels
        length, size = self._history

        def args() -> list[str | bytes | int]:
            # A cycle's fence may be that of a lease which has run out since: then somebody else may have published.
            sure = vouches and (self._held is None or fence in (0, self._held()))
            return [
                names.channel(service),
                fence,
                update.draft,
                length,
                secrets.token_hex(8),
                memory.position.epoch if sure else "",
                memory.position.seq,
                self._name,
                cursor,
                update.number,
                size,
                self._command,
            ]

        try:
            answer = await self._publish.call(
                f"publish of {service}",
                [names.meta(service), names.stream(service), names.last(service)],
                args,
                self._wait,
                sent=sent,
            )
        except UnconfirmedError:
            raise
        except BusError:
            memory.unconfirmed = None
            raise
        memory.unconfirmed = None
        epoch, seq = answer.value
        memory.position = Position(epoch.decode(), int(seq))
        self._count_replicas(service, answer.replicas)
        return memory.position

    def _count_replicas(self, service: str, replicas: int) -> None:
        if self._wait is None:
            return
        if replicas >= self._wait.replicas:
            self._replication.back()
        else:
            self._replication.lost(f"{replicas} of {self._wait.replicas} within {self._wait.seconds:g} s")
            self._on_unreplicated(service)

    async def newest(self, service: str) -> Envelope | None:
        """The newest update of `service` from any publisher; None before the first. Raises BusError."""
        async with redis_call(f"newest of {service}"):
            raw: Any = await self._redis.get(self._channels.last(service))
        try:
            return None if raw is None else Envelope.unpack(raw)
        except EnvelopeError as error:
            raise BusError(f"newest of {service}: {error}") from error

    async def last_publishes(self, services: Sequence[str]) -> dict[str, LastPublish]:
        """Position and age of the newest update of each of `services`, from any publisher. Raises BusError."""
        found: dict[str, LastPublish] = {}
        async with redis_call("last publishes"):
            commands = self._redis.pipeline(transaction=False)
            commands.time()
            for service in services:
                commands.hmget(self._channels.meta(service), "epoch", "seq", "published_at", "publisher")
            clock, *rows = await answers_of(commands)
        now = clock[0] + clock[1] / 1_000_000
        for service, row in zip(services, rows, strict=True):
            position = Position.read(row and row[:2])
            if position is not None:
                published_ms, publisher = row[2:]
                known = published_ms is not None and published_ms.isdigit() and len(published_ms) < 20
                age = max(0.0, now - int(published_ms) / 1000) if known else None
                found[service] = LastPublish(position, age, publisher == self._name.encode())
        return found

    def stream_reader(self, services: Sequence[str], group: str, consumer: str) -> StreamReader:
        """A reader of the recent history of `services`, for the consumer group `group`. Does no I/O."""
        return StreamReader(self._redis, self._channels, services, group, consumer)

    async def cursor_of(self, service: str, fence: int = 0) -> bytes | None:
        """The cursor of the newest update of `service` that had one, or None.

        With a fence, publishers with a lower one are refused from now on: they would publish the same events again.
        Raises FencedError if a newer holder of the lease has published or read, else BusError.
        """
        async with redis_call(f"cursor of {service}"):
            cursor: Any = await self._resume(keys=[self._channels.meta(service)], args=[fence])
        return None if cursor is None else bytes(cursor)
