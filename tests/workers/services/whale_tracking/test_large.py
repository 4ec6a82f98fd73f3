"""What of a block counts as a whale, and how a trail remembers where a scan ended."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import RECORDED, UPSTREAM
from workers.answers import BtcOutput, BtcTransaction, EthBlock, EthHeader, EthTransaction, TokenTransfer
from workers.providers.blockchain_com import parse_block as parse_bitcoin_block
from workers.providers.ethereum_rpc import parse_block
from workers.services.whale_tracking.large import (
    TOKENS,
    large_bitcoin,
    large_native,
    large_tokens,
    least_sats,
    native_transfer,
)
from workers.services.whale_tracking.trail import DEPTH, Passed, Trail, Transfer
from workers.services.whale_tracking.wallets import label_of, sources, wallets

ZERO = "0x" + "0" * 40
A, B, C = ("0x" + digit * 40 for digit in "abc")
HEADER = EthHeader(number=100, hash="0x64", parent="0x63", time=1_763_980_223.0, gas_used=1, gas_limit=2, base_fee=None)
USD = {"tether": 1.0, "usd-coin": 0.9998, "dai": 1.0, "wrapped-bitcoin": 100_000.0}
ETHER = 10**18


def ether(amount: float, to: str | None = B, sender: str = A, tx_hash: str = "0x1") -> EthTransaction:
    return EthTransaction(hash=tx_hash, sender=sender, to=to, wei=int(amount * ETHER))


def block(*transactions: EthTransaction) -> EthBlock:
    return EthBlock(header=HEADER, transactions=transactions)


def entry(token: int, amount: float, sender: str = A, to: str = B, index: int = 0, tx: str = "0x1") -> TokenTransfer:
    kind = TOKENS[token]
    return TokenTransfer(
        block=100,
        block_hash="0x64",
        transaction=tx,
        index=index,
        contract=kind.contract,
        sender=sender,
        to=to,
        units=int(amount * 10**kind.decimals),
    )


def test_a_transfer_of_exactly_the_threshold_is_large() -> None:
    """At 4,000 USD an ether, 250 of them are a million; a hair less is not."""
    large = large_native(block(ether(250), ether(249.999)), 4000.0, 1e6)
    assert [tx.wei for tx in large] == [250 * ETHER]


def test_a_contract_creation_is_a_transfer_to_nobody() -> None:
    """`to` is null."""
    (tx,) = large_native(block(ether(1000, to=None)), 4000.0, 1e6)
    transfer = native_transfer(tx, HEADER, 4000.0)
    assert (transfer.sender, transfer.to, transfer.symbol) == (A, None, "ETH")
    assert (transfer.amount, transfer.usd, transfer.time) == (1000.0, 4e6, HEADER.time)


def test_a_transfer_to_its_own_sender_is_left_out() -> None:
    """It moves nothing: neither ether nor a token."""
    assert large_native(block(ether(5000, to=A)), 4000.0, 1e6) == ()
    assert large_tokens([entry(0, 5e6, A, A)], HEADER, USD, 1e6) == ()


def test_tokens_have_their_own_decimals_and_prices() -> None:
    """USDT and USDC have 6 decimals, DAI 18, WBTC 8; the value is at the token's own price."""
    logs = [entry(0, 2e6), entry(1, 2e6, index=1), entry(2, 2e6, index=2), entry(3, 20, index=3)]
    found = large_tokens(logs, HEADER, USD, 1e6)
    assert [(transfer.symbol, transfer.amount) for transfer in found] == [
        *(("USDT", 2e6), ("USDC", 2e6), ("DAI", 2e6), ("WBTC", 20.0)),
    ]
    assert [transfer.usd for transfer in found] == pytest.approx([2e6, 1_999_600.0, 2e6, 2e6])


def test_a_stablecoin_off_its_peg_is_valued_at_its_price() -> None:
    """1.05 million USDC at 0.9 USD are no million."""
    assert large_tokens([entry(1, 1.05e6)], HEADER, USD | {"usd-coin": 0.9}, 1e6) == ()


def test_mints_and_burns_are_transfers_from_and_to_the_zero_address() -> None:
    """They are published with that address."""
    logs = [entry(1, 5e7, ZERO, A), entry(1, 5e7, A, ZERO, index=1)]
    assert [(found.sender, found.to) for found in large_tokens(logs, HEADER, USD, 1e6)] == [(ZERO, A), (A, ZERO)]


