"""Joining: small writes of one turn of the event loop become one.

uvicorn writes the head of an answer and its body separately: two system calls and two packets per request. A client
that reads once would see the head alone.
"""

from __future__ import annotations

import asyncio
from typing import Any

_MOST = 4_096  # bytes that wait for the end of the turn; more are written at once, so that the flow control sees them


class Joining:
    """A transport whose small writes wait for the end of this turn of the loop. All else is the transport's."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        """Where it writes."""
        self._parts: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        """What this class does not change."""
        return getattr(self.transport, name)

    def write(self, data: bytes) -> None:
        """Write `data` behind all before it, at the end of this turn at the latest; nothing on a lost connection."""
        if self.transport.is_closing():  # asyncio would log each write
            return
        if not self._parts:
            asyncio.get_running_loop().call_soon(self.flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > _MOST:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._parts:
            parts, self._parts, self._size = self._parts, [], 0
            self.transport.write(b"".join(parts))

    def take(self) -> bytes:
        """What waits, which is then for the caller to write."""
        parts, self._parts, self._size = self._parts, [], 0
        return b"".join(parts)

    def write_eof(self) -> None:
        """Write what waits, then nothing more."""
        self.flush()
        self.transport.write_eof()

    def abort(self) -> None:
        """Close at once; what waits is dropped."""
        self._parts = []
        self.transport.abort()

    def close(self) -> None:
        """Write what waits, then close."""
        self.flush()
        self.transport.close()
