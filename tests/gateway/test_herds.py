"""Many clients that return at once, and one that returns again and again: what they get, and what the others notice."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest

from gateway.broadcast.recent import Recent
from gateway.broadcast.replays import BURST_BYTES
from gateway.messages.faults import CloseCode
from shared.bus import Position
from tests.contract.conftest import Cluster
from tests.gateway.line import update
from tests.gateway.raw import Raw, code_of, connect, frame
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_errors")


def subscribe(since: Position, service: str = "news") -> bytes:
    return frame(json.dumps({"action": "subscribe", "service": service, "since": since._asdict()}))


async def filled(cluster: Cluster, count: int, size: int) -> Position:
    """Publish `count` updates of `size` bytes. Returns the position before them."""
    await cluster.publish("news", count, pad="x" * size)
    latest = cluster.nodes[0].hub.recent["news"].latest
    assert latest is not None
    return Position(latest.position.epoch, 0)


async def replayed(client: Raw, count: int) -> list[int]:
    """The `seq` of the next `count` updates, behind a confirmation."""
    assert (await client.message())["data"]["recovered"] is True
    updates: list[dict[str, Any]] = [await client.message() for _ in range(count)]
    return [update["meta"]["seq"] for update in updates]


async def test_a_herd_costs_one_encoding_and_delays_nobody(cluster: Cluster) -> None:
    """Two hundred clients that left at different updates get all they missed; live updates come in between."""
    start, hub = await filled(cluster, 200, 2000), cluster.nodes[0].hub
    async with contextlib.AsyncExitStack() as stack:
        port = cluster.nodes[0].port
        # What the kernel takes for them is less than they missed: no replay ends before its client reads.
        clients = [await stack.enter_async_context(connect(port, window=4096)) for _ in range(200)]
        other = await cluster.connect("/ws/sentiment")
        await other.next()
        for number, client in enumerate(clients):
            await client.send(subscribe(start._replace(seq=number % 32)))
        await until(lambda: hub.replays.count("ready") + hub.replays.count("reading") == 200)
        await cluster.bus.publish("sentiment", {"live": True})
        assert (await other.next())["data"] == {"live": True}
        assert hub.replays.count("ready") + hub.replays.count("reading") == 200
        reading = [asyncio.create_task(replayed(client, 200 - number % 32)) for number, client in enumerate(clients)]
        for number, seqs in enumerate(await asyncio.gather(*reading)):
            assert seqs == list(range(number % 32 + 1, 201))
    assert hub.replays.batches.built <= 32 + 200 // 16


async def test_who_missed_nothing_is_answered_in_the_turn_that_reads_its_command(cluster: Cluster) -> None:
    """A recovery that waits for nothing costs no task: no share of a turn would count what it takes in the next."""
    start, hub = await filled(cluster, 3, 10), cluster.nodes[0].hub
    async with connect(cluster.nodes[0].port) as client:
        await until(lambda: hub.cohorts == 0 and len(cluster.nodes[0]._sessions) == 1)
        (session,) = cluster.nodes[0]._sessions
        tasks = asyncio.all_tasks()
        for seq in (3, 2):
            command = {"action": "subscribe", "service": "news", "since": start._replace(seq=seq)._asdict()}
            session.received(json.dumps(command), 100)
            assert (asyncio.all_tasks() == tasks) == (seq == 3)
        assert await replayed(client, 0) == []
        assert await replayed(client, 1) == [3]


async def test_a_client_that_reads_nothing_holds_no_place(cluster: Cluster) -> None:
    """While the replays of others wait for their clients, a newcomer's is sent whole."""
    start, hub = await filled(cluster, 60, 100_000), cluster.nodes[0].hub
    async with contextlib.AsyncExitStack() as stack:
        port = cluster.nodes[0].port
        stuck = [await stack.enter_async_context(connect(port, window=4096)) for _ in range(20)]
        for client in stuck:
            await client.send(subscribe(start))
        await until(lambda: hub.replays.count("reading") == len(stuck))
        newcomer = await stack.enter_async_context(connect(port))
        await newcomer.send(subscribe(start))
        assert await replayed(newcomer, 60) == list(range(1, 61))
        assert hub.replays.count("reading") == len(stuck)
        assert await replayed(stuck[0], 60) == list(range(1, 61))
    await until(lambda: hub.replays.count("reading") == 0)


