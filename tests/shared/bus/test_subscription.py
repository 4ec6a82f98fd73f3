"""Subscription: every update once and in order, while Redis is there."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from shared.bus import Bus, Gap
from shared.channels import Channels
from shared.envelope import Envelope
from tests.shared.bus.test_epochs import Keys
from tests.shared.listening import SERVICE, Listener
from tests.shared.outage import Clock
from tests.waiting import until


async def publish(bus: Bus, *numbers: int) -> None:
    """Publish an update for each number."""
    for n in numbers:
        await bus.publish(SERVICE, {"n": n})


async def test_updates_arrive_in_order_decoded_and_as_they_stand_in_redis(
    redis: Redis, bus: Bus, channels: Channels
) -> None:
    """Each update is delivered with its bytes, in the order of seq."""
    async with Listener(redis, channels) as listener:
        await listener.proven()
        await publish(bus, *range(20))
        await listener.hears(*range(20))
    assert listener.seqs == list(range(1, 21))
    assert [Envelope.unpack(raw) for raw in listener.raw] == listener.heard


async def test_a_new_subscriber_gets_the_history_first(redis: Redis, bus: Bus, channels: Channels) -> None:
    """What the stream holds is delivered before what comes next, however many pages that is."""
    await publish(bus, *range(450))
    async with Listener(redis, channels) as listener:
        await listener.proven()
        await publish(bus, 450)
        await listener.hears(*range(451))
    assert listener.count("gap_filled") == 450
    assert listener.count("gap_unfilled") == 0


async def test_each_service_has_its_own_order(redis: Redis, bus: Bus, channels: Channels) -> None:
    """A subscription carries several services, each without holes."""
    services = ("market_data", "news", "system")
    async with Listener(redis, channels, services) as listener:
        await listener.proven()
        for n in range(30):
            await bus.publish(services[n % 3], {"n": n})
        await bus.publish("sentiment", {"n": 30})
        await until(lambda: len(listener.heard) == 30)
    for service in services:
        assert [e.seq for e in listener.heard if e.service == service] == list(range(1, 11))


async def test_nothing_is_lost_or_doubled_under_load_while_connections_are_cut(
    redis: Redis, channels: Channels
) -> None:
    """Two thousand updates of four publishers, and the connection killed again and again: each once, in order."""
    async with Listener(redis, channels, jitter=lambda: 0.1) as listener:
        await listener.proven()
        buses = [Bus(redis, channels, 5000) for _ in range(4)]
        count = 0

        async def work(bus: Bus) -> None:
            nonlocal count
            while count < 2000:
                count += 1
                await bus.publish(SERVICE, {"n": count})
                if count % 400 == 0:
                    await cut(redis, listener)

        await asyncio.gather(*map(work, buses))
        await until(lambda: len(listener.heard) >= count, 20)
    assert listener.seqs == list(range(1, count + 1))
    assert listener.count("reconnects", None) >= 5
    assert listener.count("gap_unfilled") == 0


async def cut(redis: Redis, listener: Listener) -> None:
    """Kill the subscription's connection on the server."""
    await listener.proven()
    before = listener.count("reconnects", None)
    await redis.client_kill_filter(_type="pubsub")
    await until(lambda: listener.count("reconnects", None) > before)


async def test_what_is_published_while_the_connection_is_cut_is_filled(
    redis: Redis, bus: Bus, channels: Channels
) -> None:
    """After a reconnect the hole is read from the stream before anything newer is delivered."""
    async with Listener(redis, channels, jitter=lambda: 1.0) as listener:
        await listener.proven()
        await publish(bus, 1)
        await listener.hears(1)
        filled = listener.count("gap_filled")
        await cut(redis, listener)
        await publish(bus, 2, 3)
        assert listener.numbers == [1]
        await listener.hears(1, 2, 3)
        await listener.proven()
        await publish(bus, 4)
        await listener.hears(1, 2, 3, 4)
    assert listener.count("gap_filled") == filled + 2
    assert listener.count("gap_unfilled") == 0


async def test_duplicates_are_dropped(redis: Redis, bus: Bus, channels: Channels) -> None:
    """A message that the channel repeats is counted and not delivered again."""
    async with Listener(redis, channels) as listener:
        await listener.proven()
        await publish(bus, 1, 2, 3)
        await listener.hears(1, 2, 3)
        before = listener.count("duplicates")
        for raw in tuple(listener.raw):
            await redis.publish(channels.channel(SERVICE), raw)
        await publish(bus, 4)
        await listener.hears(1, 2, 3, 4)
    assert listener.count("duplicates") == before + 3


