"""Recovery where counting begins: an epoch that begins during a replay, and positions before the first update."""

from __future__ import annotations

from typing import Any

import pytest

from shared.bus import open_redis
from shared.channels import Channels
from tests.contract.conftest import Client, Cluster

NOTHING_YET = {"epoch": "", "seq": 0}


async def begin_epoch(cluster: Cluster, service: str) -> None:
    """Make Redis lose everything of `service`: its next update begins an epoch."""
    names = Channels(cluster.settings.redis_prefix)
    redis = open_redis(cluster.settings)
    await redis.delete(names.meta(service), names.stream(service), names.last(service))
    await redis.aclose()


async def subscribe(client: Client, service: Any, since: dict[str, Any] | None = None) -> dict[str, Any]:
    """The `data` of the confirmation."""
    more = {} if since is None else {"since": since}
    data: dict[str, Any] = (await client.say(action="subscribe", service=service, **more))["data"]
    return data


async def position(cluster: Cluster, service: str) -> dict[str, Any]:
    """The position of the newest update, as clients see it."""
    latest = cluster.nodes[0].hub.recent[service].latest
    assert latest is not None
    return latest.position._asdict()


async def test_an_epoch_that_begins_during_a_replay_follows_it(cluster: Cluster) -> None:
    """The client gets what it missed of the old epoch to the end, then the new epoch from 1, and stays connected."""
    text = "x" * 200_000
    await cluster.publish("news", n=0)
    for n in range(1, 60):
        await cluster.bus.publish("news", {"n": n, "text": text})
    await cluster.publish("news", n=60, text=text)
    old = await position(cluster, "news")
    client = await cluster.connect("/ws/data", max_size=None, max_queue=1)
    assert (await subscribe(client, "news", {"epoch": old["epoch"], "seq": 1}))["recovered"] is True
    await begin_epoch(cluster, "news")
    await cluster.publish("news", n=61)
    await cluster.publish("news", n=62)
    new = await position(cluster, "news")
    heard = await client.take(62)
    assert [update["data"]["n"] for update in heard] == list(range(1, 63))
    positions = [(update["meta"]["epoch"], update["meta"]["seq"]) for update in heard[-3:]]
    assert positions == [(old["epoch"], 61), (new["epoch"], 1), (new["epoch"], 2)]
    await client.quiet()


async def test_who_subscribed_before_the_first_update_gets_all_of_them(cluster: Cluster) -> None:
    """The confirmation carries a position; with it, whatever was published since is replayed, on any gateway."""
    client = await cluster.connect("/ws/data?meta=1")
    told = await subscribe(client, "system")
    assert told["position"] == NOTHING_YET
    await client.connection.close()
    for n in range(20):
        await cluster.publish("system", n=n)
    for node in range(2):
        back = await cluster.connect("/ws/data", node)
        confirmed = await subscribe(back, "system", told["position"])
        assert (confirmed["recovered"], confirmed["position"]) == (True, NOTHING_YET)
        missed = await back.take(20)
        assert [update["data"]["n"] for update in missed] == list(range(20))
        assert all(update["meta"]["recovered"] is True for update in missed)
        await back.quiet()


async def test_nothing_yet_is_recovered_with_nothing_while_nothing_is_published(cluster: Cluster) -> None:
    """Who comes back before the first update has missed nothing, and gets the first update live."""
    client = await cluster.connect("/ws/data")
    assert (await subscribe(client, "news", NOTHING_YET))["recovered"] is True
    await client.quiet()
    await cluster.publish("news", n=1)
    update = await client.next()
    assert (update["data"], update["meta"]["seq"], "recovered" in update["meta"]) == ({"n": 1}, 1, False)


async def test_nothing_yet_is_no_proof_after_a_second_epoch(cluster: Cluster) -> None:
    """Updates of an epoch that has ended are lost, so that the answer is a snapshot."""
    await cluster.publish("news", n=1)
    await begin_epoch(cluster, "news")
    await cluster.publish("news", n=2)
    client = await cluster.connect("/ws/data")
    assert (await subscribe(client, "news", NOTHING_YET))["recovered"] is False
    assert (await client.next())["meta"]["snapshot"] is True
    await client.quiet()


async def test_nothing_yet_is_no_proof_once_the_first_update_is_forgotten(cluster: Cluster) -> None:
    """More updates than the history holds: a snapshot."""
    recent = cluster.nodes[0].hub.recent
    recent["news"] = type(recent["news"])(3)
    await cluster.publish("news", 4)
    client = await cluster.connect("/ws/data")
    assert (await subscribe(client, "news", NOTHING_YET))["recovered"] is False
    assert (await client.next())["meta"]["seq"] == 4


@pytest.mark.parametrize("path", ["/ws/news?meta=1", "/ws/all?meta=1"])
async def test_an_automatic_subscription_carries_positions_too(cluster: Cluster, path: str) -> None:
    """On connect, as if the client had asked."""
    await cluster.publish("news", n=1)
    told = (await (await cluster.connect(path)).next())["data"]
    at = told["positions"]["news"] if told["service"] == "all" else told["position"]
    assert at == await position(cluster, "news")


async def test_a_list_is_confirmed_with_a_position_per_service(cluster: Cluster) -> None:
    """`positions` has each of them; `position` is for a single name."""
    await cluster.publish("news", n=1)
    client = await cluster.connect("/ws?meta=1")
    await client.next()
    told = await subscribe(client, ["news", "system"])
    assert told["positions"] == {"news": await position(cluster, "news"), "system": NOTHING_YET}
    assert "position" not in told


async def test_who_did_not_ask_for_meta_sees_no_position(cluster: Cluster) -> None:
    """A confirmation has the document's keys, and no others."""
    client = await cluster.connect("/ws/data")
    for service in ("news", ["sentiment"], "all"):
        told = (await client.say(action="subscribe", service=service))["data"]
        assert set(told) == {"service", "subscriptions"}


async def test_the_position_of_a_snapshot_is_that_of_its_confirmation(cluster: Cluster) -> None:
    """Where continuity can't be proven, the position is the newest, which follows."""
    await cluster.publish("news", 3)
    client = await cluster.connect("/ws/data")
    told = await subscribe(client, "news", {"epoch": "another", "seq": 9})
    assert (told["recovered"], told["position"]) == (False, await position(cluster, "news"))
    meta = (await client.next())["meta"]
    assert {"epoch": meta["epoch"], "seq": meta["seq"]} == told["position"]


async def test_who_was_somewhere_stays_there_until_there_is_something_newer(cluster: Cluster) -> None:
    """A gateway that has no update of the service sends none; NOTHING_YET would bring what the client had."""
    there = {"epoch": "e", "seq": 7}
    client = await cluster.connect("/ws/data")
    told = await subscribe(client, "news", there)
    assert (told["recovered"], told["position"]) == (False, there)
    await cluster.publish("news", n=1)
    assert (await client.next())["meta"]["seq"] == 1
