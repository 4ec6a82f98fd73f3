"""whale_tracking's scan of Ethereum against a real node, with real reorgs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.anvil import ALICE, BOB, Anvil, running_anvil
from tests.workers.stage import Stage
from workers.providers.ethereum_rpc import TRANSFER
from workers.services.whale_tracking.large import TOKENS
from workers.services.whale_tracking.service import WhaleTrackingService

pytestmark = pytest.mark.slow

ETHER = 10**18
WHALE = 5000 * ETHER
NODE = "ethereum/anvil"


@pytest.fixture
async def anvil(tmp_path: Path) -> AsyncIterator[Anvil]:
    async with running_anvil(tmp_path) as anvil:
        yield anvil


@pytest.fixture
def service(stage: Stage, anvil: Anvil) -> WhaleTrackingService:
    stage.now = time.time()  # as anvil's blocks have it
    service: WhaleTrackingService = stage.open("whale_tracking", rpc_nodes=SecretStr(f"ethereum/anvil={anvil.url}"))
    service.resume(None)
    return service


async def catch_up(stage: Stage) -> None:
    """Move the clock to anvil's newest block, which is ahead after many were mined at once."""
    (source,) = stage.service._ethereum.pool.sources  # type: ignore[attr-defined]
    async with httpx.AsyncClient(trust_env=False) as client:
        newest = await Anvil(source.provider.base_url, client).rpc("eth_getBlockByNumber", "latest", False)
    stage.now = max(stage.now, float(int(newest["timestamp"], 16)))


async def told(stage: Stage) -> list[Any]:
    """What the next update tells of Ethereum, the oldest first."""
    await catch_up(stage)
    data = await stage.collect(0, 12.0)
    assert NODE in data.sources
    return [tx for tx in reversed(data.large_transactions) if tx.chain == "ethereum"]


async def hashes(stage: Stage) -> list[str]:
    return [tx.hash for tx in await told(stage)]


async def test_a_whale_is_told_when_two_blocks_are_above_it(
    stage: Stage, anvil: Anvil, service: WhaleTrackingService
) -> None:
    """Not earlier, and then once, with sender, receiver and amount."""
    assert await told(stage) == []
    whale = await anvil.send(value=WHALE)
    assert await told(stage) == []
    await anvil.mine()
    assert await told(stage) == []
    await anvil.mine()
    (transfer,) = await told(stage)
    assert (transfer.hash, transfer.from_, transfer.to) == (whale, ALICE, BOB)
    assert (transfer.symbol, transfer.amount, transfer.chain) == ("ETH", 5000.0, "ethereum")
    assert transfer.value_usd > 1_000_000
    await anvil.mine(3)
    assert await told(stage) == []


async def test_a_new_contract_with_ether_has_no_receiver(
    stage: Stage, anvil: Anvil, service: WhaleTrackingService
) -> None:
    """`to` is null."""
    await told(stage)
    whale = await anvil.send(value=WHALE, to=None, data="0x00")
    await anvil.mine(2)
    (transfer,) = await told(stage)
    assert (transfer.hash, transfer.to) == (whale, None)


async def test_a_failed_transaction_moved_nothing(stage: Stage, anvil: Anvil, service: WhaleTrackingService) -> None:
    """It is in its block with its value, but its receipt has the status of a failure."""
    await told(stage)
    transaction = {"from": ALICE, "value": hex(WHALE), "data": "0x5f5ffd", "gas": hex(200_000)}  # creation that reverts
    failed = await anvil.rpc("eth_sendTransaction", transaction)
    assert (await anvil.receipt(failed))["status"] == "0x0"
    whale = await anvil.send(value=WHALE)
    await anvil.mine(2)
    assert await hashes(stage) == [whale]


async def test_logs_of_the_tokens_are_transfers(stage: Stage, anvil: Anvil, service: WhaleTrackingService) -> None:
    """Two Transfer logs of USDT in one transaction are two entries of one hash; another contract's are none."""
    await told(stage)
    topics = [TRANSFER, "0x" + ALICE[2:].rjust(64, "0"), "0x" + BOB[2:].rjust(64, "0")]
    push = "".join(f"7f{int(topic, 16):064x}" for topic in reversed(topics))
    emit = f"7f{3 * 10**12:064x}600052" + (push + "60206000a3") * 2 + "00"
    for address in (TOKENS[0].contract, "0x" + "77" * 20):
        await anvil.rpc("anvil_setCode", address, f"0x{emit}")
    called = [await anvil.send(to=address) for address in (TOKENS[0].contract, "0x" + "77" * 20)]
    await anvil.mine(2)
    found = await told(stage)
    assert [(tx.hash, tx.symbol, tx.amount) for tx in found] == [(called[0], "USDT", 3e6)] * 2
    assert [(tx.from_, tx.to) for tx in found] == [(ALICE, BOB)] * 2


