"""What a gateway knows of coins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from gateway.directory import Directory
from gateway.node import Node
from shared.bus import open_redis
from shared.bus.coin_list import SERVICE, CoinList
from shared.channels import Channels
from shared.coins import KnownCoin, pack_coins
from shared.settings import Settings
from tests.waiting import until

BITCOIN = pack_coins([KnownCoin(id="bitcoin", symbol="BTC")])
FOREIGN = b"foreign"


@asynccontextmanager
async def directory(settings: Settings) -> AsyncIterator[tuple[Directory, CoinList, Redis]]:
    """One that looks often, and the list that it looks at."""
    redis, names = open_redis(settings), Channels(settings.redis_prefix)
    stored = CoinList(redis, names)
    found = Directory(stored, look=0.01)
    task = asyncio.create_task(found.run())
    try:
        yield found, stored, redis
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await redis.aclose()


async def test_it_follows_the_list(settings: Settings) -> None:
    """Without a list no symbol is known; each new one is read, and what is known stays when Redis loses it."""
    async with directory(settings) as (coins, stored, redis):
        await until(lambda: coins.asked)
        assert coins.resolve("BTC") is None
        await stored.store(BITCOIN, 0)
        await until(lambda: coins.resolve("BTC") == "bitcoin")
        before = coins.coins
        await redis.delete(Channels(settings.redis_prefix).coins(SERVICE))
        await stored.store(BITCOIN, 0)
        await stored.store(pack_coins([KnownCoin(id="other", symbol="BTC")]), 0)
        await until(lambda: coins.resolve("BTC") == "other")
        assert before.resolve("BTC") == "bitcoin"


async def test_a_foreign_list_changes_nothing_and_is_logged_once(settings: Settings) -> None:
    """A list that is none, or that has a wrong version, is refused until there is a good one again."""
    async with directory(settings) as (coins, stored, redis):
        await stored.store(BITCOIN, 0)
        await until(lambda: coins.resolve("BTC") == "bitcoin")
        with capture_logs() as logs:
            for wrong in (FOREIGN, b'[{"id": 1}]'):
                await stored.store(wrong, 0)
                count = len(logs)
                await until(lambda count=count: len(logs) > count)
                assert coins.resolve("BTC") == "bitcoin"
            await redis.hset(Channels(settings.redis_prefix).coins(SERVICE), "version", "x")
            await until(lambda: len(logs) == 3)
            await stored.store(pack_coins([KnownCoin(id="ethereum", symbol="ETH")]), 0)
            await until(lambda: coins.resolve("ETH") == "ethereum")
        warnings = [line for line in logs if line["log_level"] == "warning"]
        assert [line["event"] for line in warnings] == ["the list of coins in Redis is not used"] * 3


async def test_a_gateway_is_ready_once_it_has_asked(settings: Settings) -> None:
    """Before that, it says why; a foreign key is an answer, too."""
    redis = open_redis(settings)
    await redis.set(Channels(settings.redis_prefix).coins(SERVICE), "foreign")
    node = Node(settings)
    assert "the coins are not read yet" in node.unready
    running = asyncio.create_task(node.run(node.bind()))
    await until(lambda: not node.unready)
    assert node.directory.resolve("BTC") is None
    await redis.delete(Channels(settings.redis_prefix).coins(SERVICE))
    await redis.aclose()
    node.stop("the test is over")
    assert await running == 0


@pytest.mark.parametrize("name", ["bitcoin", "BTC"])
def test_without_a_list_nothing_is_known(settings: Settings, name: str) -> None:
    """An older worker, or a Redis that is new: a gateway that has read none resolves nothing, and raises nothing."""
    assert Node(settings).directory.resolve(name) is None
