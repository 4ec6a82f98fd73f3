"""Publish: one call counts, keeps and delivers (docs/how-to/read-a-channel.md)."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from launcher.redis_server import RedisServer
from shared.bus import Bus, Position, open_redis
from shared.bus.client import fault_name
from shared.channels import Channels
from shared.envelope import Envelope
from shared.errors import BusError, EnvelopeError, FencedError
from shared.settings import Settings
from tests.shared.conftest import settings_of
from tests.shared.listening import SERVICE, Listener
from tests.shared.outage import restart
from tests.waiting import until

NODE_SLACK = 100  # entries in one node of a Redis stream: with `~` only whole nodes are trimmed


async def state(redis: Redis, channels: Channels) -> tuple[object, ...]:
    """All that Redis keeps of the service."""
    return (
        await redis.hgetall(channels.meta(SERVICE)),
        await redis.xrange(channels.stream(SERVICE)),
        await redis.get(channels.last(SERVICE)),
    )


async def test_seq_counts_by_one_within_an_epoch(bus: Bus) -> None:
    """Every publish of a service gets the next seq of the same epoch."""
    positions = [await bus.publish(SERVICE, {"n": n}) for n in range(5)]
    assert [position.seq for position in positions] == [1, 2, 3, 4, 5]
    assert len({position.epoch for position in positions}) == 1


async def test_services_count_for_themselves(bus: Bus) -> None:
    """One service's seq and epoch are nothing to another's."""
    first, other = await bus.publish("news", {}), await bus.publish("sentiment", {})
    assert (first.seq, other.seq) == (1, 1)
    assert first.epoch != other.epoch


async def test_concurrent_publishers_give_each_seq_out_once(redis: Redis, channels: Channels) -> None:
    """Ten publishers at once: each seq once, and the channel's order is the order of seq."""
    buses = [Bus(redis, channels, 2000) for _ in range(10)]

    async def work(bus: Bus) -> list[Position]:
        return [await bus.publish(SERVICE, {"n": n}) for n in range(50)]

    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(channels.channel(SERVICE))
        await pubsub.get_message(timeout=5)
        positions = [position for part in await asyncio.gather(*map(work, buses)) for position in part]
        delivered = [await pubsub.get_message(timeout=5) for _ in positions]
    assert sorted(position.seq for position in positions) == list(range(1, 501))
    assert [Envelope.unpack(message["data"]).seq for message in delivered if message] == list(range(1, 501))
    assert len(await redis.xrange(channels.stream(SERVICE))) == 500


async def test_the_stream_is_bounded(redis: Redis, channels: Channels) -> None:
    """The stream keeps at least the length asked for and at most one node of Redis's more; ids are `<seq>-0`."""
    bus = Bus(redis, channels, 50, history_bytes=0)
    for n in range(400):
        await bus.publish(SERVICE, {"n": n})
    entries = await redis.xrange(channels.stream(SERVICE))
    assert 50 <= len(entries) <= 50 + NODE_SLACK
    assert [key for key, _ in entries] == [f"{seq}-0".encode() for seq in range(401 - len(entries), 401)]
    assert all(list(fields) == [b"m"] for _, fields in entries)


