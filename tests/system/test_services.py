"""All data services at once, as a client of /ws/data has them: flowing, well-formed, coherent with one another."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
import websockets

from shared.catalog import SERVICES, of_category
from tests.system.clients import send
from tests.system.processes import Cluster

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