def test_other_contracts_are_left_out() -> None:
    """A Transfer log of a billion from another contract is ignored."""
    false = TokenTransfer(
        block=100, block_hash="0x64", transaction="0x1", index=0, contract=C, sender=A, to=B, units=10**30
    )
    assert large_tokens([false], HEADER, USD, 1e6) == ()


def test_each_transfer_of_one_transaction_is_an_entry() -> None:
    """Three logs, two of them alike, and its ether: four entries of one hash, each with a key of its own."""
    logs = [entry(0, 2e6, index=5), entry(0, 2e6, index=7), entry(0, 3e6, B, C, index=9)]
    found = [native_transfer(ether(5000), HEADER, 4000.0), *large_tokens(logs, HEADER, USD, 1e6)]
    assert [transfer.hash for transfer in found] == ["0x1"] * 4
    assert len({transfer.key for transfer in found}) == 4


def test_a_transfer_keeps_its_key_in_another_block() -> None:
    """When a reorg moves a transaction, its logs get other indexes, but the same keys."""
    first = large_tokens([entry(0, 2e6, index=5), entry(0, 2e6, index=7)], HEADER, USD, 1e6)
    later = large_tokens([entry(0, 2e6, index=81), entry(0, 2e6, index=80)], HEADER, USD, 1e6)
    assert [transfer.key for transfer in first] == [transfer.key for transfer in later]


@pytest.mark.parametrize(("threshold", "count"), [(832_000.0, 1), (832_001.0, 0)])
def test_the_whale_of_a_recorded_block_is_found(threshold: float, count: int) -> None:
    """Mainnet's block 21417107 moved 208 ether in one transaction: 832,000 USD at 4,000 USD."""
    path = next(iter(UPSTREAM.glob("ethereum_rpc/*mainnet_21417107*")), None)
    if path is None:
        pytest.skip("no recordings of real answers here")
    recorded = parse_block(path.read_bytes())
    assert recorded is not None
    large = large_native(recorded, 4000.0, threshold)
    assert [tx.wei / ETHER for tx in large] == [208.0] * count


@pytest.mark.parametrize("name", ["mainnet_21417107_to_null", "base_11382950", "bsc_58054314", "polygon_35057569"])
def test_blocks_of_all_kinds_can_be_searched(name: str) -> None:
    """Contract creations and the transaction types of other chains are searched like any other block."""
    path = next(iter(UPSTREAM.glob(f"ethereum_rpc/block_full_{name}*.json")), None)
    if path is None:
        pytest.skip("no recordings of real answers here")
    recorded = parse_block(path.read_bytes())
    assert recorded is not None
    everything = large_native(recorded, 1.0, 0.0)
    assert len(everything) >= len(json.loads(path.read_bytes())["result"]["transactions"]) * 0.9
    assert large_native(recorded, 4000.0, 1e12) == ()


def paid(
    *outputs: tuple[str | None, float], inputs: tuple[tuple[str | None, float], ...] = (("a", 50.0),)
) -> BtcTransaction:
    def amounts(pairs: tuple[tuple[str | None, float], ...]) -> tuple[BtcOutput, ...]:
        return tuple(BtcOutput(address=address, sats=round(amount * 1e8)) for address, amount in pairs)

    return BtcTransaction(txid="f" * 64, inputs=amounts(inputs), outputs=amounts(outputs))


def test_bitcoins_change_is_not_moved() -> None:
    """What goes back to an address that paid does not count; the largest other output is the receiver."""
    transfer = large_bitcoin(paid(("b", 11), ("a", 35), ("c", 3)), 1.0, 100_000.0, 1e6)
    assert transfer is not None
    assert (transfer.amount, transfer.usd, transfer.sender, transfer.to) == (14.0, 1.4e6, "a", "b")
    assert large_bitcoin(paid(("b", 9), ("a", 40)), 1.0, 100_000.0, 1e6) is None


def test_bitcoins_sender_is_the_largest_input() -> None:
    """Of several payers."""
    transfer = large_bitcoin(paid(("x", 60), inputs=(("a", 20), ("b", 30), ("c", 11))), 1.0, 100_000.0, 1e6)
    assert transfer is not None
    assert transfer.sender == "b"