class TestHistoryBytes:
    """Beyond its length, the stream keeps all updates of the last one to two minutes, as far as they fit."""

    async def test_a_burst_is_kept_whole(self, redis: Redis, channels: Channels) -> None:
        """Also by a publisher that does not name a number of bytes."""
        bus = Bus(redis, channels, 10)
        for n in range(300):
            await bus.publish(SERVICE, {"n": n})
        assert await redis.xlen(channels.stream(SERVICE)) == 300

    async def test_what_does_not_fit_goes_first(self, redis: Redis, channels: Channels) -> None:
        """The bytes of messages are bounded, but for one node of the stream; the newest are kept."""
        bus = Bus(redis, channels, 10, history_bytes=100_000)
        for n in range(400):
            await bus.publish(SERVICE, {"n": n, "text": "x" * 900})
        entries = await redis.xrange(channels.stream(SERVICE))
        size = sum(len(fields[b"m"]) for _, fields in entries)
        assert 95_000 <= size <= 100_000 + NODE_SLACK * 1000
        assert entries[-1][0] == b"400-0"

    async def test_the_length_is_kept_however_large(self, redis: Redis, channels: Channels) -> None:
        """Bytes bound only what is beyond it."""
        bus = Bus(redis, channels, 50, history_bytes=1000)
        for _ in range(60):
            await bus.publish(SERVICE, {"text": "x" * 900})
        assert await redis.xlen(channels.stream(SERVICE)) >= 50

    @pytest.mark.parametrize(("minutes", "kept"), [(1, 301), (2, 10)])
    async def test_a_burst_is_forgotten_after_a_minute_or_two(
        self, redis: Redis, channels: Channels, minutes: int, kept: int
    ) -> None:
        """In the minute after a burst all of it is still kept; later the stream has its length again."""
        bus, meta = Bus(redis, channels, 10), channels.meta(SERVICE)
        for n in range(300):
            await bus.publish(SERVICE, {"n": n})
        minute, *counts = (await redis.hget(meta, "recent")).decode().split(":")
        assert int(counts[0]) + int(counts[2]) == 300  # the minute may just have ended
        counts = ["300", "30000", "0", "0"]
        await redis.hset(meta, "recent", ":".join([str(int(minute) - minutes), *counts]))
        await bus.publish(SERVICE, {"n": 300})
        assert kept <= await redis.xlen(channels.stream(SERVICE)) <= kept + NODE_SLACK

    async def test_a_full_redis_has_room_again(self, own_redis: Redis, channels: Channels) -> None:
        """Over `maxmemory`, what is kept beyond the length goes first, and the update is published all the same."""
        bus = Bus(own_redis, channels, 10)
        for _ in range(300):
            position = await bus.publish(SERVICE, {"text": "x" * 10_000})
        used = (await own_redis.info("memory"))["used_memory"]
        await own_redis.config_set("maxmemory", used - 1_000_000)
        for n in range(3):
            assert await bus.publish(SERVICE, {"n": n}) == Position(position.epoch, position.seq + n + 1)
        assert 10 <= await own_redis.xlen(channels.stream(SERVICE)) <= 13

    async def test_a_full_redis_without_anything_to_spare_refuses(self, own_redis: Redis, channels: Channels) -> None:
        """Then no seq is used up, and a publish works once there is room."""
        bus = Bus(own_redis, channels, 10)
        before = await bus.publish(SERVICE, {})
        await own_redis.config_set("maxmemory", 1)
        with pytest.raises(BusError, match=r"OutOfMemoryError|OOM"):
            await bus.publish(SERVICE, {})
        await own_redis.config_set("maxmemory", 0)
        assert await bus.publish(SERVICE, {}) == Position(before.epoch, 2)


async def test_last_is_the_newest_message(redis: Redis, bus: Bus, channels: Channels) -> None:
    """`last` holds the bytes that the channel and the stream got."""
    async with Listener(redis, channels) as listener:
        await listener.proven()
        for n in range(3):
            await bus.publish(SERVICE, {"n": n})
        await listener.hears(0, 1, 2)
    assert await redis.get(channels.last(SERVICE)) == listener.raw[-1]
    assert [fields[b"m"] for _, fields in await redis.xrange(channels.stream(SERVICE))] == listener.raw


async def test_meta_says_epoch_seq_and_fence(redis: Redis, bus: Bus, channels: Channels) -> None:
    """The meta hash has the newest position and the fence it was published with."""
    position = await bus.publish(SERVICE, {}, fence=1_763_900_000_123)
    meta = await redis.hgetall(channels.meta(SERVICE))
    assert meta[b"epoch"].decode() == position.epoch
    assert (meta[b"seq"], meta[b"fence"]) == (b"1", b"1763900000123")


async def test_a_cursor_is_stored_with_its_update(bus: Bus) -> None:
    """A publisher's cursor is stored with its update; an update without one leaves the stored cursor."""
    assert await bus.cursor_of(SERVICE) is None
    await bus.publish(SERVICE, {"n": 1}, cursor=b"\x00 at 1")
    await bus.publish(SERVICE, {"n": 2})
    assert await bus.cursor_of(SERVICE) == b"\x00 at 1"
    await bus.publish(SERVICE, {"n": 3}, fence=2, cursor=b"at 3")
    with pytest.raises(FencedError):
        await bus.publish(SERVICE, {"n": 4}, fence=1, cursor=b"at 4")
    assert await bus.cursor_of(SERVICE) == b"at 3"
    assert await bus.cursor_of("news") is None


