"""WebSocket connections: uvicorn's protocol, extended by a way to write prebuilt frames.

uvicorn's ASGI `send` builds a frame per message and client, and waits for slow clients. Here a session writes prebuilt
frames to the transport directly, and is notified when the transport is full. Two more differences from uvicorn 0.54: a
closed connection ends after a bounded time even if its peer reads nothing; and the close code for a message that was
too big is delivered before the socket closes (closing with unread data would reset the connection and lose the code).
"""

from __future__ import annotations

from asyncio import BaseTransport
from typing import Any, Protocol, cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode as ClosedFor
from websockets.frames import Frame as ReceivedFrame
from websockets.http11 import Request
from websockets.protocol import OPEN

from gateway.frames import Buffer

EXTENSION = "coinwire.frames"
"""Key in the ASGI scope's `extensions` under which a session finds its FrameProtocol."""

_LINGER = 3.0  # s for a close frame and its answer to cross a working network; then the socket is cut
_READ_BYTES = 16_384  # per read: 2700 of the smallest frames, 11 ms; asyncio's 256 KiB would block the loop 180 ms
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_REASONS = {1002: "protocol", 1007: "not_utf8", 1009: "too_big"}  # how the peer broke the protocol, in metrics


class OnReady(Protocol):
    """Called when the socket accepts frames again."""

    def __call__(self) -> None: ...


class FrameProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection."""

    on_ready: OnReady | None = None
    _late_pong: bytes | None = None

    @property
    def ready(self) -> bool:
        """Whether the transport's buffer is below its high-water mark."""
        return self.writable.is_set()

    @property
    def gone(self) -> bool:
        """Whether frames can no longer be sent."""
        return self.close_sent or self.disconnected or self.transport.is_closing()

    def write_buffer(self, buffer: Buffer) -> None:
        """Send prebuilt frames; compressed for this client if it negotiated that."""
        if self.gone:
            return
        if not self.conn.extensions:
            self.transport.write(buffer.wire)
            return
        for frame in buffer.frames:
            if frame.binary:
                self.conn.send_binary(frame.payload)
            else:
                self.conn.send_text(frame.payload)
        self.transport.write(b"".join(self.conn.data_to_send()))

    def close_now(self, code: int, reason: str) -> None:
        """Send a close frame without waiting; cut the connection if the peer does not answer in time."""
        if self.gone or self.conn.state is not OPEN:
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._read_on()
        self._cut_later()

    # What Starlette, uvicorn and asyncio call.

    async def send(self, message: ASGISendEvent) -> None:
        """Send an answer to the handshake. A refusal completes the handshake too; else uvicorn logs an error."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def connection_made(self, transport: BaseTransport) -> None:
        """Limit how much is read at once, so that a flood of tiny frames from one client does not delay the others."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):
            transport.max_size = _READ_BYTES

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer. The first are the whole handshake; uvicorn would never answer an invalid one."""
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            answer = b"".join(self.conn.data_to_send())
            self.transport.write(answer or _BAD_REQUEST)
            self.transport.close()
            self._cut_later()
            self._note_refusal()

    def handle_connect(self, event: Request) -> None:
        """Put this protocol into the scope of the application."""
        super().handle_connect(event)
        if self.close_sent:
            self._note_refusal()
        else:
            extensions = cast("dict[str, Any]", self.scope["extensions"])
            extensions[EXTENSION] = self

    def resume_writing(self) -> None:
        """The transport accepts data again."""
        super().resume_writing()
        if self._late_pong is not None and not self.gone:
            self.transport.write(self._late_pong)
        self._late_pong = None
        if self.on_ready is not None:
            self.on_ready()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone: notify whoever waits for it to accept frames."""
        super().connection_lost(exc)
        if self.on_ready is not None:
            self.on_ready()
            self.on_ready = None

    def eof_received(self) -> None:
        """The peer sends nothing more: the transport closes once its buffer is empty, or is cut after a while."""
        self._cut_later()

    def handle_ping(self) -> None:
        """Answer. While the peer does not read, answer only the newest ping (RFC 6455, 5.5.3): nothing piles up."""
        answers = self.conn.data_to_send()  # to all pings of this read, and to a close after them
        if self.gone:
            return
        if self.ready or self.conn.state is not OPEN:
            self.transport.write(b"".join(answers))
        elif answers:
            self._late_pong = answers[-1]

    def handle_cont(self, event: ReceivedFrame) -> None:
        """The next part of a message. Empty parts are dropped, because the size limit does not count them."""
        if event.data or event.fin:
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Pass a whole message to the session. Text that is not UTF-8 ends here; uvicorn would log it as an error."""
        if self.close_sent:
            self.frames = []
            return
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                if self.conn.state is OPEN:  # else a close of the peer arrived in the same read
                    self.conn.fail(ClosedFor.INVALID_DATA, "not UTF-8")
                    self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def handle_close(self, event: ReceivedFrame) -> None:
        """The peer closes, or answers our close."""
        super().handle_close(event)
        self._cut_later()

    def keepalive_timeout(self) -> None:
        """No pong arrived: the peer did not answer, or its session is busy and nothing is read."""
        if self.read_paused and self.ping_timeout is not None:
            self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)
            return
        if not self.gone:
            self._count_close("no_pong")
        super().keepalive_timeout()
        self._cut_later()

    def shutdown(self) -> None:
        """The server stops."""
        super().shutdown()
        self._cut_later()

    def handle_parser_exception(self) -> None:
        """The peer broke the protocol (1002), sent bad UTF-8 (1007), or too much (1009)."""
        if self.close_sent:
            return  # closed already; the rest of that message is discarded
        close = self.conn.close_sent
        assert close is not None
        self._count_close(_REASONS.get(close.code, "protocol"))
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._read_on()
        self._cut_later()

    def _count_close(self, reason: str) -> None:
        self.app_state["node"].metrics.closed.labels(reason).inc()

    def _note_refusal(self) -> None:
        self.app_state["node"].refusals.note(self.client[0] if self.client else None, "bad request")

    def _read_on(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def _cut_later(self) -> None:
        if self.close_timer is None and not self.disconnected:
            self.close_timer = self.loop.call_later(_LINGER, self.transport.abort)
