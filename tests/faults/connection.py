"""A WebSocket connection that hands on every text. Two thousand of them fit into one process beside a gateway."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from typing import Any

from benchmarks.attacks.wire import CLOSE, TEXT, Peer, frame, upgrade

_DEADLINE = 10.0  # s for a TCP connection and the answer to a handshake


class Refused(Exception):
    """The handshake was answered with something else than 101."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class Connection(Peer):
    """A Peer that keeps whole messages: `on_text` gets each, unless it is None."""

    def __init__(self, on_text: Callable[[bytes], None]) -> None:
        super().__init__()
        self.heard_at = time.monotonic()
        self._on_text = on_text
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self.heard_at = time.monotonic()
        super().data_received(data)

    def _walk(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        at = 0
        while len(buffer) - at >= 2:
            size, head = buffer[at + 1], 2
            if size >= 126:
                head = 4 if size == 126 else 10
                size = int.from_bytes(buffer[at + 2 : at + head], "big")
            if len(buffer) - at < head + size:
                break
            payload = buffer[at + head : at + head + size]
            opcode = buffer[at] & 0x0F
            at += head + size
            if opcode == TEXT:
                self._on_text(payload)
            elif opcode >= CLOSE:
                self._control(opcode, payload)
        self._buffer = buffer[at:]

    def say(self, **command: Any) -> None:
        """Send a command."""
        if self.open and not self.transport.is_closing():
            self.transport.write(frame(json.dumps(command)))

    async def closed(self) -> int | None:
        """The close code, once the connection has ended; None where it was cut."""
        await self.ended.wait()
        return self.code


async def connect(port: int, path: str, on_text: Callable[[bytes], None], *, window: int | None = None) -> Connection:
    """Open a WebSocket. `window` keeps the kernel from reading ahead. Raises Refused, OSError or TimeoutError."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    connection: Connection | None = None
    try:
        async with asyncio.timeout(_DEADLINE):
            if window is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", port))
            _, connection = await loop.create_connection(lambda: Connection(on_text), sock=sock)
            connection.transport.write(upgrade(path))
            status = await connection.answered
            if status is None:
                raise ConnectionResetError("cut in the handshake")
            if status != 101:
                raise Refused(status)
    except BaseException:
        if connection is None:
            sock.close()
        else:
            connection.transport.abort()
        raise
    return connection
