"""The cluster as its users have it: processes, two gateways, figures that move."""

from __future__ import annotations

import asyncio

import httpx
import msgspec
import pytest
import websockets

from shared.payloads import MarketData
from tests.system.clients import update
from tests.system.processes import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


async def test_prices_of_a_hundred_coins_move_and_are_labelled_as_simulated(cluster: Cluster) -> None:
    """market_data carries the top 100 coins, its prices move from one update to the next, and its source says
    simulated."""
    async with websockets.connect(cluster.ws("/ws/market_data")) as client:
        first = (await update(client))["data"]
        second = (await update(client))["data"]
    for data in (first, second):
        payload = msgspec.convert(data, MarketData)
        assert len(payload.prices) == 100
        assert payload.prices.keys() == payload.volumes.keys() == payload.market_caps.keys()
        assert all(part.endswith(" (simulated)") for part in payload.source.split(", "))
    moved = [coin for coin, price in first["prices"].items() if second["prices"][coin] != price]
    assert len(moved) > 50
    assert "bitcoin" in moved


async def test_two_gateways_show_the_same_updates_with_the_same_seq(cluster: Cluster) -> None:
    """An update has one seq and one content, whichever gateway a client is connected to."""
    async with (
        websockets.connect(cluster.ws("/ws/market_data?meta=1", 0)) as one,
        websockets.connect(cluster.ws("/ws/market_data?meta=1", 1)) as other,
    ):
        seen = [{}, {}]
        for _ in range(3):
            for index, client in enumerate((one, other)):
                message = await update(client)
                seen[index][message["meta"]["epoch"], message["meta"]["seq"]] = message["data"]
    common = seen[0].keys() & seen[1].keys()
    assert len(common) >= 2
    assert all(seen[0][position] == seen[1][position] for position in common)


async def test_stats_on_either_gateway_list_the_clients_of_both(cluster: Cluster) -> None:
    """/ws/stats is the whole cluster's, whichever replica answers."""
    async with (
        websockets.connect(cluster.ws("/ws/market_data", 0)) as one,
        websockets.connect(cluster.ws("/ws/market_data", 1)) as other,
        httpx.AsyncClient() as http,
    ):
        mine = {_client_id(await one.recv()), _client_id(await other.recv())}
        async with asyncio.timeout(15):
            for gateway in (0, 1):
                while True:
                    data = (await http.get(cluster.http("/ws/stats", gateway))).json()["data"]
                    if mine <= {client["client_id"] for client in data["clients"]}:
                        break
                assert data["total_connections"] >= 2
                assert data["subscription_counts"]["market_data"] >= 2


async def test_no_update_is_missing_between_two_that_a_client_gets(cluster: Cluster) -> None:
    """seq counts +1 from update to update."""
    async with websockets.connect(cluster.ws("/ws/market_data?meta=1")) as client:
        seqs = [(await update(client))["meta"]["seq"] for _ in range(3)]
    assert seqs == list(range(seqs[0], seqs[0] + 3))


def _client_id(raw: str | bytes) -> str:
    return str(msgspec.json.decode(raw)["data"]["client_id"])
