"""Server: uvicorn as the node runs it."""

from __future__ import annotations

import resource
import signal
import socket
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import uvicorn

from gateway.transport.http_protocol import HttpProtocol
from gateway.transport.listener import Listener, connections_within
from gateway.transport.outgoing import Outgoing
from gateway.transport.switching import SwitchingProtocol


class Server(uvicorn.Server):
    """uvicorn, but a signal stops the node, in the order of the node, and connections come from a Listener."""

    _listener: Listener | None = None

    def __init__(self, config: uvicorn.Config, stop: Callable[[str], None], listening: socket.socket) -> None:
        """`stop` is called with the name of a signal; connections come to `listening`."""
        super().__init__(config)
        self._stop = stop
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then accept connections."""
        await super().startup([])
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        connections = self.server_state.connections
        self._listener = Listener(
            self._listening,
            partial(SwitchingProtocol, server=self),
            most=connections_within(files),
            count=lambda: len(connections),
        )
        self._listener.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more; then stop as uvicorn does."""
        await self.close_listener()
        await super().shutdown()

    async def close_listener(self) -> None:
        """Accept no more connections."""
        if self._listener is not None:
            await self._listener.aclose()

    @property
    def http_connections(self) -> int:
        """Connections that are neither WebSockets nor event streams, also those on which nothing was asked yet."""
        return sum(isinstance(each, HttpProtocol) for each in self.server_state.connections)

    def clients(self) -> list[Outgoing[Any]]:
        """The WebSockets and event streams."""
        return [each for each in self.server_state.connections if isinstance(each, Outgoing)]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGINT or SIGTERM."""
        self._stop(signal.Signals(sig).name)
