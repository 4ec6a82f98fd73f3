"""ExplorersService against the simulator: each figure from the best source that is well, null where there is none."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from shared.errors import NoSourceError
from shared.payloads import Explorers
from simulator.faults import FaultName
from simulator.world.bitcoin import Bitcoin
from simulator.world.ethereum import Ethereum
from tests.workers.stage import FAULTS, Stage
from workers.services.rpc_nodes.nodes import DEFAULT_NODES

MEMPOOL, ESPLORA, CHAIR, SCOUT = "mempool.space", "blockstream.info", "api.blockchair.com", "eth.blockscout.com"
INFO = ("blockchain.info", "api.blockchain.info")
NODES = tuple(str(urlsplit(node.url).hostname) for node in DEFAULT_NODES if node.chain == "ethereum")
NODE_NAMES = [node.label for node in DEFAULT_NODES if node.chain == "ethereum"]
EVERYBODY = (MEMPOOL, ESPLORA, CHAIR, SCOUT, *INFO, *NODES)


def sources(data: Explorers) -> list[str]:
    assert all(name.endswith(" (simulated)") for name in data.sources)
    return [name.removesuffix(" (simulated)") for name in data.sources]


def nulls(figures: Any) -> set[str]:
    """Names of the figures that are null."""
    return {name for name in figures.__struct_fields__ if getattr(figures, name) is None}


@pytest.fixture
def explorers(stage: Stage) -> Any:
    return stage.open("explorers")


async def test_a_whole_update(stage: Stage, explorers: Any) -> None:
    """With all sources well every figure is there, as the chains have it, Bitcoin's also flat."""
    data = await stage.collect()
    now, market = stage.simulator.clock.now(), stage.simulator.market
    bitcoin, ethereum = Bitcoin(market), Ethereum(market)
    chain, ether = data.chains.bitcoin, data.chains.ethereum
    assert nulls(chain) == nulls(chain.fees) == nulls(ether) == set()
    assert chain.latest_block == data.latest_block == bitcoin.height(now)
    assert chain.hashrate == data.network_hashrate == pytest.approx(bitcoin.hashrate(now), rel=1e-3)
    assert chain.difficulty == data.difficulty == bitcoin.difficulty(now)
    assert chain.mempool_size == data.mempool_size == pytest.approx(bitcoin.mempool(now).count, rel=0.1)
    assert chain.transactions_count == data.transactions_count == bitcoin.transactions_24h(now)
    assert chain.fees.fast >= chain.fees.medium >= chain.fees.slow >= 1
    assert ether.latest_block == pytest.approx(ethereum.height(now), abs=1)
    assert ether.gas_price_gwei == pytest.approx(ethereum.gas_price(now) / 1e9, rel=0.5)
    assert ether.transactions_count > 100_000
    assert sources(data) == ["mempool", "blockchain_com", NODE_NAMES[0], "blockscout"]


@pytest.mark.slow  # it runs through hours
async def test_sources_are_asked_as_seldom_as_their_figures_change(stage: Stage, explorers: Any) -> None:
    """In ten minutes of cycles: mempool.space three calls in 30 s and one more, a node two a cycle, the others one."""
    for _ in range(60):
        await stage.collect(10)
    assert stage.asked["mempool"] == 20 * 3 + 1
    assert stage.asked[NODE_NAMES[0]] in (120, 121)  # the first asks which chain it is, where it does
    assert stage.asked["blockchain_com"] == stage.asked["blockscout"] == 1
    assert stage.asked["esplora"] == stage.asked["blockchair"] == 0


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_of_the_primaries_fails_over_in_the_same_cycle(
    stage: Stage, explorers: Any, fault: FaultName
) -> None:
    """Whatever is wrong with the first source of each figure, the second gives it in that very cycle."""
    stage.spoil(MEMPOOL, *INFO, NODES[0], SCOUT, fault=fault)
    data = await stage.collect()
    assert sources(data) == ["esplora", "blockchair", NODE_NAMES[1]]
    assert nulls(data) == nulls(data.chains.bitcoin) == nulls(data.chains.ethereum) == set()
    assert {(before, now) for _, before, now, _ in stage.failovers} == {
        ("mempool", "esplora"),
        ("mempool", "blockchair"),
        ("blockchain_com", "blockchair"),
        (NODE_NAMES[0], NODE_NAMES[1]),
        ("blockscout", "blockchair"),
    }


@pytest.mark.slow
async def test_hanging_primaries_leave_time_for_the_fallbacks(stage: Stage, explorers: Any) -> None:
    """A source that never answers costs part of the cycle, not the cycle."""
    stage.spoil(MEMPOOL, NODES[0], fault="hang")
    data = await stage.collect(deadline=5.0)
    assert {"esplora", NODE_NAMES[1]} <= set(sources(data))
    assert nulls(data.chains.bitcoin) == nulls(data.chains.ethereum) == set()


async def test_the_primary_takes_over_when_it_is_back(stage: Stage, explorers: Any) -> None:
    """A source that is well again is asked after its pause, though the fallback's answer is young."""
    stage.spoil(MEMPOOL)
    assert sources(await stage.collect())[0] == "esplora"
    stage.heal(MEMPOOL)
    assert sources(await stage.collect(10))[0] == "mempool"


async def test_blockchair_knows_one_fee(stage: Stage, explorers: Any) -> None:
    """It suggests a fee for the next block only: the others are null, not guessed."""
    stage.spoil(MEMPOOL, ESPLORA)
    data = await stage.collect()
    assert sources(data)[0] == "blockchair"
    assert nulls(data.chains.bitcoin) == set()
    assert nulls(data.chains.bitcoin.fees) == {"medium", "slow"}


