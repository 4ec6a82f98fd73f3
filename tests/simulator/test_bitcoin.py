"""The simulated Bitcoin: one chain, whatever host shows it, at any time."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.app import Simulator
from simulator.world import addresses
from simulator.world.bitcoin import EXCHANGES, REWARD, SLOT, Bitcoin
from simulator.world.clock import Clock
from simulator.world.coins import load_coins
from simulator.world.ethereum import Ethereum
from simulator.world.market import Market
from tests.simulator.conftest import NOW, Ask

MEMPOOL, ESPLORA, CHAIR = "mempool.space", "blockstream.info", "api.blockchair.com"
SCOUT = "eth.blockscout.com"
INFO, STATS = "blockchain.info", "api.blockchain.info"
MARKET = Market(load_coins(), 3)
CHAIN = Bitcoin(MARKET)
TIMES = st.floats(NOW - 1e7, NOW + 1e7)
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def is_address(text: str) -> bool:
    """Whether the checksum holds."""
    if text.startswith("bc1q"):
        return addresses._polymod([3, 3, 0, 2, 3, *(BECH32.index(letter) for letter in text[3:])]) == 1
    number = 0
    for letter in text:
        number = number * 58 + BASE58.index(letter)
    data = number.to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(data[:-4]).digest()).digest()[:4] == data[-4:]


@pytest.mark.parametrize(
    ("make", "digest", "address"),
    [
        (addresses.segwit, "fd6d15ff832c12f1ff04a5ccd5039f7227b260bd", "bc1ql4k3tlur9sf0rlcy5hxd2qulwgnmyc9akehvth"),
        (addresses.legacy, "9d32ef812385f3811634e0c0117dd153a5de10a4", "1FLC7Bag7okAkKPCyZbgZZg3Hh1EuGZ5Rd"),
        (addresses.legacy, "099f831c49289c7b9cc07a9a632867ecd51a105a", "1stAprEZapjCYGUACUcXohQqSHF9MU5Kj"),
    ],
)
def test_addresses_are_encoded_as_recorded_ones(make: Any, digest: str, address: str) -> None:
    """The hash in a recorded script gives the address recorded beside it."""
    assert make(bytes.fromhex(digest)) == address


def test_script_addresses_begin_with_three() -> None:
    """Version 5 is for scripts; a recorded one."""
    digest = bytes.fromhex("9d412b39c88bb0ef3dde95554eab16e25d14c2f9")
    assert addresses.legacy(digest, 5) == "3G2W5fwfsXfgVJrBc9gxTYfHi6C9zUdtVd"


@given(time=TIMES)
def test_blocks_follow_one_another(time: float) -> None:
    """The newest block is in the past and its successor is not; hashes link; one block a slot."""
    height = CHAIN.height(time)
    block = CHAIN.block(height)
    assert CHAIN.time_of(height) <= time < CHAIN.time_of(height + 1)
    assert block.parent == CHAIN.block(height - 1).hash
    assert CHAIN.block(height - 1).time < block.time
    assert abs(CHAIN.time_of(height + 1000) - block.time - 1000 * SLOT) < SLOT
    assert len(block.hash) == 64
    assert block.hash.startswith("0" * 20)
    assert CHAIN.height_of(block.hash, time) == height


@given(time=TIMES)
def test_a_block_holds_what_a_block_holds(time: float) -> None:
    """A coinbase earns the reward and all fees; others spend what they pay; ids are unique; addresses are valid."""
    block = CHAIN.block(CHAIN.height(time))
    coinbase, *others = block.transactions
    assert len(block.transactions) == CHAIN.count(block.height)
    assert len({tx.txid for tx in block.transactions}) == len(block.transactions)
    assert coinbase.inputs == ()
    assert sum(output.sats for output in coinbase.outputs) == REWARD + sum(tx.fee for tx in others)
    assert all(tx.fee > 0 for tx in others)
    assert all(output.sats > 0 or output.address is None for tx in block.transactions for output in tx.outputs)
    assert any(output.address is None for tx in block.transactions for output in tx.outputs)
    found = {output.address for tx in block.transactions for output in tx.outputs if output.address is not None}
    assert all(is_address(address) for address in found)


@given(time=TIMES)
def test_each_block_has_whales(time: float) -> None:
    """Three to seven transactions pay someone else more than a million dollars."""
    block = CHAIN.block(CHAIN.height(time))
    price = CHAIN.price(block.time)

    def paid(tx: Any) -> float:
        own = {spent.address for spent in tx.inputs}
        return sum(o.sats for o in tx.outputs if o.address not in own) / 1e8 * price

    assert 3 <= sum(paid(tx) > 1.2e6 for tx in block.transactions[1:]) <= 7


def test_exchanges_send_and_receive() -> None:
    """Within a day's blocks, every known address of an exchange is on both sides of large transfers."""
    newest = CHAIN.height(NOW)
    transactions = [tx for height in range(newest - 50, newest) for tx in CHAIN.block(height).transactions]
    assert {spent.address for tx in transactions for spent in tx.inputs} >= set(EXCHANGES)
    assert {output.address for tx in transactions for output in tx.outputs} >= set(EXCHANGES)
    assert all(is_address(address) for address in EXCHANGES)


