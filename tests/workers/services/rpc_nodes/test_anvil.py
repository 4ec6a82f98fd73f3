"""EthereumRpc and rpc_nodes against a real node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.errors import ProviderError
from shared.payloads import RpcNodes
from shared.payloads.rpc_nodes import ChainEvent
from tests.anvil import ALICE, BOB, Anvil, running_anvil
from tests.workers.stage import Stage
from workers.answers.blooms import Bloom
from workers.asking.fetch import Fetcher
from workers.asking.provider import Ask
from workers.providers.ethereum_rpc import TRANSFER, EthereumRpc
from workers.services.rpc_nodes.service import RpcNodesService

ETHER = 10**18
FROM, TO = "0x" + "11" * 20, "0x" + "22" * 20


@pytest.fixture
async def anvil(tmp_path: Path) -> AsyncIterator[Anvil]:
    async with running_anvil(tmp_path) as anvil:
        yield anvil


@pytest.fixture
def node(anvil: Anvil) -> EthereumRpc:
    return EthereumRpc("ethereum/anvil", anvil.url)


@pytest.fixture
async def ask(fetcher: Fetcher, node: EthereumRpc) -> Ask:
    return fetcher.asker(node, 20.0)


def word(address: str) -> str:
    return "0x" + address[2:].rjust(64, "0")


async def test_a_new_chain(node: EthereumRpc, ask: Ask) -> None:
    """Chain id, height, gas price and the first block's header are the node's."""
    assert await node.chain_id(ask) == 1
    assert await node.height(ask) == 0
    assert 10**9 <= await node.gas_price(ask) < 10**12
    header = await node.header(ask)
    assert header is not None
    assert (header.number, header.gas_used, header.gas_limit, header.base_fee) == (0, 0, 30_000_000, 10**9)
    assert header.parent == "0x" + "0" * 64


async def test_a_block_that_is_not_there_yet(node: EthereumRpc, ask: Ask) -> None:
    """A block number beyond the head is None, with and without transactions."""
    assert await node.header(ask, 1) is None
    assert await node.block(ask, 1) is None


async def test_a_transfer_of_ether(anvil: Anvil, node: EthereumRpc, ask: Ask) -> None:
    """A block has its transactions with addresses in lower case and whole wei; its header links to its parent."""
    sent = await anvil.send(value=5_000 * ETHER)
    block = await node.block(ask, 1)
    assert block is not None
    (transaction,) = block.transactions
    assert (transaction.hash, transaction.sender, transaction.to) == (sent, ALICE, BOB)
    assert transaction.wei == 5_000 * ETHER
    assert block.header == await node.header(ask)
    first = await node.header(ask, 0)
    assert first is not None
    assert block.header.parent == first.hash
    assert await node.receipt_status(ask, sent) is True


async def test_a_contract_creation_has_no_receiver(anvil: Anvil, node: EthereumRpc, ask: Ask) -> None:
    """`to` is None for a transaction that creates a contract."""
    await anvil.send(to=None, data="0x00", value=0)
    block = await node.block(ask, 1)
    assert block is not None
    assert [transaction.to for transaction in block.transactions] == [None]


async def test_transfers_of_a_token(anvil: Anvil, node: EthereumRpc, ask: Ask) -> None:
    """A Transfer log with three topics is a transfer; one with four (ERC-721) and other contracts' are not."""
    sent = await anvil.emit((TRANSFER, word(FROM), word(TO)), hex(2_000_000 * 10**6))
    collectible = await anvil.emit((TRANSFER, word(FROM), word(TO), hex(7)), "0x0")
    tokens = [(await anvil.receipt(transaction))["contractAddress"] for transaction in (sent, collectible)]
    (transfer,) = await node.transfers(ask, tuple(tokens), 1, 2)
    block = await node.header(ask, 1)
    assert block is not None
    assert (transfer.block, transfer.block_hash, transfer.transaction) == (1, block.hash, sent)
    assert (transfer.contract, transfer.sender, transfer.to) == (tokens[0], FROM, TO)
    assert (transfer.units, transfer.index) == (2_000_000 * 10**6, 0)
    assert await node.transfers(ask, (tokens[0],), 2, 2) == ()
    assert await node.transfers(ask, (FROM,), 0, 2) == ()


