"""What one turn of the event loop may take: shares for reading and for handshakes, and no garbage."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
from functools import partial

from gateway.broadcast.outbox import Outbox
from gateway.session import Session
from gateway.transport.http_protocol import HttpProtocol
from gateway.transport.turn import Turn
from gateway.transport.ws_protocol import FrameProtocol
from tests.contract.conftest import Cluster
from tests.gateway.raw import connect, frame
from tests.waiting import until


async def test_work_beyond_the_share_waits_for_the_next_turn_in_order() -> None:
    """Of a hundred pieces that each take the whole share, one is done per turn, the first first."""
    turn, done, turns = Turn(asyncio.get_running_loop(), reading=1e-9), list[int](), list[int]()
    for number in range(100):
        turn.spend(partial(done.append, number))
    while len(done) < 100:
        turns.append(len(done))
        await asyncio.sleep(0)
    assert done == list(range(100))
    assert all(after - before <= 1 for before, after in itertools.pairwise(turns))


async def test_who_is_connected_does_not_wait_behind_those_who_connect() -> None:
    """Handshakes have a share of their own: however many wait, a message is read in the turn in which it comes."""
    turn, done = Turn(asyncio.get_running_loop(), opening=1e-9), list[str]()
    for _ in range(10):
        turn.open(partial(done.append, "handshake"))
    turn.spend(partial(done.append, "message"))
    await until(lambda: len(done) == 11)
    assert done.index("message") <= 1


async def test_a_connection_that_ends_leaves_no_circle_of_references(cluster: Cluster) -> None:
    """Sessions and connections are freed when they end: the garbage collector, which delays everybody, finds none."""
    node = cluster.nodes[0]
    await cluster.publish("news", 20)
    latest = node.hub.recent["news"].latest
    assert latest is not None
    gc.collect()
    gc.disable()
    try:
        since = {"epoch": latest.position.epoch, "seq": 3}
        for command in ({"action": "ping"}, {"action": "subscribe", "service": "news", "since": since}, {}):
            async with connect(node.port) as client:
                await client.send(frame(json.dumps(command)))
                await client.message()
        await until(lambda: not node._sessions and not node.websockets.connections)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        ours = (Session, Outbox, FrameProtocol, HttpProtocol)
        assert [found for found in gc.garbage if isinstance(found, ours)] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
