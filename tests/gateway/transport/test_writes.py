"""Writes: frames go to the socket itself; the transport gets what the kernel does not take."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

import pytest

from gateway.transport.connection import Connection
from gateway.updates import Update
from shared.envelope import Envelope
from tests.contract.conftest import Cluster
from tests.gateway.raw import connect, frame
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_errors")


def update(seq: int, size: int) -> Update:
    return Update(Envelope("news", "update", {"n": seq, "pad": "x" * size}, "t", "e", seq), b"")


def noting_writes(connection: Connection) -> list[int]:
    """The size of each write of its transport from now on."""
    sizes: list[int] = []
    write = connection.transport.write

    def noted(data: Any) -> None:
        sizes.append(len(data))
        write(data)

    connection.transport.write = noted  # type: ignore[method-assign]
    return sizes


async def test_the_transport_has_no_part_in_a_delivery(cluster: Cluster) -> None:
    """While nothing waits for a client, an update is one call of the kernel."""
    node = cluster.nodes[0]
    async with connect(node.port, "/ws/news") as raw:
        assert (await raw.message())["type"] == "subscription_confirmed"
        (session,) = node._sessions
        writes = noting_writes(session._socket)
        for seq in range(1, 4):
            node.hub.broadcast(update(seq, 100))
        assert [(await raw.message())["data"]["n"] for _ in range(3)] == [1, 2, 3]
        assert writes == []


async def test_what_the_kernel_takes_in_part_arrives_whole_and_in_order(cluster: Cluster) -> None:
    """The rest of a frame waits in the transport, later frames in the outbox, and replies behind both."""
    node = cluster.nodes[0]
    async with connect(node.port, "/ws/news?meta=1", window=4096) as raw:
        assert (await raw.message())["type"] == "subscription_confirmed"
        (session,) = node._sessions
        writes = noting_writes(session._socket)
        for seq in range(1, 13):
            node.hub.broadcast(update(seq, 200_000))
            await until(lambda: not node.hub._scheduled)
        assert not session._socket.ready
        assert [0 < size < 200_000 for size in writes] == [True]
        assert session.outbox.size > 0
        await raw.send(frame('{"action":"ping"}'))
        received = [json.loads((await raw.frame())[1]) for _ in range(13)]
        assert [message["data"].get("n") for message in received] == [*range(1, 13), None]
        assert {message["data"]["pad"] for message in received[:-1]} == {"x" * 200_000}
        assert received[-1]["type"] == "pong"
        await until(lambda: session._socket.ready)
        taken = len(writes)
        node.hub.broadcast(update(13, 100))
        assert (await raw.message())["data"]["n"] == 13
        assert len(writes) == taken


async def test_a_reset_that_a_write_finds_ends_the_connection_only(cluster: Cluster) -> None:
    """Updates that follow before the loop has noticed cost nothing, and are no error."""
    node = cluster.nodes[0]
    async with connect(node.port, "/ws/news") as raw, connect(node.port, "/ws/news") as other:
        for each in (raw, other):
            assert (await each.message())["type"] == "subscription_confirmed"
        raw._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw._socket.close()
        for seq in range(1, 10):
            node.hub.broadcast(update(seq, 100))
            node.hub._deliver()
        assert len(node._sessions) == 2
        await until(lambda: len(node._sessions) == 1)
        assert [(await other.message())["data"]["n"] for _ in range(9)] == [*range(1, 10)]
