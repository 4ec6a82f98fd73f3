"""Keys that others have broken: an operator, a script, another program. They are the trouble of their own service."""

from __future__ import annotations

import asyncio

import msgpack
import pytest
from redis.asyncio import Redis

from shared.bus import Bus
from shared.bus.lease import Lease
from shared.bus.presence import ClientRecord, Presence
from shared.bus.stats_reader import StatsReader
from shared.catalog import of_category
from shared.channels import Channels
from tests.shared.listening import SERVICE, Listener

WHEN = "2026-01-01T00:00:00.000Z"
OTHER = "news"
CATEGORY = "data_collection"


@pytest.mark.parametrize("key", ["meta", "stream"])
async def test_a_key_of_another_type_keeps_no_other_service_from_its_readers(
    redis: Redis, bus: Bus, channels: Channels, key: str
) -> None:
    """A gateway is ready, hears every other service, and can say how far those are."""
    await redis.set(getattr(channels, key)(OTHER), "foreign")
    await bus.publish(SERVICE, {"n": 1})
    async with Listener(redis, channels, (OTHER, SERVICE), audit=60.0) as listener:
        await listener.proven(5)
        await bus.publish(SERVICE, {"n": 2})
        async with asyncio.timeout(5):
            await listener.subscription.prove()
        await listener.hears(1, 2)


@pytest.mark.parametrize("value", ["x", "-5", "1.5", "nan", "1e400", "9" * 5000])
async def test_a_count_that_is_none_stops_neither_readers_nor_the_publisher(
    redis: Redis, bus: Bus, channels: Channels, value: str
) -> None:
    """Nobody can tell any more where the service stands: readers wait, and the next update begins a new epoch."""
    before = await bus.publish(SERVICE, {"n": 1})
    await redis.hset(channels.meta(SERVICE), mapping={"seq": value, "fence": "x", "published_at": value})
    async with Listener(redis, channels) as listener:
        await listener.proven(5)
        after = await bus.publish(SERVICE, {"n": 2})
        await listener.hears(1, 2)
    assert after.epoch != before.epoch
    assert listener.seqs == [1, 1]


async def test_a_worker_learns_of_its_other_services(redis: Redis, bus: Bus, channels: Channels) -> None:
    """A worker that begins to lead plans by what can be read."""
    await redis.set(channels.meta(OTHER), "foreign")
    await bus.publish(SERVICE, {"n": 1})
    assert list(await bus.last_publishes((OTHER, SERVICE))) == [SERVICE]
    await redis.hset(channels.meta(SERVICE), "published_at", "x")
    assert (await bus.last_publishes((SERVICE,)))[SERVICE].age is None


async def test_a_fence_that_is_none_keeps_nobody_from_the_lease(redis: Redis, channels: Channels) -> None:
    """A worker leads the other services of its category; what it publishes raises the fence to its own."""
    broken, other = channels.meta(of_category(CATEGORY)[0]), channels.meta(of_category(CATEGORY)[1])
    await redis.hset(broken, "fence", "x")
    await redis.set(channels.fence(CATEGORY), "x")
    fence = await Lease(redis, channels, CATEGORY, 5.0).refresh()
    assert fence > 0
    assert await redis.hget(other, "fence") == str(fence).encode()


@pytest.mark.parametrize("packed", [b"foreign", b"", b"\xc1", msgpack.packb([1, 2]), msgpack.packb([WHEN, WHEN, None])])
async def test_what_no_gateway_has_written_is_no_client(redis: Redis, channels: Channels, packed: bytes) -> None:
    """Counts that are none are left out, and so are clients and gateways whose entries mean nothing."""
    a, b = Presence(redis, channels, "a"), Presence(redis, channels, "b")
    a.put(ClientRecord(1, "client_1", WHEN, WHEN, ("news",)))
    b.put(ClientRecord(2, "client_2", WHEN, WHEN, ("news",)))
    await a.sync()
    await redis.hset(channels.presence("a"), mapping={"client_3": packed, b"\xff": packed})
    await redis.zadd(channels.presence_order("a"), {"client_3": 3, b"\xff": 4, "client_5": 5})
    await redis.hset(channels.presence_counts("a"), mapping={"news": "x", b"\xff": 3, "sentiment": "9" * 5000})
    await redis.sadd(channels.nodes, b"\xff", "")
    await b.sync()
    assert (b.total_clients, b.subscription_counts) == (2, {"news": 1})
    stats = await StatsReader(redis, channels, b).read(0, 100)
    assert (stats.total, [client.number for client in stats.clients]) == (2, [1, 2])
