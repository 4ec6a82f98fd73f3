"""Lease: of all processes that could do a task, one does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, RedisError

from launcher.ports import free_port
from launcher.redis_server import RedisServer, find_redis_server
from shared.bus import Bus, open_redis
from shared.bus.lease import Lease
from shared.catalog import INTEGRATION, MONITORING, SYSTEM, of_category
from shared.channels import Channels
from shared.errors import BusError, FencedError
from shared.settings import Settings
from tests.proxy import Proxy
from tests.replicated import needs_cluster
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


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Redis]:
    """A client of a Redis Cluster of one node, which refuses scripts that touch several slots as every cluster does."""
    port = free_port()
    node = await asyncio.create_subprocess_exec(
        *(find_redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--dir", tmp_path),
        *("--cluster-enabled", "yes", "--save", "", "--logfile", "log"),
    )
    async with Redis(port=port) as operator:

        async def ready() -> bool:
            with contextlib.suppress(RedisError):
                return b"cluster_state:ok" in await operator.execute_command("CLUSTER", "INFO")
            return False

        async def started() -> bool:
            with contextlib.suppress(RedisError):
                return bool(await operator.ping())
            return False

        await until(started)
        await operator.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
        await until(ready)
    async with open_redis(Settings(_env_file=None, redis_url=f"redis+cluster://127.0.0.1:{port}")) as client:
        yield client
    node.kill()
    await node.wait()


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


async def test_one_who_stands_by_is_woken_by_a_lease_given_back(redis: Redis, channels: Channels) -> None:
    """A holder that stops in order is followed at once, not only when its successor asks again."""
    loop = asyncio.get_running_loop()
    leases = [Lease(redis, channels, "work", 60) for _ in range(5)]
    await leases[0].refresh()
    async with contextlib.AsyncExitStack() as stack:
        tasks = [await stack.enter_async_context(held(lease)) for lease in leases]
        await until(lambda: all(lease.known for lease in leases))
        for _ in range(4):  # at four moments between two questions
            holder = next(place for place, lease in enumerate(leases) if lease.fence)
            given = loop.time()
            tasks[holder].cancel()
            others = [asyncio.create_task(lease.taken()) for place, lease in enumerate(leases) if place != holder]
            done, waiting = await asyncio.wait(others, timeout=0.2, return_when=asyncio.FIRST_COMPLETED)
            assert done, loop.time() - given
            for task in waiting:
                task.cancel()


async def test_a_dead_holder_is_followed_within_half_a_second_of_its_expiry(redis: Redis, channels: Channels) -> None:
    """One who stands by asks twice a second, however long the lease."""
    dead, second = Lease(redis, channels, "work", 60), Lease(redis, channels, "work", 60)
    await dead.refresh()
    async with held(second):
        await until(lambda: second.known)
        await redis.pexpire(channels.lease("work"), 50)
        await asyncio.wait_for(second.taken(), 0.9)


async def test_a_question_without_an_answer_is_repeated_while_the_lease_lasts(
    redis: Redis, redis_server: RedisServer, channels: Channels
) -> None:
    """A connection that died silently costs a holder one question, not its lease."""
    async with Proxy(urlsplit(redis_server.url).port or 0) as proxy:
        client = open_redis(Settings(_env_file=None, redis_url=proxy.before(redis_server.url)))
        lease = Lease(client, channels, "work", 1.5)
        async with held(lease):
            fence = await lease.taken()
            proxy.deaden()
            asked = lease._answered
            await asyncio.wait_for(asked.wait(), 1.5)
            assert lease.fence == fence
        await client.aclose()


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


async def test_a_lease_that_ran_out_by_the_clock_of_its_holder_is_a_new_one(redis: Redis, channels: Channels) -> None:
    """Renewed in time it keeps its fence. After a lapse it gets a new one, even if Redis still names it as the holder:
    a replica that was promoted may lag behind, and not know of the holder in between."""
    clock = Clock()
    lease = Lease(redis, channels, "work", 10, clock)
    fence = await lease.refresh()
    clock.now += 9
    assert await lease.refresh() == fence
    clock.now += 11
    assert await lease.refresh() > fence


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


class TestFencesOfServices:
    """Taking the lease of a category shuts out its earlier holders, before the new one has published anything."""

    async def test_an_earlier_holder_is_refused_at_once(self, redis: Redis, channels: Channels) -> None:
        """In every service of the category, whether it had published there or not."""
        old, new = (Lease(redis, channels, MONITORING, 60) for _ in range(2))
        bus, before = Bus(redis, channels, 10), await old.refresh()
        await bus.publish("scheduler", {}, fence=before)
        await redis.delete(channels.lease(MONITORING))
        after = await new.refresh()
        for service in of_category(MONITORING):
            with pytest.raises(FencedError):
                await bus.publish(service, {}, fence=before)
            with pytest.raises(FencedError):
                await bus.cursor_of(service, before)
            await bus.publish(service, {}, fence=after)

    async def test_other_services_are_left_alone(self, redis: Redis, channels: Channels) -> None:
        """A lease of another category, or of none, changes nothing of a service."""
        bus = Bus(redis, channels, 10)
        for name in (INTEGRATION, "work"):
            assert await Lease(redis, channels, name, 60).refresh() > 0
        for service in (*of_category(MONITORING), SYSTEM):
            assert not await redis.exists(channels.meta(service))
            await bus.publish(service, {})

    async def test_a_renewal_raises_nothing(self, redis: Redis, channels: Channels) -> None:
        """The holder's updates are accepted for as long as it renews."""
        lease, bus = Lease(redis, channels, MONITORING, 60), Bus(redis, channels, 10)
        fence = await lease.refresh()
        for _ in range(3):
            await bus.publish("scheduler", {}, fence=fence)
            assert await lease.refresh() == fence

    async def test_a_new_fence_is_above_that_of_every_service(self, redis: Redis, channels: Channels) -> None:
        """Also where Redis lost the counter and its clock was set back: else nobody could publish there again."""
        await redis.hset(channels.meta("scheduler"), "fence", 9 * 10**15)  # as if handed out in 2255
        fence = await Lease(redis, channels, MONITORING, 60).refresh()
        assert await Bus(redis, channels, 10).publish("scheduler", {}, fence=fence)

    async def test_a_holder_that_is_refused_gets_a_newer_fence(self, redis: Redis, channels: Channels) -> None:
        """A fence of an earlier holder may be above its own: on a server that has lost both, and has a clock behind."""
        lease, bus = Lease(redis, channels, MONITORING, 60), Bus(redis, channels, 10)
        before = await lease.refresh()
        await bus.publish("scheduler", {}, fence=before + 10**6)
        with pytest.raises(FencedError):
            await bus.publish("scheduler", {}, fence=before)
        lease.refused(before)
        assert lease.fence == 0
        after = await lease.refresh()
        await bus.publish("scheduler", {}, fence=after)
        lease.refused(before)  # a cycle that began under the earlier one
        assert lease.fence == after

    async def test_who_is_refused_because_another_holds_the_lease_stands_by(
        self, redis: Redis, channels: Channels
    ) -> None:
        """It takes nothing away from the new holder."""
        old, new = (Lease(redis, channels, MONITORING, 60) for _ in range(2))
        before = await old.refresh()
        await redis.delete(channels.lease(MONITORING))
        after = await new.refresh()
        old.refused(before)
        assert (await old.refresh(), await new.refresh()) == (0, after)

    async def test_a_key_of_another_type_stops_its_own_service_only(self, redis: Redis, channels: Channels) -> None:
        """The lease is taken, and the other services are published."""
        await redis.set(channels.meta("scheduler"), "not a hash")
        fence = await Lease(redis, channels, MONITORING, 60).refresh()
        assert await redis.hget(channels.meta("pool_manager"), "fence") == str(fence).encode()

    @needs_cluster
    async def test_on_a_cluster_fences_are_raised_before_the_lease_is_used(self, cluster: Redis) -> None:
        """Where one script can't touch every service, the holder has no fence until all earlier ones are shut out."""
        names = Channels()
        await cluster.hset(names.meta("scheduler"), "fence", 9 * 10**15)  # as if handed out in 2255
        lease = Lease(cluster, names, MONITORING, 60)
        fence = await lease.refresh()
        assert fence == lease.fence > 9 * 10**15
        metas = [names.meta(service) for service in of_category(MONITORING)]
        assert {await cluster.hget(meta, "fence") for meta in metas} == {str(fence).encode()}
        await cluster.hset(metas[0], "fence", 1)
        assert await lease.refresh() == fence
        assert await cluster.hget(metas[0], "fence") == b"1"  # a renewal costs one call

    @needs_cluster
    async def test_on_a_cluster_a_key_of_another_type_keeps_nobody_from_the_lease(self, cluster: Redis) -> None:
        """A worker leads the other services of its category, as on one server."""
        broken, *metas = [Channels().meta(service) for service in of_category(MONITORING)]
        await cluster.set(broken, "foreign")
        fence = await Lease(cluster, Channels(), MONITORING, 60).refresh()
        assert fence > 0
        assert {await cluster.hget(meta, "fence") for meta in metas} == {str(fence).encode()}

    @needs_cluster
    async def test_on_a_cluster_it_is_handed_over_and_ages_are_known(self, cluster: Redis) -> None:
        """A stand-by is woken there too, and learns when each service was published."""
        first, second = (Lease(cluster, Channels(), MONITORING, 60) for _ in range(2))
        await first.refresh()
        async with held(first) as ending, held(second):
            await until(lambda: second.known)
            await Bus(cluster, Channels(), 10).publish("scheduler", {}, fence=first.fence)
            ending.cancel()
            await asyncio.wait_for(second.taken(), 0.4)
        found = await Bus(cluster, Channels(), 10).last_publishes(of_category(MONITORING))
        assert list(found) == ["scheduler"]
        assert (found["scheduler"].position.seq, found["scheduler"].own) == (1, False)
        assert 0 <= (found["scheduler"].age or 0) < 5


async def test_a_full_redis_still_leases(own_redis: Redis, channels: Channels) -> None:
    """Over `maxmemory` a lease is taken, renewed and given back: it takes no room, and nothing works without it."""
    first, second = (Lease(own_redis, channels, MONITORING, 60) for _ in range(2))
    await own_redis.config_set("maxmemory", 1)
    with pytest.raises(OutOfMemoryError):
        await own_redis.set("key", "value")
    async with held(first):
        await until(lambda: first.fence > 0)
        assert await first.refresh() == first.fence
        assert await own_redis.hget(channels.meta("scheduler"), "fence") == str(first.fence).encode()
    assert await second.refresh() > 0
