"""whale_tracking as its clients get it, over real sockets from the simulator."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from pydantic import SecretStr

from shared.errors import NoSourceError
from shared.payloads import WhaleTracking
from shared.timestamps import iso
from simulator.world.bitcoin import Bitcoin
from simulator.world.ethereum import Ethereum
from tests.workers.stage import FAULTS, Stage
from workers.providers.ethereum_rpc import TRANSFER
from workers.services.service import Resuming
from workers.services.whale_tracking.ethereum import CONFIRMATIONS, MAX_CATCH_UP
from workers.services.whale_tracking.service import WhaleTrackingService

NODES = ("ethereum-rpc.publicnode.com", "eth.drpc.org", "rpc.mevblocker.io", "ethereum.reth.rs")
EXPLORERS = ("mempool.space", "blockstream.info", "blockchain.info", "api.blockchain.info")
PRICES = ("coins.llama.fi", "api.coingecko.com")
DEADLINE = 12.0
"""Of a cycle of 15 s."""


async def collect(stage: Stage, later: float = 0.0) -> WhaleTracking:
    data = await stage.collect(later, DEADLINE)
    assert isinstance(data, WhaleTracking)
    return data


def open_service(stage: Stage, cursor: bytes | None = None, **settings: Any) -> WhaleTrackingService:
    """The service, gone on from `cursor`."""
    service: WhaleTrackingService = stage.open("whale_tracking", **settings)
    service.resume(cursor)
    return service


def keys(data: WhaleTracking, chain: str) -> list[tuple[str, str, float]]:
    """The transfers of one chain, as what tells them apart."""
    return [(tx.hash, tx.symbol, tx.amount) for tx in data.large_transactions if tx.chain == chain]


def ethereum_whales(stage: Stage, first: int, last: int) -> set[str]:
    """Hashes of what the simulator moved in these blocks, far from the threshold, and that did not fail."""
    chain = Ethereum(stage.simulator.market)
    found = set()
    for number in range(first, last + 1):
        price = stage.simulator.market.price(stage.simulator.market.by_id["ethereum"], chain.time_of(number))
        for tx, receipt in zip(chain.block(number)["transactions"], chain.receipts(number), strict=True):
            if int(tx["value"], 16) / 1e18 * price >= 1.05e6 and receipt["status"] == "0x1":
                found.add(tx["hash"])
        for log in chain.logs(number):
            if _usd(stage, log, chain.time_of(number)) >= 1.05e6:
                found.add(log["transactionHash"])
    return found


def _usd(stage: Stage, log: dict[str, Any], time: float) -> float:
    tokens = {
        "0xdac17f958d2ee523a2206206994597c13d831ec7": ("tether", 6),
        "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48": ("usd-coin", 6),
        "0x6b175474e89094c44da98b954eedeac495271d0f": ("dai", 18),
        "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599": ("wrapped-bitcoin", 8),
    }
    if log["address"] not in tokens or log["topics"][0] != TRANSFER:
        return 0.0
    coin, decimals = tokens[log["address"]]
    market = stage.simulator.market
    units = float(int(log["data"], 16))
    return units / float(10**decimals) * market.price(market.by_id[coin], time)


def bitcoin_whales(stage: Stage, first: int, last: int) -> set[str]:
    """Ids of what the simulator moved in these blocks."""
    chain, found = Bitcoin(stage.simulator.market), set()
    for height in range(first, last + 1):
        for tx in chain.block(height).transactions[1:]:
            paid = [output.sats for output in tx.outputs if output.address not in {i.address for i in tx.inputs}]
            if sum(paid) / 1e8 * chain.price(chain.time_of(height)) >= 1.05e6:
                found.add(tx.txid)
    return found


def safe(stage: Stage) -> int:
    """The newest block that is deep enough on a node that is not late."""
    return Ethereum(stage.simulator.market).height(stage.now) - CONFIRMATIONS


def height(stage: Stage, ago: float = 0.0) -> int:
    """Bitcoin's newest block so many seconds ago."""
    return Bitcoin(stage.simulator.market).height(stage.now - ago)


