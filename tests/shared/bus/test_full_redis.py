"""A Redis that is full (maxmemory, noeviction) refuses writes, and every command in a transaction. Gateways read on."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError
from structlog.testing import capture_logs

from launcher.redis_server import RedisServer
from shared.bus import presence
from shared.bus.client_numbers import BLOCK, DRAWN, ClientNumbers
from shared.bus.presence import Presence
from shared.channels import Channels
from shared.errors import BusError
from tests.shared.bus.test_presence import client, listed, running, stats_of, sync
from tests.shared.outage import Clock
from tests.waiting import until


async def fill(redis: Redis) -> None:
    """Let it take nothing more."""
    await redis.config_set("maxmemory", 1)
    with pytest.raises(OutOfMemoryError):
        await redis.set("any", "thing")


async def empty(redis: Redis) -> None:
    """Let it take everything again."""
    await redis.config_set("maxmemory", 0)


@pytest.fixture
def nodes(own_redis: Redis, channels: Channels) -> tuple[Presence, Presence]:
    """Two gateways on a Redis of the test's own."""
    return Presence(own_redis, channels, "a"), Presence(own_redis, channels, "b")


async def test_what_a_full_redis_has_of_the_gateways_is_read_and_kept(
    nodes: tuple[Presence, Presence], own_redis: Redis, channels: Channels
) -> None:
    """Its refusal is an error after the counts were read; what gateways wrote before does not expire."""
    a, b = nodes
    a.put(client(1, "news"))
    b.put(client(2, "news"))
    await b.sync()
    await a.sync()
    a.put(client(3))
    await fill(own_redis)
    for key in (channels.presence("b"), channels.presence_order("b"), channels.presence_counts("b")):
        await own_redis.pexpire(key, 5_000)
    for node in nodes:
        with pytest.raises(BusError, match="OutOfMemoryError"):
            await node.sync()
    assert (a.total_clients, b.total_clients) == (3, 2)  # b has what a wrote before
    assert (await listed(a), await listed(b)) == ([1, 2, 3], [1, 2])
    for key in (channels.presence("b"), channels.presence_order("b"), channels.presence_counts("b")):
        assert await own_redis.pttl(key) > 5_000
    await empty(own_redis)
    await sync(a, b)
    assert await listed(b) == [1, 2, 3]


async def test_who_leaves_a_full_redis_is_gone_at_once(nodes: tuple[Presence, Presence], own_redis: Redis) -> None:
    """To delete takes no memory."""
    a, b = nodes
    a.put(client(1))
    await sync(a, b)
    await fill(own_redis)
    await a.leave()
    with pytest.raises(BusError):
        await b.sync()
    assert b.total_clients == 0


async def test_a_full_redis_is_logged_once_and_forgotten(
    nodes: tuple[Presence, Presence], own_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`run` logs it once, however often it tries; when there is room, everything is written."""
    a, b = nodes
    monkeypatch.setattr(presence, "_HEARTBEAT", 0.3)
    with capture_logs() as logs:
        async with running(a, b):
            await until(lambda: a.next_number() is not None and b.next_number() is not None)
            await fill(own_redis)
            a.put(client(1, "news"))
            await until(lambda: sum(entry["event"].startswith("presence lost") for entry in logs) == 2)
            refusals = (await own_redis.info("errorstats"))["errorstat_OOM"]["count"]

            async def tried() -> bool:
                return (await own_redis.info("errorstats"))["errorstat_OOM"]["count"] >= refusals + 4

            await until(tried)
            await empty(own_redis)
            await until(lambda: b.total_clients == 1)
    events = sorted(entry["event"] for entry in logs)
    lost = "presence lost: other gateways do not see our clients change"
    assert events == ["presence back", "presence back", lost, lost]


async def test_statistics_are_an_error_once_the_others_have_expired(own_redis: Redis, channels: Channels) -> None:
    """Ten seconds after Redis last took a heartbeat: the counts would not be the cluster's."""
    clock = Clock()
    node = Presence(own_redis, channels, "a", clock=clock)
    assert (await stats_of(node)).total == 0  # it has just started, and will write in a moment
    clock.now += 5
    await node.sync()
    clock.now += 9.9
    assert (await stats_of(node)).total == 0
    clock.now += 0.1
    with pytest.raises(BusError, match="expired"):
        await stats_of(node)
    await fill(own_redis)
    with pytest.raises(BusError):
        await node.sync()
    assert (await stats_of(node)).total == 0  # it takes no clients, but heartbeats


async def test_numbers_are_drawn_while_a_full_redis_hands_out_none(own_redis: Redis, channels: Channels) -> None:
    """Two gateways draw far above all that Redis hands out and below 2^53; with room, Redis' numbers go on."""
    await fill(own_redis)
    first, other = ClientNumbers(own_redis, channels), ClientNumbers(own_redis, channels)
    for numbers in (first, other):
        assert numbers.next() is None
        with pytest.raises(BusError, match=r"OutOfMemoryError|OOM"):
            await numbers.refill()
    drawn = [numbers.next() for numbers in (first, other) for _ in range(BLOCK + 1)]
    assert len(set(drawn)) == len(drawn)
    assert all(number is not None and 2**52 <= number < 2**53 for number in drawn)
    await empty(own_redis)
    for numbers in (first, other):
        await numbers.refill()
    assert [first.next(), other.next()] == [1, BLOCK + 1]


async def test_a_check_of_the_numbers_takes_no_memory(own_redis: Redis, channels: Channels) -> None:
    """Who has enough numbers is not refused by a full Redis, and goes on to give out those of Redis."""
    numbers = ClientNumbers(own_redis, channels)
    await numbers.refill()
    await fill(own_redis)
    await numbers.refill()
    assert [numbers.next() for _ in range(3)] == [1, 2, 3]


async def test_numbers_are_drawn_while_redis_is_away_if_it_was_there_before(
    own_server: RedisServer, own_redis: Redis, channels: Channels
) -> None:
    """A gateway that never reached Redis gives out none: its clients would be the only ones that it knows of."""
    before, never = ClientNumbers(own_redis, channels), ClientNumbers(own_redis, channels)
    await before.refill()
    own_server.kill()
    for numbers in (before, never):
        with pytest.raises(BusError):
            await numbers.refill()
    taken = [before.next() for _ in range(BLOCK + 1)]
    assert taken[:-1] == [*range(1, BLOCK + 1)]
    assert taken[-1] in DRAWN
    assert never.next() is None
    await asyncio.to_thread(own_server.start)
    for numbers in (before, never):
        await numbers.refill()
    assert [before.next(), never.next()] == [BLOCK + 1, 2 * BLOCK + 1]


async def test_a_redis_that_lets_nothing_be_written_is_read_for_ten_seconds(
    own_redis: Redis, channels: Channels
) -> None:
    """As where its disk is full, or a replica is missing: not even a heartbeat is taken, so all entries expire."""
    clock = Clock()
    a, b = Presence(own_redis, channels, "a", clock=clock), Presence(own_redis, channels, "b")
    b.put(client(1, "news"))
    await sync(a, b)
    await own_redis.config_set("min-replicas-to-write", 1)
    clock.now += 5
    with pytest.raises(BusError, match="NOREPLICAS"):
        await a.sync()
    assert (a.total_clients, await listed(a)) == (1, [1])
    clock.now += 5
    with pytest.raises(BusError, match="expired"):
        await stats_of(a)
    await own_redis.config_set("min-replicas-to-write", 0)
    await a.sync()
    assert await listed(a) == [1]
