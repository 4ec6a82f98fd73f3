"""Subscription: every update once and in order, while Redis comes and goes."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from launcher.redis_server import RedisServer
from shared.bus import Bus, open_redis
from shared.channels import Channels
from shared.settings import Settings
from tests.proxy import Proxy
from tests.shared.conftest import settings_of
from tests.shared.listening import SERVICE, Listener
from tests.shared.outage import lose_everything, pause, resume
from tests.waiting import until


async def publish(bus: Bus, *numbers: int) -> None:
    """Publish an update for each number."""
    for n in numbers:
        await bus.publish(SERVICE, {"n": n})


async def test_a_killed_redis_is_waited_for_and_what_it_says_later_is_heard_once(
    own_server: RedisServer, own_redis: Redis, channels: Channels
) -> None:
    """Redis killed and restarted, twice: the subscription comes back, and every update is delivered exactly once."""
    bus = Bus(own_redis, channels, 100)
    async with Listener(own_redis, channels) as listener:
        await listener.proven()
        await publish(bus, 1, 2, 3)
        await listener.hears(1, 2, 3)
        for first in (4, 6):
            own_server.kill()
            await until(lambda: not listener.subscription.proven)
            await asyncio.to_thread(own_server.start)
            await publish(bus, first, first + 1)
            await listener.hears(*range(1, first + 2))
            await listener.proven()
        await publish(bus, 8)
        await listener.hears(*range(1, 9))
    assert listener.seqs == list(range(1, 9))
    assert listener.count("gap_unfilled") == 0


async def test_a_redis_that_lost_everything_is_followed(
    own_server: RedisServer, own_redis: Redis, channels: Channels
) -> None:
    """Redis restarted empty: the new epoch is delivered from its first update."""
    bus = Bus(own_redis, channels, 100)
    async with Listener(own_redis, channels) as listener:
        await listener.proven()
        await publish(bus, 1, 2)
        await listener.hears(1, 2)
        own_server.kill()
        await until(lambda: not listener.subscription.proven)
        lose_everything(own_server)
        await asyncio.to_thread(own_server.start)
        await publish(bus, 3)
        await listener.hears(1, 2, 3)
        await listener.proven()
        await publish(bus, 4)
        await listener.hears(1, 2, 3, 4)
    assert listener.seqs == [1, 2, 1, 2]


async def test_a_redis_absent_at_the_start_is_waited_for(own_server: RedisServer, channels: Channels) -> None:
    """A subscription that starts before Redis starts when Redis does."""
    redis = open_redis(settings_of(own_server))
    async with Listener(redis, channels, jitter=lambda: 0.1) as listener:
        await until(lambda: listener.count("reconnects", None) >= 3)
        assert not listener.subscription.proven
        own_server.start()
        await listener.proven()
        await publish(Bus(redis, channels, 10), 1, 2)
        await listener.hears(1, 2)
    await redis.aclose()


async def test_a_paused_redis_is_noticed_and_nothing_is_lost(
    own_server: RedisServer, own_redis: Redis, channels: Channels
) -> None:
    """A Redis that hangs with its sockets open is not proven any more; when it goes on, so does delivery."""
    bus = Bus(own_redis, channels, 100)
    async with Listener(own_redis, channels, deadline=0.9) as listener:
        await listener.proven()
        await publish(bus, 1)
        await listener.hears(1)
        pause(own_server)
        await until(lambda: not listener.subscription.proven)
        await until(lambda: listener.count("reconnects", None) > 0)
        resume(own_server)
        await publish(bus, 2)
        await listener.hears(1, 2)
        await listener.proven()
        await publish(bus, 3)
        await listener.hears(1, 2, 3)


async def test_a_half_open_connection_is_noticed_within_the_deadline(
    redis: Redis, bus: Bus, channels: Channels, settings: Settings
) -> None:
    """Where nothing arrives any more on an open socket, the probe fails: delivery is not proven, and a new connection
    is made within the deadline and gets what was missed."""
    deadline = 1.5
    assert settings.redis_url is not None
    url = settings.redis_url.get_secret_value()
    async with Proxy(urlsplit(url).port or 0) as proxy:
        behind = open_redis(Settings(_env_file=None, redis_url=proxy.before(url), redis_prefix=channels.prefix))
        async with Listener(behind, channels, deadline=deadline, jitter=lambda: 0.1) as listener:
            await listener.proven()
            await publish(bus, 1)
            await listener.hears(1)
            cut_at = asyncio.get_running_loop().time()
            proxy.deaden()
            await publish(bus, 2)
            await until(lambda: not listener.subscription.proven, deadline + 0.5)
            await until(lambda: listener.count("reconnects", None) > 0)
            assert asyncio.get_running_loop().time() - cut_at < 2 * deadline
            await listener.hears(1, 2)
            await listener.proven()
            await publish(bus, 3)
            await listener.hears(1, 2, 3)
        await behind.aclose()


@pytest.mark.parametrize("share", [0.0, 0.01])
async def test_pauses_before_a_reconnect_are_capped_full_jitter(
    own_server: RedisServer, channels: Channels, share: float
) -> None:
    """The pause is a random share of 0.1 s doubled with each failure up to 3 s."""
    redis = open_redis(settings_of(own_server))
    tried_at: list[float] = []

    def jitter() -> float:
        tried_at.append(asyncio.get_running_loop().time())
        return share

    async with Listener(redis, channels, jitter=jitter):
        await until(lambda: len(tried_at) > 20)
    await redis.aclose()
    pauses = [later - earlier for earlier, later in pairwise(tried_at)]
    longest = [share * min(3.0, 0.1 * 2**failures) for failures in range(len(pauses))]
    # The loop may wake a clock tick early, and these are floats.
    assert all(pause >= wanted - 0.001 for pause, wanted in zip(pauses, longest, strict=True))
    assert min(pauses[8:]) < share * 3 + 0.05  # uncapped it would be a second and more


async def test_it_stops_at_once_when_cancelled(own_server: RedisServer, own_redis: Redis, channels: Channels) -> None:
    """A cancelled subscription ends, whether Redis is there, hangs or is away."""
    for fault in (lambda _: None, pause, RedisServer.kill):
        listener = Listener(own_redis, channels, deadline=60.0)
        listener.start()
        await listener.proven()
        fault(own_server)
        await asyncio.wait_for(listener.stop(), 10)
        resume(own_server)
    listener.start()
    await until(lambda: listener.count("reconnects", None) > 0)
    await asyncio.wait_for(listener.stop(), 10)