async def follow(stage: Stage, minutes: float) -> list[WhaleTracking]:
    """The updates of so many minutes, 15 s apart."""
    return [await collect(stage, 15) for _ in range(int(minutes * 4))]


async def test_what_a_first_update_holds(stage: Stage) -> None:
    """Without a cursor: the newest block of each chain, in USD, labelled as simulated, with its known wallets."""
    open_service(stage)
    data = await collect(stage)
    assert data.sources == ["ethereum/publicnode (simulated)", "mempool (simulated)", "blockchain_com (simulated)"]
    assert {tx for tx, *_ in keys(data, "bitcoin")} >= bitcoin_whales(stage, height(stage), height(stage))
    assert data.alert_threshold == 1_000_000
    assert data.total_volume == round(sum(tx.value_usd for tx in data.large_transactions), 2)
    for tx in data.large_transactions:
        assert tx.value == tx.value_usd == round(tx.value_usd, 2) >= 1_000_000
        assert tx.amount > 0
        assert tx.from_ != tx.to
    parties = {party for tx in data.large_transactions for party in (tx.from_, tx.to)}
    assert {wallet.address for wallet in data.whale_wallets} <= parties


@pytest.mark.slow
async def test_every_block_is_scanned_exactly_once(stage: Stage) -> None:
    """Over forty minutes each large transfer of each block of both chains is told once, in the update after it."""
    open_service(stage)
    before = await collect(stage)
    first, first_height = safe(stage) + 1, height(stage) + 1
    updates = await follow(stage, 40)
    told = [tx.hash for data in updates for tx in data.large_transactions]
    entries = [key for data in (before, *updates) for chain in ("ethereum", "bitcoin") for key in keys(data, chain)]
    assert len(entries) == len(set(entries))
    wanted = ethereum_whales(stage, first, safe(stage) - 1)
    assert len(wanted) > 50
    assert wanted <= set(told)
    assert bitcoin_whales(stage, first_height, height(stage, 120)) <= set(told)


async def test_every_hash_is_in_the_block_of_its_time(stage: Stage) -> None:
    """Each Ethereum transfer is in the simulator's block of that time, with sender, receiver and amount."""
    open_service(stage)
    chain = Ethereum(stage.simulator.market)
    told = [tx for data in await follow(stage, 5) for tx in data.large_transactions if tx.chain == "ethereum"]
    assert len({tx.symbol for tx in told}) >= 2
    blocks = {
        tx["hash"]: (tx, number)
        for number in range(safe(stage) - 60, safe(stage) + 1)
        for tx in chain.block(number)["transactions"]
    }
    for tx in told:
        original, number = blocks[tx.hash]
        assert tx.from_ == original["from"]
        if tx.symbol == "ETH":
            assert tx.to == original["to"]
            assert tx.amount == pytest.approx(int(original["value"], 16) / 1e18)
        assert tx.timestamp.startswith(iso(chain.time_of(number))[:-5])


async def test_the_newest_transfer_comes_first(stage: Stage) -> None:
    """Within an update times go down."""
    open_service(stage)
    for data in await follow(stage, 5):
        times = [tx.timestamp for tx in data.large_transactions]
        assert times == sorted(times, reverse=True)


async def test_nothing_large_is_an_update_too(stage: Stage) -> None:
    """With an unreachable threshold the list is empty, the volume zero, and the update is published."""
    open_service(stage, whale_threshold_usd=1e12)
    data = await collect(stage)
    assert (data.large_transactions, data.whale_wallets, data.total_volume) == ([], [], 0)
    assert data.sources


async def test_a_restart_leaves_no_gap_and_no_double(stage: Stage) -> None:
    """A new service that resumes from the stored cursor goes on where the other ended; so do many in a row."""
    service = open_service(stage)
    updates = [await collect(stage)]
    first = safe(stage) + 1
    assert isinstance(service, Resuming)
    for _ in range(20):
        service = open_service(stage, service.cursor)
        updates.append(await collect(stage, 15))
    entries = [key for data in updates for chain in ("ethereum", "bitcoin") for key in keys(data, chain)]
    assert len(entries) == len(set(entries))
    assert ethereum_whales(stage, first, safe(stage) - 1) <= {tx for tx, *_ in entries}


