"""The list of coins in Redis: written by the worker that leads, read by every gateway."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from shared.bus import Bus
from shared.bus.coin_list import SERVICE, CoinList, version_of
from shared.channels import Channels
from shared.errors import CoinListError, FencedError

ONE, OTHER = b'[{"id":"bitcoin"}]', b'[{"id":"ethereum"}]'


@pytest.fixture
def stored(redis: Redis, channels: Channels) -> CoinList:
    """The list of this test's cluster."""
    return CoinList(redis, channels)


async def test_what_is_stored_is_read(stored: CoinList) -> None:
    """Before the first list there is none; a newer one replaces it."""
    assert await stored.version() is await stored.read() is None
    for raw in (ONE, ONE, OTHER):
        await stored.store(raw, 0)
        found = await stored.read()
        assert found == (version_of(raw), raw)
        assert await stored.version() == version_of(raw)


async def test_a_list_that_may_be_worse_replaces_none(stored: CoinList) -> None:
    """A worker that has not asked anybody yet leaves the list of the one before it; without one, it stores its own."""
    await stored.store(ONE, 0, stays=True)
    await stored.store(OTHER, 0, stays=True)
    assert await stored.version() == version_of(ONE)


async def test_an_earlier_holder_of_the_lease_writes_nothing(stored: CoinList, bus: Bus) -> None:
    """The fence is that of the service's updates."""
    await bus.publish(SERVICE, {}, fence=7)
    await stored.store(ONE, 7)
    with pytest.raises(FencedError):
        await stored.store(OTHER, 6)
    assert await stored.version() == version_of(ONE)


@pytest.mark.parametrize("foreign", [{"list": "x"}, {"version": "x"}, {"version": version_of(ONE), "list": "x"}])
@pytest.mark.parametrize("stays", [False, True])
async def test_a_spoiled_list_is_refused_and_replaced(
    stored: CoinList, redis: Redis, channels: Channels, foreign: dict[str, str], stays: bool
) -> None:
    """Readers get an error, or nothing; the worker's next write mends it."""
    await stored.store(ONE, 0)
    await redis.delete(channels.coins(SERVICE))
    await redis.hset(channels.coins(SERVICE), mapping=foreign)
    if "version" in foreign:
        with pytest.raises(CoinListError):
            await stored.read()
    else:
        assert await stored.read() is None
    await stored.store(ONE, 0, stays=stays)
    assert await stored.read() == (version_of(ONE), ONE)


async def test_a_key_of_another_type_is_replaced(stored: CoinList, redis: Redis, channels: Channels) -> None:
    """Readers get an error that says so."""
    await redis.set(channels.coins(SERVICE), "foreign")
    for ask in (stored.version, stored.read):
        with pytest.raises(CoinListError, match="WRONGTYPE"):
            await ask()
    await stored.store(ONE, 0)
    assert await stored.read() == (version_of(ONE), ONE)


async def test_a_redis_that_lost_it_gets_it_again(stored: CoinList, redis: Redis, channels: Channels) -> None:
    """The next write stores what is gone."""
    await stored.store(ONE, 0)
    await redis.delete(channels.coins(SERVICE))
    await stored.store(ONE, 0)
    assert await stored.version() == version_of(ONE)
