"""One budget for all that waits: counted once, and the largest is closed first."""

from __future__ import annotations

import asyncio
import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broadcast.outbox import Outbox
from gateway.deflate import TAIL
from gateway.frames import Buffer, Frame
from gateway.transport.turn import Turn
from gateway.waiting import Waiting
from shared.settings import Settings
from tests.contract.conftest import running
from tests.gateway.raw import code_of, connect, dial, upgrade
from tests.gateway.raw import frame as raw_frame
from tests.waiting import until

KIB = 1024


class Held:
    """A client that reads nothing."""

    def __init__(self, waiting: Waiting) -> None:
        self.gone = False
        self.ready = False
        self.outbox = Outbox(self, messages=10_000, size=1 << 30, close_slow=lambda _: None, budget=waiting)

    def write_buffer(self, buffer: Buffer) -> None:
        raise AssertionError(buffer)

    def give_up(self) -> None:
        self.gone = True
        self.outbox.close()


def frame(size: int) -> Frame:
    return Frame(b"x" * (size - 4), binary=True)


def test_what_waits_for_many_counts_once() -> None:
    """A hundred clients that wait for the same buffer close nobody."""
    waiting = Waiting(100 * KIB)
    clients = [Held(waiting) for _ in range(100)]
    shared = frame(60 * KIB)
    for client in clients:
        client.outbox.offer(shared)
    assert waiting.used == 60 * KIB
    assert not any(client.gone for client in clients)
    for client in clients[1:]:
        client.give_up()
    assert waiting.used == 60 * KIB
    clients[0].give_up()
    assert waiting.used == 0


def test_the_largest_is_closed_first_and_no_more_than_needed() -> None:
    """Who made the budget overflow is not closed if another takes more."""
    waiting = Waiting(100 * KIB)
    small, large, last = Held(waiting), Held(waiting), Held(waiting)
    small.outbox.offer(frame(20 * KIB))
    large.outbox.offer(frame(60 * KIB))
    last.outbox.offer(frame(30 * KIB))
    assert [each.gone for each in (small, large, last)] == [False, True, False]
    assert waiting.used == 50 * KIB


def test_what_only_one_has_counts_too() -> None:
    """Bytes that are no buffer, such as unfinished messages."""
    waiting = Waiting(100 * KIB)
    reader, sender = Held(waiting), Held(waiting)
    reader.outbox.offer(frame(50 * KIB))
    waiting.change(sender, 40 * KIB)
    assert waiting.used == 90 * KIB
    waiting.change(sender, 20 * KIB)
    assert sender.gone
    assert not reader.gone
    waiting.change(sender, -60 * KIB)
    assert waiting.used == 50 * KIB


def test_who_is_on_the_way_out_is_not_counted_twice() -> None:
    """Bytes of a closed connection are there until its socket is; nobody else is closed for them."""
    waiting = Waiting(100 * KIB)
    closed, reader = Held(waiting), Held(waiting)
    waiting.change(closed, 101 * KIB)
    assert closed.gone
    reader.outbox.offer(frame(90 * KIB))
    assert not reader.gone


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans())))
def test_nothing_is_left_when_everybody_is_gone(script: list[tuple[int, int, bool]]) -> None:
    """Whatever is offered, to whom and in which order: the count is what waits, and ends at nothing."""
    waiting = Waiting(5 * KIB)
    clients = [Held(waiting) for _ in range(4)]
    buffers = [frame(KIB) for _ in range(6)]
    for number, buffer, closes in script:
        if closes:
            clients[number].give_up()
        else:
            clients[number].outbox.offer(buffers[buffer])
        waits = {id(each) for client in clients for each in client.outbox._waiting or ()}
        assert waiting.used == len(waits) * KIB <= 5 * KIB
    for client in clients:
        client.give_up()
    assert waiting.used == 0


@pytest.mark.usefixtures("no_errors")
@pytest.mark.slow
async def test_a_gateway_closes_whom_most_waits_for(settings: Settings) -> None:
    """Who reads nothing of much is closed with 4008; who reads nothing of little stays, and gets all of it."""
    limits = {"waiting_bytes": 2 << 20, "outbox_bytes": 64 << 20}
    async with running(settings.model_copy(update=limits)) as cluster:
        node = cluster.nodes[0]
        async with (
            connect(node.port, "/ws/market_data?meta=1", window=4096) as much,
            connect(node.port, "/ws/news", window=4096) as little,
        ):
            await cluster.publish("news", text="x" * 900_000)
            await until(lambda: node.waiting.used > 0)
            while len(node._sessions) == 2:
                await cluster.publish("market_data", text=os.urandom(100_000).hex())
            (left,) = node._sessions
            assert left.subscriptions.services == {"news"}
            assert code_of((await much.rest())[-1]) == 4008
            while (await little.message())["type"] != "update":
                pass
        await until(lambda: not node._sessions)
        await asyncio.sleep(0)
        assert node.waiting.used == 0


async def test_who_leaves_before_its_turn_is_counted_out_once(settings: Settings) -> None:
    """Two reads wait for a turn that comes after the end of their connection: nothing is left in the budget."""
    async with running(settings) as cluster:
        node = cluster.nodes[0]
        turn = Turn(asyncio.get_running_loop(), reading=0.0)  # a turn that is over before it begins
        async with connect(node.port) as client:
            (connection,) = node.clients.connections
            node.clients.turn = turn
            turn.put_off(0, lambda: None)
            connection.data_received(ping := raw_frame('{"action":"ping"}'))
            connection.data_received(ping)
            assert node.waiting.used == 2 * len(ping)
            connection.transport.abort()
            assert await client.rest() == []
        await until(lambda: not node._sessions)
        connection._read()
        assert node.waiting.used == 0


async def test_an_inflater_counts_until_its_message_is_whole(settings: Settings) -> None:
    """A fragment of a compressed message takes 38 KiB of zlib, whatever its size; they are given back at the end."""
    async with running(settings.model_copy(update={"ws_compression": True})) as cluster:
        node = cluster.nodes[0]
        deflater = zlib.compressobj(wbits=-15)
        first = deflater.compress(b'{"action":') + deflater.flush(zlib.Z_SYNC_FLUSH)
        second = deflater.compress(b'"ping"}') + deflater.flush(zlib.Z_SYNC_FLUSH)
        async with dial(node.port) as client:
            await client.send(upgrade("/ws/data", "Sec-WebSocket-Extensions: permessage-deflate"))
            await client.head()
            await client.message()
            begin = raw_frame(first, fin=False)
            await client.send(bytes([begin[0] | 0x40]) + begin[1:])
            await until(lambda: node.waiting.used > 38 * KIB)
            await client.send(raw_frame(second.removesuffix(TAIL), 0))
            assert (await client.message())["type"] == "pong"
            await until(lambda: node.waiting.used == 0)