async def test_an_unpublished_update_is_collected_again(stage: Stage) -> None:
    """After a failed publish the service resumes from the cursor before: the same transfers are in the next update."""
    service = open_service(stage)
    await collect(stage)
    cursor = service.cursor
    lost = [await collect(stage, 15) for _ in range(8)]
    service.resume(cursor)
    again = await collect(stage)
    assert {key for data in lost for key in keys(data, "ethereum")} == set(keys(again, "ethereum"))


async def test_a_cursor_that_cannot_be_read_is_dropped(stage: Stage) -> None:
    """Then the scans begin at the newest blocks, as without one."""
    open_service(stage, b"\xc1 something else")
    data = await collect(stage)
    assert data.sources


@pytest.mark.slow
async def test_the_cursor_stays_small(stage: Stage) -> None:
    """It does not grow with time: published transfers are remembered for 64 blocks."""
    service = open_service(stage)
    await follow(stage, 20)
    early = len(service.cursor)
    await follow(stage, 20)
    assert len(service.cursor) < 1.5 * early < 30_000


@pytest.mark.slow
@pytest.mark.parametrize("fault", [*FAULTS, "no_rows"])
async def test_a_faulty_primary_costs_no_transfer(stage: Stage, fault: Any) -> None:
    """Whatever fault the first sources have: the others stand in within the next cycle, without gap and double."""
    open_service(stage)
    updates = [await collect(stage)]
    first, first_height = safe(stage) + 1, height(stage) + 1
    stage.spoil(NODES[0], "mempool.space", "blockchain.info", fault=fault)
    updates += await follow(stage, 14)
    assert "ethereum/drpc (simulated)" in updates[-1].sources
    assert "esplora (simulated)" in updates[-1].sources
    stage.heal(NODES[0], "mempool.space", "blockchain.info")
    updates += await follow(stage, 4)
    assert "ethereum/publicnode (simulated)" in updates[-1].sources
    entries = [key for data in updates for chain in ("ethereum", "bitcoin") for key in keys(data, chain)]
    assert len(entries) == len(set(entries))
    hashes = {tx for tx, *_ in entries}
    assert ethereum_whales(stage, first, safe(stage) - 1) <= hashes
    assert bitcoin_whales(stage, first_height, height(stage, 120)) <= hashes


@pytest.mark.slow
async def test_sources_that_hang_leave_time_for_others(stage: Stage) -> None:
    """A first source that never answers takes a part of the cycle; the update is still in time, from the next one."""
    open_service(stage)
    await collect(stage)
    stage.spoil(NODES[0], "mempool.space", fault="hang")
    await stage.wait(30)
    began = asyncio.get_running_loop().time()
    data = await stage.collect(0, 4.0)
    assert asyncio.get_running_loop().time() - began < 4.5
    assert "ethereum/drpc (simulated)" in data.sources
    assert "esplora (simulated)" in data.sources


@pytest.mark.slow
async def test_the_chains_are_independent(stage: Stage) -> None:
    """With one chain's sources down the other's transfers are published; its own come when it is back."""
    open_service(stage)
    await collect(stage)
    first, first_height = safe(stage) + 1, height(stage) + 1
    stage.spoil(*NODES)
    down = await follow(stage, 12)
    assert not any(keys(data, "ethereum") for data in down)
    told = {tx for data in down for tx, *_ in keys(data, "bitcoin")}
    assert bitcoin_whales(stage, first_height, height(stage, 120)) <= told
    assert not any(source.startswith("ethereum") for data in down for source in data.sources)
    stage.heal(*NODES)
    back = await follow(stage, 10)
    assert ethereum_whales(stage, first, safe(stage) - 1) <= {h for data in back for h, *_ in keys(data, "ethereum")}
    stage.spoil(*EXPLORERS)
    first = safe(stage) + 1
    alone = await follow(stage, 3)
    assert ethereum_whales(stage, first, safe(stage) - 1) <= {h for data in alone for h, *_ in keys(data, "ethereum")}


