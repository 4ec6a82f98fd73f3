"""Outbox: what one client has yet to get. Bounded, never waits; its one policy is `close_slow`.

An update is written to the socket at once while the socket takes it. What it does not take waits here, in order. When
more waits than the limits allow, everything waiting is dropped and the client is told to reconnect (close 4008): with
`since` it then loses nothing, which could not be said of a client that was quietly sent less.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from gateway.frames import Frame


class FrameSocket(Protocol):
    """The socket below: takes whole frames, and says when it has taken enough."""

    @property
    def ready(self) -> bool:
        """Whether it takes another frame now."""
        ...

    def write_frame(self, frame: Frame) -> None:
        """Send `frame`; does nothing on a closed connection."""
        ...


class Outbox:
    """Frames on their way to one client."""

    def __init__(self, socket: FrameSocket, *, messages: int, size: int, close_slow: Callable[[int], None]) -> None:
        """At most `messages` frames or `size` bytes wait; beyond, `close_slow` is called once with how many fell."""
        self._socket = socket
        self._messages = messages
        self._size = size
        self._close_slow = close_slow
        self._waiting: deque[Frame] = deque()
        self._bytes = 0
        self._closed = False
        self._drained = asyncio.Event()
        self._drained.set()

    def offer(self, frame: Frame) -> None:
        """Send `frame` after all before it. Never waits."""
        if self._closed:
            return
        if not self._waiting and self._socket.ready:
            self._socket.write_frame(frame)
            return
        self._waiting.append(frame)
        self._bytes += len(frame.wire)
        self._drained.clear()
        if len(self._waiting) > self._messages or self._bytes > self._size:
            dropped = len(self._waiting)
            self.close()
            self._close_slow(dropped)

    def drain(self) -> None:
        """Send what waits, as far as the socket takes it. Called when the socket is ready again."""
        while self._waiting and self._socket.ready:
            frame = self._waiting.popleft()
            self._bytes -= len(frame.wire)
            self._socket.write_frame(frame)
        if not self._waiting:
            self._drained.set()

    async def drained(self) -> None:
        """Wait until nothing waits any more, or the outbox is closed."""
        await self._drained.wait()

    def close(self) -> None:
        """Forget what waits and take nothing more."""
        self._closed = True
        self._waiting.clear()
        self._bytes = 0
        self._drained.set()
