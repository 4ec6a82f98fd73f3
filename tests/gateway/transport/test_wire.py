"""Peers that break the WebSocket protocol, or stretch it: told so, cut in time, and never an error of ours."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.session import Session
from gateway.transport.connection import Connection
from gateway.transport.kernel import unacknowledged
from tests.contract.conftest import Cluster
from tests.gateway.raw import code_of, connect, dial, frame, header, upgrade
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_errors")

CLOSE, PING, PONG = 8, 9, 10


def only(cluster: Cluster) -> Session:
    (session,) = cluster.nodes[0]._sessions
    return session


def waiting_for(connection: Connection) -> int:
    return unacknowledged(connection.transport, connection._socket)


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


async def test_a_message_may_come_in_many_parts(cluster: Cluster) -> None:
    """A command in parts of one byte, with empty parts between, is the command that they make."""
    command = '{"action":"ping","id":7}'
    parts = [frame(command[0], fin=False)]
    for character in command[1:-1]:
        parts += [frame("", 0, fin=False), frame(character, 0, fin=False)]
    async with connect(cluster.nodes[0].port) as raw:
        await raw.send(b"".join([*parts, frame(command[-1], 0)]))
        assert (await raw.message())["data"]["id"] == 7


@pytest.mark.parametrize("kind", ["pongs", "pings", "empty parts", "small parts"])
async def test_a_flood_of_small_frames_is_1008(cluster: Cluster, kind: str) -> None:
    """Frames that carry no command have a budget: beyond it the connection ends before the rest is parsed."""
    flood = {
        "pongs": frame(b"", PONG) * 3000,
        "pings": frame(b"", PING) * 3000,
        "empty parts": frame("{", fin=False) + frame(b"", 0, fin=False) * 3000,
        "small parts": frame("{", fin=False) + frame(b"xx", 0, fin=False) * 3000,
    }[kind]
    node = cluster.nodes[0]
    async with connect(node.port) as raw:
        await raw.send(flood)
        *answers, close = await raw.until_close()
    assert code_of(close) == 1008
    assert len(answers) < 500
    assert all(opcode == PONG for opcode, _ in answers)
    assert node.registry.get_sample_value("coinwire_gateway_closed_total", {"reason": "flood"}) == 1


async def test_who_sends_few_control_frames_is_no_flood(cluster: Cluster) -> None:
    """Two hundred pings at once, as a test of a library may send, are answered one by one."""
    async with connect(cluster.nodes[0].port) as raw:
        await raw.send(b"".join(frame(b"%d" % number, PING) for number in range(200)))
        assert [await raw.frame() for _ in range(200)] == [(PONG, b"%d" % number) for number in range(200)]


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
            await raw.send(frame(b"%06d" % number * 20, PING))
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


@pytest.mark.slow  # it waits for pings
async def test_a_busy_session_is_no_dead_peer(cluster: Cluster) -> None:
    """While a session waits for what its client has seen elsewhere, nothing is read; pings that go unanswered
    meanwhile do not end the connection."""
    await cluster.publish("news", n=1)
    node = cluster.nodes[0]
    async with connect(node.port) as raw:
        connection = only(cluster)._socket
        since = {"epoch": node.hub.recent["news"].latest.position.epoch, "seq": 99}  # type: ignore[union-attr]
        command = json.dumps({"action": "subscribe", "service": "news", "since": since})
        await raw.send(frame(command) + frame('{"action":"ping"}') + frame('{"action":"ping","id":2}'))
        await until(lambda: connection.behind)
        now = connection.loop.time()
        connection.look(now + 21)
        opcode, payload = await raw.frame()
        assert opcode == PING
        await raw.send(frame(payload, PONG))
        connection.look(now + 42)
        assert (await raw.message())["data"]["recovered"] is False
        assert [(await raw.message())["type"] for _ in range(2)] == ["pong", "pong"]
        await until(lambda: not connection._pinged)


async def test_a_ping_without_its_pong_is_1011(cluster: Cluster) -> None:
    """Who takes everything and answers no ping in time is not there any more."""
    async with connect(cluster.nodes[0].port) as raw:
        connection = only(cluster)._socket
        now = connection.loop.time()
        connection.look(now + 19)
        connection.look(now + 21)
        assert (await raw.frame())[0] == PING
        await raw.send(frame(b"not what was asked", PONG))
        connection.look(now + 40)
        connection.look(now + 42)
        assert code_of(await raw.frame()) == 1011


async def test_who_reads_nothing_is_stalled_also_on_a_quiet_service(cluster: Cluster) -> None:
    """Ten seconds in which nothing of what waits is taken end the connection with 4008, long before a pong is late."""
    async with connect(cluster.nodes[0].port, "/ws/market_data", window=4096) as raw:
        connection = only(cluster)._socket
        while connection.ready:
            await cluster.publish("market_data", text="x" * 300_000)
        now = connection.loop.time()
        connection.look(now)
        connection.look(now + 9)
        assert not connection.gone
        connection.look(now + 10.5)
        assert code_of((await raw.until_close())[-1]) == 4008


@pytest.mark.slow
async def test_nobody_is_stalled_because_the_gateway_stood_still(cluster: Cluster) -> None:
    """After a pause of the whole process, what was just written waits: that alone says nothing about its client."""
    async with connect(cluster.nodes[0].port, "/ws/market_data?meta=1", window=4096) as raw:
        connection = only(cluster)._socket
        now = connection.loop.time()
        connection.look(now)
        while connection.ready:
            await cluster.publish("market_data", text="x" * 300_000)
        connection._acked = connection._sent - waiting_for(connection)
        connection.look(now + 60)
        assert not connection.gone
        connection.look(now + 69)
        assert not connection.gone
        connection.look(now + 71)
        assert code_of((await raw.rest())[-1]) == 4008


async def test_who_reads_slowly_is_alive(cluster: Cluster) -> None:
    """A ping that waits behind data is answered late: while the client takes some of the data, it is neither dead nor
    stalled."""
    async with connect(cluster.nodes[0].port, "/ws/market_data", window=4096) as raw:
        connection = only(cluster)._socket
        while connection.ready:
            await cluster.publish("market_data", text="x" * 300_000)
        now = connection.loop.time()
        for step in range(12):
            waiting = waiting_for(connection)
            await raw.send(b"")
            await raw._take(20_000)
            await until(lambda before=waiting: waiting_for(connection) < before)
            connection.look(now + 9 * step)
        assert not connection.gone