async def test_a_reorg_above_the_confirmations_goes_unnoticed(
    stage: Stage, anvil: Anvil, service: WhaleTrackingService
) -> None:
    """Blocks replaced before their scan are published in their final form."""
    await told(stage)
    dropped = await anvil.send(value=WHALE)
    await anvil.reorganise(1)
    kept = await anvil.send(value=WHALE + ETHER)
    await anvil.mine(2)
    assert await hashes(stage) == [kept]
    assert dropped != kept


async def test_a_deeper_reorg_leaves_no_gap_and_no_double(
    stage: Stage, anvil: Anvil, service: WhaleTrackingService
) -> None:
    """Replaced blocks are scanned anew: what they have newly is told, what was told and is in another block now is
    not told twice; so too when another worker took over in between."""
    await told(stage)
    await anvil.mine(3)
    first = await anvil.send(value=WHALE)
    raw = await anvil.rpc("eth_getRawTransactionByHash", first)
    await anvil.mine(4)
    assert await hashes(stage) == [first]
    number = int((await anvil.receipt(first))["blockNumber"], 16)

    cursor = service.cursor
    new = {"from": BOB, "to": ALICE, "value": hex(WHALE)}
    await anvil.rpc("anvil_reorg", 6, [[new, 1], [raw, 3]])
    assert int((await anvil.receipt(first))["blockNumber"], 16) != number
    await anvil.mine(3)
    service.resume(cursor)
    (transfer,) = await told(stage)
    assert (transfer.from_, transfer.to) == (BOB, ALICE)
    block = await anvil.rpc("eth_getTransactionByHash", transfer.hash)
    assert int(block["blockNumber"], 16) < await anvil.height() - 2
    await anvil.mine(2)
    assert await told(stage) == []


async def test_a_reorg_deeper_than_the_memory_is_survived(
    stage: Stage, anvil: Anvil, service: WhaleTrackingService
) -> None:
    """With no block left that both chains share, the scan goes on from the oldest one it remembers."""
    await told(stage)
    for _ in range(5):
        await anvil.mine(18)
        await stage.wait(1)
        assert await told(stage) == []
    await anvil.reorganise(85)
    await anvil.rpc("evm_setNextBlockTimestamp", hex(int(stage.now)))  # the new blocks are a second apart
    whale = await anvil.send(value=WHALE)
    await anvil.mine(2)
    found: list[str] = []
    for _ in range(6):  # twenty blocks a cycle
        await stage.wait(1)
        found += await hashes(stage)
    assert found == [whale]


async def test_a_node_that_is_behind_is_not_believed(stage: Stage, anvil: Anvil, service: WhaleTrackingService) -> None:
    """One that has lost blocks that were scanned is left alone until it has them; then nothing is missing."""
    await told(stage)
    await anvil.mine(3)
    snapshot = await anvil.rpc("evm_snapshot")
    await anvil.mine(6)
    await told(stage)
    cursor = service.cursor
    await anvil.rpc("evm_revert", snapshot)
    data = await stage.collect(0, 12.0)
    assert not any(source.startswith("ethereum") for source in data.sources)
    assert service.cursor == cursor
    whale = await anvil.send(value=WHALE)
    await anvil.mine(9)
    await stage.wait(10)
    assert await hashes(stage) == [whale]


async def test_a_node_of_another_chain_is_refused(stage: Stage, anvil: Anvil, service: WhaleTrackingService) -> None:
    """The addresses of tokens mean nothing elsewhere."""
    await anvil.rpc("anvil_setChainId", 31337)
    data = await stage.collect(0, 12.0)
    assert not any(source.startswith("ethereum") for source in data.sources)
    error = service.pools[0].sources[0].error
    assert error is not None
    assert "on chain 31337 instead of 1" in error.reason
