"""What clients send compressed: decoded, bounded, and closed with the right code where it is broken."""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.contract.conftest import Cluster
from tests.gateway.raw import Raw, code_of, connect, dial, upgrade
from tests.gateway.rfc6455.cases import CLOSE, CONT, PING, TEXT, close, frame, pieces, ping
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_errors")

RSV1 = 4
OFFER = "Sec-WebSocket-Extensions: permessage-deflate"


def deflated(message: bytes, bits: int = 15, mode: int = zlib.Z_SYNC_FLUSH) -> bytes:
    """A message compressed by itself."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -bits)
    return (compressor.compress(message) + compressor.flush(mode)).removesuffix(b"\0\0\xff\xff")


def in_parts(data: bytes, size: int) -> list[bytes]:
    """The fragments of a compressed message."""
    parts = pieces(data, size)
    last = len(parts) - 1
    return [frame(part, CONT if at else TEXT, fin=at == last, rsv=0 if at else RSV1) for at, part in enumerate(parts)]


@asynccontextmanager
async def compressing(cluster: Cluster, *lines: str) -> AsyncIterator[Raw]:
    """A connection that negotiated compression and has read its greeting."""
    async with dial(cluster.nodes[0].port) as raw:
        await raw.send(upgrade("/ws/data", *(lines or (OFFER,))))
        head = await raw.head()
        assert "permessage-deflate; client_no_context_takeover" in head
        assert (await raw.message())["type"] == "connection_established"
        yield raw


async def answers(raw: Raw, text: str) -> None:
    """Assert that the next message is the pong that repeats `text`."""
    answer = await raw.message()
    assert (answer["type"], answer["data"]["x"].rstrip("*")) == ("pong", text)


@pytest.mark.parametrize("size", [0, 500, 8_192])
async def test_a_compressed_command_is_carried_out(cluster: Cluster, size: int) -> None:
    """Of any size that a message may have, with any window, between plain ones, each by itself."""
    async with compressing(cluster) as raw:
        for bits in (9, 12, 15):
            await raw.send(frame(deflated(ping(str(bits), size=size), bits), rsv=RSV1) + frame(ping("plain")))
            await answers(raw, str(bits))
            await answers(raw, "plain")


@pytest.mark.parametrize("size", [1, 7, 20])
async def test_a_compressed_message_may_be_cut_anywhere(cluster: Cluster, size: int) -> None:
    """Only its first fragment is marked; a ping may come in between; its block may be the last one of a stream."""
    for mode in (zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH):
        frames = in_parts(deflated(ping("in parts"), mode=mode), size)
        async with compressing(cluster) as raw:
            await raw.send(b"".join([frames[0], frame(b"", PING), *frames[1:]]))
            assert (await raw.frame())[0] == 10
            await answers(raw, "in parts")


BOMB = deflated(b" " * 50_000_000)
BROKEN = {
    "too large": ([frame(deflated(ping(size=8_193)), rsv=RSV1)], 1009),
    "too large together": (in_parts(deflated(random.Random(1).randbytes(5_000).hex().encode()), 1_000), 1009),
    "a bomb": ([frame(BOMB[:8_000], rsv=RSV1)], 1009),
    "a bomb in parts": (in_parts(BOMB[:5_000], 100), 1009),
    "compressed but larger than a message": ([frame(bytes(8_193), rsv=RSV1)], 1009),
    "not deflate": ([frame(b"\xff" * 20, rsv=RSV1)], 1002),
    "not UTF-8": ([frame(deflated(b"\xff\xfe" * 40), rsv=RSV1)], 1007),
    "marked continuation": ([frame(deflated(ping()), fin=False, rsv=RSV1), frame(b"", CONT, rsv=RSV1)], 1002),
    "marked ping": ([frame(b"", PING, rsv=RSV1)], 1002),
    "marked close": ([frame(b"\x03\xe8", CLOSE, rsv=RSV1)], 1002),
    "RSV2": ([frame(deflated(ping()), rsv=2)], 1002),
    "all of RSV": ([frame(deflated(ping()), rsv=7)], 1002),
}


@pytest.mark.parametrize(("frames", "code"), BROKEN.values(), ids=BROKEN)
async def test_a_broken_compressed_message_ends_the_connection(
    cluster: Cluster, frames: list[bytes], code: int
) -> None:
    """1009 beyond 8 KiB after inflation, 1002 for what is no stream or wrongly marked, 1007 for what is no UTF-8."""
    async with compressing(cluster) as raw:
        await raw.send(b"".join(frames))
        assert [code_of(each) for each in await raw.rest()] == [code]
    await until(lambda: not cluster.nodes[0]._sessions)


async def test_a_client_may_not_refer_to_its_earlier_messages(cluster: Cluster) -> None:
    """`client_no_context_takeover` was agreed: what refers back is no stream."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    first, second = (
        (compressor.compress(ping("the same")) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4] for _ in range(2)
    )
    async with compressing(cluster) as raw:
        await raw.send(frame(first, rsv=RSV1))
        await answers(raw, "the same")
        await raw.send(frame(second, rsv=RSV1))
        assert [code_of(each) for each in await raw.rest()] == [1002]


async def test_a_client_without_compression_may_not_mark_a_message(cluster: Cluster) -> None:
    """RSV1 means nothing where nothing was negotiated; nor where the offer was declined."""
    for line in ("X: y", f"{OFFER}; server_max_window_bits=8", f'{OFFER}; x="'):
        async with dial(cluster.nodes[0].port) as raw:
            await raw.send(upgrade("/ws/data", line))
            assert "sec-websocket-extensions" not in (await raw.head()).lower()
            assert (await raw.message())["type"] == "connection_established"
            await raw.send(frame(deflated(ping()), rsv=RSV1))
            assert [code_of(each) for each in await raw.rest()] == [1002]


@pytest.mark.parametrize("code", [1002, 1007])
async def test_a_client_that_could_not_decode_is_counted(cluster: Cluster, code: int) -> None:
    """It closes with 1002 or 1007; a plain client that does so is not counted."""
    undecoded = cluster.nodes[0].metrics.undecoded._value
    async with compressing(cluster) as raw:
        await raw.send(close(code))
        await raw.rest()
        assert undecoded.get() == 1
    async with connect(cluster.nodes[0].port) as raw:
        await raw.send(close(code))
        await raw.rest()
        assert undecoded.get() == 1


async def test_an_idle_connection_keeps_no_inflater(cluster: Cluster) -> None:
    """Between messages, there is nothing of zlib."""
    async with compressing(cluster) as raw:
        await raw.send(frame(deflated(json.dumps({"action": "ping"}).encode()), rsv=RSV1))
        assert (await raw.message())["type"] == "pong"
        (session,) = cluster.nodes[0]._sessions
        (inflation,) = session._socket.conn.extensions
        await asyncio.sleep(0)
        assert not hasattr(inflation, "decoder")
        assert not hasattr(inflation, "encoder")
