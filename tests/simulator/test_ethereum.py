"""The simulated Ethereum: one chain, whatever node shows it, at any time; its blocks, fees and whales."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.world.coins import load_coins
from simulator.world.ethereum import NETWORKS, Ethereum, EvmChain
from simulator.world.ethereum_blocks import EXCHANGES, TOKENS, TRANSFER
from simulator.world.market import Market
from tests.places import UPSTREAM
from tests.simulator.conftest import NOW

MARKET = Market(load_coins(), 3)
CHAIN = Ethereum(MARKET)
HEAD = CHAIN.height(NOW)
NUMBERS = st.integers(HEAD - 10**6, HEAD + 10**6)
USD = 1_000_000
RECORDED = UPSTREAM / "ethereum_rpc"


def number(quantity: str) -> int:
    return int(quantity, 16)


def day() -> range:
    """Blocks that are many enough for what is rare."""
    return range(HEAD - 400, HEAD + 1)


@given(NUMBERS)
def test_a_block_is_the_same_whenever_and_by_whom_it_is_made(height: int) -> None:
    """The same seed gives the same block; the next one names its hash; slots are 12 s apart."""
    other = Ethereum(Market(load_coins(), 3))
    block = CHAIN.block(height)
    assert other.block(height) == block
    assert CHAIN.block(height + 1)["parentHash"] == block["hash"]
    assert number(CHAIN.block(height + 1)["timestamp"]) - number(block["timestamp"]) == 12
    assert CHAIN.height(CHAIN.time_of(height)) == height
    assert CHAIN.height(CHAIN.time_of(height) - 0.5) == height - 1


def test_heights_are_near_the_real_ones() -> None:
    """Mainnet's height at the time of the recorded answer is that of the answer; another seed has other hashes."""
    assert CHAIN.height(1_778_748_513) == 0x17EE0B4
    assert EvmChain(MARKET, "bsc").height(0x198BE459C16 / 1000) == 58_054_314
    assert EvmChain(MARKET, "polygon").height(0x6360C2B6) == 35_057_569
    assert EvmChain(MARKET, "base").height(0x65E5BE2F) == 11_382_950
    assert Ethereum(Market(load_coins(), 4)).hash_of(HEAD) != CHAIN.hash_of(HEAD)


@given(NUMBERS)
def test_the_base_fee_follows_the_use_of_gas(height: int) -> None:
    """As EIP-1559 has it: the next base fee is this one, changed by an eighth at most, as gas was used."""
    block, following = CHAIN.block(height), CHAIN.block(height + 1)
    fee, used, limit = (number(block[key]) for key in ("baseFeePerGas", "gasUsed", "gasLimit"))
    target = limit // 2
    expected = fee + fee * (used - target) / target / 8
    assert 0 < used < limit
    assert number(following["baseFeePerGas"]) == pytest.approx(expected, rel=1e-6)


@given(NUMBERS)
def test_a_block_and_its_receipts_agree(height: int) -> None:
    """One receipt a transaction, in order; their gas adds up to the block's, and their logs are numbered through."""
    block, receipts = CHAIN.block(height), CHAIN.receipts(height)
    assert len(block["transactions"]) == len(receipts) == CHAIN.count(height)
    for index, (transaction, receipt) in enumerate(zip(block["transactions"], receipts, strict=True)):
        assert transaction["hash"] == receipt["transactionHash"]
        assert number(transaction["transactionIndex"]) == index
        assert transaction["blockHash"] == receipt["blockHash"] == block["hash"]
        assert number(transaction["gasPrice"]) >= number(block["baseFeePerGas"])
        assert (receipt["contractAddress"] is None) is (transaction["to"] is not None)
    assert number(receipts[-1]["cumulativeGasUsed"]) == number(block["gasUsed"])
    assert sum(number(receipt["gasUsed"]) for receipt in receipts) == number(block["gasUsed"])
    assert [number(log["logIndex"]) for log in CHAIN.logs(height)] == list(range(len(CHAIN.logs(height))))