async def test_no_source_at_all_is_an_error(stage: Stage) -> None:
    """With the sources of both chains down there is no update, and it recovers by itself without a gap."""
    service = open_service(stage)
    await collect(stage)
    first, cursor = safe(stage) + 1, service.cursor
    stage.spoil(*NODES, *EXPLORERS)
    await stage.wait(15)
    for _ in range(4):
        service.resume(cursor)
        try:
            await collect(stage, 15)
            cursor = service.cursor
        except NoSourceError:
            break
    with pytest.raises(NoSourceError):
        await collect(stage, 15)
    service.resume(cursor)
    stage.heal(*NODES, *EXPLORERS)
    back = [await collect(stage, 300), *(await follow(stage, 1))]
    assert ethereum_whales(stage, first, safe(stage) - 1) <= {h for data in back for h, *_ in keys(data, "ethereum")}


@pytest.mark.slow  # it makes many blocks
async def test_an_unknown_price_lets_the_blocks_wait(stage: Stage) -> None:
    """Without a price of ether no block is skipped: all are scanned once there is a price."""
    stage.spoil(*PRICES)
    open_service(stage)
    with pytest.raises(NoSourceError, match="unknown"):
        await collect(stage)
    stage.heal(*PRICES)
    await collect(stage, 60)
    first = safe(stage) + 1
    stage.spoil(*PRICES)
    for _ in range(15):  # a price counts for 15 min
        await collect(stage, 60)
    with pytest.raises(NoSourceError, match="unknown"):
        await collect(stage, 60)
    stage.heal(*PRICES)
    back = [await collect(stage, 300 * k) for k in (1, 0, 0)]
    told = {h for data in back for h, *_ in keys(data, "ethereum")}
    assert ethereum_whales(stage, safe(stage) - 20, safe(stage) - 1) <= told
    assert first < safe(stage)


@pytest.mark.slow  # it makes hours of blocks
async def test_hours_old_whales_are_not_told_as_news(stage: Stage) -> None:
    """After a long absence the scan begins 100 blocks before the newest one, and catches up over some cycles."""
    service = open_service(stage)
    await collect(stage)
    stage.asked.clear()
    open_service(stage, service.cursor)
    updates = [await collect(stage, 6 * 3600)]
    assert stage.asked["ethereum/publicnode"] < 100
    updates += await follow(stage, 3)
    told = {h for data in updates for h, *_ in keys(data, "ethereum")}
    newest = Ethereum(stage.simulator.market).height(stage.now)
    assert told >= ethereum_whales(stage, newest - 60, newest - 4)
    assert not told & ethereum_whales(stage, newest - 400, newest - MAX_CATCH_UP - 30)
    for before, after in pairwise(updates[:2]):
        assert before.timestamp < after.timestamp


async def test_whale_alert_adds_other_chains(stage: Stage) -> None:
    """With a key its transfers on other chains are told once each; those of the chains we scan are not doubled."""
    open_service(stage, whale_alert_key=SecretStr("a-key"))
    updates = [await collect(stage), *(await follow(stage, 12))]
    assert "whale_alert (simulated)" in updates[-1].sources
    entries = [key for data in updates for chain in ("tron", "bitcoin") for key in keys(data, chain)]
    assert any(keys(data, "tron") for data in updates)
    assert len(entries) == len(set(entries))
    assert any(wallet.chain == "tron" for data in updates for wallet in data.whale_wallets)


async def test_without_a_key_whale_alert_is_not_asked(stage: Stage) -> None:
    """An optional source without a key costs nothing, not even a pool."""
    service = open_service(stage)
    await collect(stage)
    assert "whale_alert" not in stage.asked
    assert "whale_tracking alerts" not in [pool.name for pool in service.pools]
