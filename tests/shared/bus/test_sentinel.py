"""Sentinel: the bus follows the primary that the Sentinels name, and is live within five seconds of its promotion."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.bus import Bus, open_redis
from shared.channels import Channels
from shared.errors import BusError
from tests.replicated import LIVE_SECONDS, SERVICE, Member, Watched, published, settings_of
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture
async def redis(watched: Watched) -> AsyncIterator[Redis]:
    """A client as every coinwire process opens it."""
    client = open_redis(settings_of(watched.url))
    yield client
    await client.aclose()


@pytest.fixture
def bus(redis: Redis) -> Bus:
    """A publisher."""
    return Bus(redis, Channels("test"), 100)


async def port_of(redis: Redis) -> int:
    """The port of the server that a command reaches."""
    return int((await redis.config_get("port"))["port"])


async def test_it_publishes_to_the_primary_and_to_the_next_one_when_that_is_killed(watched: Watched, bus: Bus) -> None:
    """The Sentinels are asked with their own password, the servers with theirs."""
    assert await published(bus)
    watched.primary.kill()
    await watched.failed_over()
    await until(lambda: published(bus), LIVE_SECONDS)


async def test_a_primary_that_does_not_answer_is_left(watched: Watched, bus: Bus, redis: Redis) -> None:
    """A publish that waits for its answer is repeated at the new primary as soon as the Sentinels name it."""
    assert await published(bus)
    was = watched.primary
    assert was.process is not None
    os.kill(was.process.pid, signal.SIGSTOP)
    waiting = asyncio.create_task(published(bus))
    try:
        await watched.failed_over()
        async with asyncio.timeout(LIVE_SECONDS):
            assert await waiting
        assert await port_of(redis) == watched.primary.port
    finally:
        os.kill(was.process.pid, signal.SIGCONT)


async def test_a_connection_that_only_reads_leaves_the_old_primary(watched: Watched, redis: Redis) -> None:
    """A subscriber is cut off from a server that stays up when the Sentinels choose another one."""
    connection = redis.connection_pool.make_connection()
    await connection.connect()
    await connection.send_command("SUBSCRIBE", "anything")
    assert (await connection.read_response(timeout=5))[0] == b"subscribe"
    reading = asyncio.create_task(connection.read_response(timeout=60))
    async with watched.sentinels[0].client() as sentinel:
        await sentinel.execute_command("SENTINEL", "FAILOVER", SERVICE)
    await watched.failed_over()
    async with asyncio.timeout(LIVE_SECONDS):
        with pytest.raises(RedisConnectionError):
            await reading
    assert await port_of(redis) == watched.primary.port


async def test_one_sentinel_that_a_network_swallows_costs_nothing(
    watched: Watched, bus: Bus, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most Sentinels decide, and a reconnect waits for no other."""
    monkeypatch.setattr("shared.bus.asking.ANSWER_SECONDS", 4.0)  # for whoever waits for all
    first = watched.sentinels[0].process
    assert first is not None
    os.kill(first.pid, signal.SIGSTOP)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await published(bus)
    assert loop.time() - began < 3


async def test_a_service_that_the_sentinels_do_not_know_is_named_as_the_fault(watched: Watched) -> None:
    """The message says what is wrong with REDIS_URL."""
    client = open_redis(settings_of(watched.url.replace(f"/{SERVICE}/", "/other/")))
    with pytest.raises(BusError, match="the Sentinels know no service of that name"):
        await Bus(client, Channels("test"), 100).newest("news")
    await client.aclose()


async def test_a_plain_address_of_a_sentinel_is_named_as_the_fault(watched: Watched) -> None:
    """No command is tried on a Sentinel."""
    sentinel = watched.sentinels[0]
    client = open_redis(settings_of(f"redis://:{sentinel.password}@127.0.0.1:{sentinel.port}/0"))
    with pytest.raises(BusError, match=r"REDIS_URL points at a Sentinel: write redis\+sentinel://"):
        await Bus(client, Channels("test"), 100).newest("news")
    await client.aclose()


async def test_an_address_of_sentinels_that_leads_to_a_server_is_named_as_the_fault(watched: Watched) -> None:
    """A server knows no services."""
    server: Member = watched.primary
    client = open_redis(
        settings_of(f"redis+sentinel://127.0.0.1:{server.port}/{SERVICE}?sentinel_password={server.password}")
    )
    with pytest.raises(BusError, match="names Sentinels, but leads to a server"):
        await Bus(client, Channels("test"), 100).newest("news")
    await client.aclose()


async def test_without_any_sentinel_it_is_said_that_nobody_names_a_primary() -> None:
    """It is an outage, like that of one server, and the message says whose."""
    client = open_redis(settings_of(f"redis+sentinel://127.0.0.1:1,127.0.0.1:2/{SERVICE}/0"))
    with pytest.raises(BusError, match="newest of news: no Sentinel that answers names a primary"):
        await Bus(client, Channels("test"), 100).newest("news")
    await client.aclose()
