"""From the bus to the client: poison, epochs, replays under way, and what a history keeps."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import msgpack
import pytest

from gateway.broadcast.hub import Hub
from gateway.broadcast.recent import Recent, Spare
from gateway.frames import Form
from gateway.session import Session
from gateway.updates import Update
from shared.bus import Bus, Gap, Position, open_redis
from shared.channels import Channels
from shared.envelope import Envelope, pack_draft
from shared.metrics import GatewayMetrics, open_registry
from tests.contract.conftest import Client, Cluster
from tests.shared.outage import Clock
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_errors")


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


POISON = {"deep": nested(1010)}
"""MessagePack carries 1023 levels, JSON as many as Python's stack has left: fewer than these."""


async def test_an_update_that_cannot_be_sent_is_dropped_and_counted(cluster: Cluster) -> None:
    """An update without a JSON or MessagePack form does not stop a gateway and is sent to no client."""
    client = await cluster.connect("/ws/news")
    await client.next()
    await cluster.bus.publish("news", {"n": 1})
    await cluster.bus.publish("news", POISON)
    await cluster.bus.publish("news", {"n": 3})
    assert [(await client.next())["data"] for _ in range(2)] == [{"n": 1}, {"n": 3}]
    metrics = (await cluster.http.get(cluster.url("/metrics"))).text
    assert 'coinwire_bus_malformed_total{service="news"} 1.0' in metrics


async def test_a_dropped_update_is_a_hole_that_no_recovery_hides(cluster: Cluster) -> None:
    """A client from before it gets a snapshot, as the gap can't be filled; a client from after it recovers."""
    first = await cluster.bus.publish("news", {"n": 1})
    await cluster.bus.publish("news", POISON)
    await cluster.publish("news", 2)
    for seq, recovered in ((1, False), (3, True)):
        client = await cluster.connect("/ws/data")
        told = await client.say(action="subscribe", service="news", since={"epoch": first.epoch, "seq": seq})
        assert told["data"]["recovered"] is recovered
        assert (await client.next())["meta"]["seq"] == 4


async def test_a_dropped_update_is_named_as_a_gap(cluster: Cluster) -> None:
    """Who has positions sees one left out: the next update tells of it, and subscribers of `system` get a notice."""
    client = await cluster.connect("/ws/data?meta=1")
    for service in ("news", "system"):
        await client.say(action="subscribe", service=service)
    await cluster.bus.publish("news", {"n": 1})
    await cluster.bus.publish("news", POISON)
    await cluster.bus.publish("news", POISON)
    await cluster.bus.publish("news", {"n": 4})
    first, notice, second = [await client.next() for _ in range(3)]
    assert first["meta"]["seq"] == 1
    assert (notice["data"]["event"], notice["data"]["about"]) == ("updates_lost", "news")
    assert second["meta"]["gap"] == {"from": 2, "to": 3}
    await cluster.bus.publish("news", {"n": 5})
    assert "gap" not in (await client.next())["meta"]


async def test_updates_published_during_a_replay_come_after_it_once(cluster: Cluster) -> None:
    """What is old is marked recovered, what is new is not; nothing is missing, doubled or out of order."""
    for n in range(1, 60):
        await cluster.bus.publish("news", {"n": n, "text": "x" * 100_000})
    await cluster.publish("news", n=60)
    first = cluster.nodes[0].hub.recent["news"].latest
    assert first is not None
    client = await cluster.connect("/ws/data", max_queue=1)
    told = await client.say(action="subscribe", service="news", since=dict(first.position._asdict(), seq=1))
    assert told["data"]["recovered"] is True

    async def publish() -> None:
        for n in range(61, 91):
            await cluster.bus.publish("news", {"n": n})

    publishing = asyncio.create_task(publish())
    heard = [await client.next() for _ in range(89)]
    await publishing
    assert [update["meta"]["seq"] for update in heard] == list(range(2, 91))
    assert [update["data"]["n"] for update in heard] == list(range(2, 91))
    marks = ["recovered" in update["meta"] for update in heard]
    assert marks == sorted(marks, reverse=True)
    await client.quiet()


async def test_other_services_go_on_during_a_replay(cluster: Cluster) -> None:
    """A client that waits for one service's past still gets the others' present."""
    await cluster.publish("news", n=1)
    latest = cluster.nodes[0].hub.recent["news"].latest
    assert latest is not None
    client = await cluster.connect("/ws/sentiment?meta=1")
    await client.next()
    ahead = json.dumps({"action": "subscribe", "service": "news", "since": {"epoch": latest.position.epoch, "seq": 50}})
    await client.connection.send(ahead)
    await until(lambda: bool(cluster.nodes[0].hub.recent["news"]._waiting))
    await cluster.bus.publish("sentiment", {"now": True})
    assert (await client.next())["data"] == {"now": True}
    assert (await client.next())["data"]["recovered"] is False
    await client.quiet()
    assert not cluster.nodes[0].hub.recent["news"]._waiting


