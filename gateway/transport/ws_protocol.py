"""WebSocket connections: what a client sends becomes messages for its session.

The library `websockets` parses the client's frames. No connection has a task of its own, a client whose session is busy
waits unread, and one that floods is closed before it can keep the loop.
"""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Coroutine
from functools import partial
from typing import Any, cast

from websockets.frames import CloseCode as ClosedFor
from websockets.frames import Frame as ReceivedFrame
from websockets.frames import Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from gateway.bucket import Bucket
from gateway.messages.faults import MAX_MESSAGE_BYTES, CloseCode
from gateway.transport.connection import Connection
from gateway.transport.extensions import Inflation, agree
from gateway.transport.handshake import Headers, lines_of
from gateway.transport.opening import Opening
from gateway.transport.shared import Client, Peer, Shared

_PIECE = 1_024  # bytes that are parsed before the budget is checked: 170 of the smallest frames, half a millisecond
FRAMES = 256.0  # control frames and fragments at once: 8 KiB in parts of 32 bytes
FRAMES_A_SECOND = 64.0  # of them; a lawful client sends one pong in 20 s
_HELD = 16_384  # bytes of messages that wait for a busy session while pings are answered; then the peer waits unread
_HELD_BYTES = 256  # that a message takes besides its text
_INFLATER = 39_000  # bytes of memory that zlib takes until a message in fragments is whole
_REASONS = {1002: "protocol", 1007: "not_utf8", 1009: "too_big"}  # how the peer broke the protocol, in metrics
_NOT_DECODED = (1002, 1007)  # with which clients close where their inflater fails; and for other frames of ours

_log = logging.getLogger("websockets.server")


class _Parser(ServerProtocol):
    """The parser of `websockets`, but a close frame may come between the fragments of a message (RFC 6455, 5.4)."""

    def recv_frame(self, frame: ReceivedFrame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)


