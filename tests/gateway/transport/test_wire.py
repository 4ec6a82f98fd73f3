"""Peers that break the WebSocket protocol, or stretch it: told so, cut in time, and never an error of ours."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.session import Session
from tests.contract.conftest import Cluster
from tests.gateway.raw import code_of, connect, dial, frame, header, upgrade
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_errors")

PING, CLOSE = 9, 8


def only(cluster: Cluster) -> Session:
    (session,) = cluster.nodes[0]._sessions
    return session


async def test_a_huge_frame_gets_its_close_frame_while_it_still_comes(cluster: Cluster) -> None:
    """A peer that declares 50 MB and keeps sending gets close code 1009, and is not just cut off."""
    async with connect(cluster.nodes[0].port) as raw:
        await raw.send(header(50_000_000))

        async def pour() -> None:
            while True:
                await raw.send(b"x" * 65_536)

        pouring = asyncio.create_task(pour())
        frames = await raw.rest()
        pouring.cancel()
        await asyncio.gather(pouring, return_exceptions=True)
    assert [code_of(each) for each in frames] == [1009]
    await until(lambda: not cluster.nodes[0]._sessions)


@pytest.mark.parametrize("after", [b"", frame(b"", PING), frame("{}"), frame(b"\xff")], ids=["", "ping", "text", "bad"])
async def test_bad_utf8_is_1007_whatever_comes_in_the_same_breath(cluster: Cluster, after: bytes) -> None:
    """What follows a text that is no UTF-8 is thrown away."""
    async with connect(cluster.nodes[0].port) as raw:
        await raw.send(frame(b"\xff\xfe") + after)
        assert code_of((await raw.rest())[-1]) == 1007


async def test_bad_utf8_before_a_close_is_a_close(cluster: Cluster) -> None:
    """A peer that sends invalid UTF-8 and a close frame gets its close answered."""
    async with connect(cluster.nodes[0].port) as raw:
        await raw.send(frame(b"\xff\xfe") + frame((1000).to_bytes(2, "big"), CLOSE))
        assert [code_of(each) for each in await raw.rest()] == [1000]


@pytest.mark.parametrize(
    "broken",
    [
        b"\x81\x02{}",
        b"\x83\x80\0\0\0\0",
        b"\xc1\x80\0\0\0\0",
        frame("x", 0),
        frame("x", fin=False) * 2,
        header(126, PING),
    ],
    ids=["unmasked", "opcode 3", "reserved bit", "nothing to continue", "two beginnings", "long ping"],
)
async def test_a_broken_frame_is_1002(cluster: Cluster, broken: bytes) -> None:
    """What RFC 6455 forbids ends the connection with its code."""
    async with connect(cluster.nodes[0].port) as raw:
        await raw.send(broken + bytes(200))
        assert [code_of(each) for each in await raw.rest()] == [1002]


async def test_empty_fragments_take_no_memory(cluster: Cluster) -> None:
    """A message of a hundred thousand empty parts is the message that its other parts make."""
    async with connect(cluster.nodes[0].port) as raw:
        await raw.send(frame('{"action":', fin=False))
        session = only(cluster)
        for _ in range(100):
            await raw.send(frame("", 0, fin=False) * 1000)
        await raw.send(frame('"ping"', 0, fin=False))
        await until(lambda: b'"ping"' in session._socket.frames)
        assert len(session._socket.frames) == 2
        await raw.send(frame("}", 0))
        assert (await raw.message())["type"] == "pong"


async def test_pings_among_fragments_are_answered(cluster: Cluster) -> None:
    """A control frame may come between the parts of a message."""
    async with connect(cluster.nodes[0].port) as raw:
        await raw.send(frame('{"action":"ping"', fin=False) + frame(b"now", PING) + frame("}", 0))
        assert await raw.frame() == (10, b"now")
        assert (await raw.message())["type"] == "pong"


async def test_who_pings_and_never_reads_fills_no_memory(cluster: Cluster) -> None:
    """Pongs that the peer does not take do not pile up; when it reads again, its newest ping is answered."""
    async with connect(cluster.nodes[0].port, "/ws/market_data", window=4096) as raw:
        session = only(cluster)
        transport = session._socket.transport
        update = {"text": "x" * 300_000}
        while session._socket.ready:
            await cluster.publish("market_data", **update)
        stuffed = transport.get_write_buffer_size()
        for number in range(200):
            await raw.send(frame(b"%06d" % number * 20, PING) * 50)
        await raw.send(frame(b"last but one", PING) + frame(b"the last", PING))
        await until(lambda: session._socket._late_pong == b"\x8a\x08the last")
        assert transport.get_write_buffer_size() <= stuffed
        opcode, payload = 1, b""
        while opcode != 10 or payload != b"the last":
            opcode, payload = await raw.frame()


async def test_a_close_behind_a_ping_is_answered_by_who_could_not_read(cluster: Cluster) -> None:
    """A peer that pings, closes, and only then reads, gets what was on its way, and its close."""
    async with connect(cluster.nodes[0].port, "/ws/market_data", window=4096) as raw:
        session = only(cluster)
        while session._socket.ready:
            await cluster.publish("market_data", text="x" * 300_000)
        await raw.send(frame(b"?", PING) + frame((1000).to_bytes(2, "big"), CLOSE))
        await until(lambda: not cluster.nodes[0]._sessions)
        assert code_of((await raw.rest())[-1]) == 1000


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (upgrade("/ws", *(f"X-{n}: {n}" for n in range(200))), "431"),
        (upgrade("/ws?x=" + "x" * 9000), "414"),
        (upgrade("/ws", "X-Long: " + "x" * 9000), "431"),
        (upgrade("/ws/\xe9"), "400"),
        (upgrade("/ws", "Content-Length: 2") + b"{}", "400"),
        (upgrade("/ws").replace(b"Version: 13", b"Version: 8"), "426"),
        (upgrade("/ws").replace(b"GET", b"POST"), "405"),
        (b"nonsense\r\n\r\n", "400"),
    ],
    ids=["headers", "path", "header", "not ascii", "body", "version", "method", "nonsense"],
)
async def test_a_bad_handshake_is_answered_and_ended(cluster: Cluster, request_bytes: bytes, status: str) -> None:
    """Every faulty handshake gets an answer, and no connection stays open."""
    async with dial(cluster.nodes[0].port) as raw:
        await raw.send(request_bytes)
        assert (await raw.head()).split()[1] == status
        await raw.rest()


@pytest.mark.parametrize("path", ["/ws/nothing", "/ws%0A", "/ws/news%0A", "/ws/", "/%FF", "/"])
async def test_an_unknown_path_is_404_at_the_handshake(cluster: Cluster, path: str) -> None:
    """With a body that names the endpoints."""
    async with dial(cluster.nodes[0].port) as raw:
        await raw.send(upgrade(path))
        assert (await raw.head()).split()[1] == "404"


async def test_a_busy_session_is_no_dead_peer(cluster: Cluster) -> None:
    """While a session waits for what its client has seen elsewhere, nothing is read; pings that go unanswered
    meanwhile do not end the connection."""
    await cluster.publish("news", n=1)
    node = cluster.nodes[0]
    async with connect(node.port) as raw:
        protocol = only(cluster)._socket
        since = {"epoch": node.hub.recent["news"].latest.position.epoch, "seq": 99}  # type: ignore[union-attr]
        command = json.dumps({"action": "subscribe", "service": "news", "since": since})
        await raw.send(frame(command) + frame('{"action":"ping"}') + frame('{"action":"ping","id":2}'))
        await until(lambda: protocol.read_paused)
        protocol.ping_timeout = 0.1
        protocol.send_keepalive_ping()
        opcode, payload = await raw.frame()
        await raw.send(frame(payload, 10))
        assert opcode == PING
        assert (await raw.message())["data"]["recovered"] is False
        assert (await raw.message())["type"] == "update"
        assert [(await raw.message())["type"] for _ in range(2)] == ["pong", "pong"]
        await until(lambda: protocol.pending_ping_payload is None)
        protocol.stop_keepalive()