@given(time=TIMES, later=st.floats(0, 300))
def test_what_waits_is_in_the_next_block(time: float, later: float) -> None:
    """Waiting transactions keep waiting until their block, and are in it."""
    height = CHAIN.height(time)
    waiting = {tx.txid for tx in CHAIN.waiting(time)}
    after = time + later
    if CHAIN.height(after) == height:
        assert waiting <= {tx.txid for tx in CHAIN.waiting(after)}
    assert waiting <= {tx.txid for tx in CHAIN.block(height + 1).transactions}


@given(time=TIMES)
def test_figures_are_of_bitcoins_size(time: float) -> None:
    """Hash rate near 1e21, about 144 blocks a day, fees in their order, supply below 21 million."""
    assert 0.7e21 < CHAIN.hashrate(time) < 1.3e21
    assert 142 <= CHAIN.blocks_24h(time) <= 146
    assert 144 * 60 < CHAIN.transactions_24h(time) < 144 * 120
    fees, mempool = CHAIN.fees(time), CHAIN.mempool(time)
    assert fees.fast > fees.medium > fees.slow >= 1
    assert mempool.count > 1000
    assert mempool.vsize > 100 * mempool.count
    assert 20e6 < CHAIN.supply(time) / 1e8 < 21e6


def test_two_simulators_with_one_seed_agree() -> None:
    """Nothing is remembered: another process shows the same block, another seed another one."""
    height = CHAIN.height(NOW)
    assert Bitcoin(Market(load_coins(), 3)).block(height) == CHAIN.block(height)
    assert Bitcoin(Market(load_coins(), 4)).block(height).hash != CHAIN.block(height).hash


def test_the_mempool_moves() -> None:
    """From one cycle to the next, its size is another."""
    assert len({CHAIN.mempool(NOW + 10 * i).count for i in range(6)}) == 6


@pytest.mark.asyncio(loop_scope="module")
async def test_all_hosts_show_one_height(ask: Ask, clock: Clock) -> None:
    """At one time the newest block is the same everywhere, and so is its hash; ten minutes later it is a later one."""
    for _ in range(3):
        height = int((await ask(MEMPOOL, "/api/blocks/tip/height")).text)
        newest = (await ask(MEMPOOL, "/api/v1/blocks")).json()[0]
        latest = (await ask(INFO, "/latestblock")).json()
        assert (newest["height"], latest["height"]) == (height, height)
        assert (await ask(ESPLORA, "/api/blocks")).json()[0]["id"] == newest["id"] == latest["hash"]
        assert (await ask(ESPLORA, "/api/blocks/tip/height")).text == str(height)
        assert (await ask(INFO, "/q/getblockcount")).text == str(height)
        chair = (await ask(CHAIR, "/bitcoin/stats")).json()["data"]
        assert (chair["best_block_height"], chair["best_block_hash"]) == (height, newest["id"])
        clock.advance(1200)
        assert int((await ask(MEMPOOL, "/api/blocks/tip/height")).text) > height


@pytest.mark.asyncio(loop_scope="module")
async def test_all_hosts_show_one_block(ask: Ask) -> None:
    """A block has the same transactions, amounts and addresses page by page, in the summary, and whole."""
    newest = (await ask(MEMPOOL, "/api/v1/blocks")).json()[0]
    rows = []
    for start in range(0, newest["tx_count"], 25):
        page = (await ask(MEMPOOL, f"/api/block/{newest['id']}/txs/{start}")).json()
        assert page == (await ask(ESPLORA, f"/api/block/{newest['id']}/txs/{start}")).json()
        rows += page
    whole = (await ask(INFO, f"/rawblock/{newest['id']}")).json()
    summary = (await ask(MEMPOOL, f"/api/v1/block/{newest['id']}/summary")).json()
    assert len(rows) == newest["tx_count"] == len(whole["tx"]) == len(summary)
    assert whole["prev_block"] == newest["previousblockhash"]
    for row, raw, brief in zip(rows, whole["tx"], summary, strict=True):
        assert row["txid"] == raw["hash"] == brief["txid"]
        paid = [(output.get("scriptpubkey_address"), output["value"]) for output in row["vout"]]
        assert paid == [(output.get("addr"), output["value"]) for output in raw["out"]]
        assert sum(value for _, value in paid) == brief["value"]
    assert [row["vin"][0]["is_coinbase"] for row in rows] == [True] + [False] * (len(rows) - 1)
    assert rows[0]["vin"][0]["prevout"] is None
    assert whole["tx"][0]["inputs"][0]["prev_out"] is None


