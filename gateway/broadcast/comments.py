"""Comments: what keeps proxies from closing an event stream whose service publishes rarely, or not at all."""

from __future__ import annotations

import asyncio

from gateway.broadcast.hub import Hub

COMMENT_SECONDS = 15.0
"""The longest silence on an event stream: half of what HAProxy, nginx and others wait at least (WHATWG HTML, 9.2.7)."""


class Comments:
    """Sends comments. `run` is its only task."""

    def __init__(self, hub: Hub, interval: float) -> None:
        """A comment every `interval` seconds."""
        self._hub = hub
        self._interval = interval

    async def run(self) -> None:
        """Send comments until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            self._hub.keep_alive()