async def test_a_skipped_seq_is_read_from_the_stream(redis: Redis, bus: Bus, channels: Channels) -> None:
    """A message that shows a hole waits until the hole is filled."""
    async with Listener(redis, channels) as listener:
        await listener.proven()
        await publish(bus, 1)
        await listener.hears(1)
        elsewhere = Bus(redis, Channels(channels.prefix + "x"), 10)  # the same service, on a channel nobody reads
        await redis.rename(channels.meta(SERVICE), Channels(channels.prefix + "x").meta(SERVICE))
        await redis.rename(channels.stream(SERVICE), Channels(channels.prefix + "x").stream(SERVICE))
        await publish(elsewhere, 2, 3)
        await redis.rename(Channels(channels.prefix + "x").meta(SERVICE), channels.meta(SERVICE))
        await redis.rename(Channels(channels.prefix + "x").stream(SERVICE), channels.stream(SERVICE))
        await publish(bus, 4)
        await listener.hears(1, 2, 3, 4)
    assert listener.count("gap_filled") >= 2


async def test_foreign_messages_are_counted_and_dropped(redis: Redis, bus: Bus, channels: Channels) -> None:
    """Foreign bytes on the channel or in the stream cause no lost update."""
    async with Listener(redis, channels, (SERVICE, "news")) as listener:
        await listener.proven()
        await bus.publish("news", {"n": 0})
        await until(lambda: len(listener.heard) == 1)
        await redis.publish(channels.channel(SERVICE), b"\xc1 not ours")
        await redis.publish(channels.channel(SERVICE), listener.raw[0])  # ours, and another service's
        await publish(bus, 1)
        await until(lambda: len(listener.heard) == 2)
        assert listener.count("malformed") == 2
        await listener.stop()
        await redis.xadd(channels.stream(SERVICE), {"m": "not ours"}, id="1-1")
        await redis.xadd(channels.stream(SERVICE), {"other": "field"}, id="1-2")
        await publish(bus, 2)
        listener.start()
        await publish(bus, 3)
        await listener.hears(0, 1, 2, 3)
    assert listener.count("malformed") == 4


async def test_a_gap_longer_than_the_stream_is_counted(redis: Redis, channels: Channels) -> None:
    """What was missed and is no longer in the stream is counted as unfilled; delivery goes on."""
    bus = Bus(redis, channels, 10, history_bytes=0)
    async with Listener(redis, channels) as listener:
        await listener.proven()
        await publish(bus, 1)
        await listener.hears(1)
        await listener.stop()
        await publish(bus, *range(2, 401))
        kept = await redis.xlen(channels.stream(SERVICE))
        listener.start()
        await listener.hears(1, *range(401 - kept, 401))
    assert listener.count("gap_unfilled") == 399 - kept
    assert [gap for gap in listener.gaps if gap is not None] == [Gap(2, 400 - kept)]
    assert listener.gaps[1] is not None


async def test_a_new_epoch_that_is_not_heard_from_its_start_has_a_gap(redis: Redis, channels: Channels) -> None:
    """The first updates of an epoch count as lost where the stream has dropped them."""
    bus = Bus(redis, channels, 10, history_bytes=0)
    async with Listener(redis, channels) as listener:
        await listener.proven()
        await publish(bus, 1)
        await listener.hears(1)
        await listener.stop()
        await redis.delete(channels.meta(SERVICE))
        await publish(bus, *range(2, 402))
        first = 401 - await redis.xlen(channels.stream(SERVICE))
        listener.start()
        await until(lambda: listener.seqs[-1] == 400)
    assert listener.gaps[1] == Gap(1, first - 1)


async def test_what_the_channel_did_not_deliver_is_found_by_an_audit(
    redis: Redis, bus: Bus, channels: Channels
) -> None:
    """An update in the stream whose message reached nobody is delivered, though no other follows."""
    async with Listener(redis, channels, audit=0.3) as listener:
        await listener.proven()
        await publish(bus, 1)
        await listener.hears(1)
        await publish_unheard(redis, channels, 2)
        await listener.hears(1, 2)
    assert listener.count("reconnects", None) == 0


async def publish_unheard(redis: Redis, channels: Channels, n: int) -> None:
    """Publish an update whose message is lost on its way to the subscribers."""
    elsewhere = Channels(channels.prefix + "x")  # its channel is one that nobody reads
    for key in ("meta", "stream"):
        await redis.rename(getattr(channels, key)(SERVICE), getattr(elsewhere, key)(SERVICE))
    await publish(Bus(redis, elsewhere, 100), n)
    for key in ("meta", "stream"):
        await redis.rename(getattr(elsewhere, key)(SERVICE), getattr(channels, key)(SERVICE))