def test_a_coinbase_and_a_consolidation_are_left_out() -> None:
    """New coins were not moved, and what comes back whole was not either."""
    assert large_bitcoin(paid(("b", 6000), inputs=()), 1.0, 100_000.0, 1e6) is None
    assert large_bitcoin(paid(("a", 49.9)), 1.0, 100_000.0, 1e6) is None


def test_outputs_without_an_address_are_payments() -> None:
    """Bare multisig has no address, which does not show the owner."""
    transfer = large_bitcoin(paid((None, 40), inputs=((None, 50),)), 1.0, 100_000.0, 1e6)
    assert transfer is not None
    assert (transfer.sender, transfer.to, transfer.amount) == (None, None, 40.0)


def test_no_large_transaction_is_below_the_least_sats() -> None:
    """The sum of outputs in a summary is enough to skip all other transactions."""
    assert least_sats(100_000.0, 1e6) == 10 * 10**8
    assert large_bitcoin(paid(("b", 10)), 1.0, 100_000.0, 1e6) is not None


def test_recorded_bitcoin_blocks_can_be_searched() -> None:
    """A recorded block gives a transfer for every transaction but the coinbase when nothing is too small."""
    recorded = parse_bitcoin_block((RECORDED / "blockchain_com" / "block.json").read_bytes())
    found = [large_bitcoin(tx, recorded.header.time, 1e5, 0.0) for tx in recorded.transactions]
    assert found[0] is None
    assert all(transfer is None or transfer.amount >= 0 for transfer in found)


def told(key: bytes) -> Transfer:
    return Transfer(key=key, chain="ethereum", hash="0x1", sender=A, to=B, symbol="ETH", amount=1.0, usd=1.0, time=1.0)


def test_a_trail_goes_on_block_by_block() -> None:
    """`after` moves on by one, and only a block with that hash as its parent may follow."""
    trail = Trail(next=7).after("0x7")
    assert (trail.next, trail.last) == (8, Passed(7, "0x7"))
    assert trail.follows("0x7")
    assert not trail.follows("0x6")
    assert Trail(next=7).follows("anything")


def test_a_trail_goes_back_to_the_fork() -> None:
    """`back` makes the block scanned last the next one; published transfers stay published."""
    trail = Trail(next=7).announce([told(b"x")]).after("0x7").after("0x8").back()
    assert (trail.next, trail.last) == (8, Passed(7, "0x7"))
    trail = trail.back()
    assert (trail.next, trail.last) == (7, None)
    assert trail.fresh([told(b"x"), told(b"y")]) == (told(b"y"),)
    with pytest.raises(ValueError, match="go back"):
        trail.back()


@given(st.lists(st.integers(0, 40), min_size=1, max_size=200))
def test_a_trail_is_bounded(counts: list[int]) -> None:
    """However many blocks and transfers: it keeps 64 blocks, and the keys of what was told in them."""
    trail = Trail(next=1)
    for number, count in enumerate(counts, 1):
        found = [told(f"{number}/{index}".encode()) for index in range(count)]
        assert trail.fresh(found) == tuple(found)
        trail = trail.announce(found).after(hex(number))
        assert trail.fresh(found) == ()
    assert len(trail.passed) == min(DEPTH, len(counts))
    assert len(trail.announced) <= sum(counts[-DEPTH:])


def test_every_wallet_has_a_label_and_a_source() -> None:
    """Each address of the table is of its chain, listed once, and names its public list."""
    table = wallets()
    assert len({(wallet.chain, wallet.address) for wallet in table}) == len(table)
    for wallet in table:
        assert wallet.label
        assert sources()[wallet.source].startswith("https://")
        if wallet.chain == "ethereum":
            assert len(wallet.address) == 42
            assert wallet.address == wallet.address.lower()
        else:
            assert wallet.chain == "bitcoin"
            assert wallet.address.startswith(("1", "3", "bc1q"))
    assert set(sources()) == {wallet.source for wallet in table}


def test_wallets_are_looked_up_by_chain_and_address() -> None:
    """An address means nothing on another chain."""
    assert label_of("ethereum", "0x28c6c06298d514db089934071355e5743bf21d60") == "Binance 14"
    assert label_of("bitcoin", "0x28c6c06298d514db089934071355e5743bf21d60") is None
    assert label_of("ethereum", None) is None