def test_hashes_are_unique_and_lead_to_their_receipt() -> None:
    """No two transactions share a hash; from each its receipt is found without a search."""
    hashes = [transaction["hash"] for height in day() for transaction in CHAIN.block(height)["transactions"]]
    assert len(set(hashes)) == len(hashes)
    for transaction in hashes[::97]:
        receipt = CHAIN.receipt(transaction)
        assert receipt is not None
        assert receipt["transactionHash"] == transaction
    assert CHAIN.receipt("0x" + "ab" * 32) is None
    assert CHAIN.receipt("0x" + "0" * 64) is None


def test_there_are_whales() -> None:
    """Of 400 blocks about 160 move a million dollars in ether, as many in tokens; some of it fails, some is tokens'."""
    price = MARKET.price(MARKET.by_id["ethereum"], NOW)
    large = [
        (transaction, receipt)
        for height in day()
        for transaction, receipt in zip(CHAIN.block(height)["transactions"], CHAIN.receipts(height), strict=True)
        if number(transaction["value"]) / 1e18 * price > USD
    ]
    failed = [receipt for _, receipt in large if receipt["status"] == "0x0"]
    assert 110 < len(large) - len(failed) < 230
    assert 10 < len(failed) < 80
    people = {address for transaction, _ in large for address in (transaction["from"], transaction["to"])}
    assert set(EXCHANGES) <= people
    assert len(people - set(EXCHANGES)) > 50


def test_there_are_whales_of_tokens() -> None:
    """Transfers of each token, some of a million dollars and more; ERC-721 ones have four topics and no data."""
    logs = [log for height in day() for log in CHAIN.logs(height) if log["topics"][0] == TRANSFER]
    for token in TOKENS:
        price = MARKET.price(MARKET.by_id[token.coin], NOW)
        amounts = [number(log["data"]) / 10**token.decimals * price for log in logs if log["address"] == token.contract]
        assert len(amounts) > 500
        assert 5 < sum(amount > USD for amount in amounts) < 120
    collectibles = [log for log in logs if len(log["topics"]) == 4]
    assert len(collectibles) > 100
    assert {log["data"] for log in collectibles} == {"0x"}


def test_all_types_of_transactions() -> None:
    """Types 0 to 4 occur, and contract creations; only that of a blob or a delegation has its own members."""
    transactions = [transaction for height in day() for transaction in CHAIN.block(height)["transactions"]]
    assert {transaction["type"] for transaction in transactions} == {"0x0", "0x1", "0x2", "0x3", "0x4"}
    assert 50 < sum(transaction["to"] is None for transaction in transactions) < 200
    for transaction in transactions:
        assert ("blobVersionedHashes" in transaction) is (transaction["type"] == "0x3")
        assert ("authorizationList" in transaction) is (transaction["type"] == "0x4")


def test_the_transactions_of_a_day() -> None:
    """The count of 24 h is that of the blocks in them."""
    count = CHAIN.transactions_24h(NOW)
    assert count == sum(CHAIN.count(height) for height in range(HEAD - 7199, HEAD + 1))
    assert 30 * 7200 < count < 50 * 7200


@pytest.mark.parametrize("name", NETWORKS)
def test_every_chain_goes_on(name: str) -> None:
    """Blocks of all chains are linked, in time, and say how much gas they used."""
    chain = EvmChain(MARKET, name)
    head = chain.height(NOW)
    blocks = [chain.block(height) for height in range(head - 5, head + 1)]
    assert number(blocks[-1]["timestamp"]) <= NOW < number(blocks[-1]["timestamp"]) + 13
    for parent, child in pairwise(blocks):
        assert child["parentHash"] == parent["hash"]
        assert 0 <= number(child["gasUsed"]) <= number(child["gasLimit"])


@pytest.mark.parametrize("recorded", ["block_full_mainnet_21417107_to_null.json"])
def test_a_block_has_the_members_of_a_real_one(recorded: str) -> None:
    """A block, and a transaction of each type, have what those of a recorded block have, of the same kind."""
    path = RECORDED / recorded
    if not path.exists():
        pytest.skip("no recordings of real answers here")
    real = json.loads(path.read_bytes())["result"]
    block = CHAIN.block(HEAD)
    assert real.keys() - {"transactions"} <= block.keys()
    kinds = {tx["type"]: tx for height in day() for tx in CHAIN.block(height)["transactions"]}
    for transaction in real["transactions"]:
        assert transaction.keys() <= kinds[transaction["type"]].keys()
