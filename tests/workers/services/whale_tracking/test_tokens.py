"""The tokens that are scanned: their contracts, their prices, and the labels of who moves them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from shared.errors import NoSourceError
from shared.keccak import keccak256
from tests.workers.services.test_cursor_gaps import Node, pool_of
from tests.workers.services.whale_tracking.test_whale_tracking import collect, follow, open_service
from tests.workers.stage import Stage
from workers.answers import TokenTransfer
from workers.services.whale_tracking.ethereum import PRICES, EthereumScan
from workers.services.whale_tracking.large import TOKENS
from workers.services.whale_tracking.wallets import label_of

CONTRACTS = {
    # As the issuers, Etherscan and CoinGecko write them: with the checksum of EIP-55.
    "USDT": ("0xdAC17F958D2ee523a2206206994597C13D831ec7", 6),
    "USDC": ("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", 6),
    "DAI": ("0x6B175474E89094C44Da98b954EedeAC495271d0F", 18),
    "WBTC": ("0x2260FAC5E5542a773Aa44fBCfeDf7C193bc2C599", 8),
    "USDS": ("0xdC035D45d973E3EC169d2276DDab16f1e407384F", 18),
    "cbBTC": ("0xcbB7C0000aB88B473b1f5aFd9ef808440eed33Bf", 8),
    "WETH": ("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2", 18),
    "wstETH": ("0x7f39C581F595B53c5cb19bD0b3f8dA6c935E2Ca0", 18),
}
A, B = "0x" + "aa" * 20, "0x" + "bb" * 20
ALL = dict.fromkeys(PRICES, 2000.0)


def checksummed(address: str) -> str:
    """An address with the capitals of EIP-55, which show a wrong digit."""
    digits = keccak256(address[2:].encode()).hex()
    pairs = zip(address[2:], digits, strict=False)
    return "0x" + "".join(letter.upper() if int(digit, 16) >= 8 else letter for letter, digit in pairs)


def test_the_contracts() -> None:
    """Each token has its issuer's contract, whose checksum is right, and its decimals."""
    assert {token.symbol: (checksummed(token.contract), token.decimals) for token in TOKENS} == CONTRACTS


class Paying(Node):
    """A node in whose every block each token moves a thousand units."""

    async def transfers_in(self, ask: Any, contracts: Any, block_hash: str) -> tuple[TokenTransfer, ...]:
        return tuple(
            TokenTransfer(
                block=self.head,
                block_hash=block_hash,
                transaction=block_hash,
                index=index,
                contract=token.contract,
                sender=A,
                to=B,
                units=1000 * 10**token.decimals,
            )
            for index, token in enumerate(TOKENS)
        )


class Scene:
    """A scan of a chain with one new block per cycle."""

    def __init__(self) -> None:
        self.now, self.node = 0.0, Paying("a", head=100)
        self.scan = EthereumScan(pool_of(self.node, clock=lambda: self.now), 1e6)
        self.trail: Any = None

    async def told(self, prices: dict[str, float], later: float = 12.0) -> dict[str, float]:
        """USD by symbol of what the next cycle tells."""
        self.now += later
        self.node.head += 1
        scanned = await self.scan.scan(self.trail, prices, 1000.0, 4.0)
        self.trail = scanned.trail
        return {transfer.symbol: transfer.usd for transfer in scanned.found}


def without(*coins: str) -> dict[str, float]:
    return {coin: price for coin, price in ALL.items() if coin not in coins} | {"bitcoin": 90_000.0}


@pytest.mark.parametrize(
    ("symbol", "coin", "usd"),
    [("WBTC", "wrapped-bitcoin", 9e7), ("cbBTC", "coinbase-wrapped-btc", 9e7), ("WETH", "weth", 2e6)],
)
async def test_what_is_exchanged_one_to_one_has_that_price(symbol: str, coin: str, usd: float) -> None:
    """Where the token's own price is unknown, the coin's behind it counts; otherwise its own."""
    assert (await Scene().told(without(coin)))[symbol] == usd
    assert (await Scene().told(without(coin) | {coin: 1500.0}))[symbol] == 1.5e6


@pytest.mark.parametrize(("symbol", "coin"), [("wstETH", "wrapped-steth"), ("USDS", "usds"), ("DAI", "dai")])
async def test_nothing_stands_in_for_other_prices(symbol: str, coin: str) -> None:
    """The blocks wait for the price; after five minutes they go on without this token, and later with it."""
    scene = Scene()
    assert symbol in await scene.told(ALL)
    for _ in range(3):
        with pytest.raises(NoSourceError, match=f"unknown: {coin}"):
            await scene.told(without(coin), 90.0)
    waited = await scene.told(without(coin), 150.0)
    assert set(waited) == {token.symbol for token in TOKENS} - {symbol}
    assert symbol in await scene.told(ALL)
    with pytest.raises(NoSourceError):
        await scene.told(without(coin))


async def test_a_price_that_is_back_in_time_costs_nothing() -> None:
    """All blocks that waited are told, with the token."""
    scene = Scene()
    await scene.told(ALL)
    with pytest.raises(NoSourceError):
        await scene.told(without("wrapped-steth"), 200.0)
    with pytest.raises(NoSourceError):
        await scene.told(without("wrapped-steth"), 90.0)
    before = scene.trail.next
    assert "wstETH" in await scene.told(ALL)
    assert scene.trail.next == before + 3


async def test_ether_is_always_waited_for() -> None:
    """Without its price nothing is told, however long."""
    scene = Scene()
    await scene.told(ALL)
    for _ in range(3):
        with pytest.raises(NoSourceError, match="unknown: ethereum"):
            await scene.told(without("ethereum"), 1000.0)


async def test_every_entry_has_the_labels_of_its_parties(stage: Stage) -> None:
    """Those of the table, as in `whale_wallets`; null for an unknown address."""
    open_service(stage)
    updates = [await collect(stage), *(await follow(stage, 4))]
    entries = [tx for data in updates for tx in data.large_transactions]
    assert any(tx.from_label for tx in entries)
    assert any(tx.to_label for tx in entries)
    for tx in entries:
        assert (tx.from_label, tx.to_label) == (label_of(tx.chain, tx.from_), label_of(tx.chain, tx.to))
    for data in updates:
        parties = {(tx.from_, tx.from_label) for tx in data.large_transactions}
        parties |= {(tx.to, tx.to_label) for tx in data.large_transactions}
        assert {(wallet.address, wallet.label) for wallet in data.whale_wallets} == {
            (address, label) for address, label in parties if label is not None and address is not None
        }


async def test_whale_alert_labels_parties_too(stage: Stage) -> None:
    """Owners that it names are labels of its transfers."""
    open_service(stage, whale_alert_key=SecretStr("a-key"))
    updates = [await collect(stage), *(await follow(stage, 6))]
    entries = [tx for data in updates for tx in data.large_transactions if tx.chain not in ("ethereum", "bitcoin")]
    assert any(tx.from_label or tx.to_label for tx in entries)
