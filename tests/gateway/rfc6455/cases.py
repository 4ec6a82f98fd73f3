"""Cases of the Autobahn TestSuite, as tables: the bytes that a client sends, and what it has to receive.

Autobahn wants an echo. Here that is the answer to `ping`, which repeats `data`. Every case runs on a connection of its
own, several times: its frames in one write, in one write each, and octet by octet.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack

from tests.gateway.raw import upgrade

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = bytes.fromhex("37fa213d")  # that of the examples in RFC 6455, section 5.7
_DEADLINE = 60.0
_AT_ONCE = 100  # connections
_OCTETS = 300  # a longer case does not run octet by octet: those would take most of the time


def frame(
    payload: bytes = b"", opcode: int = TEXT, *, fin: bool = True, rsv: int = 0, mask: bytes = MASK, form: int = 0
) -> bytes:
    """A frame, with an empty `mask` unmasked. `form` 126 or 127 encodes the length in 2 or 8 bytes though less do."""
    size = len(payload)
    form = max(form, size if size < 126 else 126 if size < 65_536 else 127)
    length = b"" if form < 126 else size.to_bytes(2 if form == 126 else 8, "big")
    head = bytes([fin << 7 | rsv << 4 | opcode, bool(mask) << 7 | form]) + length + mask
    return head + (bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if mask else payload)


def fragments(parts: Sequence[bytes], opcode: int = TEXT, *, mask: bytes = MASK, rsv: int = 0) -> list[bytes]:
    """The frames of one message in these parts; `rsv` stands in the first."""
    first, *more = parts
    frames = [frame(first, opcode, fin=not more, mask=mask, rsv=rsv)]
    return frames + [frame(part, CONT, fin=at == len(more), mask=mask) for at, part in enumerate(more, 1)]


def pieces(payload: bytes, size: int) -> list[bytes]:
    """`payload` in parts of `size` bytes."""
    return [payload[at : at + size] for at in range(0, len(payload), size)]


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(b"" if code is None else code.to_bytes(2, "big") + reason, CLOSE)


def ping(text: str | bytes = "Hello", *, size: int = 0) -> bytes:
    """A command that is echoed, in at least `size` bytes. `text` stands in it as it is."""
    raw = text if isinstance(text, bytes) else text.encode()
    opening, closing = b'{"action":"ping","data":{"x":"', b'"}}'
    return opening + raw + b"*" * (size - len(opening) - len(raw) - len(closing)) + closing


def packed(size: int) -> bytes:
    """The same in MessagePack, in exactly `size` bytes."""
    for pad in range(size, 0, -1):
        made: bytes = msgpack.packb({"action": "ping", "data": {"x": b"*" * pad}})
        if len(made) == size:
            return made
    raise ValueError(size)


def echo(command: bytes) -> tuple[str, Any]:
    """The answer to such a command."""
    found = msgpack.unpackb(command) if command[0] & 0x80 else json.loads(command)
    return "pong", found["data"]


def error(code: str) -> tuple[str, Any]:
    """The answer to something else."""
    return "error", code


@dataclass
class Heard:
    """What a client received after its greeting. The order of pongs among messages is the gateway's own."""

    messages: list[tuple[str, Any]] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    close: int | None = None
    """The code of the close frame; 1005 for one without a code; None where the connection ended without."""
    odd: list[str] = field(default_factory=list)
    """What no client should receive: frames after the close, masked or reserved ones, lengths of a wrong form."""


@dataclass(frozen=True)
class Case:
    """Frames, and what has to come of them."""

    name: str
    sent: Sequence[bytes]
    messages: Sequence[tuple[str, Any]] = ()
    pongs: Sequence[bytes] = ()
    close: int = 1000
    """What the gateway closes with: 1000 is its answer to the close that every case ends with."""
    subprotocol: str | None = None
    offer: str | None = None
    """What is offered as Sec-WebSocket-Extensions."""
    once: bool = False
    """Whether it is played only frame by frame, as one of very many."""

    @property
    def expected(self) -> Heard:
        """All that the client receives."""
        return Heard(list(self.messages), list(self.pongs), self.close)

    def ways(self) -> Iterator[tuple[str, list[bytes]]]:
        """The ways in which the same bytes are written."""
        yield "frame by frame", list(self.sent)
        if self.once:
            return
        yield "at once", [b"".join(self.sent)]
        if sum(map(len, self.sent)) <= _OCTETS:
            yield "octet by octet", pieces(b"".join(self.sent), 1)


