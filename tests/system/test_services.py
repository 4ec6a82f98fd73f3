"""All data services at once, as a client of /ws/data has them: flowing, well-formed, coherent with one another."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec
import pytest
import websockets
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from shared.catalog import CHANNEL_NAMES, SERVICES, SYSTEM, of_category
from tests.system.clients import send
from tests.system.processes import Cluster
from tests.waiting import until

DATA = of_category("data_collection")

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


async def updates(cluster: Cluster, seconds: float, wanted: int) -> dict[str, list[Any]]:
    """The payloads of every service, until each has had `wanted` updates."""
    seen: dict[str, list[Any]] = {name: [] for name in DATA}
    async with websockets.connect(cluster.ws("/ws/data")) as client, asyncio.timeout(seconds):
        await send(client, action="subscribe", service=list(DATA))
        while any(len(payloads) < wanted for payloads in seen.values()):
            message = msgspec.json.decode(await client.recv())
            if message["type"] == "update":
                name = message["service"]
                seen[name].append(msgspec.convert(message["data"], SERVICES[name].payload))
    return seen


async def test_every_service_flows_and_says_that_it_is_simulated(cluster: Cluster) -> None:
    """Each publishes what its payload type says, with figures, and with its sources labelled."""
    seen = {name: payloads[-1] for name, payloads in (await updates(cluster, 60, 1)).items()}
    market, explorers, news = seen["market_data"], seen["explorers"], seen["news"]
    sentiment, whales, nodes, onchain = (seen[name] for name in ("sentiment", "whale_tracking", "rpc_nodes", "onchain"))
    assert explorers.latest_block is not None
    assert len(news.articles) > 5
    assert nodes.active_nodes == nodes.total_nodes > 5
    assert onchain.total_value_locked is not None
    labels = [market.source, *explorers.sources, *news.sources, *sentiment.sources, *whales.sources, *onchain.sources]
    assert all("(simulated)" in label for label in labels)


async def test_figures_move_and_fit_together(cluster: Cluster) -> None:
    """Two minutes' worth of updates: heights agree between services, values are amounts at the market's price."""
    seen = await updates(cluster, 120, 2)
    prices = [update.prices["ethereum"] for update in seen["market_data"]]
    assert len(set(prices)) > 1
    heights = [update.chains.ethereum.latest_block for update in seen["explorers"]]
    nodes = [max(row.block_number for row in update.nodes if row.chain == "ethereum") for update in seen["rpc_nodes"]]
    assert heights == sorted(heights)
    assert abs(heights[-1] - nodes[-1]) <= 5  # a minute of blocks: they are published at different times
    ether = [tx for update in seen["whale_tracking"] for tx in update.large_transactions if tx.symbol == "ETH"]
    for tx in ether:
        assert tx.value == tx.value_usd >= 1_000_000
        assert tx.value_usd / tx.amount == pytest.approx(prices[-1], rel=0.1)
    gas = [update.gas_price for update in seen["onchain"]]
    assert gas[-1] == pytest.approx(seen["explorers"][-1].chains.ethereum.gas_price_gwei, rel=1.0)


async def test_all_twelve_flow_on_one_connection(cluster: Cluster) -> None:
    """/ws/all brings an update of each, well-formed, and monitoring knows the workers that make them."""
    latest: dict[str, Any] = {}
    async with websockets.connect(cluster.ws("/ws/all")) as client, asyncio.timeout(120):
        while set(latest) != set(SERVICES) or latest["persistence"].total_records == 0:
            message = msgspec.json.decode(await client.recv())
            if message["type"] == "update" and message["service"] in SERVICES:
                name = message["service"]
                latest[name] = msgspec.convert(message["data"], SERVICES[name].payload)
    assert {job.service for job in latest["scheduler"].jobs} == set(SERVICES)
    assert latest["scheduler"].running
    assert {"market_data", "news", "whale_tracking"} <= set(latest["pool_manager"].pools)
    assert latest["health_checker"].total_providers > 10
    assert latest["huggingface"].total_models >= len(latest["huggingface"].available_models) > 0
    assert latest["persistence"].active_writers == 1


async def test_every_update_is_what_its_schema_says(cluster: Cluster) -> None:
    """Each of the twelve services, and `system`, sends what /api/v1/schemas has of it."""
    async with httpx.AsyncClient() as http:
        schemas = {name: (await http.get(cluster.http(f"/api/v1/schemas/{name}"))).json() for name in CHANNEL_NAMES}
    seen: set[str] = set()
    async with websockets.connect(cluster.ws("/ws/all")) as client, asyncio.timeout(120):
        await send(client, action="subscribe", service=SYSTEM)
        while seen != set(CHANNEL_NAMES):
            message = msgspec.json.decode(await client.recv())
            if message["type"] == "update":
                Draft202012Validator(schemas[message["service"]]).validate(message["data"])
                seen.add(message["service"])


async def test_what_was_published_is_history_on_either_gateway(cluster: Cluster) -> None:
    """The recorder's rows are the updates that clients had, by position; both gateways give the same page."""
    async with websockets.connect(cluster.ws("/ws/market_data?meta=1")) as client, asyncio.timeout(60):
        while True:
            message = msgspec.json.decode(await client.recv())
            if message["type"] == "update":
                break

    async def recorded(gateway: int) -> list[Any]:
        async with httpx.AsyncClient() as http:
            answer = await http.get(cluster.http("/api/v1/history/market_data?limit=1000", gateway))
        found: list[Any] = answer.json()["data"]["records"]
        return [record for record in found if record["seq"] <= message["meta"]["seq"]]

    async def is_there() -> bool:
        return any(record["seq"] == message["meta"]["seq"] for record in await recorded(0))

    await until(is_there, 30)
    first, second = await recorded(0), await recorded(1)
    assert first == second
    (kept,) = (record for record in first if record["seq"] == message["meta"]["seq"])
    assert (kept["epoch"], kept["data"]) == (message["meta"]["epoch"], message["data"])
