"""How frames reach the socket: uvicorn's WebSocket protocol, with a way in for frames that are built already.

uvicorn's ASGI `send` frames every message for every client anew, and waits for a slow one. Here a session writes
prebuilt frames straight to the transport, and is told when that has had enough. What else differs from uvicorn 0.54:
a closed connection is gone after a bounded time even if its peer reads nothing, and a message that was too big gets
its close code through before the socket goes (closing with unread data would reset the connection and lose it).
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

from gateway.frames import Frame

EXTENSION = "coinwire.frames"
"""Key in the ASGI scope's `extensions` under which a session finds its FrameProtocol."""

_LINGER = 3.0  # s: for a close frame and its answer to cross any working network; then the socket is cut
_READ_BYTES = 16_384  # a read: 2700 of the smallest frames, 11 ms; asyncio's 256 KiB of them would stall everybody 180
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class OnReady(Protocol):
    """What the protocol calls when the socket takes frames again."""

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
        """Whether frames go nowhere any more."""
        return self.close_sent or self.disconnected or self.transport.is_closing()

    def write_frame(self, frame: Frame) -> None:
        """Send a prebuilt frame; compressed for this client alone if it negotiated that."""
        if self.gone:
            return
        if not self.conn.extensions:
            self.transport.write(frame.wire)
            return
        if frame.binary:
            self.conn.send_binary(frame.payload)
        else:
            self.conn.send_text(frame.payload)
        self.transport.write(b"".join(self.conn.data_to_send()))

    def close_now(self, code: int, reason: str) -> None:
        """Send a close frame without waiting, and cut the connection if the peer does not answer it."""
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
        """Handshake answers come this way; a refusal completes the handshake too, else uvicorn logs it as an error."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def connection_made(self, transport: BaseTransport) -> None:
        """Read little at a time, so that one client's flood of tiny frames does not hold up the others."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):
            transport.max_size = _READ_BYTES

    def data_received(self, data: bytes) -> None:
        """Bytes of the peer's. The first are the whole handshake: where that is none, uvicorn would never answer it."""
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            answer = b"".join(self.conn.data_to_send())
            self.transport.write(answer or _BAD_REQUEST)
            self.transport.close()
            self._cut_later()

    def handle_connect(self, event: Request) -> None:
        """Handshake: let the application find this protocol."""
        super().handle_connect(event)
        if not self.close_sent:
            extensions = cast("dict[str, Any]", self.scope["extensions"])
            extensions[EXTENSION] = self

    def resume_writing(self) -> None:
        """The transport takes data again."""
        super().resume_writing()
        if self._late_pong is not None and not self.gone:
            self.transport.write(self._late_pong)
        self._late_pong = None
        if self.on_ready is not None:
            self.on_ready()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone: frames go nowhere from now on, so that nobody waits for it."""
        super().connection_lost(exc)
        if self.on_ready is not None:
            self.on_ready()
            self.on_ready = None

    def eof_received(self) -> None:
        """The peer sends nothing more: the transport closes once its buffer is empty, or is cut."""
        self._cut_later()

    def handle_ping(self) -> None:
        """Answer; while the peer does not read, only the newest ping (RFC 6455, section 5.5.3), so nothing piles up."""
        answers = self.conn.data_to_send()  # to every ping that was read at once; and to a close after them
        if self.gone:
            return
        if self.ready or self.conn.state is not OPEN:
            self.transport.write(b"".join(answers))
        elif answers:
            self._late_pong = answers[-1]

    def handle_cont(self, event: ReceivedFrame) -> None:
        """The next part of a message; empty parts are not kept, for they escape the limit on its size."""
        if event.data or event.fin:
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """A whole message: to the session, unless it is no UTF-8; uvicorn would log that as an error of ours."""
        if self.close_sent:
            self.frames = []
            return
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                if self.conn.state is OPEN:  # else the peer's own close came in the same breath
                    self.conn.fail(ClosedFor.INVALID_DATA, "not UTF-8")
                    self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def handle_close(self, event: ReceivedFrame) -> None:
        """The peer closes, or answers our close."""
        super().handle_close(event)
        self._cut_later()

    def keepalive_timeout(self) -> None:
        """The peer did not answer our ping; or it did, and we do not read because its session is still busy."""
        if self.read_paused and self.ping_timeout is not None:
            self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)
            return
        super().keepalive_timeout()
        self._cut_later()

    def shutdown(self) -> None:
        """The server stops."""
        super().shutdown()
        self._cut_later()

    def handle_parser_exception(self) -> None:
        """The peer broke the protocol (1002), sent bad UTF-8 (1007), or too much (1009)."""
        if self.close_sent:
            return  # told already; what still arrives of that message is thrown away
        close = self.conn.close_sent
        assert close is not None
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._read_on()
        self._cut_later()

    def _read_on(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def _cut_later(self) -> None:
        if self.close_timer is None and not self.disconnected:
            self.close_timer = self.loop.call_later(_LINGER, self.transport.abort)
