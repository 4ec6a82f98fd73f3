"""Presence: who is connected to which gateway, for the whole cluster."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from launcher.redis_server import RedisServer
from shared.bus import open_redis
from shared.bus.presence import ClientRecord, Presence
from shared.bus.stats_reader import ClusterStats, StatsReader
from shared.channels import Channels
from shared.errors import BusError
from shared.settings import Settings
from shared.timestamps import now_iso
from tests.replicated import Nodes, needs_cluster
from tests.shared.outage import lose_everything, restart
from tests.waiting import until


def client(number: int, *subscriptions: str) -> ClientRecord:
    """A connected client."""
    return ClientRecord(number, f"client_{number}_1763900000", now_iso(), now_iso(), subscriptions)


@contextlib.asynccontextmanager
async def running(*nodes: Presence) -> AsyncIterator[None]:
    """`run` of each, as a gateway has it; none of them may die."""
    tasks = [asyncio.create_task(node.run()) for node in nodes]
    try:
        yield
    finally:
        died = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not died


async def stats_of(node: Presence, after: int = 0, limit: int = 100) -> ClusterStats:
    """What requests read of the cluster on this gateway."""
    return await StatsReader(node._redis, node._channels, node).read(after, limit)


async def listed(node: Presence, page: int = 100) -> list[int]:
    """The numbers of all clients, read page by page."""
    numbers: list[int] = []
    cursor: int | None = 0
    while cursor is not None:
        stats = await stats_of(node, cursor, page)
        assert len(stats.clients) <= page
        numbers += [record.number for record in stats.clients]
        cursor = stats.next_cursor
    return numbers


@pytest.fixture
def nodes(redis: Redis, channels: Channels) -> tuple[Presence, Presence]:
    """Two gateways."""
    return Presence(redis, channels, "a"), Presence(redis, channels, "b")


async def sync(*nodes: Presence) -> None:
    """Each writes, then each reads what the others wrote."""
    for node in (*nodes, *nodes):
        await node.sync()


async def test_gateways_count_each_others_clients(nodes: tuple[Presence, Presence]) -> None:
    """Totals and subscribers of each service are the whole cluster's, whichever gateway is asked."""
    a, b = nodes
    a.put(client(1, "news", "market_data"))
    a.put(client(2))
    b.put(client(3, "news"))
    await sync(a, b)
    for node in nodes:
        assert node.total_clients == 3
        assert node.subscription_counts == {"market_data": 1, "news": 2}
        stats = await stats_of(node, 0, 100)
        assert (stats.total, stats.subscription_counts) == (3, {"market_data": 1, "news": 2})


async def test_a_change_of_subscriptions_is_a_change_of_counts(nodes: tuple[Presence, Presence]) -> None:
    """Counts follow subscribes, unsubscribes and departures; a service without subscribers is left out."""
    a, b = nodes
    a.put(client(1, "news"))
    b.put(client(2, "news"))
    await sync(a, b)
    a.put(client(1, "sentiment"))
    b.drop("client_2_1763900000")
    b.drop("client_2_1763900000")  # once is enough
    b.drop("nobody")
    await sync(a, b)
    for node in nodes:
        assert (node.total_clients, node.subscription_counts) == (1, {"sentiment": 1})
        assert await listed(node) == [1]


async def test_every_client_is_listed_once_over_all_pages(nodes: tuple[Presence, Presence]) -> None:
    """Pages of any size hold every client of every gateway once, in the order of their numbers, and whole."""
    a, b = nodes
    records = {n: client(n, "news") if n % 3 else client(n) for n in range(1, 51)}
    for n, record in records.items():
        (a if n % 7 < 3 else b).put(record)
    await sync(a, b)
    for node in nodes:
        for page in (1, 7, 50, 51, 1000):
            assert await listed(node, page) == list(records)
        assert {record.number: record for record in (await stats_of(node, 0, 100)).clients} == records
    assert (await stats_of(a, 0, 50)).next_cursor is None
    assert (await stats_of(a, 0, 49)).next_cursor == 49
    assert (await stats_of(a, 50, 10)).clients == []


