"""An update is published once, whatever happens to the answer of Redis (ADR 29)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from launcher.redis_server import RedisServer
from shared.bus import Bus, Position, open_redis
from shared.bus.client import load_script
from shared.channels import Channels
from shared.envelope import Envelope, pack_draft
from shared.errors import BusError, FencedError, UnconfirmedError
from shared.settings import Settings
from shared.timestamps import now_iso
from tests.proxy import Proxy
from tests.replicated import Member
from tests.shared.listening import SERVICE
from tests.shared.outage import pause, resume
from tests.waiting import until


class Line:
    """A Redis that this test reads directly, and a publisher whose line to it fails."""

    def __init__(self, redis: Redis, channels: Channels, proxy: Proxy, bus: Bus) -> None:
        self.redis = redis
        self.channels = channels
        self.proxy = proxy
        self.bus = bus

    async def published(self, service: str = SERVICE) -> list[Any]:
        """What `n` was published, in order."""
        entries = await self.redis.xrange(self.channels.stream(service))
        return [Envelope.unpack(fields[b"m"]).data["n"] for _, fields in entries]

    @contextlib.asynccontextmanager
    async def unanswered(self, n: int, service: str = SERVICE, **options: Any) -> AsyncIterator[asyncio.Task[Position]]:
        """A publish that Redis has executed, and whose answer is on its way."""
        self.proxy.delay(0.3)
        task = asyncio.create_task(self.bus.publish(service, {"n": n}, **options))

        async def executed() -> bool:
            return n in await self.published(service)

        await until(executed)
        try:
            yield task
        finally:
            self.proxy.heal()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest_asyncio.fixture
async def line(redis: Redis, channels: Channels, redis_server: RedisServer, settings: Settings) -> AsyncIterator[Line]:
    """A publisher whose line to Redis can fail."""
    async with Proxy(redis_server.port) as proxy:
        url = proxy.before(redis_server.url)
        through = open_redis(Settings(_env_file=None, redis_url=url, redis_prefix=settings.redis_prefix))
        await through.ping()  # else `delay` would hold up the opening of the connection
        yield Line(redis, channels, proxy, Bus(through, channels, 10))
        await through.aclose()


async def test_a_lost_answer_is_asked_for_again(line: Line) -> None:
    """The connection breaks after Redis has published: the publisher learns the position, and nobody gets it twice."""
    await line.bus.publish(SERVICE, {"n": 1})
    async with line.unanswered(2) as task:
        line.proxy.cut()
        line.proxy.heal()
        assert (await task).seq == 2
    assert (await line.bus.publish(SERVICE, {"n": 3})).seq == 3
    assert await line.published() == [1, 2, 3]


async def test_what_never_arrived_is_sent_again(line: Line) -> None:
    """A connection that died silently, as when a NAT forgot it, delays an update by two seconds."""
    await line.bus.publish(SERVICE, {"n": 1})
    line.proxy.deaden()
    assert (await line.bus.publish(SERVICE, {"n": 2})).seq == 2
    assert await line.published() == [1, 2]


@pytest.mark.parametrize("service", [SERVICE, "system"])
async def test_a_repetition_is_recognized_after_others_have_published(line: Line, service: str) -> None:
    """Several publishers of one service: each learns its own position, however late."""
    other = Bus(line.redis, line.channels, 10)
    async with line.unanswered(1, service) as task:
        line.proxy.cut(refuse=True)
        later = [await other.publish(service, {"n": n}) for n in (2, 3)]
        line.proxy.heal()
        assert await task == Position(later[0].epoch, 1)
    assert [position.seq for position in later] == [2, 3]
    assert await line.published(service) == [1, 2, 3]


async def test_a_repetition_is_recognized_after_a_takeover(line: Line) -> None:
    """An update that was published before the lease passed on was published, and is not refused."""
    async with line.unanswered(1, fence=5) as task:
        line.proxy.cut(refuse=True)
        await Bus(line.redis, line.channels, 10).publish(SERVICE, {"n": 2}, fence=6)
        line.proxy.heal()
        assert (await task).seq == 1
    with pytest.raises(FencedError):
        await line.bus.publish(SERVICE, {"n": 3}, fence=5)
    assert await line.published() == [1, 2]


async def test_trying_again_after_giving_up_is_a_repetition_too(line: Line) -> None:
    """A caller that was told nothing may publish the same again."""
    async with line.unanswered(1) as task:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert (await line.bus.publish(SERVICE, {"n": 1})).seq == 1
    assert (await line.bus.publish(SERVICE, {"n": 1})).seq == 2  # confirmed in between: these are two updates
    assert await line.published() == [1, 1]


async def test_a_publisher_that_gave_up_does_not_vouch(line: Line) -> None:
    """It can't know whether a seq was given out that another server has lost."""
    before = await line.bus.publish(SERVICE, {"n": 1})
    async with line.unanswered(2) as task:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await line.redis.hset(line.channels.meta(SERVICE), "run_id", "0" * 40)
    after = await line.bus.publish(SERVICE, {"n": 3})
    assert after.epoch != before.epoch
    await line.redis.hset(line.channels.meta(SERVICE), "run_id", "0" * 40)
    assert await line.bus.publish(SERVICE, {"n": 4}) == Position(after.epoch, 2)  # now it knows again