async def test_a_client_that_leaves_while_it_waits_leaves_nothing(cluster: Cluster) -> None:
    """Its session ends within the bound of that wait, its subscription with it."""
    await cluster.publish("news", n=1)
    node = cluster.nodes[0]
    history = node.hub.recent["news"]
    assert history.latest is not None
    client = await cluster.connect("/ws/data")
    since = {"epoch": history.latest.position.epoch, "seq": 50}
    await client.connection.send(json.dumps({"action": "subscribe", "service": "news", "since": since}))
    await until(lambda: bool(history._waiting))
    await client.connection.close()
    await until(lambda: not node._sessions, 5)
    assert not history._waiting
    assert node.hub.cohorts == 0


async def heard_seq(client: Client) -> tuple[str, int]:
    meta = (await client.next())["meta"]
    return meta["epoch"], meta["seq"]


async def test_a_new_epoch_counts_from_one(cluster: Cluster) -> None:
    """When Redis has lost its past, clients see another epoch; what they had of the old one proves nothing."""
    client = await cluster.connect("/ws/news?meta=1")
    await client.next()
    old = await cluster.bus.publish("news", {"n": 1})
    assert await heard_seq(client) == old
    redis = open_redis(cluster.settings)
    channels = Channels(cluster.settings.redis_prefix)
    await redis.delete(channels.meta("news"), channels.stream("news"), channels.last("news"))
    new = await Bus(redis, channels, 100).publish("news", {"n": 2})
    await redis.aclose()
    assert await heard_seq(client) == (new.epoch, 1)
    assert new.epoch != old.epoch
    told = await client.say(action="subscribe", service="news", since=old._asdict())
    assert told["data"]["recovered"] is False
    assert await heard_seq(client) == new


async def test_since_turns_meta_on_for_every_subscription(cluster: Cluster) -> None:
    """A client that once said `since` can read positions; from then on all its updates have them."""
    client = await cluster.connect("/ws/sentiment")
    await client.next()
    await cluster.publish("sentiment", n=1)
    assert "meta" not in await client.next()
    await client.say(action="subscribe", service="news", since={"epoch": "none", "seq": 0})
    await cluster.publish("sentiment", n=2)
    assert (await client.next())["meta"]["seq"] == 2


async def test_one_frame_serves_every_client_of_a_form(cluster: Cluster) -> None:
    """However many get an update, it is encoded once for those with meta and once for those without."""
    paths = ["/ws/news"] * 3 + ["/ws/news?meta=1"] * 3
    clients = [await cluster.connect(path) for path in paths]
    for client in clients:
        await client.next()
    await cluster.publish("news", n=1)
    for client in clients:
        await client.next()
    latest = cluster.nodes[0].hub.recent["news"].latest
    assert latest is not None
    assert set(latest._frames) == {Form.TEXT, Form.PACKED, Form.TEXT_META}
    sessions: set[Session] = cluster.nodes[0]._sessions
    assert len({id(latest.frame(session.subscriptions.form)) for session in sessions}) == 2


def update(seq: int, epoch: str = "e") -> Update:
    raw = pack_draft("news", {"n": seq}, "t")
    raw += msgpack.packb("epoch") + msgpack.packb(epoch) + msgpack.packb("seq") + msgpack.packb(seq)
    return Update(Envelope.unpack(raw), raw)


def epoch_of(seconds: float) -> str:
    """The name of an epoch that began then."""
    return f"{round(seconds * 1_000_000):014x}{7:016x}"


def test_frames_of_old_updates_are_made_again_and_not_kept() -> None:
    """A replay of everything costs time once, not memory for as long as the history lasts."""
    history = Recent(100)
    for seq in range(1, 101):
        history.append(update(seq))
    missed = history.since(Position("e", 0))
    assert missed is not None
    wires = [each.frame(Form.TEXT_RECOVERED).wire for each in missed]
    assert all(b'"n":%d}' % seq in wire for seq, wire in enumerate(wires, start=1))
    assert [len(each._frames) for each in missed] == [0] * 84 + [1] * 16


def test_a_history_is_bounded_and_without_holes() -> None:
    """It keeps the newest; a hole or another epoch ends what can be proven."""
    history = Recent(3)
    for seq in (1, 2, 3, 4):
        history.append(update(seq))
    assert history.since(Position("e", 0)) is None
    assert [each.position.seq for each in history.since(Position("e", 1)) or ()] == [2, 3, 4]
    nothing = history.since(Position("e", 4))
    assert nothing is not None
    assert list(nothing) == []
    assert history.since(Position("e", 5)) is None
    history.append(update(6))
    assert history.since(Position("e", 4)) is None
    history.append(update(1, "f"))
    assert history.since(Position("e", 6)) is None
    assert [each.position.seq for each in history.since(Position("f", 0)) or ()] == [1]


