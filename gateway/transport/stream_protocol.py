"""Event streams: an answer over HTTP that goes on until one side ends it. Nothing comes from the client any more.

The body has no length and no chunks, and ends with the connection (RFC 9112, 6.3): every client of HTTP reads that, and
an event is the same bytes for all. The client notices an event that is cut off, and drops it (WHATWG HTML, 9.2.6).
"""

from __future__ import annotations

import asyncio
import socket

from websockets.frames import CloseCode as ClosedFor

from gateway.frames import as_event
from gateway.messages.stream import StreamClosed
from gateway.protocol import notice
from gateway.transport.outgoing import Outgoing
from gateway.transport.shared import Peer, Served, Shared

EXTENSION = "coinwire.stream"
"""Key in the ASGI scope's `extensions` of a weak reference to what makes an answer a stream, the SwitchingProtocol."""

_UNHEARD_BYTES = 65_536  # that a client may send behind its request: others that nobody answers; more is a flood


class StreamProtocol(Outgoing[Served]):
    """One event stream."""

    __slots__ = ("_unheard",)

    def __init__(self, shared: Shared, peer: Peer, connected: socket.socket) -> None:
        """`connected` is the socket, `peer` the address at its other end."""
        super().__init__(shared, peer, connected)
        self._unheard = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The head of the answer, or one before it, may still wait in the transport."""
        super().connection_made(transport)
        self.ready = not self.transport.get_write_buffer_size()
        self.transport.resume_reading()  # else nobody would notice that the client leaves

    def begin(self, head: bytes) -> None:
        """Send the head of the answer. `serve` comes next; it is sent with the first event."""
        self.cork()
        self._write(head)

    def data_received(self, data: bytes) -> None:
        """Nothing that a client sends now is answered."""
        self._unheard += len(data)
        if self._unheard > _UNHEARD_BYTES:
            self._count_close("flood")
            self._shared.refusals.tell("client sent too much behind its request", self.address)
            self.transport.abort()

    def close_now(self, code: int, reason: str) -> None:
        """Send a last event that says why, and close the connection."""
        if not self.gone:
            self._write(as_event(notice(StreamClosed.type, StreamClosed(code=code, message=reason))).wire)
            self._hang_up()

    def _close_failed(self) -> None:
        self.close_now(ClosedFor.INTERNAL_ERROR, "a fault of this gateway")