async def test_a_repetition_after_redis_lost_the_update_publishes_the_same(line: Line) -> None:
    """The one case that ADR 2 had left: its seq is given out twice, to the same update."""
    before = await line.bus.publish(SERVICE, {"n": 1})
    names = [line.channels.meta(SERVICE), line.channels.stream(SERVICE), line.channels.last(SERVICE)]
    copies = [await line.redis.dump(name) for name in names]
    async with line.unanswered(2) as task:
        line.proxy.cut(refuse=True)
        lost = await line.redis.get(names[2])
        await line.redis.delete(*names)
        for name, copy in zip(names, copies, strict=True):
            await line.redis.restore(name, 0, copy)  # type: ignore[no-untyped-call]
        await line.redis.hset(names[0], "run_id", "0" * 40)
        line.proxy.heal()
        assert await task == Position(before.epoch, 2)
    assert await line.redis.get(names[2]) == lost


async def test_what_nobody_answers_is_unconfirmed(
    own_server: RedisServer, own_redis: Redis, channels: Channels
) -> None:
    """Within a bound, and it may still be published later: once, and never behind a newer update."""
    bus = Bus(own_redis, channels, 10, repeat_seconds=1.0)
    await bus.publish(SERVICE, {"n": 1})
    loop = asyncio.get_running_loop()
    began = loop.time()
    pause(own_server)
    with pytest.raises(UnconfirmedError, match=SERVICE):
        await bus.publish(SERVICE, {"n": 2})
    assert 0.9 < loop.time() - began < 3
    resume(own_server)
    await bus.publish(SERVICE, {"n": 3})
    entries = await own_redis.xrange(channels.stream(SERVICE))
    published = [Envelope.unpack(fields[b"m"]).data["n"] for _, fields in entries]
    assert published in ([1, 2, 3], [1, 3])


async def test_without_a_connection_nothing_is_repeated(own_server: RedisServer, channels: Channels) -> None:
    """An update that surely was not published is a plain BusError at once."""
    redis = open_redis(Settings(_env_file=None, redis_url=own_server.url))  # which is not started
    with pytest.raises(BusError) as caught:
        await Bus(redis, channels, 10).publish(SERVICE, {"n": 1})
    assert not isinstance(caught.value, UnconfirmedError)
    await redis.aclose()


async def test_updates_of_one_publisher_are_published_in_the_order_of_calls(line: Line) -> None:
    """Also where connections break: one goes after the other."""
    tasks = [asyncio.create_task(line.bus.publish(SERVICE, {"n": n})) for n in range(10)]
    line.proxy.delay(0.02)

    async def begun() -> bool:
        return len(await line.published()) >= 3

    await until(begun)
    line.proxy.cut()
    assert [position.seq for position in await asyncio.gather(*tasks)] == list(range(1, 11))
    assert await line.published() == list(range(10))