async def test_who_asks_for_everything_again_is_held(cluster: Cluster) -> None:
    """The first replay comes at once, the second beyond the allowance waits; nobody else does, and nothing is lost."""
    count = 60
    start, hub = await filled(cluster, count, BURST_BYTES // 50), cluster.nodes[0].hub
    async with connect(cluster.nodes[0].port) as greedy, connect(cluster.nodes[0].port) as other:
        for _ in range(2):
            await greedy.send(subscribe(start))
        await greedy.send(frame(json.dumps({"action": "ping"})))
        assert await replayed(greedy, count) == list(range(1, count + 1))
        rest = asyncio.create_task(replayed(greedy, count))
        await until(lambda: hub.replays.count("held") == 1)
        await other.send(subscribe(start))
        assert await replayed(other, count) == list(range(1, count + 1))
        assert not rest.done()
        assert await rest == list(range(1, count + 1))
        assert (await greedy.message())["type"] == "pong"


async def test_pings_are_answered_while_a_replay_runs(cluster: Cluster) -> None:
    """Also those behind commands, which wait: a client that counts on pongs does not give up on a long replay."""
    start = await filled(cluster, 1, 10)
    async with connect(cluster.nodes[0].port) as client:
        await client.send(subscribe(start._replace(seq=2)))  # waits for two seconds for what is not there yet
        await client.send(frame('{"action":"ping","id":1}') * 12 + frame(b"alive", 9))
        assert await client.frame() == (10, b"alive")
        assert (await client.message())["type"] == "subscription_confirmed"
        for _ in range(12):
            assert (await client.message())["type"] == "pong"


async def test_a_client_may_leave_during_a_replay(cluster: Cluster) -> None:
    """Its close is answered at once, not behind what it no longer wants."""
    start = await filled(cluster, 1, 10)
    async with connect(cluster.nodes[0].port) as client:
        await client.send(subscribe(start._replace(seq=2)))
        await client.send(frame((1000).to_bytes(2, "big"), 8))
        assert [code_of(end) for end in await client.rest()] == [1000]


async def test_a_flood_of_commands_waits_unread_while_a_replay_runs(cluster: Cluster) -> None:
    """A gateway holds 16 KiB of them; the rest waits in the kernel, and all are answered in order."""
    start = await filled(cluster, 1, 10)
    node = cluster.nodes[0]
    async with connect(node.port) as client:
        await client.send(subscribe(start._replace(seq=2)))
        long = json.dumps({"action": "ping", "data": "x" * 4000})
        await client.send(frame(long) * 9)
        await until(lambda: node.waiting.used > 16_384)
        assert node.waiting.used < 16_384 + 4 * 16_384
        assert (await client.message())["type"] == "subscription_confirmed"
        for _ in range(9):
            assert (await client.message())["type"] == "pong"
    await until(lambda: node.waiting.used == 0)


async def test_a_close_is_heard_behind_commands_that_nobody_answers_any_more(cluster: Cluster) -> None:
    """The gateway closes in the middle of a backlog: the connection ends with the client's answer, not by a cut."""
    start = await filled(cluster, 1, 10)
    node = cluster.nodes[0]
    async with connect(node.port) as client:
        await client.send(subscribe(start._replace(seq=2)))
        (session,) = node._sessions
        await client.send(frame(json.dumps({"action": "ping", "data": "x" * 4000})) * 9)
        await until(lambda: node.waiting.used > 16_384)
        session.close(CloseCode.RESTART, "")
        assert code_of(await client.frame()) == 1012
        await client.send(frame((1012).to_bytes(2, "big"), 8))
        async with asyncio.timeout(2):  # it is cut after 3
            assert await client.rest() == []


class Compared(Position):
    """A position that counts how often it is compared with another."""

    times = 0
    __hash__ = Position.__hash__

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return super().__eq__(other)


@pytest.mark.parametrize("step", [1, -1])
async def test_thousands_that_wait_for_an_update_may_leave_in_any_order(step: int) -> None:
    """Nobody who leaves is looked for among those who still wait, also if those who came last leave first."""
    recent = Recent(10)
    recent.append(update("news", 1))
    tasks = [asyncio.create_task(recent.reach(Compared("e", 9), 60)) for _ in range(2000)]
    await asyncio.sleep(0)  # each waits now
    Compared.times = 0
    for task in tasks[::step]:
        task.cancel()
    await asyncio.wait(tasks)
    assert Compared.times == 0
    assert not recent._waiting
