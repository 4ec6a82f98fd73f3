"""Bus: publishes updates, and reads the newest one of each service."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis

from shared.bus.client import load_script, redis_call
from shared.bus.position import Position
from shared.bus.stream_reader import StreamReader
from shared.channels import Channels
from shared.envelope import Envelope, pack_draft
from shared.errors import BusError, EnvelopeError
from shared.timestamps import now_iso


class LastPublish(NamedTuple):
    """The newest update of a service."""

    position: Position
    age: float | None
    """Seconds since it was published, by the clock of Redis; None if an older version published it."""
    own: bool
    """Whether this process published it."""


class Bus:
    """The publishing side. One instance per process; it remembers its last position per service."""

    def __init__(self, redis: Redis, channels: Channels, history_length: int) -> None:
        self._redis = redis
        self._channels = channels
        self._history_length = history_length
        self._positions: dict[str, Position] = {}
        self._name = secrets.token_hex(8)
        self._publish = load_script(redis, "publish")
        self._resume = load_script(redis, "resume")

    async def publish(
        self, service: str, data: dict[str, Any], *, fence: int = 0, cursor: bytes | None = None
    ) -> Position:
        """Give `data` the next position of `service`, store it, and deliver it to every subscriber.

        `fence` is that of the publisher's lease; `cursor` is stored in the same call, for `cursor_of`. Raises
        FencedError if a newer holder has published, BusError if Redis did not confirm (the publish may still have
        happened), EnvelopeError if `data` can't be packed.
        """
        known = self._positions.get(service, Position("", 0))
        names = self._channels
        keys = [names.meta(service), names.stream(service), names.last(service)]
        args: list[Any] = [
            names.channel(service),
            fence,
            pack_draft(service, data, now_iso()),
            self._history_length,
            secrets.token_hex(8),
            known.epoch,
            known.seq,
            self._name,
            *([] if cursor is None else [cursor]),
        ]
        async with redis_call(f"publish of {service}"):
            epoch, seq = await self._publish(keys=keys, args=args)
        position = Position(epoch.decode(), int(seq))
        known = self._positions.get(service, known)  # a later publish may have ended meanwhile
        if known.epoch != position.epoch or known.seq < position.seq:
            self._positions[service] = position
        return position

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
            clock, *rows = await commands.execute()
        now = clock[0] + clock[1] / 1_000_000
        for service, (epoch, seq, published_ms, publisher) in zip(services, rows, strict=True):
            if epoch is not None and seq is not None:
                age = None if published_ms is None else max(0.0, now - int(published_ms) / 1000)
                own = publisher is not None and publisher.decode() == self._name
                found[service] = LastPublish(Position(epoch.decode(), int(seq)), age, own)
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
