"""`deliver`, and clients that read too slowly, over real sockets (docs/reference/protocol.md)."""

from __future__ import annotations

import json
import os
from typing import Any

import msgpack
import pytest

from tests.contract.conftest import Cluster
from tests.gateway.raw import Raw, code_of, connect, frame
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_errors")


async def flood(cluster: Cluster, service: str, count: int) -> None:
    """Publish much more than the kernel and an outbox hold."""
    for n in range(1, count + 1):
        await cluster.publish(service, n=n, text=os.urandom(150_000).hex())


async def updates(raw: Raw, newest: int) -> list[dict[str, Any]]:
    """What arrives until the update with `newest`."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["data"]["n"] != newest:
        message = await raw.message()
        if message["type"] == "update":
            found.append(message)
    return found


async def test_a_slow_client_of_a_state_stays_and_gets_the_newest(cluster: Cluster) -> None:
    """Of 12 MB it gets what its socket took and the newest update; what was left out is counted."""
    node = cluster.nodes[0]
    async with connect(node.port, "/ws/market_data", window=4096) as raw:
        (session,) = node._sessions
        await flood(cluster, "market_data", 40)
        assert session.outbox.size == 0
        got = [message["data"]["n"] for message in await updates(raw, 40)]
        assert got == sorted(set(got))
        assert len(got) < 40
        await raw.send(frame('{"action":"ping"}'))
        assert (await raw.message())["type"] == "pong"
    metrics = (await cluster.http.get(cluster.url("/metrics"))).text
    assert f'coinwire_gateway_dropped_total{{reason="replaced"}} {40 - len(got)}.0' in metrics


async def test_a_slow_client_of_events_is_closed(cluster: Cluster) -> None:
    """With 4008: it reconnects with `since`, and misses no event."""
    node = cluster.nodes[0]
    async with connect(node.port, "/ws/whale_tracking", window=4096) as raw:
        await flood(cluster, "whale_tracking", 40)
        await until(lambda: not node._sessions)
        assert code_of((await raw.until_close())[-1]) == 4008


async def test_who_sees_positions_and_asks_for_the_latest_knows_how_many_were_left_out(cluster: Cluster) -> None:
    """`meta.skipped` closes each hole in `seq`; without the wish, such a client is closed."""
    node = cluster.nodes[0]
    async with connect(node.port, "/ws/data?meta=1", window=4096) as raw:
        await raw.send(frame('{"action":"subscribe","service":"news","deliver":"latest"}'))
        await until(lambda: node.presence.subscription_counts == {"news": 1})
        await flood(cluster, "news", 40)
        found = await updates(raw, 40)
    seqs = [message["meta"]["seq"] for message in found]
    skipped = [message["meta"].get("skipped", 0) for message in found]
    assert sum(skipped) + len(found) == 40
    assert sum(skipped) > 0
    assert [seq - left_out for seq, left_out in zip(seqs, skipped, strict=True)] == [seq + 1 for seq in [0, *seqs[:-1]]]


@pytest.mark.parametrize("asked", ["latest", "every"])
@pytest.mark.parametrize("service", ["market_data", "whale_tracking", "system", "all", ["news", "system"]])
async def test_a_confirmation_repeats_what_was_asked(cluster: Cluster, service: Any, asked: str) -> None:
    """`deliver` is confirmed where the command has it, and only there."""
    client = await cluster.connect("/ws/data")
    assert (await client.say(action="subscribe", service=service, deliver=asked))["data"]["deliver"] == asked
    for again in ({}, {"deliver": None}):
        assert "deliver" not in (await client.say(action="subscribe", service=service, **again))["data"]


async def test_deliver_goes_with_since_and_with_messagepack(cluster: Cluster) -> None:
    """Confirmed as elsewhere; what was missed is replayed whole."""
    await cluster.publish("news", 5)
    latest = cluster.nodes[0].hub.recent["news"].latest
    assert latest is not None
    since = {"epoch": latest.position.epoch, "seq": 2}
    client = await cluster.connect("/ws/data", subprotocols=["msgpack"], greeted=False)
    await client.connection.recv()
    command = {"action": "subscribe", "service": "news", "since": since, "deliver": "latest"}
    await client.connection.send(msgpack.packb(command))
    confirmed, *replayed = [msgpack.unpackb(await client.connection.recv()) for _ in range(4)]
    assert (confirmed["data"]["recovered"], confirmed["data"]["deliver"]) == (True, "latest")
    assert [message["meta"]["seq"] for message in replayed] == [3, 4, 5]


@pytest.mark.parametrize("deliver", ["newest", 5, [], {}, "", True])
async def test_another_way_to_deliver_is_refused(cluster: Cluster, deliver: Any) -> None:
    """`invalid_message`, and nothing is subscribed."""
    client = await cluster.connect("/ws/data")
    await client.connection.send(json.dumps({"action": "subscribe", "service": "news", "deliver": deliver}))
    refused = (await client.next())["data"]
    assert (refused["code"], "deliver must be" in refused["message"]) == ("invalid_message", True)
    assert (await client.say(action="get_status"))["data"]["subscriptions"] == []
