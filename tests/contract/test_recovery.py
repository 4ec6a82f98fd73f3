"""meta, MessagePack and `since` (docs/reference/protocol.md)."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest

from shared.bus import Position
from tests.contract.conftest import Client, Cluster


def head(cluster: Cluster, service: str = "news") -> Position:
    latest = cluster.nodes[0].hub.recent[service].latest
    assert latest is not None
    return latest.position


async def since(client: Client, epoch: str, seq: int) -> dict[str, Any]:
    return await client.say(action="subscribe", service="news", since={"epoch": epoch, "seq": seq})


async def test_meta_is_shown_to_who_asks_and_to_nobody_else(cluster: Cluster) -> None:
    """Only ?meta=1 adds epoch, seq and published_at to updates, and `snapshot` to the one sent on subscribe."""
    await cluster.publish("news", n=1)
    asking, plain = await cluster.connect("/ws/news?meta=1"), await cluster.connect("/ws/news")
    await cluster.publish("news", n=2)
    _, snapshot, update = await asking.take(3)
    assert set(snapshot["meta"]) == {"epoch", "seq", "published_at", "snapshot"}
    assert snapshot["meta"]["snapshot"] is True
    assert set(update["meta"]) == {"epoch", "seq", "published_at"}
    assert update["meta"]["seq"] == snapshot["meta"]["seq"] + 1
    assert update["meta"]["epoch"] == snapshot["meta"]["epoch"]
    assert all("meta" not in message for message in await plain.take(3))


async def test_messagepack_is_spoken_both_ways(cluster: Cluster) -> None:
    """The msgpack subprotocol: the same messages in binary frames, with meta; text is refused."""
    await cluster.publish("news", n=1)
    client = await cluster.connect("/ws/data", greeted=False, subprotocols=["other", "msgpack"])
    assert client.connection.subprotocol == "msgpack"

    async def heard() -> dict[str, Any]:
        raw = await client.connection.recv()
        assert isinstance(raw, bytes)
        message: dict[str, Any] = msgpack.unpackb(raw)
        return message

    assert (await heard())["type"] == "connection_established"
    await client.connection.send(msgpack.packb({"action": "subscribe", "service": "news", "id": 1}))
    confirmed = (await heard())["data"]
    update = await heard()
    position = {"epoch": update["meta"]["epoch"], "seq": 1}
    assert confirmed == {"service": "news", "subscriptions": ["news"], "position": position, "id": 1}
    assert (update["data"], update["meta"]["seq"]) == ({"n": 1}, 1)
    await client.connection.send("{}")
    assert (await heard())["data"]["code"] == "text_not_supported"
    await client.connection.send(b"\xc1")
    assert (await heard())["data"]["code"] == "invalid_msgpack"


@pytest.mark.parametrize("node", [0, 1])
async def test_what_was_missed_is_replayed_in_order_then_live(cluster: Cluster, node: int) -> None:
    """`since` replays every later update, once and in order, marked `recovered`; then updates go on. On any gateway."""
    for n in range(1, 31):
        await cluster.bus.publish("news", {"n": n})
    await cluster.publish("news", n=31)
    client = await cluster.connect("/ws/data", node)
    confirmed = await since(client, head(cluster).epoch, 7)
    assert confirmed["data"]["recovered"] is True
    replayed = await client.take(24)
    assert [message["data"]["n"] for message in replayed] == list(range(8, 32))
    assert [message["meta"]["seq"] for message in replayed] == list(range(8, 32))
    assert all(message["meta"]["recovered"] is True for message in replayed)
    await cluster.publish("news", n=32)
    live = await client.next()
    assert (live["data"], live["meta"]["seq"], "recovered" in live["meta"]) == ({"n": 32}, 32, False)


async def test_nothing_missed_is_recovered_with_nothing(cluster: Cluster) -> None:
    """`since` the newest position: recovered, and no update until the next."""
    await cluster.publish("news", n=1)
    client = await cluster.connect("/ws/data")
    assert (await since(client, *head(cluster)))["data"]["recovered"] is True
    await client.quiet()


@pytest.mark.parametrize(("epoch", "seq"), [("another", 1), (None, 0)])
async def test_what_cannot_be_proven_is_a_snapshot(cluster: Cluster, epoch: str | None, seq: int) -> None:
    """Another epoch, or a position that the history has lost: recovered false, and the newest."""
    for node in cluster.nodes:
        node.hub.recent["news"] = type(node.hub.recent["news"])(3)
    await cluster.publish("news", 5)
    client = await cluster.connect("/ws/data")
    confirmed = await since(client, epoch or head(cluster).epoch, seq)
    assert confirmed["data"]["recovered"] is False
    snapshot = await client.next()
    assert snapshot["meta"]["snapshot"] is True
    assert snapshot["meta"]["seq"] == 5
    await client.quiet()


async def test_a_position_that_redis_has_lost_is_told_and_nothing_older_is_sent(cluster: Cluster) -> None:
    """Further than the bus itself: recovered false, and no update until the next one."""
    await cluster.publish("news", 5)
    client = await cluster.connect("/ws/data")
    confirmed = await since(client, head(cluster).epoch, 99)
    assert (confirmed["data"]["recovered"], confirmed["data"]["position"]["seq"]) == (False, 99)
    await client.quiet()
    await cluster.publish("news", n=6)
    assert (await client.next())["data"] == {"n": 6}


async def test_a_replay_larger_than_the_outbox_arrives_whole(cluster: Cluster) -> None:
    """Sixty updates of 200 kB, three times what an outbox holds, in order and without a close."""
    await cluster.publish("news", 1, n=0)
    text = "x" * 200_000
    for n in range(1, 60):
        await cluster.bus.publish("news", {"n": n, "text": text})
    await cluster.publish("news", n=60, text=text)
    client = await cluster.connect("/ws/data", max_size=None)
    assert (await since(client, head(cluster).epoch, 1))["data"]["recovered"] is True
    assert [(await client.next())["data"]["n"] for _ in range(60)] == list(range(1, 61))
    await client.quiet()


async def test_a_position_from_a_gateway_that_is_ahead_is_waited_for(cluster: Cluster) -> None:
    """A client may know an update that this gateway gets a moment later: that is no gap."""
    await cluster.publish("news", n=1)
    client = await cluster.connect("/ws/data")
    await client.connection.send(
        json.dumps({"action": "subscribe", "service": "news", "since": {"epoch": head(cluster).epoch, "seq": 2}})
    )
    await cluster.publish("news", n=2)
    confirmed = await client.next()
    assert confirmed["data"]["recovered"] is True
    await client.quiet()