async def test_our_own_clients_are_listed_as_of_now(nodes: tuple[Presence, Presence]) -> None:
    """A gateway lists its own clients without Redis, the others as of their last write."""
    a, b = nodes
    await sync(a, b)
    a.put(client(1, "news"))
    assert a.total_clients == 1
    assert await listed(a) == [1]
    assert await listed(b) == []


async def test_counts_and_the_page_of_clients_are_of_one_moment(nodes: tuple[Presence, Presence]) -> None:
    """While another gateway's clients come, stats never count fewer than they list."""
    a, b = nodes
    await b.sync()
    seen = set[int]()
    for number in range(1, 201):
        a.put(client(number, "news"))
        stats, _ = await asyncio.gather(stats_of(b, 0, 500), a.sync())
        assert stats.total >= len(stats.clients)
        assert stats.subscription_counts.get("news", 0) >= len(stats.clients)
        seen.add(stats.total)
    assert len(seen) > 50


async def test_an_empty_cluster_has_stats(nodes: tuple[Presence, Presence]) -> None:
    """A cluster without clients has stats too."""
    await sync(*nodes)
    assert await stats_of(nodes[0], 0, 10) == ClusterStats(0, {}, [], None)


async def test_numbers_are_unique_over_gateways_that_take_blocks_at_once(redis: Redis, channels: Channels) -> None:
    """Ten gateways give out 25000 numbers each, refilling meanwhile, and none twice."""
    nodes = [Presence(redis, channels, f"node-{n}") for n in range(10)]
    assert nodes[0].next_number() is None
    taken: list[int] = []

    async def take(node: Presence) -> None:
        for _ in range(5):
            await node.sync()
            for _ in range(5000):
                number = node.next_number()
                assert number is not None
                taken.append(number)

    await asyncio.gather(*map(take, nodes))
    assert len(set(taken)) == len(taken) == 250_000
    assert min(taken) == 1


async def test_numbers_are_not_given_out_again_after_redis_lost_their_counter(
    own_redis: Redis, channels: Channels
) -> None:
    """After FLUSHALL no new block overlaps one that a gateway holds or has given out."""
    nodes = [Presence(own_redis, channels, f"node-{n}") for n in range(3)]
    taken: list[int] = []
    for _ in range(2):
        await sync(*nodes)
        for node in nodes:
            taken += [node.next_number() or 0 for _ in range(9000)]
        await own_redis.flushall()
    assert len(set(taken)) == len(taken)


@pytest.mark.slow  # it waits for records to age
async def test_running_gateways_see_each_other(nodes: tuple[Presence, Presence]) -> None:
    """`run` writes what changes and reads what others wrote, without being asked."""
    a, b = nodes
    async with running(a, b):
        a.put(client(1, "news"))
        await until(lambda: b.total_clients == 1)
        b.put(client(2, "news"))
        await until(lambda: a.subscription_counts == {"news": 2})
        a.drop("client_1_1763900000")
        await until(lambda: b.total_clients == 1)
        await until(lambda: a.next_number() is not None)


async def test_the_others_count_all_the_time_while_they_are_read_again(nodes: tuple[Presence, Presence]) -> None:
    """The total never dips while a gateway refreshes what it knows of the others."""
    a, b = nodes
    b.put(client(1, "news"))
    await sync(a, b)
    seen: set[int] = set()
    syncing = asyncio.create_task(a.sync())

    def looked() -> bool:
        seen.add(a.total_clients)
        return syncing.done()

    loop = asyncio.get_running_loop()
    while not looked():
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn
    await syncing
    assert seen == {1}


async def test_leaving_takes_a_gateways_clients_out_at_once(nodes: tuple[Presence, Presence]) -> None:
    """After `leave`, its clients are not counted any more."""
    a, b = nodes
    a.put(client(1, "news"))
    b.put(client(2, "news"))
    await sync(a, b)
    await a.leave()
    await b.sync()
    assert (b.total_clients, b.subscription_counts) == (1, {"news": 1})
    assert await listed(b) == [2]


