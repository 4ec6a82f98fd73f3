"""Outbox: frames that one client has not received yet. Bounded; never waits; its policy is `close_slow`.

A frame is written to the socket at once while the socket accepts it. Otherwise it waits here, in order. Beyond the
limits, everything that waits is dropped and the connection is closed with 4008: the client reconnects, and with `since`
it loses nothing. Silently dropping frames would lose updates.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from gateway.frames import Buffer


class FrameSocket(Protocol):
    """The socket: accepts whole frames, and states whether it accepts more."""

    @property
    def ready(self) -> bool:
        """Whether it accepts another buffer now."""
        ...

    def write_buffer(self, buffer: Buffer) -> None:
        """Send the frames of `buffer`; does nothing on a closed connection."""
        ...


class Outbox:
    """Frames on their way to one client."""

    def __init__(self, socket: FrameSocket, *, messages: int, size: int, close_slow: Callable[[int], None]) -> None:
        """Up to `messages` frames and `size` bytes wait; beyond, `close_slow` is called once, with their number."""
        self._socket = socket
        self._messages = messages
        self._size = size
        self._close_slow = close_slow
        self._waiting: deque[Buffer] = deque()
        self._count = 0
        self._bytes = 0
        self._closed = False
        self._drained = asyncio.Event()
        self._drained.set()

    def offer(self, buffer: Buffer) -> None:
        """Send `buffer` after all before it. Never waits."""
        if self._closed:
            return
        if not self._waiting and self._socket.ready:
            self._socket.write_buffer(buffer)
            return
        self._waiting.append(buffer)
        self._count += len(buffer.frames)
        self._bytes += len(buffer.wire)
        self._drained.clear()
        if self._count > self._messages or self._bytes > self._size:
            dropped = self._count
            self.close()
            self._close_slow(dropped)

    def drain(self) -> None:
        """Send what waits, while the socket accepts it. Called when the socket is ready again."""
        while self._waiting and self._socket.ready:
            buffer = self._waiting.popleft()
            self._count -= len(buffer.frames)
            self._bytes -= len(buffer.wire)
            self._socket.write_buffer(buffer)
        if not self._waiting:
            self._drained.set()

    async def drained(self) -> None:
        """Wait until the outbox is empty or closed."""
        await self._drained.wait()

    def close(self) -> None:
        """Drop what waits, and accept nothing more."""
        self._closed = True
        self._waiting.clear()
        self._count = self._bytes = 0
        self._drained.set()