async def test_receipts_and_blooms(anvil: Anvil, node: EthereumRpc, ask: Ask) -> None:
    """A block's receipts have its logs, its bloom holds them and hardly anything else; a block to come has none."""
    sent = await anvil.emit((TRANSFER, word(FROM), word(TO)), hex(7))
    token = (await anvil.receipt(sent))["contractAddress"]
    header, receipts = await node.header(ask, 1), await node.receipts(ask, 1)
    assert header is not None
    assert receipts is not None
    assert (receipts.count, header.count, receipts.block_hashes) == (1, 1, {header.hash})
    topics = (TRANSFER, word(FROM), word(TO))
    assert [(log.contract, log.topics, log.index) for log in receipts.logs] == [(token, topics, 0)]
    assert header.bloom is not None
    bloom = Bloom(header.bloom)
    assert all(map(bloom.may_hold, (token, *topics)))
    assert not bloom.may_hold_log((TO, "0x" + "77" * 20), (TRANSFER,))
    assert await node.receipts(ask, 9) is None


async def test_a_failed_transaction(anvil: Anvil, node: EthereumRpc, ask: Ask) -> None:
    """The receipt of a reverted transaction gives False; that of an unknown one is None."""
    await anvil.rpc("anvil_setCode", TO, "0x60006000fd")  # REVERT
    transaction = {"from": ALICE, "to": TO, "value": hex(ETHER), "gas": hex(100_000)}
    sent = await anvil.rpc("eth_sendTransaction", transaction)
    assert await node.receipt_status(ask, sent) is False
    assert await node.receipt_status(ask, "0x" + "ab" * 32) is None


async def test_a_refusal(node: EthereumRpc, ask: Ask) -> None:
    """A JSON-RPC error is a ProviderError with the node's name and code, without its address."""
    with pytest.raises(ProviderError) as caught:
        await node.transfers(ask, (FROM,), 9, 3)
    assert caught.value.provider == "ethereum/anvil"
    assert "-32" in caught.value.reason
    assert "127.0.0.1" not in str(caught.value)


def open_service(stage: Stage, anvil: Anvil, cursor: bytes | None = None) -> RpcNodesService:
    """rpc_nodes with the one node, as a worker would start it with this cursor."""
    service = stage.open("rpc_nodes", rpc_nodes=SecretStr(f"ethereum/anvil={anvil.url}"))
    assert isinstance(service, RpcNodesService)
    service.resume(cursor)
    return service


async def events(stage: Stage, anvil: Anvil) -> list[ChainEvent]:
    """What the next cycle publishes, when the node's newest block is as old as on a chain that is well."""
    newest = int((await anvil.rpc("eth_getBlockByNumber", "latest", False))["timestamp"], 16)
    data = await stage.collect(later=max(20.0, newest + 5 - stage.now))
    assert isinstance(data, RpcNodes)
    return data.events


async def new_blocks(anvil: Anvil, first: int, last: int) -> list[ChainEvent]:
    """The events that tell of these blocks, as the node has them now."""
    blocks = [await anvil.rpc("eth_getBlockByNumber", hex(number), False) for number in range(first, last + 1)]
    return [
        ChainEvent(chain="ethereum", type="new_block", block_number=int(block["number"], 16), block_hash=block["hash"])
        for block in blocks
    ]


async def test_a_row_of_a_real_node(stage: Stage, anvil: Anvil) -> None:
    """The node's row is active and is not called simulated, although everything else here is."""
    open_service(stage, anvil)
    await anvil.mine(3)
    newest = int((await anvil.rpc("eth_getBlockByNumber", "latest", False))["timestamp"], 16)
    data: RpcNodes = await stage.collect(later=newest - stage.now)
    (row,) = data.nodes
    assert (row.name, row.chain, row.status, row.block_number) == ("ethereum/anvil", "ethereum", "active", 3)
    assert row.gas_price_gwei is not None
    assert row.gas_price_gwei > 0
    assert data.average_latency == row.response_time_ms


