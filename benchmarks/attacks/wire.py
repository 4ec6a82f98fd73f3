"""WebSocket frames made by hand, and one raw connection that sends and reads what an attack wants."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import cast

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_MASK = bytes(4)  # zero, so that masking copies nothing: attacks should cost the attacker little
_KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def frame(payload: bytes | str = b"", opcode: int = TEXT, *, fin: bool = True, compressed: bool = False) -> bytes:
    """A masked frame, as clients send it."""
    data = payload.encode() if isinstance(payload, str) else payload
    first = (0x80 if fin else 0) | (0x40 if compressed else 0) | opcode
    if len(data) < 126:
        head = struct.pack("!BB", first, 0x80 | len(data))
    elif len(data) < 65_536:
        head = struct.pack("!BBH", first, 0xFE, len(data))
    else:
        head = struct.pack("!BBQ", first, 0xFF, len(data))
    return head + _MASK + data


def close(code: int) -> bytes:
    """A close frame."""
    return frame(struct.pack("!H", code), CLOSE)


def upgrade(path: str, *headers: str) -> bytes:
    """A WebSocket handshake."""
    lines = (
        f"GET {path} HTTP/1.1",
        "Host: coinwire",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {_KEY}",
        "Sec-WebSocket-Version: 13",
        *headers,
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


class Peer(asyncio.Protocol):
    """One connection of an attacker: answers pings, and remembers how it ended."""

    def __init__(self, *, polite: bool = True) -> None:
        """`polite`: pings and closes are answered."""
        self.polite = polite
        self.status: int | None = None
        """Of the answer to the handshake."""
        self.code: int | None = None
        """Of the close frame."""
        self.lost: str | None = None
        """How the connection ended; None while it is open."""
        self.received = 0
        self.messages = 0
        self.transport: asyncio.Transport
        self.answered = asyncio.get_running_loop().create_future()
        self._head = b""
        self._rest = b""
        self._skip = 0
        self._sip = False
        self._gone = False
        self._writable = asyncio.Event()
        self._writable.set()
        self.ended = asyncio.Event()
        self.enough = asyncio.Event()
        """Set after as many messages as `expect` was called with, and at the end."""
        self._expected: int | None = None

    @property
    def open(self) -> bool:
        """Whether the gateway still serves this connection."""
        return self.lost is None and self.code is None

    @property
    def fate(self) -> str:
        """What became of it, for the table."""
        if self.code is not None:
            return f"closed {self.code}"
        if self.status is not None and self.status != 101:
            return f"HTTP {self.status}"
        return self.lost or "held"

    async def send(self, data: bytes) -> None:
        """Send, and wait while the kernel takes no more. ConnectionError when the connection is over."""
        if not self.open or self.transport.is_closing():
            raise ConnectionResetError(self.fate)
        self.transport.write(data)
        await self.written()

    async def written(self) -> None:
        """Wait while the kernel takes no more."""
        await self._writable.wait()

    def expect(self, messages: int) -> None:
        """Wait for so many messages from now on."""
        self._expected = self.messages + messages

    def stop_reading(self) -> None:
        """Read nothing from now on."""
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def sip(self, size: int) -> None:
        """From now on read at most `size` bytes per call of `read_on`."""
        self._sip = True
        self.transport.max_size = size  # type: ignore[attr-defined]  # of asyncio's transports on sockets
        self.stop_reading()

    def read_on(self) -> None:
        """Read again."""
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def gulp(self) -> None:
        """Read all that has come, however large."""
        self._sip = False
        if not self._gone:
            self.transport.max_size = 262_144  # type: ignore[attr-defined]  # of asyncio's transports on sockets
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            self.read_on()

    def reset(self) -> None:
        """End it with a RST."""
        if self._gone:
            return  # a transport can't be aborted after its end
        found = self.transport.get_extra_info("socket")
        if found is not None:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        self.lost = self.lost or ("reset" if isinstance(exc, ConnectionError) else "cut")
        self._end()

    def eof_received(self) -> bool:
        self.lost = self.lost or "cut"
        self._end()
        return False

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self._sip:
            self.stop_reading()
        if self.status is None:
            self._head += data
            head, end, rest = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self.status = int(head.split(None, 2)[1])
            if not self.answered.done():  # nobody waits any more
                self.answered.set_result(self.status)
            data, self._head = rest, b""
        if self.status == 101:
            self._walk(data)
            if self._expected is not None and self.messages >= self._expected:
                self.enough.set()

    def _end(self) -> None:
        self._writable.set()
        self.ended.set()
        self.enough.set()
        if not self.answered.done():
            self.answered.set_result(None)

    def _walk(self, data: bytes) -> None:
        """Count messages without keeping them; handle control frames."""
        if self._skip >= len(data):
            self._skip -= len(data)
            return
        data, self._skip = self._rest + data[self._skip :], 0
        at, size = 0, len(data)
        while size - at >= 2:
            head, length = 2, data[at + 1]
            if length >= 126:
                head = 4 if length == 126 else 10
                length = int.from_bytes(data[at + 2 : at + head], "big")
            if size - at < head:
                break
            opcode, end = data[at] & 0x0F, at + head + length
            if opcode < CLOSE:
                self.messages += 1
                if end > size:
                    self._skip, at = end - size, size
                    break
            elif end > size:
                break
            else:
                self._control(opcode, data[at + head : end])
            at = end
        self._rest = data[at:]

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE and self.code is None:
            self.code = int.from_bytes(payload[:2], "big") or 1005
            if self.polite and not self.transport.is_closing():
                self.transport.write(frame(payload, CLOSE))
        elif opcode == PING and self.polite and not self.transport.is_closing():
            self.transport.write(frame(payload, PONG))
