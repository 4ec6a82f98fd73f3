"""HTTP connections: uvicorn's protocol, with bounds on what a client can take: time, bytes, headers.

uvicorn waits for ever for a client that reads nothing, with the rest of the answer in memory; so does a closed
transport whose buffer is not empty. Pages of the history are megabytes, and few may be in progress at once. It also
waits for ever for the rest of a request, and keeps a head of any size.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from http import HTTPStatus
from typing import cast

import httptools
from uvicorn import Server
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.transport.handshake import (
    RefusedRequest,
    asks_for_websocket,
    check_host,
    check_upgrade,
    origin_form,
    response,
)
from gateway.transport.joining import Joining
from gateway.transport.pacing import paced
from gateway.transport.turn import Turn
from gateway.transport.unchunked import has_no_chunks, unchunked

STALLED = 30.0  # s to read the 32 KiB that a transport buffers for us at most, 1 kB/s; then cut
HEAD = 10.0  # s for the head of a request, from its first byte or from the connect; then the end
HEAD_BYTES = 65_536  # of a request's head: cookies of a browser take 4 KiB each, a proxy 8 to 32 in all; then 431
TARGET_BYTES = 8_192  # of a request's target: a query of 60 KB takes 13 ms to read, this one 2 ms; then 414
HEADER_LINES = 128  # as in the library of WebSockets; each costs a tuple and two strings; then 431
_REQUEST_BYTES = 1_048_576  # of a request, with a body that is never read: this API is read-only; then the end
PIPELINED = 8
"""Requests that may wait behind one that is being answered, 4 KiB of objects each; browsers send one at a time. Whoever
sends more gets the answers to these, then the end: a read of 16 KiB may hold 600 requests."""
_WRITE_BYTES = 16_384  # in the transport, until it pauses us: more would be kept for a client that reads nothing
_READ_BYTES = 16_384  # per read, so that what comes before the limits are checked stays small
_LINGER = 3.0  # s for a refusal to cross the network, while what still comes is read and dropped; then cut
_TOO_LARGE = RefusedRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The head of the request is too large.")
_TOO_LONG = RefusedRequest(HTTPStatus.REQUEST_URI_TOO_LONG, "The target of the request is too long.")
_TOO_MANY = RefusedRequest(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests wait for an answer.")
_INVALID = RefusedRequest(HTTPStatus.BAD_REQUEST, "Invalid HTTP request received.")
_REASONS = {
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "too large",
    HTTPStatus.REQUEST_URI_TOO_LONG: "too large",
    HTTPStatus.UPGRADE_REQUIRED: "version",
}


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection."""

    _cut: asyncio.TimerHandle | None = None
    _head_deadline: asyncio.TimerHandle | None = None
    _in_head = False  # a head has begun and is not complete
    _read = 0  # bytes received since the request began
    _size = 0  # bytes of target and headers, trailers included
    _ended = False  # nothing more is taken from this client
    _answered: RequestResponseCycle | None = None  # the request that is answered now; `cycle` is the newest
    _unread = b""  # bytes that wait for their turn, two reads at most
    _queued = False  # the request that begins now has waited for the answer to another
    _upgrades = False  # this request asks to become a WebSocket

    def __init__(self, connected: socket.socket, server: Server) -> None:
        """`connected` is the socket that `server` has accepted."""
        super().__init__(server.config, server.server_state, server.lifespan.state)
        self._socket = connected

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected: it has a while to say what it wants."""
        super().connection_made(cast(asyncio.Transport, transport))
        if hasattr(transport, "max_size"):
            transport.max_size = _READ_BYTES
        self.transport.set_write_buffer_limits(high=_WRITE_BYTES)
        self._joining = Joining(self.transport)
        self.transport = cast(asyncio.Transport, self._joining)
        self._turn: Turn = self.app_state["node"].clients.turn
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Bytes of requests; they are read when it is their turn, like those of WebSockets."""
        if self._unread:
            self._unread += data
            self.transport.pause_reading()
        else:
            self._unread = data
            self._turn.spend(len(data), self._take)

    def _take(self) -> None:
        data, self._unread = self._unread, b""
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        try:
            self._parse(data)
        except Exception:
            self.logger.exception("connection failed")
            self.transport.abort()
        if self.transport.get_protocol() is self and not self.flow.read_paused:
            self.transport.resume_reading()

    def _parse(self, data: bytes) -> None:
        self._read += len(data)
        if self._ended:
            if self._read > _REQUEST_BYTES:
                self.transport.abort()
            return
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The WebSocket protocol is told nothing of what this one has begun: an answer in progress would never end,
            # and a buffer that is full already would never be reported to it.
            if self._should_upgrade() and not self._answering and not self.flow.write_paused:
                self.handle_websocket_upgrade()
            else:  # another protocol is ignored; the parser reads nothing more
                self._finish()
            return
        except httptools.HttpParserError as error:
            fault = error.__context__  # what one of the methods below has raised
            self._refuse(fault if isinstance(fault, RefusedRequest) else _INVALID)
            return
        if self._in_head and self._read > HEAD_BYTES + _READ_BYTES:  # it may have begun in the middle of a read
            self._refuse(_TOO_LARGE)
        elif self._read > _REQUEST_BYTES:
            self._finish()
        elif not self._answering and self._head_deadline is None:
            self._await_head()

    # What the parser and uvicorn call.

    def on_message_begin(self) -> None:
        """A request begins."""
        if len(self.pipeline) >= PIPELINED:
            raise _TOO_MANY  # the answers before it are sent, then the connection ends
        super().on_message_begin()
        self._in_head, self._read, self._size = True, 0, 0
        if self._head_deadline is None:
            self._await_head()

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._measure(len(url))
        if len(self.url) + len(url) > TARGET_BYTES:
            raise _TOO_LONG
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self._measure(len(name) + len(value) + len(": \r\n"))
        if len(self.headers) >= HEADER_LINES:
            raise _TOO_LARGE
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete: from now on the client waits for us."""
        version = self.parser.get_http_version()
        check_host(self.headers, version)
        self.url = origin_form(self.url, self.headers)
        self._upgrades = self.parser.should_upgrade() and asks_for_websocket(self.headers, version)
        if self._upgrades:
            check_upgrade(self.parser.get_method(), self.url, self.headers)
        super().on_headers_complete()
        self._in_head = False
        self._cancel_head_deadline()

    def pause_writing(self) -> None:
        """The buffer of the transport is full."""
        super().pause_writing()
        if self._cut is None:
            self._cut = self.loop.call_later(STALLED, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read enough of the buffer."""
        super().resume_writing()
        if not self._ended or self._answering:  # else the cut of a refusal stands
            self._cancel_cut()

    def on_response_complete(self) -> None:
        """An answer is sent, as far as the transport is concerned."""
        self._queued = bool(self.pipeline)
        super().on_response_complete()
        self._cut_if_stalled()

    def timeout_keep_alive_handler(self) -> None:
        """The connection was idle for long enough."""
        super().timeout_keep_alive_handler()
        self._cut_if_stalled()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        super().connection_lost(exc)
        if self._answered is not None:  # uvicorn ends only the newest; this one would go on, and each write be logged
            self._answered.disconnected = True
            self._answered.message_event.set()
        self._unset_keepalive_if_required()
        self._cancel_head_deadline()
        self._cancel_cut()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        app = paced(app, self.flow, self._turn, self._break_off, later=self._queued)
        super()._start_asgi_task(cycle, unchunked(app, cycle) if has_no_chunks(cycle) else app)
        self._queued = False

    def _should_upgrade(self) -> bool:
        return self._upgrades

    # Limits.

    @property
    def _answering(self) -> bool:
        """Whether an answer is in progress, or a request is complete and waits for its turn."""
        return self.cycle is not None and not self.cycle.response_complete

    def _measure(self, size: int) -> None:
        self._size += size
        if self._size > HEAD_BYTES:
            raise _TOO_LARGE

    def _await_head(self) -> None:
        self._head_deadline = self.loop.call_later(HEAD, self._head_late)

    def _head_late(self) -> None:
        """Who does not finish a request is not waiting for an answer: no 408, as in nginx."""
        self._head_deadline = None
        if self._in_head:
            self._note("late")
        self._finish()

    def _finish(self) -> None:
        """Take nothing more; end once the answers in progress are sent."""
        self._ended, self._read = True, 0
        self._cancel_head_deadline()
        if self._answering:
            self.cycle.keep_alive = False
        else:
            self.transport.close()
            self._cut_later()

    def _break_off(self) -> None:
        """End in the middle of an answer, after what has been written of it; without chunks only a reset shows it."""
        if self._answered is not None and has_no_chunks(self._answered):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
            return
        self.transport.close()
        self._cut_if_stalled()

    def _refuse(self, fault: RefusedRequest) -> None:
        """Answer with an error, then end. Who waits for another answer, or has it, gets no error."""
        if self._answering or (self.cycle is not None and not self._in_head):
            self._finish()
            return
        self._note(_REASONS.get(fault.status, "bad request"))
        self._ended, self._read = True, 0
        self._cancel_head_deadline()
        self._unset_keepalive_if_required()
        body = fault.text.encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            *((name.encode(), value.encode()) for name, value in fault.headers),
        ]
        self.transport.write(response(fault.status, headers, body))
        # Closing with unread data would reset the connection, and the answer would be lost.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._cut_later()

    def _note(self, reason: str) -> None:
        self.app_state["node"].refusals.note(self.client[0] if self.client else None, reason)

    def _cut_if_stalled(self) -> None:
        """A closed transport waits for ever for a peer that does not read the end of its buffer."""
        if self.transport.is_closing() and self._cut is None:
            self._cut = self.loop.call_later(STALLED, self.transport.abort)

    def _cut_later(self) -> None:
        self._cancel_cut()
        self._cut = self.loop.call_later(_LINGER, self.transport.abort)

    def _cancel_head_deadline(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _cancel_cut(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None
