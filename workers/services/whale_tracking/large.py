"""Selects the large transfers of a block: pure functions of the block, the prices and the threshold.

Values use the price at the time of the scan. A transfer to its own sender is left out. Mints (from the zero address),
burns (to it) and contract creations (without a receiver) are transfers. One transaction may hold several: its own ether
and any number of token transfers. Each is published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workers.answers import BtcTransaction, EthBlock, EthHeader, EthTransaction, TokenTransfer
from workers.services.whale_tracking.trail import Transfer, identity

ETHEREUM, BITCOIN = "ethereum", "bitcoin"
_WEI = 10**18
_SATS = 10**8


@dataclass(frozen=True, slots=True)
class Token:
    """One ERC-20 token on Ethereum."""

    contract: str
    """Address, lower case."""
    symbol: str
    decimals: int
    coin_id: str
    """CoinGecko id, for its price."""
    redeems: str | None = None
    """The coin that one token is exchanged for one to one, whose price stands for one that is unknown."""


TOKENS = (
    # Contract and decimals as etherscan.io/token/<contract> and CoinGecko (/coins/<id>, detail_platforms) have them.
    # The issuers name the contracts: developers.skyeco.com (USDS), coinbase.com/cbbtc, weth.io, docs.lido.fi (wstETH).
    Token("0xdac17f958d2ee523a2206206994597c13d831ec7", "USDT", 6, "tether"),
    Token("0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", "USDC", 6, "usd-coin"),
    Token("0x6b175474e89094c44da98b954eedeac495271d0f", "DAI", 18, "dai"),
    Token("0x2260fac5e5542a773aa44fbcfedf7c193bc2c599", "WBTC", 8, "wrapped-bitcoin", "bitcoin"),
    Token("0xdc035d45d973e3ec169d2276ddab16f1e407384f", "USDS", 18, "usds"),
    Token("0xcbb7c0000ab88b473b1f5afd9ef808440eed33bf", "cbBTC", 8, "coinbase-wrapped-btc", "bitcoin"),
    Token("0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", "WETH", 18, "weth", "ethereum"),
    # One wstETH is worth more ether every day (docs.lido.fi/contracts/wsteth): ether's price can't stand for its own.
    Token("0x7f39c581f595b53c5cb19bd0b3f8da6c935e2ca0", "wstETH", 18, "wrapped-steth"),
)
"""The tokens that are scanned: they move most of the value on Ethereum."""
BY_CONTRACT = {token.contract: token for token in TOKENS}
CONTRACTS = tuple(BY_CONTRACT)


def large_native(block: EthBlock, price: float, threshold: float) -> tuple[EthTransaction, ...]:
    """Transactions of `block` that move ether worth `threshold` USD or more; some may have failed."""
    return tuple(tx for tx in block.transactions if tx.wei / _WEI * price >= threshold and tx.sender != tx.to)


def native_transfer(tx: EthTransaction, header: EthHeader, price: float) -> Transfer:
    """The transfer of ether that a transaction is."""
    amount = tx.wei / _WEI
    return Transfer(
        key=identity(tx.hash),
        chain=ETHEREUM,
        hash=tx.hash,
        sender=tx.sender,
        to=tx.to,
        symbol="ETH",
        amount=amount,
        usd=amount * price,
        time=header.time,
    )


def large_tokens(
    logs: Iterable[TokenTransfer], header: EthHeader, prices: Mapping[str, float], threshold: float
) -> tuple[Transfer, ...]:
    """Token transfers among a block's `logs` worth `threshold` USD or more; `prices` in USD by CoinGecko id.

    Transfers of tokens without a price are left out.
    """
    seen: Counter[tuple[object, ...]] = Counter()
    found = []
    for log in sorted(logs, key=lambda log: log.index):
        token = BY_CONTRACT.get(log.contract)
        if token is None or log.sender == log.to or (price := prices.get(token.coin_id)) is None:
            continue
        amount = log.units / 10**token.decimals
        usd = amount * price
        if usd < threshold:
            continue
        # Not by the log's index, which changes when a reorg moves the transaction to another block.
        what = (log.transaction, log.contract, log.sender, log.to, log.units)
        seen[what] += 1
        found.append(
            Transfer(
                key=identity(*what, seen[what]),
                chain=ETHEREUM,
                hash=log.transaction,
                sender=log.sender,
                to=log.to,
                symbol=token.symbol,
                amount=amount,
                usd=usd,
                time=header.time,
            )
        )
    return tuple(found)


def large_bitcoin(tx: BtcTransaction, time: float, price: float, threshold: float) -> Transfer | None:
    """The transfer that a Bitcoin transaction is, if worth `threshold` USD or more; None for a coinbase.

    The amount is the sum of outputs that don't go back to an address of the inputs. Change to a new address looks like
    a payment, so the amount may be too high, never too low. From and to are the addresses of the largest input and
    output.
    """
    if not tx.inputs:
        return None
    payers = {spent.address for spent in tx.inputs if spent.address is not None}
    paid = [output for output in tx.outputs if output.address not in payers]
    sats = sum(output.sats for output in paid)
    usd = sats / _SATS * price
    if not paid or usd < threshold:
        return None
    return Transfer(
        key=identity(tx.txid),
        chain=BITCOIN,
        hash=tx.txid,
        sender=max(tx.inputs, key=lambda spent: spent.sats).address,
        to=max(paid, key=lambda output: output.sats).address,
        symbol="BTC",
        amount=sats / _SATS,
        usd=usd,
        time=time,
    )


def least_sats(price: float, threshold: float) -> int:
    """The amount in sats that is worth `threshold` USD, rounded down."""
    return int(threshold / price * _SATS)
