"""Switching: an HTTP connection that becomes a WebSocket, or whose answer becomes an event stream."""

from __future__ import annotations

import asyncio
import socket
import weakref
from typing import Any

from uvicorn import Server

from gateway.transport.http_protocol import HttpProtocol
from gateway.transport.outgoing import Outgoing
from gateway.transport.shared import Shared
from gateway.transport.stream_protocol import EXTENSION, StreamProtocol
from gateway.transport.ws_protocol import FrameProtocol


class SwitchingProtocol(HttpProtocol):
    """One HTTP connection, until it is something else."""

    def __init__(self, connected: socket.socket, server: Server) -> None:
        """`connected` is the socket that `server` has accepted."""
        super().__init__(connected, server)
        self._shared: Shared = self.app_state["node"].clients

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: weakref.ref(self)}  # type: ignore[dict-item] # uvicorn's type knows none with a value

    def handle_websocket_upgrade(self) -> None:
        """From now on the transport belongs to the WebSocket protocol."""
        self._joining.flush()
        protocol = FrameProtocol(self._shared, self.client, self._socket)
        self._hand_over(protocol)
        protocol.open(self.url, self.headers, self.server)

    # What the application calls to make its answer an event stream.

    def end_with_connection(self) -> None:
        """The answer that is given now has neither length nor chunks: its body ends with the connection."""
        assert self._answered is not None
        self._answered.chunked_encoding, self._answered.keep_alive = False, False

    def stream(self) -> StreamProtocol | None:
        """From now on the transport belongs to an event stream, which begins with the head that was sent.

        None where the client has left. Requests behind this one are not answered.
        """
        cycle = self._answered
        assert cycle is not None
        if cycle.disconnected or self.transport.is_closing():
            return None
        if not cycle.response_started:
            raise RuntimeError("an event stream begins with the head of its answer")
        cycle.response_complete = True
        self.pipeline.clear()
        protocol = StreamProtocol(self._shared, self.client, self._socket)
        head = self._joining.take()
        self._hand_over(protocol)
        protocol.begin(head)
        return protocol

    def _hand_over(self, protocol: Outgoing[Any]) -> None:
        self._cancel_head_deadline()
        self._cancel_cut()
        self.connections.discard(self)
        transport: asyncio.Transport = self._joining.transport
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        self.parser = None  # type: ignore[assignment] # it refers to this object: only the collector would find both