async def judge(port: int, cases: Iterable[Case]) -> None:
    """Play every case, and compare everything that was received."""
    played = [(case, way, writes) for case in cases for way, writes in case.ways()]
    most = asyncio.Semaphore(_AT_ONCE)

    async def play(case: Case, writes: list[bytes]) -> Heard:
        async with most, asyncio.timeout(_DEADLINE):
            return await converse(port, writes, case.expected, case.subprotocol, case.offer)

    heard = await asyncio.gather(*(play(case, writes) for case, _, writes in played))
    wrong = [
        f"{case.name}, {way}:\n  received {found}\n  expected {case.expected}"
        for (case, way, _), found in zip(played, heard, strict=True)
        if found != case.expected
    ]
    assert not wrong, "\n".join([f"{len(wrong)} of {len(played)}", *wrong])


async def converse(
    port: int, writes: Sequence[bytes], expected: Heard, subprotocol: str | None = None, offer: str | None = None
) -> Heard:
    """Connect, send, close once everything has come, and read until the gateway ends the connection."""
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(connection, ("127.0.0.1", port))
        more = [f"Sec-WebSocket-Protocol: {subprotocol}"] if subprotocol else []
        more += [f"Sec-WebSocket-Extensions: {offer}"] if offer else []
        await loop.sock_sendall(connection, upgrade("/ws/data", *more))
        reader = Reader(connection, packed=subprotocol == "msgpack")
        reading = asyncio.create_task(reader.run())
        await reader.greeted.wait()
        with contextlib.suppress(ConnectionError):  # the gateway has closed already
            for each in writes:
                await loop.sock_sendall(connection, each)
                await asyncio.sleep(0)  # the gateway, in the same loop, reads this before it can see the next
            await reader.until(expected)
            await loop.sock_sendall(connection, close())
        await reading
        return reader.heard


class Reader:
    """What a gateway sends, frame by frame. Answers are never compressed, also where that was agreed."""

    def __init__(self, connection: socket.socket, *, packed: bool) -> None:
        self.heard = Heard()
        self.greeted = asyncio.Event()
        self._connection = connection
        self._packed = packed
        self._news = asyncio.Event()
        self._ended = False
        self._wire = b""

    async def run(self) -> None:
        """Read until the connection ends."""
        try:
            while b"\r\n\r\n" not in self._wire:
                await self._more()
            head, _, self._wire = self._wire.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 "), head
            while True:
                self._note(*await self._frame())
        except EOFError:
            if self._wire:
                self.heard.odd.append(f"cut off: {self._wire!r}")
        except ConnectionError as error:
            if self.heard.close is None:  # else it was sent something after its close
                self.heard.odd.append(f"{error}")
        finally:
            self._ended = True
            self._news.set()
            self.greeted.set()

    async def until(self, expected: Heard) -> None:
        """Wait until as much has come as is expected. Where a fault ends the connection, that is its end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DEADLINE / 3):
                while not self._ended and (expected.close != 1000 or self._lacks(expected)):
                    await self._news.wait()
                    self._news.clear()

    def _lacks(self, expected: Heard) -> bool:
        heard = self.heard
        return len(heard.messages) < len(expected.messages) or len(heard.pongs) < len(expected.pongs)

    async def _more(self) -> None:
        data = await asyncio.get_running_loop().sock_recv(self._connection, 65_536)
        if not data:
            raise EOFError
        self._wire += data

    async def _take(self, start: int, size: int) -> bytes:
        while len(self._wire) < start + size:
            await self._more()
        return self._wire[start : start + size]

    async def _frame(self) -> tuple[int, bytes]:
        first, size = await self._take(0, 2)
        start = 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size = int.from_bytes(await self._take(2, width), "big")
            start += width
            if size < (126 if width == 2 else 65_536):
                self.heard.odd.append(f"a length of {size} in {width} bytes")
        payload = await self._take(start, size)
        self._wire = self._wire[start + size :]
        return first, payload

    def _note(self, first: int, payload: bytes) -> None:
        heard = self.heard
        if heard.close is not None or first not in (0x82 if self._packed else 0x81, 0x88, 0x8A):
            heard.odd.append(f"{first:02x} {payload!r}")
        elif first == 0x88:
            heard.close = int.from_bytes(payload[:2], "big") if payload else 1005
        elif first == 0x8A:
            heard.pongs.append(payload)
        elif self.greeted.is_set():
            message = msgpack.unpackb(payload) if self._packed else json.loads(payload)
            kind, data = message["type"], message["data"]
            heard.messages.append((kind, data["code"] if kind == "error" else data))
        self.greeted.set()
        self._news.set()
