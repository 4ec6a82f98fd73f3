"""Lease: of all processes that could do a task, one does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from launcher.redis_server import RedisServer
from shared.bus.lease import Lease
from shared.channels import Channels
from shared.errors import BusError
from tests.shared.outage import Clock, pause, resume
from tests.waiting import until


@contextlib.asynccontextmanager
async def held(lease: Lease) -> AsyncIterator[asyncio.Task[None]]:
    """`hold` as a worker runs it."""
    task = asyncio.create_task(lease.hold())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_one_holds_at_a_time(redis: Redis, channels: Channels) -> None:
    """Of ten that ask at once, one gets a fence; it keeps it, and the others get none."""
    leases = [Lease(redis, channels, "work", 10) for _ in range(10)]
    fences = await asyncio.gather(*(lease.refresh() for lease in leases))
    assert sum(fence > 0 for fence in fences) == 1
    assert await asyncio.gather(*(lease.refresh() for lease in leases)) == fences
    assert [lease.fence for lease in leases] == fences


async def test_leases_of_other_names_are_others(redis: Redis, channels: Channels) -> None:
    """Each name has its own holder."""
    first, other = Lease(redis, channels, "work", 10), Lease(redis, channels, "play", 10)
    assert await first.refresh() > 0
    assert await other.refresh() > 0


async def test_a_holder_that_stopped_asking_is_followed_after_its_seconds(redis: Redis, channels: Channels) -> None:
    """A dead holder's lease passes on when it expires, and not before; its own fence has run out by then."""
    dead, next_one = Lease(redis, channels, "work", 0.5), Lease(redis, channels, "work", 0.5)
    loop = asyncio.get_running_loop()
    began = loop.time()
    before = await dead.refresh()

    async def taken() -> bool:
        return await next_one.refresh() > 0

    await until(taken)
    assert loop.time() - began >= 0.49
    assert dead.fence == 0
    assert next_one.fence > before


async def test_the_fence_grows_with_every_holder(redis: Redis, channels: Channels) -> None:
    """Each new holder's fence is above all before it."""
    fences = []
    for _ in range(5):
        lease = Lease(redis, channels, "work", 10)
        async with held(lease):
            await until(lambda: lease.fence > 0)  # noqa: B023
            fences.append(lease.fence)
    assert fences == sorted(set(fences))


async def test_a_cancelled_holder_gives_the_lease_back(redis: Redis, channels: Channels) -> None:
    """The next one need not wait for the expiry, and the old one's fence is 0 at once."""
    first, second = Lease(redis, channels, "work", 60), Lease(redis, channels, "work", 60)
    async with held(first):
        await until(lambda: first.fence > 0)
        assert await second.refresh() == 0
    assert first.fence == 0
    assert await second.refresh() > 0


async def test_giving_back_takes_nothing_from_another_holder(redis: Redis, channels: Channels) -> None:
    """A worker that lost the lease before it stopped does not take it from the new holder."""
    first, second = Lease(redis, channels, "work", 60), Lease(redis, channels, "work", 60)
    async with held(first):
        await until(lambda: first.fence > 0)
        await redis.delete(channels.lease("work"))
        assert await second.refresh() > 0
    assert await first.refresh() == 0


async def test_fences_grow_though_redis_lost_their_counter(own_redis: Redis, channels: Channels) -> None:
    """After FLUSHALL the next fence is above all before it, also for the same holder."""
    lease = Lease(own_redis, channels, "work", 60)
    fences = [await lease.refresh()]
    for _ in range(3):
        await own_redis.flushall()
        fences.append(await lease.refresh())
    await own_redis.delete(channels.fence("work"))
    fences.append(await lease.refresh())
    assert fences == sorted(set(fences))


async def test_the_fence_runs_out_by_the_clock_of_its_holder(redis: Redis, channels: Channels) -> None:
    """The fence is 0 from the lease's seconds after the question on, so before Redis lets another in."""
    clock = Clock()
    lease = Lease(redis, channels, "work", 10, clock)
    assert lease.fence == 0
    fence = await lease.refresh()
    clock.now += 9.9
    assert lease.fence == fence
    clock.now += 0.1
    assert lease.fence == 0
    assert await lease.refresh() == fence


@pytest.mark.parametrize("fault", [RedisServer.kill, pause], ids=["killed", "paused"])
async def test_while_redis_is_away_the_fence_runs_out_in_time(
    own_server: RedisServer, own_redis: Redis, channels: Channels, fault: object
) -> None:
    """A holder that can't reach Redis stops leading before another may, and leads again when Redis is back."""
    assert callable(fault)
    lease = Lease(own_redis, channels, "work", 1.0)
    async with held(lease) as task:
        await until(lambda: lease.fence > 0)
        before = lease.fence
        fault(own_server)
        await until(lambda: lease.fence == 0, 1.5)
        assert not task.done()
        if own_server.process is None:
            own_server.start()
        resume(own_server)
        await until(lambda: lease.fence > 0)
        assert lease.fence >= before


async def test_a_single_question_to_an_absent_redis_raises(own_server: RedisServer, own_redis: Redis) -> None:
    """`refresh` raises BusError, and the fence stays as it was."""
    lease = Lease(own_redis, Channels(), "work", 60)
    fence = await lease.refresh()
    own_server.kill()
    with pytest.raises(BusError):
        await lease.refresh()
    assert lease.fence == fence