async def test_a_gateway_that_stops_writing_expires(
    nodes: tuple[Presence, Presence], redis: Redis, channels: Channels
) -> None:
    """All that a gateway writes has ten seconds to live; without its counts it does not exist."""
    a, b = nodes
    a.put(client(1, "news"))
    await sync(a, b)
    keys = (channels.presence("a"), channels.presence_order("a"), channels.presence_counts("a"))
    for key in keys:
        assert 0 < await redis.pttl(key) <= 10_000
    await redis.delete(channels.presence_counts("a"))
    await b.sync()
    assert b.total_clients == 0
    assert await listed(b) == []
    assert await redis.smembers(channels.nodes) == {b"b"}


@pytest.mark.parametrize("lost", ["clients", "order", "both"])
async def test_what_redis_lost_is_written_again(redis: Redis, channels: Channels, lost: str) -> None:
    """Where some of a gateway's entries were evicted or expired, its second write from then on writes every client."""
    a, b = Presence(redis, channels, "a"), Presence(redis, channels, "b")
    for n in range(1, 4):
        a.put(client(n, "news"))
    await sync(a, b)
    keys = {"clients": channels.presence("a"), "order": channels.presence_order("a")}
    await redis.delete(*(key for name, key in keys.items() if lost in (name, "both")))
    await sync(a, b)
    assert await listed(b) == [1, 2, 3]


@pytest.mark.slow  # it waits for records to age
async def test_after_flushall_all_is_written_again(own_redis: Redis, channels: Channels) -> None:
    """The next heartbeat writes every client again, though none changed and Redis was never away."""
    a, b = Presence(own_redis, channels, "a"), Presence(own_redis, channels, "b")
    for n in range(1, 4):
        a.put(client(n, "news"))
    async with running(a, b):
        await until(lambda: b.total_clients == 3)
        await own_redis.flushall()

        async def whole() -> bool:
            return await listed(b) == [1, 2, 3]

        await until(whole)
        assert (await stats_of(b, 0, 10)).subscription_counts == {"news": 3}


@pytest.mark.slow  # it waits for Redis
async def test_redis_away_is_a_bus_error_and_all_is_there_when_it_is_back(
    own_server: RedisServer, own_redis: Redis, channels: Channels
) -> None:
    """While Redis is away stats, sync and leave raise BusError; `run` goes on and writes everything when it is back."""
    a, b = Presence(own_redis, channels, "a"), Presence(own_redis, channels, "b")
    a.put(client(1, "news"))
    async with running(a, b):
        await until(lambda: b.total_clients == 1)
        own_server.kill()
        for asked in (lambda: stats_of(a, 0, 10), a.sync, a.leave):
            with pytest.raises(BusError, match=r"presence|client numbers"):
                await asked()
        a.put(client(2))
        assert a.total_clients == 2
        lose_everything(own_server)
        await restart(own_server)

        async def whole() -> bool:
            return b.total_clients == 2 and await listed(b) == [1, 2]

        await until(whole)


@pytest.mark.slow
@needs_cluster
async def test_gateways_on_a_redis_cluster_count_each_other(tmp_path: Path) -> None:
    """What they write of themselves is on one slot, each on its own; what a page needs is read from all of them."""
    servers = Nodes(tmp_path)
    try:
        await servers.start()
        redis = open_redis(Settings(_env_file=None, redis_url=servers.url, redis_prefix="test"))
        a, b = Presence(redis, Channels("test"), "a"), Presence(redis, Channels("test"), "b")
        for node, number in ((a, 1), (b, 2), (a, 3)):
            node.put(client(number, "news"))
        await sync(a, b)
        assert (a.total_clients, await listed(a), await listed(b, 1)) == (3, [1, 2, 3], [1, 2, 3])
        assert (a.next_number(), b.next_number()) == (1, 10_001)
        await a.leave()
        await b.sync()
        assert (b.total_clients, await listed(b)) == (1, [2])
        await redis.aclose()
    finally:
        servers.stop()
