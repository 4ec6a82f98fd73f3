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

from gateway.broadcast.compression import Window
from gateway.frames import Buffer
from gateway.waiting import Holder, Waiting


class FrameSocket(Holder, Protocol):
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

    __slots__ = (
        "_budget",
        "_close_slow",
        "_closed",
        "_count",
        "_drained",
        "_messages",
        "_most",
        "_socket",
        "_waiting",
        "size",
        "window",
    )

    def __init__(
        self,
        socket: FrameSocket,
        *,
        messages: int,
        size: int,
        close_slow: Callable[[int], None],
        budget: Waiting,
        window: Window | None = None,
    ) -> None:
        """Up to `messages` frames and `size` bytes wait; beyond, `close_slow` is called once, with their number.

        They count against the `budget` of all that waits. `window` is that of a client that negotiated compression.
        """
        self._budget = budget
        self.window = window
        self._socket = socket
        self._messages = messages
        self._most = size
        self._close_slow = close_slow
        self._waiting: deque[Buffer] | None = None  # made when something waits: most clients are never slow
        self._count = 0
        self.size = 0
        """Bytes that wait."""
        self._closed = False
        self._drained: asyncio.Future[None] | None = None

    def offer(self, buffer: Buffer) -> None:
        """Send `buffer` after all before it. Never waits."""
        if self._socket.ready and not self._waiting:
            self._socket.write_buffer(buffer)
            return
        if self._closed:
            return
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(buffer)
        self._count += len(buffer.frames)
        self.size += len(buffer.wire)
        self._budget.hold(self._socket, buffer)
        if self._count > self._messages or self.size > self._most:
            self._close_slow(self.close())

    def drain(self) -> None:
        """Send what waits, while the socket accepts it. Called when the socket is ready again."""
        while self._waiting and self._socket.ready:
            buffer = self._waiting.popleft()
            self._count -= len(buffer.frames)
            self.size -= len(buffer.wire)
            self._budget.release(self._socket, buffer)
            self._socket.write_buffer(buffer)
        if not self._waiting:
            self._forget()

    async def drained(self) -> None:
        """Wait until the outbox is empty or closed."""
        if self._waiting:
            if self._drained is None:
                self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def close(self) -> int:
        """Drop what waits, and accept nothing more. Returns how many frames that were."""
        self._closed = True
        self._close_slow = _ignore  # it refers to the session, which refers to this: a circle would outlive both
        dropped = self._count
        self._forget()
        return dropped

    def _forget(self) -> None:
        waiting, self._waiting = self._waiting, None
        self._count = self.size = 0
        for buffer in waiting or ():
            self._budget.release(self._socket, buffer)
        if self._drained is not None:
            if not self._drained.done():
                self._drained.set_result(None)
            self._drained = None


def _ignore(dropped: int) -> None:
    """Who is closed is not closed again."""