class FrameProtocol(Connection):
    """One WebSocket connection."""

    __slots__ = ("_frames", "_held", "_part", "_part_is_text", "_unread")

    def __init__(self, shared: Shared, peer: Peer, connected: socket.socket) -> None:
        """`connected` is the socket, `peer` the address at its other end."""
        super().__init__(shared, peer, connected, _Parser(state=OPEN, max_size=MAX_MESSAGE_BYTES, logger=_log))
        self._part: bytearray | None = None  # of a message that comes in fragments
        self._part_is_text = False
        self._held: deque[tuple[str | bytes, int]] | None = None  # messages that wait for the session
        self._unread = b""  # bytes that wait for their turn; the transport reads nothing meanwhile
        self._frames = Bucket(FRAMES, FRAMES_A_SECOND, self.loop.time())  # that carry no whole message

    # What asyncio calls.

    def open(self, target: bytes, headers: Headers, server: tuple[str, int | None] | None) -> None:
        """Let the application answer a valid handshake; where many connect, in a later turn."""
        self._shared.turn.open(partial(self._open, target, headers, server))

    def _open(self, target: bytes, headers: Headers, server: tuple[str, int | None] | None) -> None:
        if self.gone:
            return
        if self._shared.compresses:
            self.deflate = agree(lines_of(headers, b"sec-websocket-extensions"))
        if self.deflate is not None:
            self.conn.extensions = [Inflation()]
        opening = Opening(self, target, headers, None if self.deflate is None else self.deflate.answer)
        scope = opening.scope(self._shared.state, client=self._peer, server=server)
        answering = cast(Coroutine[Any, Any, None], self._shared.app(scope, opening.receive, opening.send))
        task = self.loop.create_task(answering)
        self._shared.tasks.add(task)
        task.add_done_callback(self._shared.tasks.discard)
        task.add_done_callback(opening.end)

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer, at most 16 KiB."""
        if self._unread or (self.client is None and not self.gone):
            self._unread += data
            self.transport.pause_reading()
            self._count()
        else:
            self._unread = data
            self._shared.turn.spend(len(self._unread), self._read)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        super().connection_lost(exc)
        self._unread = b""  # what waits for its turn is read by nobody
        self.conn.parser.close()  # a generator that refers to `conn`: the circle would wait for the garbage collector

    # Reading.

    def go_on(self) -> None:
        """Read what waited: the session is less busy than it was."""
        if self.behind:
            self._shared.turn.spend(len(self._unread), self._read)
        elif not self.gone:
            self.transport.resume_reading()

    @property
    def behind(self) -> bool:
        """Whether something that the peer has sent waits for us."""
        return bool(self._held or self._unread)

    def _read(self) -> None:
        """Parse, piece by piece, and pass messages on, until the session is busy or the turn is over."""
        try:
            if not self._parse():
                self._shared.turn.put_off(len(self._unread), self._read)
        except Exception as error:  # noqa: BLE001 - logged; others may wait for their turn
            self._unread = b""
            self.fail(error)
        if self._unread:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()
        if self._rest or self._part is not None or self.behind:
            self._count()

    @property
    def unfinished(self) -> int:
        """Bytes that the peer has sent, and that wait here."""
        part = 0 if self._part is None else len(self._part) + (_INFLATER if self.deflate is not None else 0)
        return len(self._unread) + part + self._held_size

    @property
    def _held_size(self) -> int:
        return sum(size + _HELD_BYTES for _, size in self._held) if self._held else 0

    def _parse(self) -> bool:
        """Returns whether it went as far as it can."""
        while self._pass_on() and self._unread:
            if self.gone and self._frames.left < 0:
                self._unread = b""
                break
            piece, self._unread = self._unread[:_PIECE], self._unread[_PIECE:]
            self.conn.receive_data(piece)
            for event in self.conn.events_received():
                self._take(cast(ReceivedFrame, event))
            if self.conn.parser_exc is not None:
                self._break()
            if self._unread and self._shared.turn.over:
                return False
        return True

    def _pass_on(self) -> bool:
        """Pass messages on that had to wait. Returns whether more may be parsed."""
        client = self.client
        while self._held and client is not None and not client.busy:
            self._give(client, *self._held.popleft())
        return self.gone or client is None or self._held_size < _HELD

    def _take(self, frame: ReceivedFrame) -> None:
        match frame.opcode:
            case Opcode.CLOSE:
                self._peer_closes()
            case Opcode.PING:
                if self._afford():
                    self._pong()
            case Opcode.PONG:
                if self._afford() and self._pinged and frame.data == self._pinged:
                    self._pinged, self._ping_at = b"", self.loop.time() + self._shared.keepalive.interval
            case Opcode.CONT:
                if self._afford():
                    self._take_part(frame)
            case opcode if frame.fin:
                self._message(frame.data, text=opcode is Opcode.TEXT)
            case opcode:
                if self._afford():
                    self._part, self._part_is_text = bytearray(frame.data), opcode is Opcode.TEXT

    def _take_part(self, frame: ReceivedFrame) -> None:
        assert self._part is not None
        self._part += frame.data
        if frame.fin:
            data, self._part = bytes(self._part), None
            self._message(data, text=self._part_is_text)

    def _message(self, data: bytes | bytearray | memoryview, *, text: bool) -> None:
        """A whole message. Text that is no UTF-8 ends the connection, if the peer has not closed it anyway."""
        message: str | bytes = bytes(data)
        if text:
            try:
                message = str(data, "utf-8")
            except UnicodeDecodeError:
                if self.conn.state is OPEN:
                    self.conn.fail(ClosedFor.INVALID_DATA, "not UTF-8")
                    self._break()
                return
        client = self.client
        if self.gone or client is None or self.transport.is_closing():  # nobody would read the answer
            return
        if self._held or client.busy:
            self._held = self._held or deque()
            self._held.append((message, len(data)))
        else:
            self._give(client, message, len(data))

    def _give(self, client: Client, message: str | bytes, size: int) -> None:
        """One message; its answers are written together."""
        self.cork()
        try:
            client.received(message, size)
        finally:
            self.uncork()

    def _afford(self) -> bool:
        """Charge a control frame or a fragment. Returns whether the connection goes on."""
        self._frames.refill(self.loop.time())
        self._frames.left -= 1
        if self.gone:
            return False
        if self._frames.left < 0:
            self._count_close("flood")
            self._shared.refusals.tell("client sent too many control frames or fragments", self.address)
            self.close_now(CloseCode.POLICY, "too many control frames or fragments")
        return not self.gone

    def _pong(self) -> None:
        """Answer. While the peer does not read, answer only the newest ping (RFC 6455, 5.5.3): nothing piles up."""
        answers = self.conn.data_to_send()  # to all pings of this piece, and to a close after them
        pongs = [answer for answer in answers if answer.startswith(b"\x8a")]
        self.conn.writes += answers[len(pongs) :]  # what answers the messages before the close comes first
        if self.ready or self.conn.state is not OPEN:
            self._write(b"".join(pongs))
        elif pongs:
            self._late_pong = pongs[-1]

    # The end.

    def _peer_closes(self) -> None:
        """The peer closes, or answers our close."""
        if not self.gone:
            close = self.conn.close_rcvd
            if self.deflate is not None and close is not None and close.code in _NOT_DECODED:
                self._shared.metrics.undecoded.inc()
                self._shared.refusals.tell("a client could not decode what it was sent", self.address, code=close.code)
            self._flush()
        self._hang_up()

    def _break(self) -> None:
        """The peer broke the protocol (1002), sent bad UTF-8 (1007), or too much (1009)."""
        if self.gone:
            return  # closed already; the rest is discarded
        close = self.conn.close_sent
        assert close is not None
        self._count_close(_REASONS.get(close.code, "protocol"))
        self._flush()
        self._end()
        # Closing with unread data would reset the connection, and the close frame would be lost.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._cut_later()

    def _end(self) -> None:
        self._held = self._part = None
        if self._unread and not self.gone:  # the peer's close may be behind it, and nobody else would read on
            self._shared.turn.put_off(len(self._unread), self._read)
        super()._end()