async def test_a_proof_brings_what_was_published_before_it(redis: Redis, bus: Bus, channels: Channels) -> None:
    """`prove` returns once every update that Redis had has been delivered, whatever the channel did."""
    async with Listener(redis, channels, audit=60.0) as listener:
        await listener.proven()
        await publish(bus, 1)
        await listener.hears(1)
        await publish_unheard(redis, channels, 2)
        async with asyncio.timeout(5):
            await listener.subscription.prove()
        assert listener.numbers == [1, 2]


async def test_a_service_that_is_audited_while_updates_come_is_not_read_again(
    redis: Redis, bus: Bus, channels: Channels
) -> None:
    """What an audit finds is on its way, as a rule: it is given time to arrive."""
    async with Listener(redis, channels, audit=0.02) as listener:
        await listener.proven()
        await publish(bus, 0)
        await listener.hears(0)
        filled, duplicates = listener.count("gap_filled"), listener.count("duplicates")
        for n in range(1, 300):
            await publish(bus, n)
        await listener.hears(*range(300))
        assert (listener.count("gap_filled"), listener.count("duplicates")) == (filled, duplicates)


async def test_an_old_answer_of_redis_brings_nothing_twice(redis: Redis, bus: Bus, channels: Channels) -> None:
    """A server that still tells of an epoch that has ended is not believed: its updates were delivered."""
    async with Listener(redis, channels) as listener:
        await listener.proven()
        await publish(bus, 1, 2)
        await listener.hears(1, 2)
        old = Channels(channels.prefix + "x")
        for key in ("meta", "stream"):
            await redis.copy(getattr(channels, key)(SERVICE), getattr(old, key)(SERVICE))
        await redis.delete(channels.meta(SERVICE))
        await publish(bus, 3)
        await listener.hears(1, 2, 3)
        for key in ("meta", "stream"):
            await redis.copy(getattr(channels, key)(SERVICE), getattr(old, key)(SERVICE) + "y")
            await redis.copy(getattr(old, key)(SERVICE), getattr(channels, key)(SERVICE), replace=True)
        async with asyncio.timeout(5):
            await listener.subscription.prove()
        for key in ("meta", "stream"):
            await redis.copy(getattr(old, key)(SERVICE) + "y", getattr(channels, key)(SERVICE), replace=True)
        await publish(bus, 4)
        await listener.hears(1, 2, 3, 4)
    assert listener.seqs == [1, 2, 1, 2]
    assert all(gap is None for gap in listener.gaps)


async def test_an_epoch_that_comes_back_brings_nothing_older_than_what_was_heard(
    redis: Redis, bus: Bus, channels: Channels
) -> None:
    """After a second failover, the primary may be a replica that never heard of the epoch since the first one.

    What it has of the epoch before is older than what was heard, also what was not heard then. What is published there
    from now on is delivered, and tells what was passed over.
    """
    keys = Keys(redis, channels, SERVICE)
    async with Listener(redis, channels) as listener:
        await listener.proven()
        await publish(bus, 1, 2)
        await listener.hears(1, 2)
        await listener.stop()
        await publish(bus, 3)
        await keys.keep()
        await redis.delete(channels.meta(SERVICE))
        await publish(Bus(redis, channels, 100), 4)
        listener.start()
        await listener.hears(1, 2, 4)
        await keys.set_back()
        async with asyncio.timeout(5):
            await listener.subscription.prove()
        await publish(bus, 5)
        await listener.hears(1, 2, 4, 5)
    assert listener.seqs == [1, 2, 1, 4]
    assert listener.gaps == [None, None, None, Gap(3, 3)]  # it is told


async def test_an_earlier_epoch_that_was_never_heard_brings_nothing_older(redis: Redis, channels: Channels) -> None:
    """Nor does it to a subscriber that began to listen after the first failover."""
    keys, first, second = Keys(redis, channels, SERVICE), Bus(redis, channels, 100), Bus(redis, channels, 100)
    await publish(first, 1, 2)
    await keys.keep()
    await redis.delete(channels.meta(SERVICE))
    await publish(second, 3)
    async with Listener(redis, channels) as listener:
        await listener.proven()
        await listener.hears(3)
        await keys.set_back()
        async with asyncio.timeout(5):
            await listener.subscription.prove()
        await keys.move("run_id")
        await publish(second, 4)
        await listener.hears(3, 4)
    assert listener.seqs == [1, 1]


