"""A TCP proxy that fails on purpose: it cuts, holds, deadens, delays, half-closes, and moves to another target.

Both sides are real sockets, so what is behind it meets what a network does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from urllib.parse import urlsplit

_BACKLOG = 4096  # thousands of clients come back at once


class Proxy:
    """Listens on a port of its own, and passes bytes to the port `target` of 127.0.0.1 as long as it is healthy."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.pause = 0.0
        self.held = False
        self.refusing = False
        self.links: set[Link] = set()
        self.ends: dict[End, asyncio.Future[None]] = {}
        """Every socket that is open."""
        self.openings: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> Proxy:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: End(Link(self)), "127.0.0.1", 0, backlog=_BACKLOG)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def stop(self) -> None:
        """Stop listening, and cut every connection, also those that the loop has yet to tell of."""
        self._server.close()
        self.cut(refuse=True)
        for _ in range(3):  # the turns from a connection that was accepted to its end here
            await asyncio.sleep(0)
        while waiting := [*self.ends.values(), *self.openings]:
            await asyncio.gather(*waiting, return_exceptions=True)

    def before(self, url: str) -> str:
        """The address of a server, with this proxy's port instead of its own."""
        parts = urlsplit(url)
        user, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{user}{at}127.0.0.1:{self.port}").geturl()

    # The faults. `heal` ends those that last.

    def cut(self, refuse: bool = False) -> None:
        """Reset every connection; with `refuse`, also every new one until `heal`."""
        self.refusing = refuse
        for link in list(self.links):
            link.cut()

    def hold(self) -> None:
        """Black hole: no byte passes, nothing is closed, new connections are accepted and hear nothing.

        After `heal` what was under way arrives, as TCP sends it again when a route is back.
        """
        self.held = True
        self._review()

    def deaden(self) -> None:
        """Connections of now never pass a byte again and are never closed: a NAT that forgot them. New ones work."""
        for link in self.links:
            link.dead = True
        self._review()

    def delay(self, seconds: float) -> None:
        """Each way takes so much longer from now on."""
        self.pause = seconds

    def half_close(self, *, towards_target: bool) -> None:
        """Send one side a FIN; the other is not told."""
        for link in list(self.links):
            link.half_close(towards_target)

    def move(self, target: int) -> None:
        """Connect new connections to another port: a virtual address that follows the primary."""
        self.target = target

    def heal(self) -> None:
        """Undo `hold`, `refuse` and `delay`. What is dead stays so."""
        self.held = self.refusing = False
        self.pause = 0.0
        self._review()

    def _review(self) -> None:
        for link in list(self.links):
            link.review()


class Link:
    """One connection through a proxy: two ends."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.near: End | None = None
        self.far: End | None = None
        self.dead = False
        self.opening: asyncio.Task[None] | None = None

    def joined(self, end: End) -> None:
        """Take an end: the client's first, then that of the target."""
        if self.near is None:
            self.near = end
            if not self.proxy.refusing:
                self.proxy.links.add(self)
        else:
            self.far = end
        if self in self.proxy.links:
            self.review()
        else:  # refused, or cut since it began to open
            end.transport.abort()

    async def _open(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: End(self), "127.0.0.1", self.proxy.target)
        except OSError:
            self.cut()

    def other(self, end: End) -> End | None:
        """The opposite end, once there is one."""
        return self.far if end is self.near else self.near

    def review(self) -> None:
        """Read where reading is allowed, and nowhere else."""
        shut = self.dead or self.proxy.held
        if not shut and self.near is not None and self.far is None and self.opening is None:
            self.opening = asyncio.ensure_future(self._open())
            self.proxy.openings.add(self.opening)
            self.opening.add_done_callback(self.proxy.openings.discard)
        for end in (self.near, self.far):
            if end is None or end.transport.is_closing():
                continue
            other = self.other(end)
            reads = not shut and other is not None and not other.choked
            if reads != end.reading:
                end.reading = reads
                (end.transport.resume_reading if reads else end.transport.pause_reading)()

    def half_close(self, towards_target: bool) -> None:
        """Send a FIN to one side."""
        end = self.far if towards_target else self.near
        if end is not None and end.transport.can_write_eof() and not end.ended:
            end.ended = True
            end.transport.write_eof()

    def cut(self) -> None:
        """Reset both sides."""
        self.proxy.links.discard(self)
        for end in (self.near, self.far):
            if end is not None:
                end.transport.abort()
        if self.opening is not None:
            self.opening.cancel()


class End(asyncio.Protocol):
    """One of the two sockets of a link."""

    transport: asyncio.Transport

    def __init__(self, link: Link) -> None:
        self.link = link
        self.choked = False
        self.reading = True
        self.ended = False
        self._late: deque[tuple[float, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.link.proxy.ends[self] = asyncio.get_running_loop().create_future()
        self.link.joined(self)

    def data_received(self, data: bytes) -> None:
        other = self.link.other(self)
        if other is not None:
            other.pass_on(data)

    def pass_on(self, data: bytes) -> None:
        """Write `data` (nothing: the end), now or as late as the proxy says."""
        loop, pause = asyncio.get_running_loop(), self.link.proxy.pause
        if not pause and not self._late:
            self._write(data)
            return
        self._late.append((loop.time() + pause, data))
        if self._timer is None:
            self._timer = loop.call_later(pause, self._write_late)

    def _write_late(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._late and self._late[0][0] <= loop.time() + 0.001:
            self._write(self._late.popleft()[1])
        if self._late:
            self._timer = loop.call_at(self._late[0][0], self._write_late)

    def _write(self, data: bytes) -> None:
        if self.ended or self.transport.is_closing():
            return
        if data:
            self.transport.write(data)
        elif self.transport.can_write_eof():
            self.ended = True
            self.transport.write_eof()
            other = self.link.other(self)
            if other is not None and other.ended:  # both have sent all they had
                self.transport.close()
                other.transport.close()

    def eof_received(self) -> bool:
        other = self.link.other(self)
        if other is not None:
            other.pass_on(b"")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.link.proxy.ends.pop(self).set_result(None)
        other = self.link.other(self)
        if other is None or exc is not None or not other._late:
            self.link.cut()
        else:  # what is on its way arrives first
            asyncio.get_running_loop().call_later(self.link.proxy.pause + 0.05, self.link.cut)

    def pause_writing(self) -> None:
        self.choked = True
        self.link.review()

    def resume_writing(self) -> None:
        self.choked = False
        self.link.review()
