"""What gateways answer over HTTP, and when that changed."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

_EVERY = 0.1  # s between two looks


async def get(port: int, path: str, host: str = "127.0.0.1", seconds: float = 2.0) -> tuple[int, str]:
    """One HTTP request, cheap enough to be made all the time: status (0 for no answer) and body."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                answer = await reader.read(-1)
            finally:
                writer.close()
        head, _, body = answer.decode(errors="replace").partition("\r\n\r\n")
        return int(head[9:12]), body
    except (OSError, TimeoutError, ValueError):
        return 0, ""


class Answering(Protocol):
    """A process that answers over HTTP."""

    name: str

    async def status(self, path: str) -> int:
        """The status of one answer; 0 without any."""


class Health:
    """Asks gateways all the time how they are. An async context manager."""

    def __init__(self, gateways: Sequence[Answering]) -> None:
        self._gateways = gateways
        self._changes: dict[tuple[str, str], list[tuple[float, int]]] = defaultdict(list)

    def start(self) -> None:
        """Begin to ask."""
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """End it."""
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            for gateway in self._gateways:
                for path in ("/health/ready", "/health/live"):
                    status = await gateway.status(path)
                    seen = self._changes[gateway.name, path]
                    if not seen or seen[-1][1] != status:
                        seen.append((time.time(), status))
            await asyncio.sleep(_EVERY)

    def ready(self, gateway: Answering, moment: float) -> list[tuple[float, int]]:
        """What its readiness changed to after `moment`, and how many seconds after."""
        return self._since(gateway, "/health/ready", moment)

    def live(self, gateway: Answering, moment: float) -> list[tuple[float, int]]:
        """The same of its liveness."""
        return self._since(gateway, "/health/live", moment)

    def _since(self, gateway: Answering, path: str, moment: float) -> list[tuple[float, int]]:
        changes = self._changes[gateway.name, path]
        return [(round(at - moment, 2), status) for at, status in changes if at > moment]