@pytest.mark.asyncio(loop_scope="module")
async def test_a_transaction_waits_and_is_confirmed(ask: Ask, clock: Clock) -> None:
    """What is unconfirmed at two providers is confirmed at a third, some blocks later, under its id."""
    clock.advance(300)
    while not (recent := (await ask(MEMPOOL, "/api/mempool/recent")).json()):
        clock.advance(60)
    txid = recent[0]["txid"]
    assert txid in [tx["hash"] for tx in (await ask(INFO, "/unconfirmed-transactions", format="json")).json()["txs"]]
    assert (await ask(ESPLORA, f"/api/tx/{txid}")).json()["status"] == {"confirmed": False}
    clock.advance(1200)
    assert (await ask(ESPLORA, f"/api/tx/{txid}")).json()["status"]["confirmed"] is True


@pytest.mark.asyncio(loop_scope="module")
async def test_statistics_agree(ask: Ask) -> None:
    """Hash rate, difficulty, transactions of a day and the mempool are the same figures in each provider's units."""
    stats = (await ask(STATS, "/stats")).json()
    chair = (await ask(CHAIR, "/bitcoin/stats")).json()["data"]
    rate = (await ask(MEMPOOL, "/api/v1/mining/hashrate/3d")).json()
    assert (
        stats["hash_rate"] * 1e9 == pytest.approx(rate["currentHashrate"]) == pytest.approx(int(chair["hashrate_24h"]))
    )
    assert stats["difficulty"] == rate["currentDifficulty"] == chair["difficulty"]
    assert stats["n_tx"] == chair["transactions_24h"]
    assert (await ask(MEMPOOL, "/api/mempool")).json() == (await ask(ESPLORA, "/api/mempool")).json()
    assert (await ask(MEMPOOL, "/api/mempool")).json()["count"] == chair["mempool_transactions"]
    assert stats["total_fees_btc"] < 0


@pytest.mark.asyncio(loop_scope="module")
async def test_refusals(ask: Ask) -> None:
    """Unknown things are refused in each provider's way: text, JSON, an HTML page, `data: null`."""
    assert (await ask(MEMPOOL, f"/api/tx/{'0' * 64}")).status_code == 404
    assert (await ask(ESPLORA, f"/api/block/{'0' * 64}/txs/0")).text == "Block not found"
    newest = (await ask(ESPLORA, "/api/blocks")).json()[0]["id"]
    assert (await ask(ESPLORA, f"/api/block/{newest}/txs/7")).status_code == 400
    assert (await ask(ESPLORA, "/api/v1/blocks")).status_code == 404
    assert (await ask(INFO, f"/rawblock/{'0' * 64}")).json()["error"] == "not-found-or-invalid-arg"
    lost = await ask(STATS, "/charts/no-such-chart")
    assert (lost.status_code, lost.headers["content-type"].split(";")[0]) == (404, "text/html")
    refused = await ask(CHAIR, "/bitcoin/stats", foo="1")
    assert (refused.status_code, refused.json()["data"]) == (400, None)


@pytest.mark.asyncio(loop_scope="module")
async def test_charts_end_yesterday(ask: Ask, clock: Clock) -> None:
    """A chart has a point a day, the newest of the last whole day."""
    body = (await ask(STATS, "/charts/n-unique-addresses", timespan="30days", format="json")).json()
    assert body["status"] == "ok"
    assert body["values"][-1]["x"] == clock.now() // 86_400 * 86_400 - 86_400
    assert len(body["values"]) == 30


@pytest.mark.asyncio(loop_scope="module")
async def test_explorers_of_ethereum_show_its_chain(ask: Ask, simulator: Simulator, clock: Clock) -> None:
    """Blockchair's height and gas price are the chain's of now; Blockscout's count is that of the last whole day."""
    chain, now = Ethereum(simulator.market), clock.now()
    for data in (
        (await ask(CHAIR, "/ethereum/stats")).json()["data"],
        (await ask(CHAIR, "/stats")).json()["data"]["ethereum"]["data"],
    ):
        assert data["best_block_height"] == chain.height(now)
        assert data["transactions_24h"] == chain.transactions_24h(now)
        assert data["suggested_transaction_fee_gwei_options"]["normal"] == pytest.approx(
            chain.gas_price(now) / 1e9, abs=0.001
        )
    scout = (await ask(SCOUT, "/api/v2/stats")).json()
    assert scout["transactions_today"] == str(chain.transactions_24h(now // 86_400 * 86_400))
    assert scout["gas_prices"]["average"] == pytest.approx(chain.gas_price(now) / 1e9, abs=0.01)
    newest = range(chain.height(now) - 49, chain.height(now) + 1)
    used = sum(chain.gas_used(number) for number in newest) / 50 / chain.network.gas_limit
    assert scout["network_utilization_percentage"] == pytest.approx(100 * used, abs=0.001)
