"""Answers of lists of coins and of exchanges."""

from __future__ import annotations

from msgspec import Struct


class ListedCoin(Struct, frozen=True, kw_only=True):
    """One coin of an aggregator's list. Lists are sorted by market value, the largest first."""

    coin_id: str | None
    """CoinGecko id, if the provider has it."""
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
    """Unix seconds of these figures; None if the provider does not give it."""


class DatedPrice(Struct, frozen=True, kw_only=True):
    """A price by coin, without market values."""

    usd: float
    as_of: float | None = None
    """Unix seconds; None if the provider does not give it."""


class Ticker(Struct, frozen=True, kw_only=True):
    """One pair of an exchange."""

    base: str
    """Symbol of the coin, upper case, in the field's usual spelling (`BTC`, not Kraken's `XBT`)."""
    quote: str
    """Currency of the price: `USD` or `USDT`."""
    price: float
    change: float | None
    """Percent over a rolling 24 h; None if the exchange gives only today's open."""
    as_of: float | None
    """Unix seconds of the last trade window; None if the exchange does not give it."""
