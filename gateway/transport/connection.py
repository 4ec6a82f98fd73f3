"""Connection: the outgoing half of a WebSocket. What is written, whether the client takes it, and how it ends.

Prebuilt frames go to the socket as they are. Nothing piles up here: what the kernel does not take at once makes the
connection not ready, and its session keeps the rest, within limits.
"""

from __future__ import annotations

import asyncio
import random
import socket
from math import inf
from typing import cast

import structlog
from websockets.frames import CloseCode as ClosedFor
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from gateway.frames import Buffer
from gateway.transport.extensions import Deflate
from gateway.transport.keepalive import STALLED
from gateway.transport.kernel import unacknowledged
from gateway.transport.shared import Client, Peer, Shared

log = structlog.get_logger()

_LINGER = 3.0  # s for a close frame and its answer to cross a working network; then the socket is cut
_FAREWELL = 65_536  # bytes that may wait for a client that is closed for the memory that it takes
_READ_BYTES = 16_384  # per read of the transport


class Connection(asyncio.Protocol):
    """One WebSocket connection, as far as it writes."""

    __slots__ = (
        "_acked",
        "_corked",
        "_cut",
        "_late_pong",
        "_moved_at",
        "_peer",
        "_ping_at",
        "_pinged",
        "_read_at",
        "_rest",
        "_sent",
        "_shared",
        "_socket",
        "_waited",
        "address",
        "client",
        "conn",
        "deflate",
        "gone",
        "loop",
        "ready",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, shared: Shared, peer: Peer, connected: socket.socket, conn: ServerProtocol) -> None:
        """`connected` is the socket, `peer` the address at its other end; `conn` makes control frames."""
        self.loop = asyncio.get_running_loop()
        self.client: Client | None = None
        self.conn = conn
        self.deflate: Deflate | None = None
        """What was negotiated; None for a client without compression."""
        self.address = peer[0] if peer else None
        """The address of the client, for the log. The application replaces that of a trusted proxy."""
        self.ready = True
        """Whether the socket takes frames now: the connection is open, and the kernel has all that was written."""
        self.gone = False
        """Whether frames can no longer be sent."""
        self._shared = shared
        self._peer = peer
        self._socket = connected
        self._late_pong: bytes | None = None
        self._corked: list[bytes] | None = None  # what is written together with what comes next
        self._cut: asyncio.TimerHandle | None = None
        now = self.loop.time()
        self._rest = 0  # bytes that count as waiting: here, and in the incoming half
        self._sent = self._acked = 0  # bytes
        self._waited = False  # whether something waited at the last look
        self._moved_at = now  # when nothing waited for the peer, or it took something
        self._read_at = -inf  # when it took something of what waited
        self._ping_at = now + shared.keepalive.interval  # when a ping is due, or the pong of the last one
        self._pinged = b""  # what that pong has to repeat

    # What the incoming half does.

    @property
    def behind(self) -> bool:
        """Whether something that the peer has sent waits for us."""
        raise NotImplementedError

    def go_on(self) -> None:
        """Read what waited: the session is less busy than it was."""
        raise NotImplementedError

    @property
    def unfinished(self) -> int:
        """Bytes that the peer has sent, and that wait here."""
        raise NotImplementedError

    # Writing.

    def write_buffer(self, buffer: Buffer) -> None:
        """Send frames as they are. What the kernel does not take at once waits in the transport; until it is gone,
        the connection is not ready."""
        if not self.gone:
            self._write(buffer.wire)

    def close_now(self, code: int, reason: str) -> None:
        """Send a close frame without waiting; cut the connection if the peer does not answer in time."""
        if self.gone or self.conn.state is not OPEN:
            return
        self.conn.send_close(code, reason)
        self._flush()
        self._end()
        self._cut_later()

    def accept(self, answer: bytes) -> None:
        """Answer the handshake. `serve` comes next; the answer is sent with the greeting."""
        if not self.gone:
            self.cork()
            self._write(answer)

    def refuse(self, answer: bytes) -> None:
        """Answer a handshake whose client is not taken."""
        if not self.gone:
            self._write(answer)
            self._hang_up()

    def fail(self, error: BaseException | None) -> None:
        """Log an error of ours, which must not cost other clients anything, and end the connection."""
        log.error("connection failed", address=self.address, exc_info=error)
        if not self.gone:
            self._count_close("failed")
            self.close_now(ClosedFor.INTERNAL_ERROR, "a fault of this gateway")
            if not self.gone:  # a close is under way, which the error has cut short
                self.transport.abort()
        self.uncork()

    def shutdown(self) -> None:
        """The server stops."""
        if self.client is not None and self.conn.state is OPEN:
            self.conn.send_close(ClosedFor.SERVICE_RESTART)
            self._flush()
        self._hang_up()

    def _flush(self) -> None:
        """Send what `websockets` has made."""
        self._write(b"".join(self.conn.data_to_send()))

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
        if self.gone:
            return
        self.ready = True
        if self._late_pong is not None:
            pong, self._late_pong = self._late_pong, None
            self._write(pong)
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

    # Keepalive.

    def look(self, now: float) -> None:
        """Ping if it is time; end the connection if its pong is late, or if the client takes nothing."""
        client = self.client
        if self.gone or client is None:
            return
        waiting = unacknowledged(self.transport, self._socket)
        acked = self._sent - waiting
        if not waiting or not self._waited:  # after a pause of this process, the last look is long ago
            self._moved_at = now
        elif acked != self._acked:
            self._moved_at = self._read_at = now
        elif now - self._moved_at >= STALLED:
            client.stalled()
            return
        self._acked, self._waited = acked, waiting > 0
        if now < self._ping_at:
            return
        timeout = self._shared.keepalive.timeout
        if not self._pinged:
            self._pinged, self._ping_at = random.randbytes(4), now + timeout
            self.conn.send_ping(self._pinged)
            self._flush()
        elif now - self._read_at < timeout or self.behind:
            self._ping_at = now + timeout  # it reads: our ping is behind what it reads, or its pong behind what we read
        else:
            self._count_close("no_pong")
            self.conn.fail(ClosedFor.INTERNAL_ERROR, "keepalive ping timeout")
            self._flush()
            self._hang_up()

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
        if self.transport.get_write_buffer_size() > _FAREWELL:  # its close frame is behind that
            self.transport.abort()
        else:
            self._cut_later()

    # The end.

    def _end(self) -> None:
        """Send nothing more. What the peer still sends is read only for its close frame."""
        if self.gone:
            return
        self.gone, self.ready = True, False
        self._late_pong = None
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
