"""The publisher: as many messages in flight as wanted, so many per second, or all at once."""

from __future__ import annotations

import asyncio
import mmap
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr

from benchmarks.payloads import Data, Encode, stamped
from benchmarks.processes import BenchmarkError
from launcher.ports import LOOPBACK
from launcher.redis_server import RedisServer
from shared.bus import Bus, Position, open_redis
from shared.channels import Channels
from shared.envelope import Envelope
from shared.settings import Settings

_STALL_SECONDS = 2.0  # without a delivery: messages were lost, and the window moves on without them
_LOOK_SECONDS = 0.0002  # between looks at what has arrived: a tenth of a delivery to 1,000 clients
_BUS_CALLS = 32  # publishes through the Bus at once; more do not make Redis faster


@dataclass(frozen=True, slots=True)
class Pace:
    """When messages are published. Without a field set: each as soon as Redis has confirmed the one before."""

    in_flight: float = 0
    """At most so many messages are published and not yet delivered to everybody."""
    per_second: float = 0
    through_bus: bool = False
    """Through `Bus.publish`, many calls at once, instead of a plain PUBLISH."""


class Published(NamedTuple):
    """When the first message was published (ns of CLOCK_MONOTONIC), and how often the window had to be given up."""

    start_ns: int
    stalls: int


class Progress:
    """Messages that the load client has received so far, which it writes to a mapped file."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)

    def __call__(self) -> int:
        """The number now."""
        (count,) = struct.unpack("=Q", self._map[:8])
        return int(count)


class Publisher:
    """Publishes on the channels of one gateway. Messages are numbered from 0 over the whole life of the publisher."""

    def __init__(self, server: RedisServer, channels: Sequence[tuple[str, str]], encode: Encode, history: int) -> None:
        """Empty Redis. `channels` are pairs of a service and its channel, which get messages in turn.

        `history` is the number of updates that the Bus keeps.
        """
        url = SecretStr(server.url)
        self._settings = Settings(_env_file=None, redis_url=url, history_length=history)  # type: ignore[call-arg]
        self._channels = channels
        self._encode = encode
        self.next_number = 0
        self._socket = socket.create_connection((LOOPBACK, server.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = self._socket.makefile("rb")
        self._command(b"AUTH", server.password.encode())
        self._command(b"FLUSHALL")

    def close(self) -> None:
        """End the connection to Redis."""
        self._replies.close()
        self._socket.close()

    def publish(
        self, count: int, payloads: Iterator[Data], pace: Pace, delivered: Callable[[], int], each: float
    ) -> Published:
        """Publish `count` messages. `delivered` counts deliveries since the start, of which a message makes `each`.

        Raises BenchmarkError where Redis refuses a message.
        """
        start, stalls = time.monotonic_ns(), 0
        first = self.next_number
        self.next_number += count
        if pace.through_bus:
            asyncio.run(self._through_bus(first, count, payloads))
            return Published(start, 0)
        for index in range(count):
            if pace.per_second:
                time.sleep(max(0.0, start / 1e9 + index / pace.per_second - time.monotonic()))
            elif pace.in_flight:
                stalls += not _reached((index + 1 - pace.in_flight * (1 + stalls)) * each, delivered)
            service, channel = self._channels[index % len(self._channels)]
            message = self._encode(stamped(next(payloads), first + index), service)
            self._command(b"PUBLISH", channel.encode(), message)
        return Published(start, stalls)

    def _command(self, *parts: bytes) -> None:
        framed = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._socket.sendall(b"*%d\r\n%s" % (len(parts), framed))
        reply = self._replies.readline()
        if reply[:1] not in (b":", b"+"):
            raise BenchmarkError(f"Redis refused {parts[0].decode()}: {reply.decode(errors='replace').strip()}")

    def newest(self) -> Position:
        """The position of the newest update that was published through the Bus. Raises BenchmarkError without one."""

        async def ask() -> Envelope | None:
            async with open_redis(self._settings) as redis:
                return await Bus(redis, Channels(), self._settings.history_length).newest(self._channels[0][0])

        envelope = asyncio.run(ask())
        if envelope is None:
            raise BenchmarkError("nothing was published through the Bus")
        return Position(envelope.epoch, envelope.seq)

    async def _through_bus(self, first: int, count: int, payloads: Iterator[Data]) -> None:
        numbers = iter(range(first, first + count))
        async with open_redis(self._settings) as redis:
            bus = Bus(redis, Channels(), self._settings.history_length)

            async def some() -> None:
                for number in numbers:
                    service, _ = self._channels[(number - first) % len(self._channels)]
                    await bus.publish(service, stamped(next(payloads), number))

            await asyncio.gather(*(some() for _ in range(_BUS_CALLS)))


def _reached(wanted: float, delivered: Callable[[], int]) -> bool:
    """Wait until so many were delivered. Returns False after two seconds in which nothing was."""
    before, since = -1, time.monotonic()
    while (now := delivered()) < wanted:
        if now != before:
            before, since = now, time.monotonic()
        elif time.monotonic() - since > _STALL_SECONDS:
            return False
        time.sleep(_LOOK_SECONDS)
    return True
