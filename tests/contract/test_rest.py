"""The HTTP side (docs/reference/protocol.md)."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.catalog import CATEGORIES, SERVICES
from tests.contract.conftest import Cluster
from tests.waiting import until


async def test_stats_on_either_gateway_are_the_whole_clusters(cluster: Cluster) -> None:
    """Clients of both gateways, their subscriptions and counts, whichever replica answers."""
    for node in (0, 1):
        await cluster.connect("/ws/news", node)
    await cluster.connect("/ws/all", 1)
    everything = 2 + len(SERVICES)
    for node in (0, 1):
        found: dict[str, Any] = {}

        async def complete(node: int = node, found: dict[str, Any] = found) -> bool:
            found.update((await cluster.http.get(cluster.url("/ws/stats", node))).json())
            listed = sum(len(client["subscriptions"]) for client in found["data"]["clients"])
            # The other's may be 0.2 s late.
            return listed == sum(found["data"]["subscription_counts"].values()) == everything

        await until(complete)
        assert set(found) == {"status", "data", "timestamp"}
        assert found["status"] == "success"
        assert found["data"]["total_connections"] == 3
        assert found["data"]["subscription_counts"]["news"] == 3
        assert found["data"]["subscription_counts"]["onchain"] == 1
        for client in found["data"]["clients"]:
            assert set(client) == {"client_id", "connected_at", "last_activity", "subscriptions"}


async def test_stats_are_paged_by_limit_and_cursor(cluster: Cluster) -> None:
    """Pages of two list seven clients of two gateways once each, in the order they came."""
    for index in range(7):
        await cluster.connect("/ws/data", index % 2)
    await until(lambda: cluster.nodes[0].presence.total_clients == 7)
    seen: list[str] = []
    cursor = "0"
    while cursor:
        answer = await cluster.http.get(cluster.url("/ws/stats"), params={"limit": 2, "cursor": cursor})
        data = answer.json()["data"]
        assert data["total_connections"] == 7
        seen += [client["client_id"] for client in data["clients"]]
        cursor = data.get("next_cursor", "")
    assert len(seen) == len(set(seen)) == 7


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "limit=100000", "cursor=x", "limit="])
async def test_a_bad_page_is_400(cluster: Cluster, query: str) -> None:
    """limit and cursor must be integers in range; the answer names the wrong one."""
    answer = await cluster.http.get(cluster.url(f"/ws/stats?{query}"))
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["data"]["message"]


async def test_services_are_the_catalogue(cluster: Cluster) -> None:
    """Per group, per service: name, description, update_interval, endpoints, filters; and master_endpoints."""
    data = (await cluster.http.get(cluster.url("/ws/services"))).json()["data"]
    assert set(data) == {"services", "master_endpoints"}
    listed = {name for category in CATEGORIES for name in data["services"][category]}
    assert listed == set(SERVICES)
    market = data["services"]["data_collection"]["market_data"]
    assert set(market) == {"name", "description", "update_interval", "endpoints", "filters"}
    assert market["update_interval"] == "5 seconds"
    assert market["endpoints"] == ["/ws/data", "/ws/market_data"]
    assert market["filters"] == ["coins", "fields"]
    assert list(data["master_endpoints"]) == ["/ws", "/ws/master", "/ws/all"]


async def test_every_endpoint_is_listed_and_answers(cluster: Cluster) -> None:
    """Each path of /ws/endpoints has a line of description, and takes a WebSocket."""
    data = (await cluster.http.get(cluster.url("/ws/endpoints"))).json()["data"]
    assert set(data) == {f"{group}_endpoints" for group in ("master", *CATEGORIES)}
    paths = [path for group in data.values() for path in group]
    assert len(paths) == 16
    assert all(description for group in data.values() for description in group.values())
    for path in paths:
        await cluster.connect(path)


async def test_a_websocket_path_asked_for_as_a_page_says_so(cluster: Cluster) -> None:
    """426 with Upgrade, not a bare 404."""
    answer = await cluster.http.get(cluster.url("/ws/news"))
    assert answer.status_code == 426
    assert answer.headers["upgrade"] == "websocket"


async def test_health_and_metrics(cluster: Cluster) -> None:
    """Live, ready, and metrics that Prometheus can read."""
    assert (await cluster.http.get(cluster.url("/health/live"))).status_code == 200
    assert (await cluster.http.get(cluster.url("/health/ready"))).json() == {"status": "ready", "reasons": []}
    await cluster.connect("/ws/news")
    text = (await cluster.http.get(cluster.url("/metrics"))).text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["coinwire_gateway_connections"].samples[0].value == 1


async def test_nothing_else_is_there(cluster: Cluster) -> None:
    """404 and 405 are JSON; any origin may read."""
    missing = await cluster.http.get(cluster.url("/nope"), headers={"Origin": "https://example.org"})
    assert (missing.status_code, missing.json()["status"]) == (404, "error")
    assert missing.headers["access-control-allow-origin"] == "*"
    assert (await cluster.http.post(cluster.url("/ws/stats"))).status_code == 405
