"""HTTP connections: uvicorn's protocol, but a client that stops reading is disconnected.

uvicorn waits for ever for a client that reads nothing, with the rest of the answer in memory; so does a closed
transport whose buffer is not empty. Pages of the history are megabytes, and few may be in progress at once.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

STALLED = 30.0  # s to read the 64 KiB that a transport buffers before it pauses us, 2 kB/s; then cut


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection."""

    _cut: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """The buffer of the transport is full."""
        super().pause_writing()
        self._cut = self.loop.call_later(STALLED, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read enough of the buffer."""
        super().resume_writing()
        self._cancel_cut()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        super().connection_lost(exc)
        self._cancel_cut()

    def handle_websocket_upgrade(self) -> None:
        """From now on the transport belongs to the WebSocket protocol."""
        self._cancel_cut()
        super().handle_websocket_upgrade()

    def _cancel_cut(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None
