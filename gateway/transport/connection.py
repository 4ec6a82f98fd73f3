"""Connection: the outgoing half of a WebSocket: its handshake, its pings, its close."""

from __future__ import annotations

import random
import socket

from websockets.frames import CloseCode as ClosedFor
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from gateway.transport.extensions import Deflate
from gateway.transport.outgoing import Outgoing
from gateway.transport.shared import Client, Peer, Shared


class Connection(Outgoing[Client]):
    """One WebSocket connection, as far as it writes."""

    __slots__ = ("_late_pong", "_ping_at", "_pinged", "conn", "deflate")

    def __init__(self, shared: Shared, peer: Peer, connected: socket.socket, conn: ServerProtocol) -> None:
        """`connected` is the socket, `peer` the address at its other end; `conn` makes control frames."""
        super().__init__(shared, peer, connected)
        self.conn = conn
        self.deflate: Deflate | None = None
        """What was negotiated; None for a client without compression."""
        self._late_pong: bytes | None = None
        self._ping_at = self.loop.time() + shared.keepalive.interval  # when a ping is due, or the pong of the last one
        self._pinged = b""  # what that pong has to repeat

    # What the incoming half does.

    @property
    def behind(self) -> bool:
        """Whether something that the peer has sent waits for us."""
        raise NotImplementedError

    # Writing.

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

    def shutdown(self) -> None:
        """The server stops."""
        if self.client is not None and self.conn.state is OPEN:
            self.conn.send_close(ClosedFor.SERVICE_RESTART)
            self._flush()
        super().shutdown()

    def _close_failed(self) -> None:
        self.close_now(ClosedFor.INTERNAL_ERROR, "a fault of this gateway")

    def _flush(self) -> None:
        """Send what `websockets` has made."""
        self._write(b"".join(self.conn.data_to_send()))

    def _resume(self) -> None:
        if self._late_pong is not None:
            pong, self._late_pong = self._late_pong, None
            self._write(pong)
        super()._resume()

    # Keepalive.

    def look(self, now: float) -> None:
        """Ping if it is time; end the connection if its pong is late, or if the client takes nothing."""
        super().look(now)
        if self.gone or self.client is None or now < self._ping_at:
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

    # The end.

    def _end(self) -> None:
        self._late_pong = None
        super()._end()
