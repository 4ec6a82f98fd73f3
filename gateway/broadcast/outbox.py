"""Outbox: frames that one client has not received yet. Bounded; `offer` never waits.

A buffer is written to the socket at once while the socket accepts it. Otherwise the client is behind. Updates of
services that it gets as `latest` are then postponed (see Delivery): they take no memory, and the newest one is sent
later. All other frames wait here, in order. Beyond the limits, everything that waits is dropped and `close_slow` closes
the connection with 4008: the client reconnects, and with `since` it loses nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from gateway.broadcast.compression import Window
from gateway.broadcast.delivery import Delivery
from gateway.frames import Buffer, Frame, join
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
        "_behind",
        "_budget",
        "_close_slow",
        "_count",
        "_drained",
        "_messages",
        "_most",
        "_socket",
        "_waiting",
        "closed",
        "delivery",
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
        self.delivery = Delivery()
        self._behind = False  # whether anything waits here or is postponed
        self._waiting: deque[Buffer] | None = None  # made when something waits: most clients are never slow
        self._count = 0
        self.size = 0
        """Bytes that wait."""
        self.closed = False
        """Whether nothing is accepted any more."""
        self._drained: asyncio.Future[None] | None = None

    def offer(self, buffer: Buffer) -> None:
        """Send `buffer` after all before it. Never waits."""
        if self._socket.ready and not self._behind:
            self._socket.write_buffer(buffer)
            return
        if self.closed:
            return
        self._behind = True
        frames = self.delivery.sift(buffer.frames)
        if len(frames) == len(buffer.frames):
            self.queue(buffer)
        else:
            if self.window is not None:
                self.window.restart()  # it lacks what it is not sent
            for rest in join(frames) if frames else ():
                self.queue(rest)

    def queue(self, buffer: Buffer) -> None:
        """Send `buffer` after all before it, to a client that is behind."""
        if self.closed:
            return
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(buffer)
        self._count += len(buffer.frames)
        self.size += len(buffer.wire)
        self._budget.hold(self._socket, buffer)
        if self._count > self._messages or self.size > self._most:
            self._close_slow(self.close())

    def offer_alone(self, frame: Frame) -> None:
        """Send a frame that others of the same cohort don't get. Compressed, it takes this client out of the stream."""
        self.offer(frame if self.window is None else self.window.alone(frame))

    def postpones(self, service: str) -> bool:
        """Postpone the newest update of `service`, if the client is behind and needs only the newest one."""
        if self._socket.ready and not self._behind:
            return False
        postponed = self.delivery.repeat(service)
        self._behind = self._behind or postponed
        return postponed

    def catch_up(self, newest: Callable[[str, int], Buffer]) -> None:
        """Send the newest update of each postponed service, while the socket accepts it. To be called after `drain`.

        `newest` makes it, from the service and how many updates it stands for. They are sent one by one: what the
        socket does not accept now remains the newest until it does.
        """
        while self.delivery.due and self._socket.ready:
            self._socket.write_buffer(newest(*self.delivery.take()))
        self._behind = bool(self._waiting) or self.delivery.due

    def charge(self, size: int) -> None:
        """Count `size` bytes that are kept for the client as if they waited; less, if negative."""
        self._budget.change(self._socket, size)

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
        self._behind = bool(self._waiting) or self.delivery.due

    async def drained(self) -> None:
        """Wait until the outbox is empty or closed."""
        if self._waiting:
            if self._drained is None:
                self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def close(self) -> int:
        """Drop what waits, and accept nothing more. Returns how many frames that were."""
        self.closed = True
        self._close_slow = _ignore  # it refers to the session, which refers to this: a circle would outlive both
        dropped = self._count + self.delivery.clear()
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
