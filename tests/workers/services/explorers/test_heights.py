"""Heights that explorers and nodes give: one that can't be is never published, and never keeps the right one away."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from shared.payloads import Explorers
from simulator.faults import FaultName
from simulator.world.bitcoin import Bitcoin
from simulator.world.ethereum import Ethereum
from tests.workers.nodes import FakeNode, serving
from tests.workers.services.explorers.test_explorers import CHAIR, ESPLORA, INFO, MEMPOOL, NODE_NAMES, NODES, sources
from tests.workers.stage import NOON, Stage

BITCOIN = {"mempool": (MEMPOOL,), "esplora": (ESPLORA,), "blockchair": (CHAIR,), "blockchain_com": INFO}
WRONG: tuple[FaultName, ...] = ("stuck", "far_ahead")


@pytest.fixture
def explorers(stage: Stage) -> Any:
    return stage.open("explorers")


def reasons(service: Any, pool: int) -> dict[str, str]:
    return {
        source.provider.name: source.error.reason for source in service.pools[pool].sources if source.error is not None
    }


async def touch(stage: Stage) -> None:
    """Let the spoilt hosts stop: a host is stuck at the time of its first request."""
    async with httpx.AsyncClient(trust_env=False) as client:
        for fault in stage.simulator.faults.in_force():
            await client.get(f"{stage.settings.simulator_url}/", headers={"host": fault.host})


def check(stage: Stage, data: Explorers) -> None:
    """Both heights are the chains'; a node may be a block late."""
    now, market = stage.simulator.clock.now(), stage.simulator.market
    assert data.chains.bitcoin is not None
    assert data.chains.ethereum is not None
    assert data.latest_block == data.chains.bitcoin.latest_block == Bitcoin(market).height(now)
    assert data.chains.ethereum.latest_block == pytest.approx(Ethereum(market).height(now), abs=1)


@pytest.mark.parametrize("before", [True, False], ids=["with an update before", "after a restart"])
@pytest.mark.parametrize("fault", WRONG)
async def test_a_wrong_first_source(stage: Stage, explorers: Any, fault: FaultName, before: bool) -> None:
    """The first source of each chain stands still or is far ahead: the next one is asked in the same cycle."""
    if before:
        check(stage, await stage.collect())
    stage.spoil(MEMPOOL, NODES[0], fault=fault)
    await touch(stage)
    data = await stage.collect(4 * 3600)
    check(stage, data)
    assert sources(data)[0] == "esplora"
    assert NODE_NAMES[1] in sources(data)
    stage.heal(MEMPOOL, NODES[0])
    data = await stage.collect(600)
    check(stage, data)
    assert sources(data)[0] == "mempool"


@pytest.mark.parametrize("name", BITCOIN)
@pytest.mark.parametrize("fault", WRONG)
async def test_every_source_of_bitcoin(stage: Stage, explorers: Any, name: str, fault: FaultName) -> None:
    """Whichever source is the only one and wrong: no height is published, and the source is named."""
    await stage.collect()
    stage.spoil(*(host for other, hosts in BITCOIN.items() if other != name for host in hosts))
    stage.spoil(*BITCOIN[name], fault=fault)
    await touch(stage)
    data = await stage.collect(4 * 3600)
    assert data.latest_block is None
    reason = reasons(explorers, 0)[name]
    assert "h old" in reason if fault == "stuck" else "above the one before" in reason or "can't be there" in reason


@pytest.mark.parametrize("fault", WRONG)
async def test_every_source_is_wrong(stage: Stage, explorers: Any, fault: FaultName) -> None:
    """A chain of which no source proves a height has none; the rest is published."""
    hosts = [host for hosts in BITCOIN.values() for host in hosts]
    stage.spoil(*hosts, *NODES, fault=fault)
    await touch(stage)
    data = await stage.collect(4 * 3600)
    assert data.latest_block is None
    assert data.chains.ethereum is None or data.chains.ethereum.latest_block is None


async def test_bitcoin_without_a_block_for_two_hours(stage: Stage, explorers: Any) -> None:
    """Blocks of Bitcoin come at random: two hours without one are no reason to doubt the sources."""
    first = await stage.collect()
    stage.leave_behind(2 * 3600)
    data = await stage.collect()
    assert data.latest_block == first.latest_block
    assert sources(data)[0] == "mempool"


@pytest.mark.parametrize(("behind", "believed"), [(2, True), (3, False)])
async def test_a_source_that_is_behind(stage: Stage, behind: int, believed: bool) -> None:
    """A node of Ethereum three blocks behind another is passed over; two are normal."""
    height = 26_000_000
    late = FakeNode("ethereum", height - behind, NOON - 12 * behind)
    async with serving(late, FakeNode("ethereum", height, NOON)) as nodes:
        service = stage.open("explorers", rpc_nodes=SecretStr(nodes))
        late.refuses = frozenset({"eth_gasPrice"})
        assert (await stage.collect()).chains.ethereum.latest_block == height
        late.refuses = frozenset()
        data = await stage.collect(10)
    assert data.chains.ethereum.latest_block == (height - behind if believed else height)
    assert believed or reasons(service, 3) == {"ethereum/n0": "3 blocks behind"}


async def test_a_node_of_another_chain(stage: Stage) -> None:
    """A node whose chain has another id gives no height of Ethereum."""
    async with serving(FakeNode("ethereum", 26_000_000, NOON, identity=56)) as nodes:
        service = stage.open("explorers", rpc_nodes=SecretStr(nodes))
        data = await stage.collect()
    assert data.chains.ethereum.latest_block is None
    assert reasons(service, 3) == {"ethereum/n0": "on chain 56 instead of 1"}


async def test_a_wrong_height_that_was_published_is_corrected(stage: Stage) -> None:
    """A possible height that one node gave first, and takes back, keeps nobody away."""
    node = FakeNode("ethereum", 26_500_000, NOON)
    async with serving(node) as nodes:
        stage.open("explorers", rpc_nodes=SecretStr(nodes))
        assert (await stage.collect()).chains.ethereum.latest_block == 26_500_000
        node.height, node.time = 26_400_000, NOON + 10
        assert (await stage.collect(10)).chains.ethereum.latest_block == 26_400_000
        node.height, node.time = 26_500_000, NOON + 20
        assert (await stage.collect(10)).chains.ethereum.latest_block == 26_400_000
