"""How HTTP answers reach the socket: uvicorn's protocol, but a client that stops reading is cut.

uvicorn waits for ever for a client that reads nothing, with the rest of its answer in memory, and a transport that is
closed waits as long for its buffer to empty. Pages of the archive are megabytes, and few may be under way at once.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

STALLED = 30.0  # s to read the 64 KiB that a transport holds back before it pauses us: 2 kB/s; slower is cut off


class PageProtocol(HttpToolsProtocol):
    """One HTTP connection."""

    _cut: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """The transport holds as much as it should."""
        super().pause_writing()
        self._cut = self.loop.call_later(STALLED, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read it."""
        super().resume_writing()
        self._keep()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        super().connection_lost(exc)
        self._keep()

    def handle_websocket_upgrade(self) -> None:
        """From here on the transport is another protocol's."""
        self._keep()
        super().handle_websocket_upgrade()

    def _keep(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None