async def test_blockchair_goes_on(stage: Stage, explorers: Any) -> None:
    """It is asked again when its answer is old, and not in every cycle before."""
    stage.spoil(MEMPOOL, ESPLORA)
    first = await stage.collect()
    await stage.collect(30)
    assert stage.asked["blockchair"] == 1
    later = await stage.collect(1200)
    assert later.latest_block > first.latest_block
    assert stage.asked["blockchair"] == 2


async def test_a_count_of_zero_is_null(stage: Stage, explorers: Any) -> None:
    """A day without a transaction is how explorers say that they don't know."""
    stage.spoil(SCOUT, CHAIR, *INFO, fault="zeros")
    data = await stage.collect()
    assert nulls(data.chains.bitcoin) == nulls(data.chains.ethereum) == {"transactions_count"}
    assert sources(data) == ["mempool", NODE_NAMES[0]]
    assert {source.failures for source in explorers.pools[2].sources} == {1}


async def test_etherscan_joins_with_a_key(stage: Stage) -> None:
    """It is the last source of Ethereum's height and gas price, where the operator has a key for it."""
    stage.spoil(*NODES)
    service = stage.open("explorers", etherscan_key=SecretStr("our-own-key"))
    data = await stage.collect()
    assert [source.provider.name for source in service.pools[3].sources] == [*NODE_NAMES, "etherscan"]
    assert "etherscan" in sources(data)
    assert nulls(data.chains.ethereum) == set()


async def test_figures_without_a_source_are_null(stage: Stage, explorers: Any) -> None:
    """blockchain.com alone knows no mempool and no fees; null is neither zero nor what was true before."""
    stage.spoil(MEMPOOL, ESPLORA, CHAIR, SCOUT, *NODES)
    data = await stage.collect()
    assert sources(data) == ["blockchain_com"]
    assert nulls(data.chains.bitcoin) == {"mempool_size", "fees"}
    assert data.mempool_size is None
    assert data.difficulty is not None  # it came with the hash rate
    assert data.chains.ethereum is None


async def test_a_day_without_a_count(stage: Stage, explorers: Any) -> None:
    """With the sources of a day's transactions down, only those are null."""
    stage.spoil(*INFO, CHAIR, SCOUT)
    data = await stage.collect()
    assert nulls(data.chains.bitcoin) == nulls(data.chains.ethereum) == {"transactions_count"}
    assert nulls(data) == {"transactions_count"}


async def test_one_chain_may_be_down(stage: Stage, explorers: Any) -> None:
    """Bitcoin goes on without Ethereum, without being asked more often for it, and the other way round."""
    stage.spoil(SCOUT, CHAIR, *NODES)
    for later in (0, 10, 10):
        data = await stage.collect(later)
        assert data.chains.ethereum is None
        assert nulls(data.chains.bitcoin) == set()
    assert stage.asked["mempool"] == 4
    stage.open("explorers")
    stage.heal(SCOUT, *NODES)
    stage.spoil(MEMPOOL, ESPLORA, *INFO)
    data = await stage.collect()
    assert data.chains.bitcoin is None
    assert data.latest_block is None
    assert nulls(data.chains.ethereum) == set()


async def test_what_is_too_old_is_null(stage: Stage, explorers: Any) -> None:
    """Two minutes after its last source, the state of Bitcoin is no longer told; figures of a day last two hours."""
    await stage.collect()
    stage.spoil(MEMPOOL, ESPLORA, CHAIR, *INFO)
    data = await stage.collect(60)
    assert nulls(data.chains.bitcoin) == set()
    data = await stage.collect(70)
    assert nulls(data.chains.bitcoin) == {"latest_block", "mempool_size", "fees"}
    data = await stage.collect(7200)
    assert data.chains.bitcoin is None
    assert sources(data)[:1] == [NODE_NAMES[0]]


async def test_nothing_is_published_while_all_are_down(stage: Stage, explorers: Any) -> None:
    """With every source down there is no update, though figures of the day would be young enough; it recovers."""
    await stage.collect()
    stage.spoil(*EVERYBODY)
    with pytest.raises(NoSourceError) as caught:
        await stage.collect(30)
    assert {error.provider for error in caught.value.errors} >= {"mempool", "esplora", "blockchain_com", NODE_NAMES[0]}
    stage.heal(*EVERYBODY)
    data = await stage.collect(310)
    assert nulls(data.chains.bitcoin) == nulls(data.chains.ethereum) == set()
    assert sources(data)[0] == "mempool"


async def test_from_the_start_nothing_is_invented(stage: Stage, explorers: Any) -> None:
    """Without any source, ever, there is only what each of them said."""
    stage.spoil(*EVERYBODY)
    with pytest.raises(NoSourceError) as caught:
        await stage.collect()
    names = {error.provider for error in caught.value.errors}
    assert names == {"mempool", "esplora", "blockchair", "blockchain_com", "blockscout", *NODE_NAMES}


async def test_blocks_move_on(stage: Stage, explorers: Any) -> None:
    """Over an hour heights grow and never fall, and the mempool is another one each time."""
    data = [await stage.collect(later) for later in [0] + [600] * 6]
    heights = [update.latest_block for update in data]
    assert heights == sorted(heights)
    assert heights[-1] - heights[0] in (5, 6, 7)
    ether = [update.chains.ethereum.latest_block for update in data]
    assert ether == sorted(set(ether))
    assert len({update.mempool_size for update in data}) == 7
