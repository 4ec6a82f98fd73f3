"""Histories: reads the streams of services, many in one round trip.

Nothing here is a transaction: a Redis that is out of memory refuses those, reads included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from redis.asyncio import Redis

from shared.bus.client import answers_of, redis_call
from shared.bus.position import Position
from shared.channels import Channels

PAGE = 200
"""Stream entries per read: at 10 kB each about 2 MB of a service, well within a command's deadline."""

START = "-"
"""Where a stream begins."""


def after(position: Position) -> str:
    """Where a stream goes on after `position`."""
    return f"({position.seq}-0"


class Page(NamedTuple):
    """A part of one service's stream."""

    position: Position | None
    """Where the service stood just before the entries were read; None before its first update."""
    messages: list[bytes]
    """The messages, as they stand in the stream."""
    next: str | None
    """Where the next page begins; None at the end of the stream."""


class Histories:
    """The streams of all services."""

    def __init__(self, redis: Redis, channels: Channels) -> None:
        self._redis = redis
        self._channels = channels

    async def read(self, starts: Mapping[str, str]) -> dict[str, Page]:
        """A page of each service's stream from a start on. Raises BusError."""
        async with redis_call("streams"), self._redis.pipeline(transaction=False) as pipeline:
            for service, start in starts.items():
                pipeline.hmget(self._channels.meta(service), "epoch", "seq")
                pipeline.xrange(self._channels.stream(service), min=start, max="+", count=PAGE)
            answers = await answers_of(pipeline)
        return {
            service: _page(meta, entries)
            for service, meta, entries in zip(starts, answers[::2], answers[1::2], strict=True)
        }

    async def positions(self, services: Iterable[str]) -> dict[str, Position | None]:
        """Where each service stands; None before its first update. Raises BusError."""
        asked = tuple(services)
        async with redis_call("positions"), self._redis.pipeline(transaction=False) as pipeline:
            for service in asked:
                pipeline.hmget(self._channels.meta(service), "epoch", "seq")
            answers = await answers_of(pipeline)
        return {service: Position.read(meta) for service, meta in zip(asked, answers, strict=True)}


def _page(meta: Any, entries: Any) -> Page:
    entries = entries or []
    following = f"({entries[-1][0].decode()}" if len(entries) == PAGE else None
    return Page(Position.read(meta), [fields.get(b"m", b"") for _, fields in entries], following)