class TestScript:
    """What publish.lua answers to numbers."""

    @pytest.fixture
    def call(self, redis: Redis, channels: Channels) -> Any:
        """Publish as `publisher`, as its update of that number."""
        script = load_script(redis, "publish")
        keys = [channels.meta(SERVICE), channels.stream(SERVICE), channels.last(SERVICE)]

        async def call(publisher: str, number: int, fence: int = 0) -> int:
            draft = pack_draft(SERVICE, {"by": publisher, "number": number}, now_iso())
            args = [channels.channel(SERVICE), fence, draft, 10, "epoch", "", 0, publisher, "", number]
            return int((await script(keys=keys, args=args))[1])

        return call

    async def test_the_same_number_is_the_same_update(self, call: Any, redis: Redis, channels: Channels) -> None:
        """Its position is that of the first time, and nothing is stored or delivered."""
        assert [await call("a", 1), await call("a", 2), await call("a", 2)] == [1, 2, 2]
        assert await redis.xlen(channels.stream(SERVICE)) == 2

    async def test_a_lower_number_comes_too_late(self, call: Any) -> None:
        """Bytes of an update that was given up arrive behind a newer one: an old state must not become the newest."""
        assert await call("a", 2) == 1
        with pytest.raises(ResponseError, match="LATE"):
            await call("a", 1)
        assert await call("b", 1) == 2
        with pytest.raises(ResponseError, match="LATE"):
            await call("a", 1)

    async def test_sixteen_publishers_are_remembered(self, call: Any, redis: Redis, channels: Channels) -> None:
        """Those that published last; what is kept of them does not grow."""
        names = [f"{n:016x}" for n in range(20)]
        assert [await call(name, 7) for name in names] == list(range(1, 21))
        assert [await call(name, 7) for name in names[4:]] == list(range(5, 21))
        assert await call(names[3], 7) == 21  # forgotten
        entries = (await redis.hget(channels.meta(SERVICE), "publishers") or b"").split()
        assert [entry.split(b":")[0].decode() for entry in entries] == [names[3], *reversed(names[5:])]

    async def test_a_repetition_is_answered_whatever_its_fence(self, call: Any) -> None:
        """What has been published has been published; what has not is refused."""
        assert await call("a", 1, 5) == 1
        assert await call("b", 1, 6) == 2
        assert await call("a", 1, 5) == 1
        with pytest.raises(ResponseError, match="FENCED"):
            await call("a", 2, 5)


class TestReplicas:
    """PUBLISH_REPLICAS: a publish waits until so many replicas have it."""

    @pytest_asyncio.fixture
    async def replica(self, own_server: RedisServer, own_redis: Redis, tmp_path: Path) -> AsyncIterator[Member]:
        """A replica of the test's own server."""
        await own_redis.config_set("repl-diskless-sync-delay", 0)
        member = Member(tmp_path / "replica", own_server.password).start()
        async with member.client() as client:
            await client.replicaof("127.0.0.1", own_server.port)

            async def linked() -> bool:
                return (await client.info("replication"))["master_link_status"] == "up"

            await until(linked, 20)
        yield member
        member.kill()

    async def test_an_update_is_on_the_replica_when_it_is_confirmed(
        self, own_redis: Redis, channels: Channels, replica: Member
    ) -> None:
        """With one replica asked for, it has every update that the publisher knows of."""
        missed: list[str] = []
        bus = Bus(own_redis, channels, 10, replicas=1, on_unreplicated=missed.append)
        async with replica.client() as client:
            for n in range(20):
                await bus.publish(SERVICE, {"n": n})
                assert await client.xlen(channels.stream(SERVICE)) == n + 1
        assert missed == []

    async def test_too_few_replicas_stop_nothing(self, own_redis: Redis, channels: Channels, replica: Member) -> None:
        """The update is published once, after half a second, and reported as not replicated."""
        missed: list[str] = []
        bus = Bus(own_redis, channels, 10, replicas=1, on_unreplicated=missed.append)
        replica.kill()
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert (await bus.publish(SERVICE, {"n": 1})).seq == 1
        assert 0.4 < loop.time() - began < 5  # the deadline of a command
        assert missed == [SERVICE]
        assert await own_redis.xlen(channels.stream(SERVICE)) == 1


async def test_who_may_not_wait_has_published_all_the_same(own_redis: Redis, channels: Channels) -> None:
    """A refused WAIT says nothing of the update before it: no replica is known to have it, and it is not repeated."""
    await own_redis.execute_command("ACL", "SETUSER", "default", "-wait")
    missed: list[str] = []
    bus = Bus(own_redis, channels, 10, replicas=1, on_unreplicated=missed.append)
    assert (await bus.publish(SERVICE, {"n": 1})).seq == 1
    assert (await bus.publish(SERVICE, {"n": 2})).seq == 2
    assert missed == [SERVICE, SERVICE]
