"""Connections: a server that loses its role is left, and REDIS_URL is resolved anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from launcher.redis_server import RedisServer
from shared.bus import Bus, open_redis
from shared.channels import Channels
from shared.errors import BusError
from shared.settings import Settings
from tests.proxy import Proxy
from tests.replicated import Member
from tests.waiting import until


class Moving:
    """Two servers, and an address that leads to the first until `move`."""

    def __init__(self, first: RedisServer, second: RedisServer, proxy: Proxy) -> None:
        self.first = first
        self.second = second
        self.proxy = proxy

    def move(self) -> None:
        """New connections go to the second server. Those that are open stay, as with a DNS name."""
        self.proxy.move(self.second.port)

    async def demote(self) -> None:
        """The first becomes a replica of the second. Redis ends no connection then."""
        async with self.first.client() as client:
            await client.replicaof("127.0.0.1", self.second.port)


@pytest_asyncio.fixture
async def moving(tmp_path: Path) -> AsyncIterator[Moving]:
    """Two primaries behind one address."""
    first = Member(tmp_path / "first", "password")
    second = Member(tmp_path / "second", "password")
    try:
        async with Proxy(first.start().port) as proxy:
            yield Moving(first, second.start(), proxy)
    finally:
        first.kill()
        second.kill()


@pytest_asyncio.fixture
async def redis(moving: Moving) -> AsyncIterator[Redis]:
    """A client of that address."""
    url = moving.proxy.before(moving.first.url)
    client = open_redis(Settings(_env_file=None, redis_url=url))
    yield client
    await client.aclose()


@pytest.fixture
def bus(redis: Redis) -> Bus:
    """A publisher."""
    return Bus(redis, Channels("test"), 100)


async def test_a_publisher_leaves_a_server_that_became_a_replica(moving: Moving, bus: Bus) -> None:
    """One publish is refused, with the reason; the next one reaches the new primary."""
    await bus.publish("news", {})
    moving.move()
    await moving.demote()
    with pytest.raises(BusError, match=r"publish of news: the server does not serve as a primary \(READONLY\)"):
        await bus.publish("news", {})
    await bus.publish("news", {})
    async with moving.second.client() as client:
        assert await client.exists(Channels("test").meta("news"))


async def test_an_update_whose_server_is_demoted_while_it_waits_for_replicas_is_repeated(
    moving: Moving, redis: Redis
) -> None:
    """Redis then ends WAIT with an error. The update was published, but the new primary may not have it."""
    bus = Bus(redis, Channels("test"), 100, replicas=1)
    async with moving.first.client() as first, moving.second.client() as second:

        async def waits() -> bool:
            return any(client["cmd"] == "wait" for client in await first.client_list())

        await bus.publish("news", {"n": 1})
        publishing = asyncio.create_task(bus.publish("news", {"n": 2}))
        await until(waits)
        moving.move()
        await moving.demote()
        assert (await publishing).seq == 1
        assert await second.exists(Channels("test").meta("news"))


async def test_a_transaction_leaves_a_server_that_became_a_replica(moving: Moving, redis: Redis) -> None:
    """As a script does."""
    await redis.set("key", 1)
    moving.move()
    await moving.demote()
    with pytest.raises(RedisConnectionError, match="READONLY"):
        await redis.pipeline(transaction=True).set("key", 2).set("other", 2).execute()
    assert await redis.pipeline(transaction=True).set("key", 3).set("other", 3).execute() == [True, True]


async def test_a_refused_write_ends_the_connections_that_only_read(moving: Moving, redis: Redis) -> None:
    """A subscriber on the old primary would hear nothing of what is published on the new one."""
    connection = redis.connection_pool.make_connection()
    await connection.connect()
    await redis.set("key", 1)
    moving.move()
    await moving.demote()
    with pytest.raises(RedisConnectionError, match="READONLY"):
        await redis.set("key", 2)
    assert not connection.is_connected


async def test_closing_connections_waits_for_no_server(redis: Redis) -> None:
    """With TLS, a server that is gone does not answer a close. Who leaves it must not fail over that."""
    await redis.ping()
    with pytest.raises(StopIteration):
        redis.connection_pool.disconnect(inuse_connections=False).send(None)
    assert await redis.ping()