async def test_an_older_fence_is_refused(redis: Redis, bus: Bus, channels: Channels) -> None:
    """Publishing with an older fence, or without one, is a FencedError, and nothing is counted or stored."""
    await bus.publish(SERVICE, {"n": 1}, fence=8)
    before = await state(redis, channels)
    for fence in (7, 0):
        with pytest.raises(FencedError, match=SERVICE):
            await bus.publish(SERVICE, {"n": 2}, fence=fence)
    assert await state(redis, channels) == before
    assert (await bus.publish(SERVICE, {"n": 2}, fence=8)).seq == 2
    assert (await bus.publish(SERVICE, {"n": 3}, fence=9)).seq == 3


async def test_data_that_cannot_be_packed_is_refused(redis: Redis, bus: Bus, channels: Channels) -> None:
    """EnvelopeError, and nothing is counted or kept."""
    await bus.publish(SERVICE, {})
    before = await state(redis, channels)
    with pytest.raises(EnvelopeError):
        await bus.publish(SERVICE, {"n": object()})
    assert await state(redis, channels) == before


async def test_a_redis_that_cannot_write_refuses_and_goes_on_where_it_was(
    own_server: RedisServer, own_redis: Redis, channels: Channels
) -> None:
    """Redis takes no write while its disk fails: a BusError with Redis' own word for it, and no seq is used up."""
    bus = Bus(own_redis, channels, 10)
    first = await bus.publish(SERVICE, {})
    # A snapshot can't take the name of a folder that isn't empty, which stops writes as a full disk does.
    (own_server.folder / "dump.rdb" / "in the way").mkdir(parents=True)
    await own_redis.config_set("save", "3600 100000")
    await own_redis.bgsave()

    async def failed() -> bool:
        return (await own_redis.info("persistence"))["rdb_last_bgsave_status"] == "err"

    await until(failed)
    with pytest.raises(BusError, match="MISCONF"):
        await bus.publish(SERVICE, {})
    with pytest.raises(RedisError) as caught:
        await own_redis.set("key", "a value that is nobody's business")
    assert fault_name(caught.value) == "ResponseError MISCONF"
    await own_redis.config_set("save", "")
    assert await bus.publish(SERVICE, {}) == Position(first.epoch, 2)


async def test_redis_away_is_a_bus_error_at_once(own_server: RedisServer, channels: Channels) -> None:
    """Without a server, publish fails with BusError without waiting, and works once Redis is up."""
    redis = open_redis(settings_of(own_server))
    bus = Bus(redis, channels, 10)
    began = time.monotonic()
    with pytest.raises(BusError, match=SERVICE):
        await bus.publish(SERVICE, {})
    assert time.monotonic() - began < 3  # before the wait for a connection would have ended
    own_server.start()
    assert (await bus.publish(SERVICE, {})).seq == 1
    await redis.aclose()


async def test_a_refused_command_is_a_bus_error_and_counts_nothing(redis: Redis, bus: Bus, channels: Channels) -> None:
    """If the stream's key holds another type, publish fails, and no seq is used up."""
    before = await bus.publish(SERVICE, {})
    await redis.delete(channels.stream(SERVICE))
    await redis.set(channels.stream(SERVICE), "not a stream")
    for _ in range(2):
        with pytest.raises(BusError):
            await bus.publish(SERVICE, {})
    await redis.delete(channels.stream(SERVICE))
    assert await bus.publish(SERVICE, {}) == Position(before.epoch, 2)


async def test_a_stream_that_is_ahead_of_the_count_begins_a_new_epoch(
    redis: Redis, bus: Bus, channels: Channels
) -> None:
    """A foreign entry with a high id in the stream does not stop the service permanently."""
    first = await bus.publish(SERVICE, {"n": 1})
    await redis.xadd(channels.stream(SERVICE), {"foreign": "entry"})
    second, third = await bus.publish(SERVICE, {"n": 2}), await bus.publish(SERVICE, {"n": 3})
    assert second.epoch != first.epoch
    assert third == Position(second.epoch, 2)
    assert [key for key, _ in await redis.xrange(channels.stream(SERVICE))] == [b"1-0", b"2-0"]


