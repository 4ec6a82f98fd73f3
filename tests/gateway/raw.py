"""A WebSocket client that reads only on request and sends any bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

_DEADLINE = 10.0


def frame(payload: bytes | str, opcode: int = 1, *, fin: bool = True) -> bytes:
    """A masked frame; the mask is zero, so that a dump is readable."""
    data = payload.encode() if isinstance(payload, str) else payload
    return header(len(data), opcode, fin=fin) + data


def header(size: int, opcode: int = 1, *, fin: bool = True) -> bytes:
    """What comes before `size` bytes of payload."""
    first = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        return first + bytes([0x80 | size]) + bytes(4)
    if size < 65_536:
        return first + b"\xfe" + size.to_bytes(2, "big") + bytes(4)
    return first + b"\xff" + size.to_bytes(8, "big") + bytes(4)


def upgrade(path: str = "/ws/data", *more: str) -> bytes:
    """A handshake."""
    lines = (
        f"GET {path} HTTP/1.1",
        "Host: coinwire",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *more,
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


class Raw:
    """One TCP connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._read = b""

    async def send(self, data: bytes) -> None:
        """All of `data`."""
        async with asyncio.timeout(_DEADLINE):
            await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def _more(self) -> None:
        async with asyncio.timeout(_DEADLINE):
            data = await asyncio.get_running_loop().sock_recv(self._socket, 65_536)
        if not data:
            raise EOFError
        self._read += data

    async def _take(self, size: int) -> bytes:
        while len(self._read) < size:
            await self._more()
        taken, self._read = self._read[:size], self._read[size:]
        return taken

    async def exactly(self, size: int) -> bytes:
        """So many bytes. EOFError at the end."""
        return await self._take(size)

    async def line(self) -> bytes:
        """The next line, with its end. EOFError at the end."""
        while b"\n" not in self._read:
            await self._more()
        found, _, self._read = self._read.partition(b"\n")
        return found + b"\n"

    async def head(self) -> str:
        """The gateway's answer to the handshake, without its body."""
        while b"\r\n\r\n" not in self._read:
            await self._more()
        found, _, self._read = self._read.partition(b"\r\n\r\n")
        return found.decode()

    async def whole(self) -> tuple[bytes, bytes]:
        """The next frame: its header and its payload. EOFError at the end."""
        head = await self._take(2)
        if head[1] < 126:
            return head, await self._take(head[1])
        size = await self._take(2 if head[1] == 126 else 8)
        return head + size, await self._take(int.from_bytes(size, "big"))

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload. EOFError at the end."""
        head, payload = await self.whole()
        return head[0] & 0x0F, payload

    async def message(self) -> dict[str, Any]:
        """The next frame, which must be a text."""
        opcode, payload = await self.frame()
        assert opcode == 1
        found: dict[str, Any] = json.loads(payload)
        return found

    async def until_close(self) -> list[tuple[int, bytes]]:
        """Every frame up to a close frame. Who does not answer that one would wait a while for the end."""
        frames = [await self.frame()]
        while frames[-1][0] != 8:
            frames.append(await self.frame())
        return frames

    async def rest(self) -> list[tuple[int, bytes]]:
        """Every frame until the connection ends."""
        frames = []
        with contextlib.suppress(EOFError, ConnectionResetError):
            while True:
                frames.append(await self.frame())
        return frames


@contextlib.asynccontextmanager
async def dial(port: int, *, window: int | None = None) -> AsyncIterator[Raw]:
    """A connection on which nothing has been said; `window` keeps the kernel from reading ahead for it."""
    with socket.socket() as connection:
        if window is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        yield Raw(connection)


@contextlib.asynccontextmanager
async def connect(port: int, path: str = "/ws/data", *, window: int | None = None) -> AsyncIterator[Raw]:
    """A WebSocket connection whose greeting, one message, has been read."""
    async with dial(port, window=window) as raw:
        await raw.send(upgrade(path))
        assert (await raw.head()).startswith("HTTP/1.1 101 ")
        assert (await raw.message())["type"] == "connection_established"
        yield raw


def code_of(close: tuple[int, bytes]) -> int:
    """The code of a close frame."""
    opcode, payload = close
    assert opcode == 8
    return int.from_bytes(payload[:2], "big")
