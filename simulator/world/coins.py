"""The coins of the simulated market, read from `coins.json`.

Prices, supplies and volumes are only plausible. Recorded answers of CoinGecko and CoinPaprika confirm about half of the
names (coins that existed by 2022), and one of Kraken (2026) confirms its pairs. The other names, the Binance and
Coinbase listings and CoinLore's numbers are written from memory. CoinLore numbers from 900001 on are invented.
"""

from __future__ import annotations

from importlib import resources

from msgspec import Struct, json


class Coin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One coin: its name at each provider, and the base figures of its walk."""

    id: str
    """CoinGecko id."""
    symbol: str
    """Lower case."""
    name: str
    price: float
    """Base price in USD, to which the price always returns."""
    supply: float
    total_supply: float | None
    max_supply: float | None
    volume: float
    """USD traded in 24 h, all exchanges, on an average day."""
    volatility: float
    """1 is an ordinary coin, 0.01 a stablecoin."""
    tracks: str | None
    """Id of the coin whose moves this one repeats (wrapped and staked coins)."""
    paprika_id: str
    coinlore_id: str
    coinlore_slug: str
    binance: bool
    kraken: bool
    coinbase: bool


def load_coins() -> tuple[Coin, ...]:
    """Every coin, by market value at its base price."""
    return json.decode(resources.files(__package__).joinpath("coins.json").read_bytes(), type=tuple[Coin, ...])
