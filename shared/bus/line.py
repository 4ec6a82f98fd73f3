"""Line: one connection that is subscribed to channels, and that proves again and again that it delivers.

The pub/sub object of redis-py is not used: it neither notices a half-open socket nor reports a silent reconnect that
lost messages. Here a loop with a deadline reads the connection, and a probe that is published to ourselves proves
delivery where nothing else arrives.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

from redis.asyncio.connection import AbstractConnection

from shared.errors import BusError

Take = Callable[[str, bytes], Awaitable[None]]
"""Called with the channel and the bytes of each message, one after another."""

_LONGEST_ROUND_TRIP = 2.0
"""Seconds of a round trip that lengthen the deadline. A slower Redis is one that does not deliver."""


class Line:
    """A connection that delivers channels."""

    def __init__(
        self,
        connection: AbstractConnection,
        channels: Sequence[str],
        probe: Callable[[], Awaitable[object]],
        *,
        deadline: float,
        clock: Callable[[], float] = time.monotonic,
        command: str = "SUBSCRIBE",
    ) -> None:
        """`channels` has that on which `probe` publishes. After `deadline` seconds of silence, delivery counts as lost.

        `command` subscribes: SSUBSCRIBE on a Redis Cluster.
        """
        self._connection = connection
        self._channels = tuple(channels)
        self._probe = probe
        self._deadline = deadline
        self._clock = clock
        self._command = command
        self._heard_at = float("-inf")
        self._early: list[Any] = []

    @property
    def proven(self) -> bool:
        """Whether it has delivered something within the deadline."""
        return self._clock() - self._heard_at < self._deadline

    def heard(self) -> None:
        """Redis has just answered what was asked after this connection had subscribed."""
        self._heard_at = self._clock()

    async def subscribe(self) -> None:
        """Connect and subscribe. Raises BusError, TimeoutError, and what redis-py raises."""
        async with asyncio.timeout(self._deadline):
            await self._connection.connect()  # type: ignore[no-untyped-call]
            asked = self._clock()
            await self._connection.send_command(self._command, *self._channels)
            confirmation, confirmed = self._command.lower().encode(), 0
            while confirmed < len(self._channels):
                reply = await self._connection.read_response(timeout=self._deadline)
                if reply is None:
                    raise BusError(f"no answer to {self._command}")
                if reply[0] == confirmation:
                    confirmed += 1
                else:
                    self._early.append(reply)
        self._heard_at = self._clock()
        # A probe on a slow link takes its round trip: it must not look like silence.
        self._deadline += min(self._heard_at - asked, _LONGEST_ROUND_TRIP)

    async def read(self, take: Take) -> NoReturn:
        """Pass on every message, in order, until delivery can't be proven any more; then raise BusError.

        Raises TimeoutError where the probe can't be published, and what redis-py and `take` raise.
        """
        while self._early:
            await self._pass_on(self._early.pop(0), take)
        quiet = self._deadline / 3  # leaves two thirds of the deadline for the probe
        probed_at = float("-inf")
        while True:
            reply = await self._connection.read_response(timeout=quiet / 2)
            now = self._clock()
            if reply is not None:
                self._heard_at = now
                await self._pass_on(reply, take)
            elif now - self._heard_at >= self._deadline:
                raise BusError(f"nothing delivered for {self._deadline:.3g} s, not even our own probe")
            elif now - self._heard_at >= quiet and now - probed_at >= quiet:
                probed_at = now
                async with asyncio.timeout(self._deadline - (now - self._heard_at)):
                    await self._probe()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.disconnect(nowait=True)

    async def _pass_on(self, reply: Any, take: Take) -> None:
        if reply[0] in (b"message", b"smessage"):
            await take(reply[1].decode(), reply[2])
        elif reply[0] in (b"unsubscribe", b"sunsubscribe"):
            raise BusError("Redis ended a subscription: the channel has moved")
