"""What lists of coins and exchanges say."""

from __future__ import annotations

from msgspec import Struct


class ListedCoin(Struct, frozen=True, kw_only=True):
    """One coin of an aggregator's list, best market value first."""

    coin_id: str | None
    """CoinGecko id, where the provider knows it."""
    symbol: str
    """Upper case."""
    name: str
    price: float | None
    volume: float | None
    """USD traded in 24 h, all exchanges."""
    market_cap: float | None
    supply: float | None
    """Circulating, in coins."""
    change: float | None
    """Percent over 24 h."""
    as_of: float | None
    """Unix seconds of these figures; None where the provider does not say."""


class Ticker(Struct, frozen=True, kw_only=True):
    """One pair of an exchange."""

    base: str
    """Symbol of the coin, upper case, in the field's usual spelling (`BTC`, not Kraken's `XBT`)."""
    quote: str
    """Currency of the price: `USD` or `USDT`."""
    price: float
    change: float | None
    """Percent over a rolling 24 h; None where the exchange gives only today's open."""
    as_of: float | None
    """Unix seconds of the last trade window; None where the exchange does not say."""
