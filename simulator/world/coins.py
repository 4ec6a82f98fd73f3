"""The coins of the simulated market, read from `coins.json`.

Prices, supplies and volumes are plausible and no more. Of the names, about half (of coins that existed by 2022) are
confirmed by recorded CoinGecko and CoinPaprika answers, and the Kraken pairs by one of 2026; the others are written
from memory, as are the Binance and Coinbase listings and CoinLore's numbers. CoinLore numbers from 900001 are ours.
"""

from __future__ import annotations

from importlib import resources

from msgspec import Struct, json


class Coin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One coin: how each provider names it, and the figures its walk starts from."""

    id: str
    """CoinGecko id."""
    symbol: str
    """Lower case."""
    name: str
    price: float
    """USD that the price keeps coming back to."""
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
