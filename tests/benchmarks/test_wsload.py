"""The load client of the benchmark, against a server that tears frames apart and sends every kind and size of frame."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.install import Installed
from benchmarks.load import Dialect, Group, Load

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None or not sys.platform.startswith("linux"), reason="the load client needs gcc and Linux"
)

DEADLINE = 10.0
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode: int, data: bytes) -> bytes:
    """One frame of a server."""
    size = len(data)
    if size < 126:
        head = bytes([size])
    else:
        head = b"\x7e" + size.to_bytes(2, "big") if size < 65_536 else b"\x7f" + size.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + head + data


def message(number: int, *, size: int = 0, age: float = 0.0) -> bytes:
    """A marked message that was sent `age` seconds ago."""
    sent = time.monotonic_ns() - int(age * 1e9)
    return b'{"sent_ns":%d,"n":%d,"pad":"%s"}' % (sent, number, b"x" * size)


class Client:
    """One connection of the load client, as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.request = ""

    async def accept(self) -> None:
        """Read the request, and answer it."""
        self.request = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        self.writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: its opcode and its data, unmasked."""
        first, second = await self._reader.readexactly(2)
        assert second & 0x80, "a client's frames are masked"
        size = second & 127
        if size == 126:
            size = int.from_bytes(await self._reader.readexactly(2), "big")
        mask = await self._reader.readexactly(4)
        data = await self._reader.readexactly(size)
        return first & 15, bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))


Serve = Callable[[Client], Awaitable[None]]


@asynccontextmanager
async def loaded(
    program: Path, dialect: Dialect, clients: int, serve: Serve, *, refused: int = 0
) -> AsyncIterator[tuple[Load, list[Client]]]:
    """A load client whose connections are given to `serve` after their handshake, but for the first that are `refused`.

    It connects again where that happens.
    """
    seen: list[Client] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Client(reader, writer)
        seen.append(client)
        try:
            if len(seen) > refused:
                await client.accept()
                await serve(client)
        finally:
            writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        core, retry = min(os.sched_getaffinity(0)), refused > 0
        load = Load(program, dialect, port, clients=clients, at_once=10, core=core, retry=retry, settle=0.05)
        try:
            yield load, seen
        finally:
            load.close()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """wsload, compiled."""
    installed = Installed(tmp_path_factory.mktemp("benchmark"))
    installed.install("c")
    return installed.wsload


async def counted(load: Load, expected: int, first: int, count: int, go: asyncio.Event) -> dict[str, Any]:
    """What is counted of messages with numbers from `first` on; the server begins with `go`."""
    async with asyncio.timeout(DEADLINE):
        assert (await asyncio.to_thread(load.ready))["failed"] == 0
        await asyncio.to_thread(load.count, expected, 0.3, range(first, first + count))
        go.set()
        return await asyncio.to_thread(load.result)


async def test_frames_are_counted_however_they_arrive(program: Path) -> None:
    """Every size of frame counts, in pieces of seven bytes or many at once; pings and texts of others do not."""
    go = asyncio.Event()

    async def serve(client: Client) -> None:
        assert await client.frame() == (TEXT, b"subscribe")
        client.writer.write(frame(TEXT, b"noise") + frame(TEXT, b"now subscribed"))
        await go.wait()
        torn = frame(TEXT, message(7)) + frame(PING, b"still there?") + frame(BINARY, message(8, size=300))
        torn += frame(TEXT, b"2") + frame(TEXT, message(9, size=200, age=0.1))
        for start in range(0, len(torn), 7):
            client.writer.write(torn[start : start + 7])
            await client.writer.drain()
            await asyncio.sleep(0)
        assert await client.frame() == (PONG, b"still there?")
        assert await client.frame() == (TEXT, b"3")
        client.writer.write(frame(TEXT, message(10, size=70_000)) + frame(TEXT, message(11, size=3_000_000)))
        await client.writer.drain()
        await client.frame()

    dialect = Dialect((Group("/p?q=1", ("subscribe",)),), wait_for="now subscribed", reply="2=3")
    async with loaded(program, dialect, 5, serve) as (load, seen):
        result = await counted(load, 25, 7, 5, go)
    assert seen[0].request.startswith("GET /p?q=1 HTTP/1.1\r\n")
    assert "Sec-WebSocket-Extensions" not in seen[0].request
    assert (result["messages"], result["twice"], result["strays"], result["disorder"]) == (25, 0, 0, 0)
    assert result["gone"] == 0
    assert 100 <= result["max_ms"] < 1000 * DEADLINE
    assert result["p50_ms"] <= result["p99_ms"] <= result["max_ms"]


async def test_what_comes_twice_or_late_is_told_from_what_is_lost(program: Path) -> None:
    """A message that comes again, after a later one, or from another count is no delivery that makes up for a loss."""
    go = asyncio.Event()

    async def serve(client: Client) -> None:
        await go.wait()
        for number in (3, 0, 1, 1, 4, 2):  # 3 and 4 are not of this count
            client.writer.write(frame(TEXT, message(number)))
        client.writer.write(frame(TEXT, message(5) + b"\n{}\n" + message(5)))
        assert await client.frame() == (TEXT, b"{}")  # a ping may share a frame with messages
        client.writer.write(frame(CLOSE, b"\x03\xe8"))
        await client.frame()

    async with loaded(program, Dialect(reply="{}={}", several=True), 2, serve) as (load, _):
        result = await counted(load, 1000, 0, 3, go)
    assert (result["messages"], result["twice"], result["strays"], result["gone"]) == (6, 2, 8, 2)
    assert result["disorder"] == 0


async def test_connections_take_paths_in_turn(program: Path) -> None:
    """Of two groups, each connection takes the next, and sends what its own group sends."""
    go = asyncio.Event()
    said: dict[str, list[bytes]] = {}

    async def serve(client: Client) -> None:
        path = client.request.split()[1]
        said.setdefault(path, []).append((await client.frame())[1])
        client.writer.write(frame(TEXT, b"subscribed"))
        await go.wait()
        for number in (1, 0) if path == "/b" else (0,):
            client.writer.write(frame(TEXT, message(number)))
        await client.frame()

    dialect = Dialect((Group("/a", ("one",)), Group("/b", ("two",))), wait_for="subscribed")
    async with loaded(program, dialect, 5, serve) as (load, _):
        result = await counted(load, 7, 0, 2, go)
    assert said == {"/a": [b"one"] * 3, "/b": [b"two"] * 2}
    assert (result["messages"], result["disorder"]) == (7, 2)


async def test_compressed_frames_are_counted_unread(program: Path) -> None:
    """With permessage-deflate offered, each data frame of the count is a message, and nothing is known of its age."""
    go = asyncio.Event()

    async def serve(client: Client) -> None:
        client.writer.write(frame(TEXT, b"a greeting"))
        await go.wait()
        client.writer.write(frame(0x40 | TEXT, b"\xaaV*\x01\x00") + frame(TEXT, message(1)) + frame(PING, b""))
        assert await client.frame() == (PONG, b"")

    async with loaded(program, Dialect(deflate=True), 3, serve) as (load, seen):
        result = await counted(load, 6, 0, 2, go)
    assert "Sec-WebSocket-Extensions: permessage-deflate\r\n" in seen[0].request
    assert result["messages"] == 6
    assert "p50_ms" not in result


async def test_a_client_that_is_to_come_back_does(program: Path) -> None:
    """Where it is asked to, it repeats a handshake that failed until it is in, and counts the failures."""
    go = asyncio.Event()

    async def serve(client: Client) -> None:
        await go.wait()
        client.writer.write(frame(TEXT, message(0)))
        await client.frame()

    async with loaded(program, Dialect(), 4, serve, refused=3) as (load, seen):
        async with asyncio.timeout(DEADLINE):
            ready = await asyncio.to_thread(load.ready)
        assert (ready["established"], ready["failed"], len(seen)) == (4, 3, 7)
        await asyncio.to_thread(load.count, 4, 0.3, range(1))
        go.set()
        assert (await asyncio.to_thread(load.result))["messages"] == 4