async def test_every_mined_block_is_an_event(stage: Stage, anvil: Anvil) -> None:
    """After the first head, each block is published once, in order, with its hash; then nothing."""
    open_service(stage, anvil)
    assert await events(stage, anvil) == await new_blocks(anvil, 0, 0)
    await anvil.mine(4)
    assert await events(stage, anvil) == await new_blocks(anvil, 1, 4)
    assert await events(stage, anvil) == []


async def test_a_reorganisation(stage: Stage, anvil: Anvil) -> None:
    """anvil_reorg of two blocks is one reorg of depth 2, with the new hashes, and the new blocks as events."""
    open_service(stage, anvil)
    await anvil.mine(5)
    await events(stage, anvil)
    await anvil.mine(3)
    before = await events(stage, anvil)
    await anvil.reorganise(2)
    reorg, *blocks = await events(stage, anvil)
    assert (reorg.type, reorg.block_number, reorg.depth) == ("reorg", 7, 2)
    assert blocks == await new_blocks(anvil, 7, 8)
    assert reorg.block_hash == blocks[0].block_hash
    assert not {event.block_hash for event in before} & {event.block_hash for event in blocks}
    assert await events(stage, anvil) == []


async def test_a_reorganisation_with_new_blocks_on_top(stage: Stage, anvil: Anvil) -> None:
    """Blocks mined after a reorganisation come after those in place of the replaced ones."""
    open_service(stage, anvil)
    await events(stage, anvil)
    await anvil.mine(4)
    await events(stage, anvil)
    await anvil.reorganise(3)
    await anvil.mine(2)
    reorg, *blocks = await events(stage, anvil)
    assert (reorg.type, reorg.block_number, reorg.depth) == ("reorg", 2, 3)
    assert blocks == await new_blocks(anvil, 2, 6)


async def test_a_snapshot_that_is_restored(stage: Stage, anvil: Anvil) -> None:
    """A shorter chain is no event by itself; what is mined on it in place of the blocks that are gone is a reorg."""
    open_service(stage, anvil)
    await anvil.mine(2)
    await events(stage, anvil)
    snapshot = await anvil.rpc("evm_snapshot")
    await anvil.mine(3)
    await events(stage, anvil)
    await anvil.rpc("evm_revert", snapshot)
    assert await events(stage, anvil) == []
    await anvil.send(value=1)
    reorg, *blocks = await events(stage, anvil)
    assert (reorg.type, reorg.block_number, reorg.depth) == ("reorg", 3, 3)
    assert blocks == await new_blocks(anvil, 3, 3)
    await anvil.mine(4)
    assert await events(stage, anvil) == await new_blocks(anvil, 4, 7)


async def test_a_restart(stage: Stage, anvil: Anvil) -> None:
    """From the last update's cursor a new worker publishes later events once, with a reorganisation among them."""
    first = open_service(stage, anvil)
    await anvil.mine(5)
    await events(stage, anvil)
    await anvil.mine(2)
    await events(stage, anvil)
    cursor = first.cursor
    open_service(stage, anvil, cursor)
    assert await events(stage, anvil) == []
    open_service(stage, anvil, cursor)
    await anvil.reorganise(1)
    await anvil.mine(1)
    reorg, *blocks = await events(stage, anvil)
    assert (reorg.type, reorg.block_number, reorg.depth) == ("reorg", 7, 1)
    assert blocks == await new_blocks(anvil, 7, 8)


async def test_an_update_that_was_not_published(stage: Stage, anvil: Anvil) -> None:
    """Events that were collected but not published are collected again from the stored cursor."""
    service = open_service(stage, anvil)
    await events(stage, anvil)
    cursor = service.cursor
    await anvil.mine(2)
    lost = await events(stage, anvil)
    service.resume(cursor)
    assert await events(stage, anvil) == lost
