"""What one turn of the event loop may take: shares for reading and for handshakes, and no garbage."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import time
from collections.abc import Callable
from functools import partial

import pytest
from structlog.testing import capture_logs

from gateway.broadcast.outbox import Outbox
from gateway.consumer import Consumer
from gateway.transport.http_protocol import HttpProtocol
from gateway.transport.outgoing import Outgoing
from gateway.transport.turn import Turn
from tests.contract.conftest import Cluster
from tests.gateway.events import listen
from tests.gateway.raw import connect, frame
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_errors")

SHORT, LONG = 100, 16_384


def working(done: list[str], name: str, seconds: float = 0.006) -> Callable[[], None]:
    """Work that keeps the loop for `seconds`, and notes its name."""

    def work() -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass
        done.append(name)

    return work


async def test_work_beyond_the_share_waits_for_the_next_turn_in_order() -> None:
    """Of a hundred pieces that each take the whole share, one is done per turn, the first first."""
    turn, done, turns = Turn(asyncio.get_running_loop(), reading=1e-9), list[int](), list[int]()
    for number in range(100):
        turn.spend(LONG, partial(done.append, number))
    while len(done) < 100:
        turns.append(len(done))
        await asyncio.sleep(0)
    assert done == list(range(100))
    assert all(after - before <= 1 for before, after in itertools.pairwise(turns))


async def test_who_is_connected_does_not_wait_behind_those_who_connect() -> None:
    """Handshakes have a share of their own: however many wait, a message is read in the turn in which it comes."""
    turn, done = Turn(asyncio.get_running_loop(), opening=1), list[str]()
    for _ in range(10):
        turn.open(partial(done.append, "handshake"))
    turn.spend(SHORT, partial(done.append, "message"))
    await until(lambda: len(done) == 11)
    assert done.index("message") <= 1


async def test_few_handshakes_are_answered_per_turn() -> None:
    """Their application answers in the next turn, and that has to be short, too: five hundred take twenty turns."""
    turn, answers = Turn(asyncio.get_running_loop()), list[int]()
    answered = 0

    async def answer() -> None:
        nonlocal answered
        answered += 1

    tasks = list[asyncio.Task[None]]()
    for _ in range(500):
        turn.open(lambda: tasks.append(asyncio.create_task(answer())))
    while answered < 500:
        answers.append(answered)
        await asyncio.sleep(0)
    assert max(after - before for before, after in itertools.pairwise(answers)) <= 25


async def test_short_reads_go_first() -> None:
    """A command does not wait behind floods."""
    done: list[str] = []
    turn = Turn(asyncio.get_running_loop(), reading=0.01)
    turn.spend(LONG, working(done, "keeps the turn", 0.02))
    for name in ("flood 1", "flood 2", "flood 3"):
        turn.spend(LONG, working(done, name))
    turn.spend(SHORT, working(done, "command"))
    await until(lambda: len(done) == 5)
    assert done == ["keeps the turn", "command", "flood 1", "flood 2", "flood 3"]


async def test_long_reads_come_on_however_many_short_ones_there_are() -> None:
    """Every turn does one of them."""
    done: list[str] = []
    turn = Turn(asyncio.get_running_loop(), reading=0.01)

    def again() -> None:
        working(done, "short", 0.004)()
        if "long 2" not in done:
            turn.spend(SHORT, again)

    for _ in range(5):
        turn.spend(SHORT, again)
    turn.spend(LONG, working(done, "long 1"))
    turn.spend(LONG, working(done, "long 2"))
    await until(lambda: "long 2" in done)


async def test_work_knows_when_its_turn_is_over() -> None:
    """It is put off, and goes on in the next."""
    pieces: list[int] = []
    turn = Turn(asyncio.get_running_loop(), reading=0.01)

    def work() -> None:
        while not turn.over:
            working([], "", 0.003)()
            pieces[-1] += 1
        if len(pieces) < 3:
            pieces.append(0)
            turn.put_off(LONG, work)

    pieces.append(0)
    turn.spend(LONG, work)
    assert len(pieces) == 2
    await until(lambda: len(pieces) == 3)
    assert 1 <= pieces[0] <= 4


async def test_a_read_of_thousands_of_messages_is_answered_whole(cluster: Cluster) -> None:
    """Whatever turns it takes: each command up to the limit has its answer, in order."""
    async with connect(cluster.nodes[0].port) as raw:
        await raw.send(
            b"".join(frame(f'{{"action":"ping","id":{number}}}') for number in range(40)) + b"\x89\x80\0\0\0\0"
        )
        answers = [await raw.message() for _ in range(40)]
        assert [answer["data"].get("id") for answer in answers] == list(range(40))
        assert await raw.frame() == (10, b"")


async def test_what_a_lost_connection_had_sent_is_dropped(cluster: Cluster) -> None:
    """A read that waits for its turn finds nothing when its connection has been reset meanwhile."""
    turn, done = cluster.nodes[0].clients.turn, list[str]()
    with capture_logs() as logged:
        async with connect(cluster.nodes[0].port) as raw:
            (protocol,) = cluster.nodes[0].clients.connections
            for _ in range(3):
                turn.put_off(SHORT, working([], "", 0.02))
            protocol.data_received(frame("{}") + b"\x88\x80\0\0\0\0")
            protocol.transport.abort()
            turn.put_off(SHORT, working(done, "after it"))
            assert await raw.rest() == []
            await until(lambda: done == ["after it"])
    assert logged == []


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
        for last in ("", f"Last-Event-ID: {latest.position.epoch}-3"):
            async with listen(node.port, "/api/v1/stream/news", *filter(None, [last])) as events:
                await events.take(2)
        await until(lambda: not node._sessions and not node.clients.connections)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        ours = (Consumer, Outbox, Outgoing, HttpProtocol)
        assert [found for found in gc.garbage if isinstance(found, ours)] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
