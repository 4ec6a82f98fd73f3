"""Keepalive: every connection is looked at every few seconds, by one task instead of timers per connection.

A look sends a ping when one is due, and ends a connection whose pong is late, or whose client has taken nothing of what
waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

STALLED = 10.0
"""Seconds without progress, while something waits for the client, after which it counts as stalled."""

LOOK = 2.0  # s between two looks at a connection, about 2 µs: a stalled one is closed after 10 to 12 s
_SLICE = 500  # connections per turn of the loop, about a millisecond


class Watched(Protocol):
    """One connection."""

    def look(self, now: float) -> None:
        """Do what is due; `now` is the loop's time."""
        ...


class Keepalive:
    """Looks at connections in turn. `run` is its only task."""

    def __init__(self, interval: float, timeout: float) -> None:
        """A ping every `interval` seconds; its pong within `timeout` seconds."""
        self.interval = interval
        self.timeout = timeout
        self._every = min(LOOK, interval / 4, timeout / 4)

    async def run(self, connections: Callable[[], Sequence[Watched]]) -> None:
        """Look at those that `connections` returns, again and again, until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._every)
            for number, connection in enumerate(connections()):
                if number % _SLICE == _SLICE - 1:
                    await asyncio.sleep(0)
                connection.look(clock())
