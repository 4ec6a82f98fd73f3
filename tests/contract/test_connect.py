"""What a client is told when it connects (docs/reference/protocol.md)."""

from __future__ import annotations

import re

import pytest
import websockets

from gateway.protocol import ACTIONS
from shared.catalog import ALL, CATEGORIES, SERVICES, SYSTEM, of_category
from tests.contract.conftest import Cluster

FOURTEEN = [*SERVICES, SYSTEM, ALL]
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

ENDPOINTS = {
    "/ws": ([], FOURTEEN),
    "/ws/master": ([], FOURTEEN),
    "/ws/all": (list(SERVICES), FOURTEEN),
    "/ws/data": ([], "data_collection"),
    "/ws/market_data": (["market_data"], "data_collection"),
    "/ws/whale_tracking": (["whale_tracking"], "data_collection"),
    "/ws/news": (["news"], "data_collection"),
    "/ws/sentiment": (["sentiment"], "data_collection"),
    "/ws/monitoring": ([], "monitoring"),
    "/ws/health": (["health_checker"], "monitoring"),
    "/ws/pool_status": (["pool_manager"], "monitoring"),
    "/ws/scheduler_status": (["scheduler"], "monitoring"),
    "/ws/integration": ([], "integration"),
    "/ws/huggingface": (["huggingface"], "integration"),
    "/ws/ai": (["huggingface"], "integration"),
    "/ws/persistence": (["persistence"], "integration"),
}


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_an_endpoint_greets_with_what_it_subscribes_and_lists(cluster: Cluster, path: str) -> None:
    """Every path of the contract: connection_established first, with its subscriptions and its category."""
    subscribed, listed = ENDPOINTS[path]
    client = await cluster.connect(path, greeted=False)
    message = await client.next()
    assert list(message) == ["service", "type", "data", "timestamp"]
    assert (message["service"], message["type"]) == ("system", "connection_established")
    assert TIME.match(message["timestamp"])
    data = message["data"]
    assert set(data) == {
        *("client_id", "connected_at", "message", "endpoint", "subscriptions", "available_services"),
    }
    assert re.fullmatch(r"client_\d+_\d{10}", data["client_id"])
    assert TIME.match(data["connected_at"])
    assert data["endpoint"] == path
    assert data["subscriptions"] == sorted(subscribed)
    assert data["available_services"] == (listed if isinstance(listed, list) else list(of_category(listed)))
    if path in ("/ws", "/ws/master"):
        assert (await client.next())["type"] == "welcome"
    if subscribed:
        confirmed = await client.next()
        assert confirmed["type"] == "subscription_confirmed"
        assert confirmed["data"]["subscriptions"] == sorted(subscribed)
    assert (await client.say(action="get_status"))["data"]["subscriptions"] == sorted(subscribed)


async def test_the_default_endpoint_welcomes_with_a_hint(cluster: Cluster) -> None:
    """/ws, second message: message, hint, example."""
    welcome = await (await cluster.connect("/ws")).next()
    assert welcome["type"] == "welcome"
    assert set(welcome["data"]) == {"message", "hint", "example"}
    assert welcome["data"]["example"] == {"action": "subscribe", "service": "market_data"}


async def test_the_master_endpoint_welcomes_with_the_catalogue_and_statistics(cluster: Cluster) -> None:
    """/ws/master, second message: the four groups, one example of each command, the numbers of /ws/stats."""
    data = (await (await cluster.connect("/ws/master")).next())["data"]
    assert set(data) == {"message", "available_services", "usage", "statistics"}
    assert data["available_services"] == {
        **{category: list(of_category(category)) for category in CATEGORIES},
        "system": ["system", "all"],
    }
    assert {name: example["action"] for name, example in data["usage"].items()} == {name: name for name in ACTIONS}
    assert data["statistics"]["total_connections"] == 1
    assert set(data["statistics"]) == {"total_connections", "subscription_counts"}


async def test_the_latest_update_follows_the_confirmation_at_once(cluster: Cluster) -> None:
    """A client need not wait 60 s for news: the newest update is sent on subscribe."""
    await cluster.publish("news", n=1)
    await cluster.publish("news", n=2)
    client = await cluster.connect("/ws/news")
    confirmed, update = await client.take(2)
    assert confirmed["type"] == "subscription_confirmed"
    assert (update["service"], update["type"], update["data"]) == ("news", "update", {"n": 2})
    assert list(update) == ["service", "type", "data", "timestamp"]
    await client.quiet()


async def test_an_unknown_path_is_refused_with_404(cluster: Cluster) -> None:
    """At the handshake, with a body that lists the endpoints."""
    with pytest.raises(websockets.InvalidStatus) as refused:
        await cluster.connect("/ws/nope")
    assert refused.value.response.status_code == 404
    assert b"/ws/market_data" in (refused.value.response.body or b"")


async def test_client_numbers_are_unique_across_gateways(cluster: Cluster) -> None:
    """Twenty clients on two gateways have twenty numbers."""
    numbers = set()
    for index in range(20):
        greeting = await (await cluster.connect("/ws/data", index % 2, greeted=False)).next()
        numbers.add(greeting["data"]["client_id"].split("_")[1])
    assert len(numbers) == 20