async def test_a_new_epoch_is_delivered_from_its_first_entry(redis: Redis, bus: Bus, channels: Channels) -> None:
    """A subscriber that comes back to another epoch gets all that the stream has of it."""
    async with Listener(redis, channels) as listener:
        await listener.proven()
        await publish(bus, 1, 2, 3)
        await listener.hears(1, 2, 3)
        await listener.stop()
        await redis.delete(channels.meta(SERVICE))
        await publish(bus, 4, 5)
        listener.start()
        await publish(bus, 6)
        await listener.hears(1, 2, 3, 4, 5, 6)
    assert listener.seqs == [1, 2, 3, 1, 2, 3]
    assert listener.count("gap_unfilled") == 0


async def test_fills_beside_each_other_bring_all_of_a_new_epoch(redis: Redis, bus: Bus, channels: Channels) -> None:
    """A reconnect, an audit and a message may read a stream at the same time. Each may be the first to see an epoch."""
    async with Listener(redis, channels) as listener:
        await listener.proven()
        await publish(bus, 1, 2, 3)
        await listener.hears(1, 2, 3)
        await listener.stop()
        await redis.delete(channels.meta(SERVICE))
        await publish(bus, *range(4, 14))
        await asyncio.gather(*(redis.ping() for _ in range(4)))  # their connections are open: they ask at the same time
        await asyncio.gather(*(listener.subscription._fill([SERVICE]) for _ in range(4)))
    assert listener.numbers == list(range(1, 14))
    assert not any(listener.gaps)


async def test_a_new_epoch_under_a_live_subscriber_is_followed(redis: Redis, bus: Bus, channels: Channels) -> None:
    """A new epoch begins without a hole, and stragglers of the old one are not delivered into it."""
    async with Listener(redis, channels) as listener:
        await listener.proven()
        await publish(bus, 1, 2)
        await listener.hears(1, 2)
        await redis.delete(channels.meta(SERVICE), channels.stream(SERVICE), channels.last(SERVICE))
        await publish(bus, 3)
        await listener.hears(1, 2, 3)
        await redis.publish(channels.channel(SERVICE), listener.raw[1])
        await publish(bus, 4)
        await listener.hears(1, 2, 3, 4)
    assert listener.seqs == [1, 2, 1, 2]


async def test_epochs_that_begin_together_are_one_line(redis: Redis, bus: Bus, channels: Channels) -> None:
    """When every service begins a new epoch, the first is logged at info and the others at debug."""
    services = ("market_data", "news", "system")
    async with Listener(redis, channels, services) as listener:
        await listener.proven()
        for service in services:
            await bus.publish(service, {})
        await until(lambda: len(listener.heard) == 3)
        with capture_logs() as logs:
            for service in services:
                await redis.delete(channels.meta(service), channels.stream(service))
                await bus.publish(service, {})
            await until(lambda: len(listener.heard) == 6)
    epochs = [(line["log_level"], line["service"]) for line in logs if line["event"] == "new epoch"]
    assert epochs == [("info", "market_data"), ("debug", "news"), ("debug", "system")]


@pytest.mark.slow  # it waits for quiet
async def test_probes_prove_delivery_when_it_is_quiet(redis: Redis, channels: Channels) -> None:
    """Without a single update, delivery stays proven for many deadlines."""
    proofs: list[bool] = []
    loop = asyncio.get_running_loop()
    async with Listener(redis, channels, deadline=1.5) as listener:
        await listener.proven()
        end = loop.time() + 4.5

        def quiet_for_long() -> bool:
            proofs.append(listener.subscription.proven)
            return loop.time() > end

        await until(quiet_for_long)
        assert listener.count("reconnects", None) == 0
    assert all(proofs)
    assert not listener.subscription.proven


async def test_proof_is_as_old_as_the_clock_says(redis: Redis, channels: Channels) -> None:
    """Delivery counts as proven for less than the deadline, and is then proven again."""
    clock = Clock()
    async with Listener(redis, channels, deadline=1.0, clock=clock) as listener:
        assert not listener.subscription.proven
        await listener.proven()
        clock.now += 0.75
        assert listener.subscription.proven
        clock.now += 0.25
        assert not listener.subscription.proven
        await listener.proven()


async def test_a_subscriber_of_nothing_published_has_nothing_to_fill(redis: Redis, channels: Channels) -> None:
    """An empty Redis is no fault: delivery is proven all the same."""
    async with Listener(redis, channels) as listener:
        await listener.proven()
    assert listener.heard == []
    assert listener.count("reconnects", None) == 0
