"""Outgoing: what is written to one client, whether it takes it, and how the connection ends. For every protocol.

Prebuilt frames go to the socket as they are. Nothing piles up here: what the kernel does not take at once makes the
connection not ready, and its session keeps the rest, within limits.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Generic, TypeVar, cast

import structlog

from gateway.frames import Buffer
from gateway.transport.keepalive import STALLED
from gateway.transport.kernel import unacknowledged
from gateway.transport.shared import Peer, Served, Shared

log = structlog.get_logger()

_LINGER = 3.0  # s for a goodbye to cross a working network; then the socket is cut
_FAREWELL = 65_536  # bytes that may wait for a client that is closed for the memory that it takes
_READ_BYTES = 16_384  # per read of the transport

C = TypeVar("C", bound=Served)


class Outgoing(asyncio.Protocol, Generic[C]):
    """One connection, as far as it writes to its client."""

    __slots__ = (
        "_acked",
        "_corked",
        "_cut",
        "_moved_at",
        "_peer",
        "_read_at",
        "_rest",
        "_sent",
        "_shared",
        "_socket",
        "_waited",
        "address",
        "client",
        "gone",
        "loop",
        "ready",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, shared: Shared, peer: Peer, connected: socket.socket) -> None:
        """`connected` is the socket, `peer` the address at its other end."""
        self.loop = asyncio.get_running_loop()
        self.client: C | None = None
        self.address = peer[0] if peer else None
        """The address of the client, for the log. The application replaces that of a trusted proxy."""
        self.ready = True
        """Whether the socket takes frames now: the connection is open, and the kernel has all that was written."""
        self.gone = False
        """Whether frames can no longer be sent."""
        self._shared = shared
        self._peer = peer
        self._socket = connected
        self._corked: list[bytes] | None = None  # what is written together with what comes next
        self._cut: asyncio.TimerHandle | None = None
        self._rest = 0  # bytes that count as waiting: here, and in the incoming half
        self._sent = self._acked = 0  # bytes
        self._waited = False  # whether something waited at the last look
        self._moved_at = self.loop.time()  # when nothing waited for the peer, or it took something
        self._read_at = float("-inf")  # when it took something of what waited

    # What a protocol has of its own.

    def close_now(self, code: int, reason: str) -> None:
        """Say goodbye without waiting, and end the connection; cut it if the peer takes too long."""
        raise NotImplementedError

    def go_on(self) -> None:
        """Read what waited: the session is less busy than it was."""

    @property
    def unfinished(self) -> int:
        """Bytes that the peer has sent, and that wait here."""
        return 0

    # Writing.

    def serve(self, client: C) -> None:
        """Tell `client` from now on what becomes of the connection, and write what was kept for its beginning."""
        if self.gone:
            client.lost()
        else:
            self.client = client
            self.uncork()
            self.go_on()

    def write_buffer(self, buffer: Buffer) -> None:
        """Send frames as they are. What the kernel does not take at once waits in the transport; until it is gone,
        the connection is not ready."""
        if not self.gone:
            self._write(buffer.wire)

    def _write(self, data: bytes) -> None:
        if self._corked is not None:
            self._corked.append(data)
            return
        self._sent += len(data)
        if self.ready:  # nothing waits in the transport, which would do the same, in half a microsecond more
            try:
                taken = self._socket.send(data)
            except OSError:  # it takes nothing now, or never again: the transport will find out
                taken = 0
            if taken == len(data):
                return
            data = data[taken:]
        self.transport.write(data)

    def cork(self) -> None:
        """Keep what is written until `uncork`: several small writes cost several system calls."""
        self._corked = []

    def uncork(self) -> None:
        """Write what was kept, in one go."""
        corked, self._corked = self._corked, None
        if corked:
            self._write(b"".join(corked))

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket belongs to this protocol from now on."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=0)
        if hasattr(transport, "max_size"):
            transport.max_size = _READ_BYTES
        self._shared.connections.add(self)

    def pause_writing(self) -> None:
        """The kernel takes no more."""
        self.ready = False
        self._count()

    def resume_writing(self) -> None:
        """The kernel has taken everything."""
        self._count()
        if not self.gone:
            self.ready = True
            self._resume()

    def _resume(self) -> None:
        if self.client is not None:
            self.client.ready()
            self.go_on()

    def eof_received(self) -> None:
        """The peer sends nothing more: the transport closes once its buffer is empty, or is cut after a while."""
        self._cut_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._shared.connections.discard(self)
        self._end()
        self._shared.waiting.change(self, -self._rest)
        self._rest = 0
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None

    # Whether the client takes it.

    def look(self, now: float) -> None:
        """End the connection if its client takes nothing of what waits for it; `now` is the loop's time."""
        if self.gone or self.client is None:
            return
        waiting = unacknowledged(self.transport, self._socket)
        acked = self._sent - waiting
        if not waiting or not self._waited:  # after a pause of this process, the last look is long ago
            self._moved_at = now
        elif acked != self._acked:
            self._moved_at = self._read_at = now
        elif now - self._moved_at >= STALLED:
            self.client.stalled()
            return
        self._acked, self._waited = acked, waiting > 0

    # Memory.

    def _count(self) -> None:
        """Count what waits here against the budget of the gateway."""
        rest = self.transport.get_write_buffer_size() + self.unfinished
        if rest != self._rest:
            more, self._rest = rest - self._rest, rest
            self._shared.waiting.change(self, more)

    def give_up(self) -> None:
        """End the connection, for its memory."""
        if self.client is not None:
            self.client.crowded_out()
        self._end()
        if self.transport.get_write_buffer_size() > _FAREWELL:  # its goodbye is behind that
            self.transport.abort()
        else:
            self._cut_later()

    # The end.

    def fail(self, error: BaseException | None) -> None:
        """Log an error of ours, which must not cost other clients anything, and end the connection."""
        log.error("connection failed", address=self.address, exc_info=error)
        if not self.gone:
            self._count_close("failed")
            self._close_failed()
            if not self.gone:  # a close is under way, which the error has cut short
                self.transport.abort()
        self.uncork()

    def shutdown(self) -> None:
        """The server stops."""
        self._hang_up()

    def _close_failed(self) -> None:
        """Say goodbye after an error of ours."""
        raise NotImplementedError

    def _end(self) -> None:
        """Send nothing more. What the peer still sends is read only for its own goodbye."""
        if self.gone:
            return
        self.gone, self.ready = True, False
        self.transport.resume_reading()
        client, self.client = self.client, None
        if client is not None:
            client.lost()

    def _hang_up(self) -> None:
        """End; close once all is written, or after a while."""
        self._end()
        self.transport.close()
        self._cut_later()

    def _count_close(self, reason: str) -> None:
        self._shared.metrics.closed.labels(reason).inc()

    def _cut_later(self) -> None:
        if self._cut is None:
            self._cut = self.loop.call_later(_LINGER, self.transport.abort)