async def test_a_new_publisher_goes_on_where_the_last_one_stopped(
    redis: Redis, bus: Bus, channels: Channels, settings: Settings
) -> None:
    """A takeover without a restart of Redis costs no epoch."""
    before = await bus.publish(SERVICE, {}, fence=1)
    after = await Bus(redis, channels, settings.history_length).publish(SERVICE, {}, fence=2)
    assert after == Position(before.epoch, before.seq + 1)


class TestEpochs:
    """When an epoch ends (ADR 2): when it can't be proven that no seq was given out twice."""

    async def test_lost_meta_begins_a_new_one(self, redis: Redis, bus: Bus, channels: Channels) -> None:
        """Without its meta hash the service starts a new epoch at 1, with an empty history."""
        positions = [await bus.publish(SERVICE, {"n": n}) for n in range(3)]
        await redis.delete(channels.meta(SERVICE))
        positions.append(await bus.publish(SERVICE, {"n": 3}))
        assert positions[-1].epoch != positions[0].epoch
        assert positions[-1].seq == 1
        assert len(await redis.xrange(channels.stream(SERVICE))) == 1

    async def test_flushall_begins_a_new_one(self, own_redis: Redis, channels: Channels) -> None:
        """So it does after FLUSHALL, with every loss another name."""
        bus = Bus(own_redis, channels, 10)
        epochs = set()
        for _ in range(3):
            epochs.add((await bus.publish(SERVICE, {})).epoch)
            await own_redis.flushall()
        assert len(epochs) == 3

    async def test_lost_writes_begin_a_new_one(self, redis: Redis, bus: Bus, channels: Channels) -> None:
        """A publisher at seq 5 begins a new epoch if Redis is at 3, as 4 was published before."""
        for n in range(5):
            before = await bus.publish(SERVICE, {"n": n})
        await redis.hset(channels.meta(SERVICE), "seq", 3)
        after = await bus.publish(SERVICE, {"n": 5})
        assert after.epoch != before.epoch
        assert after.seq == 1

    async def test_a_restart_under_a_publisher_goes_on(
        self, own_server: RedisServer, own_redis: Redis, channels: Channels
    ) -> None:
        """Redis restarted with its data intact: the same publisher goes on in the same epoch."""
        bus = Bus(own_redis, channels, 10)
        before = [await bus.publish(SERVICE, {"n": n}, fence=1) for n in range(3)]
        await restart(own_server)
        after = [await bus.publish(SERVICE, {"n": n}, fence=1) for n in range(2)]
        assert {position.epoch for position in after} == {before[0].epoch}
        assert [position.seq for position in after] == [4, 5]

    async def test_a_restart_with_a_new_publisher_begins_a_new_one(
        self, own_server: RedisServer, own_redis: Redis, channels: Channels
    ) -> None:
        """After a restart a publisher without memory begins a new epoch, once."""
        before = await Bus(own_redis, channels, 10).publish(SERVICE, {})
        await restart(own_server)
        bus = Bus(own_redis, channels, 10)
        after = [await bus.publish(SERVICE, {}) for _ in range(2)]
        assert after[0].epoch != before.epoch
        assert [position.seq for position in after] == [1, 2]
        assert after[1].epoch == after[0].epoch

    async def test_an_old_memory_does_not_vouch_for_what_another_published(
        self, own_server: RedisServer, own_redis: Redis, channels: Channels
    ) -> None:
        """After a restart, a publisher that led once, before another, begins a new epoch: it can't know where the other
        one stopped."""
        early, late = Bus(own_redis, channels, 10), Bus(own_redis, channels, 10)
        await early.publish(SERVICE, {}, fence=1)
        before = await late.publish(SERVICE, {}, fence=2)
        await restart(own_server)
        after = await early.publish(SERVICE, {}, fence=3)
        assert after.epoch != before.epoch
        assert after.seq == 1

    async def test_concurrent_publishes_leave_the_highest_position_remembered(
        self, redis: Redis, channels: Channels
    ) -> None:
        """However the answers of concurrent publishes arrive, losing the newest is noticed."""
        bus = Bus(redis, channels, 10)
        for _ in range(20):
            newest = max(await asyncio.gather(*(bus.publish(SERVICE, {}) for _ in range(10))), key=lambda p: p.seq)
            await redis.hset(channels.meta(SERVICE), "seq", newest.seq - 1)
            await redis.xtrim(channels.stream(SERVICE), maxlen=0)
            assert (await bus.publish(SERVICE, {})).epoch != newest.epoch
