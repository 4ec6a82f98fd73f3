"""Budgets: providers are never asked more than their free tier allows, by the whole cluster together."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from launcher.redis_server import RedisServer
from shared.budget import Budget
from shared.bus import open_redis
from shared.bus.budgets import Budgets
from shared.channels import Channels
from shared.errors import BusError
from shared.settings import Settings
from tests.waiting import until

MINUTE = Budget(units=3, seconds=60)


@pytest.fixture
def budgets(redis: Redis, channels: Channels) -> Budgets:
    """The cluster's budgets."""
    return Budgets(redis, channels)


async def test_units_are_given_until_they_are_spent(budgets: Budgets) -> None:
    """As many calls as there are units, then the seconds until the first of them is out of the window."""
    assert [await budgets.spend("acme", MINUTE) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert 59 < await budgets.spend("acme", MINUTE) <= 60


async def test_a_refused_call_costs_nothing(budgets: Budgets) -> None:
    """Asking again and again does not push the moment away."""
    for _ in range(3):
        await budgets.spend("acme", MINUTE)
    waits = [await budgets.spend("acme", MINUTE) for _ in range(20)]
    assert waits == sorted(waits, reverse=True)


async def test_a_call_may_cost_several_units(budgets: Budgets) -> None:
    """A dear call needs all its units at once; a cheap one may still fit."""
    budget = Budget(units=10, seconds=60)
    assert await budgets.spend("acme", budget, 7) == 0.0
    assert await budgets.spend("acme", budget, 4) > 59
    assert await budgets.spend("acme", budget, 3) == 0.0
    assert await budgets.spend("acme", budget, 1) > 59


async def test_a_call_dearer_than_the_whole_budget_never_goes_out(budgets: Budgets) -> None:
    """It waits a window, for ever."""
    assert await budgets.spend("acme", MINUTE, 4) == 60.0


async def test_providers_have_budgets_of_their_own(budgets: Budgets) -> None:
    """Calls of one provider do not count for another."""
    for _ in range(3):
        await budgets.spend("acme", MINUTE)
    assert await budgets.spend("other", MINUTE) == 0.0


async def test_the_window_slides_exactly(budgets: Budgets) -> None:
    """In no stretch of the window's length are there more calls than units, however eagerly they are made."""
    budget = Budget(units=5, seconds=0.25)
    loop = asyncio.get_running_loop()
    calls: list[tuple[float, float]] = []

    async def called_enough() -> bool:
        for _ in range(6):
            before = loop.time()
            if await budgets.spend("acme", budget) == 0.0:
                calls.append((before, loop.time()))
        return len(calls) > 20

    await until(called_enough)
    # The sixth call's answer less the first one's question: Redis counted both in between, to the millisecond.
    assert min(sixth[1] - first[0] for first, sixth in zip(calls, calls[5:], strict=False)) >= 0.249


async def test_the_wait_is_as_long_as_it_takes(budgets: Budgets) -> None:
    """After the seconds that were named the call may be made, and not before."""
    budget = Budget(units=1, seconds=1.0)
    loop = asyncio.get_running_loop()
    await budgets.spend("acme", budget)
    asked = loop.time()
    wait = await budgets.spend("acme", budget)
    told = loop.time()
    refused_at = told

    async def free() -> bool:
        nonlocal refused_at
        before = loop.time()
        if await budgets.spend("acme", budget) == 0.0:
            return True
        refused_at = before
        return False

    await until(free)
    assert loop.time() - asked >= wait - 0.01
    assert refused_at <= told + wait  # nobody was refused who asked after it


async def test_the_cluster_spends_together(redis: Redis, channels: Channels, settings: Settings) -> None:
    """Clients of several processes that ask at once get the units of one budget."""
    other = open_redis(settings)
    mine, theirs = Budgets(redis, channels), Budgets(other, channels)
    budget = Budget(units=10, seconds=60)
    answers = await asyncio.gather(*(side.spend("acme", budget) for _ in range(20) for side in (mine, theirs)))
    assert answers.count(0.0) == 10
    await other.aclose()


async def test_a_blocked_provider_is_not_asked(budgets: Budgets, redis: Redis, channels: Channels) -> None:
    """While a provider's pause lasts, no worker may call it, even with budget left; then all may."""
    await budgets.block("acme", 30)
    assert 29 < await budgets.spend("acme", MINUTE) <= 30
    assert await budgets.spend("other", MINUTE) == 0.0
    await redis.delete(channels.budget_block("acme"))
    await budgets.block("acme", 0.05)

    async def free() -> bool:
        return await budgets.spend("acme", MINUTE) == 0.0

    await until(free)


async def test_a_shorter_block_does_not_end_a_longer_one(budgets: Budgets) -> None:
    """Of several requests to be left alone the longest holds, whichever was heard last."""
    await budgets.block("acme", 30)
    await budgets.block("acme", 5)
    assert 29 < await budgets.spend("acme", MINUTE) <= 30
    await budgets.block("acme", 60)
    assert 59 < await budgets.spend("acme", MINUTE) <= 60


async def test_what_is_remembered_expires(budgets: Budgets, redis: Redis, channels: Channels) -> None:
    """A provider that is not asked any more leaves nothing in Redis."""
    await budgets.spend("acme", MINUTE)
    await budgets.block("acme", 30)
    assert 0 < await redis.pttl(channels.budget("acme")) <= 60_000
    assert 0 < await redis.pttl(channels.budget_block("acme")) <= 30_000


async def test_redis_away_is_a_bus_error(own_server: RedisServer, own_redis: Redis, channels: Channels) -> None:
    """Whoever can't count must not ask."""
    budgets = Budgets(own_redis, channels)
    own_server.kill()
    with pytest.raises(BusError, match="acme"):
        await budgets.spend("acme", MINUTE)
    with pytest.raises(BusError, match="acme"):
        await budgets.block("acme", 1)


async def test_a_clock_of_redis_that_was_set_back_forbids_nothing_for_long(
    budgets: Budgets, redis: Redis, channels: Channels
) -> None:
    """Calls and blocks of the time when it was a year ahead don't count; those of a moment ago do."""
    year = 365 * 86_400
    now = (await redis.time())[0]
    await redis.zadd(channels.budget("acme"), {f"{n}:1": (now + year) * 1000 + n for n in range(3)})
    await redis.set(channels.budget_block("acme"), "1", ex=year)
    assert await budgets.spend("acme", MINUTE, 2) == 0.0
    assert await budgets.spend("acme", MINUTE, 2) > 59
    await budgets.block("acme", 7.0)
    assert 6 < await budgets.spend("acme", MINUTE) <= 7
