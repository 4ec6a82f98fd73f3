"""OnchainService against the simulator: each figure from the best source that is well, null where there is none."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from shared.errors import NoSourceError
from shared.payloads import Onchain
from shared.payloads.onchain import ChainMetrics
from shared.timestamps import iso
from simulator.faults import FaultName
from simulator.hosts import defillama
from simulator.world.bitcoin import Bitcoin
from simulator.world.ethereum import Ethereum
from tests.workers.stage import FAULTS, Stage
from workers.services.onchain.service import OnchainService
from workers.services.rpc_nodes.nodes import DEFAULT_NODES
from workers.services.service import Resuming

LLAMA, CHAIR, SCOUT = "api.llama.fi", "api.blockchair.com", "eth.blockscout.com"
METRICS = "community-api.coinmetrics.io"
INFO = ("blockchain.info", "api.blockchain.info")
PRICES = ("coins.llama.fi", "api.coingecko.com")
NODES = tuple(str(urlsplit(node.url).hostname) for node in DEFAULT_NODES if node.chain == "ethereum")
NODE_NAMES = [node.label for node in DEFAULT_NODES if node.chain == "ethereum"]
SOLANA_NODES = tuple(str(urlsplit(node.url).hostname) for node in DEFAULT_NODES if node.chain == "solana")
SOLANA_NAMES = [node.label for node in DEFAULT_NODES if node.chain == "solana"]
SOLANAS = {"transactions_per_second", "priority_fee"}
FIGURES = set(ChainMetrics.__struct_fields__) - SOLANAS
EVERYBODY = (LLAMA, CHAIR, SCOUT, METRICS, *INFO, *NODES, *SOLANA_NODES, *PRICES)
DEADLINE = 24.0
"""Of a cycle of 30 s."""


async def collect(stage: Stage, later: float = 0.0, deadline: float = DEADLINE) -> Onchain:
    data = await stage.collect(later, deadline)
    assert isinstance(data, Onchain)
    return data


def sources(data: Onchain) -> set[str]:
    assert all(name.endswith(" (simulated)") for name in data.sources)
    return {name.removesuffix(" (simulated)") for name in data.sources}


def nulls(figures: Any) -> set[str]:
    """Names of the figures that are null, without those that only Solana has: see test_solana."""
    return {name for name in figures.__struct_fields__ if getattr(figures, name) is None} - SOLANAS


@pytest.fixture
async def onchain(stage: Stage) -> OnchainService:
    # A minute past one: neither the day nor what DefiLlama caches for ten minutes changes in the middle of a test.
    await stage.wait(-stage.now % 86_400 + 3660)
    service: OnchainService = stage.open("onchain")
    return service


async def test_a_whole_update(stage: Stage, onchain: OnchainService) -> None:
    """With all sources well every figure is as the simulated chains have it, and sums are sums."""
    data = await collect(stage)
    market, time = stage.simulator.market, stage.now // 600 * 600
    assert data.timestamp == iso(stage.now)
    assert nulls(data) == set()
    assert sources(data) >= {NODE_NAMES[0], "blockscout", "blockchain_com", "coinmetrics", "defillama"}
    assert list(data.chains)[:2] == ["bitcoin", "ethereum"]
    assert {"solana", "bsc", "tron", "base", "arbitrum", "hyperliquid-l1"} <= set(data.chains)
    assert len(data.chains) == 10

    locked = {chain.name: defillama.locked(market, chain, time) for chain in defillama.CHAINS}
    assert data.total_value_locked == pytest.approx(sum(locked.values()))
    assert data.chains["ethereum"].total_value_locked == pytest.approx(locked["Ethereum"])
    values = [chain.total_value_locked or 0.0 for name, chain in data.chains.items() if name != "bitcoin"]
    assert values == sorted(values, reverse=True)
    assert values[-1] > locked["Aptos"]


async def test_ethereum(stage: Stage, onchain: OnchainService) -> None:
    """Gas price, use of blocks, a day's transactions and fees are those of the simulated chain."""
    data = await collect(stage)
    market, chain = stage.simulator.market, Ethereum(stage.simulator.market)
    ether, height = data.chains["ethereum"], chain.height(stage.now)
    assert nulls(ether) == set()
    assert ether.active_addresses == round(chain.transactions_24h(stage.now // 86_400 * 86_400) * 0.35)
    assert ether.gas_price == data.gas_price == pytest.approx(chain.gas_price(stage.now) / 1e9, rel=0.3)
    used = sum(chain.gas_used(number) for number in range(height - 24, height + 1)) / 25 / chain.network.gas_limit
    assert ether.network_utilization == data.network_utilization == pytest.approx(used, abs=0.05)
    assert 0 < used < 1
    assert ether.transaction_count == chain.transactions_24h(stage.now // 86_400 * 86_400)
    assert ether.total_fees == pytest.approx(
        defillama.fees(market, defillama.CHAINS[0], stage.now // 600 * 600), rel=1e-3
    )


async def test_bitcoin(stage: Stage, onchain: OnchainService) -> None:
    """Addresses and fees are of the last whole day, the fees at the current price; a use of blocks nobody gives."""
    data = await collect(stage)
    chain, day = Bitcoin(stage.simulator.market), stage.now // 86_400 * 86_400
    bitcoin = data.chains["bitcoin"]
    assert nulls(bitcoin) == {"gas_price", "network_utilization"}
    assert bitcoin.transaction_count == pytest.approx(chain.transactions_24h(stage.now), rel=0.01)
    assert bitcoin.active_addresses == round(chain.transactions_24h(day) * 1.7)
    coins = chain.transactions_24h(day) * 400 * chain.fees(day).slow / 1e8
    assert bitcoin.total_fees == pytest.approx(coins * chain.price(stage.now), rel=0.01)


async def test_sums(stage: Stage, onchain: OnchainService) -> None:
    """Transactions and addresses are summed over both chains, fees over all that have any, in `chains` or not."""
    data = await collect(stage)
    bitcoin, ether = data.chains["bitcoin"], data.chains["ethereum"]
    assert data.transaction_count == (bitcoin.transaction_count or 0) + (ether.transaction_count or 0)
    assert data.active_addresses == (bitcoin.active_addresses or 0) + (ether.active_addresses or 0)
    market, time = stage.simulator.market, stage.now // 600 * 600
    paid = {chain.name: defillama.fees(market, chain, time) or 0.0 for chain in defillama.CHAINS}
    expected = sum(paid.values()) - paid["Bitcoin"] + (bitcoin.total_fees or 0.0)
    assert data.total_fees == pytest.approx(expected, rel=1e-6)
    assert expected > sum(chain.total_fees or 0.0 for chain in data.chains.values())
    assert data.chains["hyperliquid-l1"].total_fees is None


async def test_a_sum_without_one_of_its_chains_is_null(stage: Stage, onchain: OnchainService) -> None:
    """One row of DefiLlama's that can't be read: the other chains' values stand, and their sum is not told as all."""
    stage.spoil(LLAMA, fault="odd_row")
    data = await collect(stage)
    assert data.total_value_locked is None
    assert len([chain for chain in data.chains.values() if chain.total_value_locked]) >= 9
    stage.heal(LLAMA)
    assert (await collect(stage, 600)).total_value_locked


async def test_figures_are_without_the_noise_of_sums_and_products(stage: Stage, onchain: OnchainService) -> None:
    """USD have two digits, shares of block space four; and published figures add up."""
    data = await collect(stage)
    for figures in (data, *data.chains.values()):
        for usd in (figures.total_fees, figures.total_value_locked):
            assert usd is None or usd == round(usd, 2)
        share = figures.network_utilization
        assert share is None or share == round(share, 4)


@pytest.mark.slow
async def test_sources_are_asked_as_seldom_as_their_figures_change(stage: Stage, onchain: OnchainService) -> None:
    """In an hour: DefiLlama 8 calls, blockchain.com 4, Blockscout 2, Coin Metrics 1, a node at most 12 a cycle."""
    for _ in range(120):
        await collect(stage, 30)
    assert stage.asked["defillama"] == 6 + 2
    assert stage.asked["blockchain_com"] == 2 + 2
    assert stage.asked["blockscout"] == 2
    assert stage.asked["coinmetrics"] == 1
    assert stage.asked["blockchair"] == 0
    assert 120 * 4 <= stage.asked[NODE_NAMES[0]] <= 120 * 12
    assert not set(NODE_NAMES[1:]) & set(stage.asked)


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_of_the_primaries_fails_over_in_the_same_cycle(
    stage: Stage, onchain: OnchainService, fault: FaultName
) -> None:
    """Whatever is wrong with the first source of each figure, the update comes; null is what has no second source."""
    stage.spoil(LLAMA, SCOUT, *INFO, NODES[0], SOLANA_NODES[0], PRICES[0], fault=fault)
    data = await collect(stage)
    assert sources(data) == {NODE_NAMES[1], "blockchair", "coinmetrics", "solana/publicnode"}
    assert list(data.chains) == ["bitcoin", "ethereum", "solana"]
    ether, bitcoin = data.chains["ethereum"], data.chains["bitcoin"]
    assert nulls(data) == {"total_fees", "total_value_locked"}
    assert nulls(ether) == {"total_fees", "total_value_locked"}
    assert bitcoin.active_addresses is not None
    assert bitcoin.transaction_count is not None
    assert data.transaction_count == (bitcoin.transaction_count or 0) + (ether.transaction_count or 0)


@pytest.mark.parametrize(
    ("host", "lost"),
    [
        ((LLAMA,), {"total_value_locked"}),
        (INFO, set()),
        ((METRICS,), set()),
        ((*INFO, METRICS), {"active_addresses"}),
        ((SCOUT,), set()),
        (NODES[:3], set()),
        (NODES, {"gas_price", "network_utilization"}),
    ],
    ids=["defillama", "blockchain.com", "coinmetrics", "both of addresses", "blockscout", "three nodes", "nodes"],
)
async def test_who_is_down_takes_only_what_nobody_else_has(
    stage: Stage, onchain: OnchainService, host: tuple[str, ...], lost: set[str]
) -> None:
    """The other sources' figures are there, from the fallback if there is one."""
    stage.spoil(*host)
    data = await collect(stage)
    assert nulls(data) == lost
    bitcoin = data.chains["bitcoin"]
    assert bitcoin.total_fees is not None  # blockchain.com's or DefiLlama's
    assert bitcoin.transaction_count is not None


@pytest.mark.slow
async def test_hanging_sources_leave_time_for_the_others(stage: Stage, onchain: OnchainService) -> None:
    """A source that never answers costs part of the cycle, not the cycle."""
    stage.spoil(LLAMA, NODES[0], SCOUT, fault="hang")
    data = await collect(stage, deadline=6.0)
    assert sources(data) >= {NODE_NAMES[1], "blockchair", "blockchain_com"}
    assert nulls(data) == {"total_value_locked"}


async def test_bitcoins_fees_need_a_price(stage: Stage, onchain: OnchainService) -> None:
    """Without a price of Bitcoin its fees are DefiLlama's, in USD already; without that too, null."""
    stage.spoil(*PRICES)
    data = await collect(stage)
    theirs = defillama.fees(stage.simulator.market, defillama.CHAINS[3], stage.now // 600 * 600)
    assert data.chains["bitcoin"].total_fees == pytest.approx(theirs, rel=1e-3)
    stage.open("onchain")
    stage.spoil(LLAMA)
    assert (await collect(stage)).chains["bitcoin"].total_fees is None


async def test_what_is_too_old_is_null(stage: Stage, onchain: OnchainService) -> None:
    """Gas counts for two minutes, use of blocks for five, value for an hour, day figures for two, charts for six."""
    await collect(stage)
    stage.spoil(LLAMA, CHAIR, METRICS, *INFO, *NODES, *SOLANA_NODES)
    assert nulls(await collect(stage, 110)) == set()
    assert nulls(await collect(stage, 30)) == {"gas_price"}
    assert nulls(await collect(stage, 180)) == {"gas_price", "network_utilization"}
    data = await collect(stage, 3600)
    assert nulls(data) == {"gas_price", "network_utilization", "total_value_locked"}
    assert list(data.chains) == ["bitcoin", "ethereum"]
    data = await collect(stage, 3600)
    assert nulls(data.chains["bitcoin"]) >= {"transaction_count", "total_value_locked"}
    assert data.active_addresses is not None
    assert data.transaction_count == data.chains["ethereum"].transaction_count
    data = await collect(stage, 4 * 3600)
    assert nulls(data.chains["bitcoin"]) >= FIGURES
    assert sources(data) == {"blockscout"}


async def test_a_chart_that_stands_still_is_not_told(stage: Stage, onchain: OnchainService) -> None:
    """A newest point of more than three days ago is no figure of the last day."""
    stage.leave_behind(2.5 * 86_400)  # the charts' newest day is then at least 3.5 days back
    stage.spoil(*NODES)
    data = await collect(stage)
    assert data.active_addresses is None
    said = {source.error.reason for pool in onchain.pools for source in pool.sources if source.error is not None}
    assert any("n-unique-addresses: newest point is" in reason for reason in said)


async def test_a_node_that_stands_still_has_failed(stage: Stage, onchain: OnchainService) -> None:
    """Nodes whose newest block is older than five minutes give neither a gas price nor a use of blocks."""
    stage.leave_behind(400)
    data = await collect(stage)
    assert nulls(data) == {"gas_price", "network_utilization"}
    assert not sources(data) & set(NODE_NAMES)


async def test_nothing_is_published_while_all_are_down(stage: Stage, onchain: OnchainService) -> None:
    """With every source down there is no update, though most figures would be young enough; it recovers."""
    await collect(stage)
    stage.spoil(*EVERYBODY)
    with pytest.raises(NoSourceError) as caught:
        await collect(stage, 30)
    assert {error.provider for error in caught.value.errors} >= {"defillama", "blockchain_com", *NODE_NAMES}
    stage.heal(*EVERYBODY)
    assert nulls(await collect(stage, 310)) == set()


async def test_from_the_start_nothing_is_invented(stage: Stage, onchain: OnchainService) -> None:
    """Without any source, ever, there is only what each of them said."""
    stage.spoil(*EVERYBODY)
    with pytest.raises(NoSourceError) as caught:
        await collect(stage)
    names = {error.provider for error in caught.value.errors}
    assert names == {
        "defillama",
        "blockscout",
        "blockchair",
        "blockchain_com",
        "coinmetrics",
        *NODE_NAMES,
        *SOLANA_NAMES,
    }


async def test_without_a_node_of_ethereum(stage: Stage) -> None:
    """An operator may have none: its figures are null, and the others are not asked more often for it."""
    service = stage.open("onchain", rpc_nodes=SecretStr("base/own=https://mainnet.base.org"))
    for later in (0, 30, 30):
        data = await collect(stage, later)
    assert nulls(data) == {"gas_price", "network_utilization"}
    assert data.contract_events == []
    assert stage.asked["defillama"] == 2
    assert isinstance(service, Resuming)
