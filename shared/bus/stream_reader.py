"""StreamReader: reads the streams of services as a consumer group, which remembers how far it got."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.bus.client import redis_call
from shared.bus.cluster import Cluster
from shared.channels import Channels
from shared.envelope import Envelope
from shared.errors import BusError, EnvelopeError

_WAIT_MS = 2000  # for a new entry: less than half of a command's deadline
_LOOK_AGAIN = 0.1  # s between two looks where Redis can't wait: a recorder may be that late
_FROM_THE_START = b"0"
_NEW = b">"


class Entry(NamedTuple):
    """One entry of a stream."""

    service: str
    id: bytes
    envelope: Envelope | None
    """None if it is no message of ours, or has been trimmed since it was first read."""
    fault: str | None = None
    """Why it is no message of ours."""


class StreamReader:
    """A consumer group over the streams of several services. Only one read at a time.

    Redis keeps the entries that were read and not acknowledged. Every process that reads as the same `consumer`
    begins with them, so a successor continues where its predecessor died. Only one of them may read at a time.
    """

    def __init__(self, redis: Redis, channels: Channels, services: Sequence[str], group: str, consumer: str) -> None:
        """Sends nothing yet."""
        self._redis = redis
        # One command reads one slot only, and each service has its own.
        self._one_by_one = isinstance(redis, Cluster)
        self._services = {channels.stream(service).encode(): service for service in services}
        self._keys = {service: key for key, service in self._services.items()}
        self._group = group
        self._consumer = consumer
        self._grouped = False
        self._unacknowledged: dict[bytes, bytes] = {}
        self.rewind()

    def rewind(self) -> None:
        """Read the entries that were not acknowledged again."""
        self._unacknowledged = dict.fromkeys(self._services, _FROM_THE_START)

    async def read(self, count: int) -> list[Entry]:
        """The next entries, at most `count` per service; none after two seconds without any. Raises BusError.

        After an error, call `rewind` and read again: nothing is lost.
        """
        if not self._grouped:
            await self._make_groups()
        again = dict(self._unacknowledged)
        replies = await self._ask(again, count)
        if replies is None:
            # A new epoch has begun with a new stream, and the group was deleted with the old one.
            self._grouped = False
            self.rewind()
            return []
        found: list[Entry] = []
        read = dict(replies)
        for key, entries in read.items():
            found += [_entry(self._services[key], id_, fields) for id_, fields in entries]
        for key in again:
            entries = read.get(key, [])
            if len(entries) < count:
                del self._unacknowledged[key]
            else:
                self._unacknowledged[key] = entries[-1][0]
        return found

    async def acknowledge(self, entries: Iterable[Entry]) -> None:
        """Mark entries as done, so that they are not read again. Raises BusError."""
        by_key: dict[bytes, list[bytes]] = {}
        for entry in entries:
            by_key.setdefault(self._keys[entry.service], []).append(entry.id)
        if not by_key:
            return
        async with redis_call("streams"), self._redis.pipeline(transaction=False) as commands:
            for key, ids in by_key.items():
                commands.xack(key, self._group, *ids)
            await commands.execute()

    async def oldest(self, service: str) -> int | None:
        """The seq of the oldest update in the stream of `service`; None if it is empty. Raises BusError."""
        async with redis_call("streams"):
            entries: Any = await self._redis.xrange(self._keys[service], count=1)
        return int(entries[0][0].partition(b"-")[0]) if entries else None

    async def _ask(self, again: dict[bytes, bytes], count: int) -> list[tuple[bytes, list[Any]]] | None:
        """The entries of each stream after the ids of `again`, or new ones if it is empty; None without a group."""
        streams: dict[bytes, bytes] = again or dict.fromkeys(self._services, _NEW)
        try:
            if self._one_by_one:
                return await self._ask_each(streams, count, wait=not again)
            async with redis_call("streams"):
                block = None if again else _WAIT_MS
                found: Any = await self._redis.xreadgroup(
                    self._group, self._consumer, dict[Any, Any](streams), count=count, block=block
                )
        except BusError as error:
            if not str(error.__cause__).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            return None
        return found or []

    async def _ask_each(self, streams: dict[bytes, bytes], count: int, *, wait: bool) -> list[tuple[bytes, list[Any]]]:
        """The same from streams on different slots. With `wait`, look again for a while."""
        for _ in range(int(_WAIT_MS / 1000 / _LOOK_AGAIN) if wait else 1):
            async with redis_call("streams"), self._redis.pipeline(transaction=False) as commands:
                for key, start in streams.items():
                    commands.xreadgroup(self._group, self._consumer, dict[Any, Any]({key: start}), count=count)
                answers: list[Any] = await commands.execute(raise_on_error=False)
                for answer in answers:
                    if isinstance(answer, ResponseError):
                        raise answer
            found = [each for answer in answers for each in answer or []]
            if found or not wait:
                break
            await asyncio.sleep(_LOOK_AGAIN)
        return found

    async def _make_groups(self) -> None:
        for key in self._services:
            async with redis_call("streams"):
                try:
                    # From the start: updates from before the first reader are history too.
                    await self._redis.xgroup_create(key, self._group, id=_FROM_THE_START, mkstream=True)
                except ResponseError as error:
                    if not str(error).startswith("BUSYGROUP"):
                        raise
        self._grouped = True


def _entry(service: str, id_: bytes, fields: Any) -> Entry:
    if not fields:
        return Entry(service, id_, None)  # trimmed since it was read: Redis has only its id
    try:
        envelope = Envelope.unpack(fields.get(b"m", b""))
    except EnvelopeError as error:
        return Entry(service, id_, None, str(error))
    if envelope.service != service:
        return Entry(service, id_, None, f"it is one of {envelope.service!r}")
    return Entry(service, id_, envelope)