def test_what_comes_in_a_burst_is_kept_for_a_minute_while_memory_allows() -> None:
    """Beyond its length a history keeps what came lately, as many bytes of all services as there are to spare."""
    clock = Clock()
    spare = Spare(20 * update(1).size)
    news, system = Recent(10, spare, clock), Recent(10, spare, clock)

    def oldest(recent: Recent) -> int:
        return recent.updates[0].position.seq

    for seq in range(1, 32):
        news.append(update(seq))
    assert oldest(news) == 1
    assert news.since(Position("e", 1)) is not None
    assert news.since(Position("e", 0)) is None  # the oldest tenth is for replays under way
    for seq in range(1, 13):
        system.append(update(seq))
    assert oldest(system) == 2  # there is nothing left to spare
    clock.now += 61
    news.append(update(32))
    assert oldest(news) == 21  # the last to go beyond the length has its own minute
    system.append(update(13))
    assert oldest(system) == 2
    assert spare.used == 2 * update(1).size


@pytest.mark.parametrize(
    ("position", "behind"),
    [
        (Position("e", 4), False),
        (Position("f", 9), False),
        (Position(epoch_of(1_000), 9), False),
        (Position(epoch_of(2_000), 4), False),
        (Position(epoch_of(2_000), 5), True),
        (Position(epoch_of(2_000.000001), 1), True),
        (Position(epoch_of(50_000), 1), True),
        (Position(epoch_of(90_000), 1), False),
        (Position(epoch_of(2_001).upper(), 1), False),
        (Position(epoch_of(2_001)[1:], 1), False),
        (Position("", 0), False),
    ],
    ids=[
        "no time",
        "foreign",
        "earlier",
        "had",
        "further",
        "later",
        "clocks differ",
        "invented",
        "case",
        "short",
        "none",
    ],
)
def test_an_epoch_that_began_later_is_not_an_earlier_one(position: Position, behind: bool) -> None:
    """Redis may have lost a client's epoch before this gateway heard of it: what the gateway has is older."""
    recent = Recent(10, wall_clock=lambda: 2_100.0)
    recent.append(update(4, epoch_of(2_000)))
    assert recent.behind(position) is behind


@pytest.mark.parametrize("newest", [update(5), update(8), update(1, "f")], ids=["next", "behind a hole", "new epoch"])
async def test_who_waits_for_an_update_is_woken_when_it_has_come_or_never_will(newest: Update) -> None:
    """A hole may have swallowed it, and an epoch that has ended has no more. Who waits for a later one goes on."""
    recent = Recent(100)
    recent.append(update(4))
    waiting = [asyncio.create_task(recent.reach(Position("e", seq), 10)) for seq in (5, 5, 9)]
    await until(lambda: len(recent._waiting) == 2)
    recent.append(newest)
    await asyncio.gather(*waiting[:2])
    assert list(recent._waiting) == ([] if newest.position.epoch == "f" else [9])
    waiting[2].cancel()
    await asyncio.gather(waiting[2], return_exceptions=True)
    assert not recent._waiting


async def test_updates_cost_nothing_more_while_thousands_wait_for_what_never_comes() -> None:
    """Whoever invents a position is waited for; nobody else is delayed by that."""
    recent = Recent(100)
    recent.append(update(1))
    inventors = [asyncio.create_task(recent.reach(Position("e", 2**50 + n), 60)) for n in range(9000)]
    await until(lambda: len(recent._waiting) == 9000)
    updates = [update(seq) for seq in range(2, 202)]
    began = time.process_time()
    for each in updates:
        recent.append(each)
    assert time.process_time() - began < 0.2  # 2 s, if each of them is looked at
    for inventor in inventors:
        inventor.cancel()
    await asyncio.gather(*inventors, return_exceptions=True)


async def test_lost_updates_are_named_by_the_update_that_stands_for_others() -> None:
    """A client that is behind gets one update instead of several: it tells of a gap before each of them, whatever the
    history still holds."""
    hub = Hub(["news"], 1, GatewayMetrics(open_registry()), kept=1 << 20)
    envelopes = [Envelope("news", "update", {}, "t", "e", seq) for seq in (1, 5, 6, 10)]
    for envelope, gap in zip(envelopes, (None, Gap(2, 4), None, Gap(7, 9)), strict=True):
        hub.recent["news"].append(Update(envelope, b"", gap))
    assert hub.recent["news"].lost_in_last(1) == (3, Gap(7, 9))
    assert hub.recent["news"].lost_in_last(3) == (6, Gap(2, 9))
    lost, gap = hub.recent["news"].lost_in_last(3)
    latest = hub.recent["news"].latest
    assert latest is not None
    for form, read in ((Form.TEXT_META, json.loads), (Form.PACKED, msgpack.unpackb)):
        meta = read(latest.after(2 + lost, form, gap).payload)["meta"]
        assert (meta["skipped"], meta["gap"]) == (8, {"from": 2, "to": 9})
        meta = read(latest.frame(form).payload)["meta"]
        assert (meta["skipped"], meta["gap"]) == (3, {"from": 7, "to": 9})
        meta = read(latest.frame(form.as_snapshot()).payload)["meta"]
        assert not {"skipped", "gap"} & set(meta)
