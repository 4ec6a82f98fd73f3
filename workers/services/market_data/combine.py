"""combine: makes market_data from a list (CoinGecko) and an exchange (Binance). Pure; reasons are in docs/adr/0004."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from shared.payloads import MarketData
from shared.timestamps import iso
from workers.answers import ListedCoin, Ticker
from workers.asking.moments import Moments, believed
from workers.services.market_data.coins import Coin
from workers.services.market_data.figures import LISTED, QUOTED, SUPPLY, TRADED

TETHER = "tether"
"""The coin whose listed price is the rate of USDT prices."""
RECENT = SUPPLY.longest
"""Seconds for which a supply, or a price that other prices are checked against, is used; then it is dropped. Supplies
change by a fraction of a percent per day.
"""

_LISTED_AGE, _QUOTE_AGE, _TRADE_AGE = LISTED.longest, QUOTED.longest, TRADED
_AGREE = 0.2  # an exchange's price further from the list's is probably another coin's with the same symbol
_AGREE_OLD = 1.0  # the same against a list's price older than 15 min but not a day: half to double


class Listing(Struct, frozen=True, kw_only=True):
    """The answer of an aggregator."""

    source: str
    coins: Mapping[str, ListedCoin]
    """By CoinGecko id."""
    received: float
    """Unix seconds."""


class Quotes(Struct, frozen=True, kw_only=True):
    """The answer of an exchange."""

    source: str
    tickers: tuple[Ticker, ...]
    received: float
    """Unix seconds."""


Said = Mapping[str, float]
"""The sources behind a figure, and the unix seconds of what each said."""


class _Row(Struct, frozen=True):
    """The row of one coin in one listing."""

    source: str
    moment: float
    """Unix seconds of its figures."""
    age: float
    coin: ListedCoin

    @property
    def said(self) -> Said:
        """As the source of a figure."""
        return {self.source: self.moment}


class _Price(Struct, frozen=True):
    """A price in USD, the sources it came from, and the exchange's own 24 h change."""

    value: float
    said: Said
    change: float | None = None


def combine(
    now: float, coins: Sequence[Coin], listings: Sequence[Listing], quotes: Sequence[Quotes]
) -> MarketData | None:
    """The payload for `coins` at `now` (unix seconds), or None if no price is known.

    `listings` and `quotes` are in order of preference. Of the listings, the newest with the figure is used. See
    docs/adr/0004 for the rules.
    """
    newest = sorted(listings, key=lambda listing: listing.received, reverse=True)
    fresh = [answer for answer in quotes if now - answer.received <= _QUOTE_AGE]
    rate = _rate(now, newest, fresh)
    shared = Counter(coin.symbol for coin in coins)
    prices: dict[str, float | None] = {}
    volumes: dict[str, float | None] = {}
    caps: dict[str, float | None] = {}
    changes: dict[str, float | None] = {}
    moments = Moments()
    for coin in coins:
        rows = _rows(now, coin.id, newest)
        listed = next((row for row in rows if row.age <= _LISTED_AGE and row.coin.price), None)
        price = _exchange_price(now, coin.symbol, _guard(rows), fresh, rate) if shared[coin.symbol] == 1 else None
        if price is None and listed is not None and listed.coin.price:
            price = _Price(listed.coin.price, listed.said)
        prices[coin.id] = _tidy(price.value) if price else None
        volumes[coin.id], volume_from = _figure(rows, "volume", _LISTED_AGE)
        caps[coin.id], cap_from = _cap(rows, price)
        changes[coin.id], change_from = _change(listed, price)
        for said in (volume_from, cap_from, change_from, price.said if price else {}):
            for source, moment in said.items():
                moments.note(source, moment)
    if all(value is None for value in prices.values()):
        return None
    order = [listing.source for listing in listings] + [answer.source for answer in quotes]
    as_of = moments.as_of
    sources = [source for source in order if source in as_of]
    return MarketData(
        prices=prices,
        volumes=volumes,
        market_caps=caps,
        price_changes=changes,
        source=", ".join(sources),
        as_of={source: as_of[source] for source in sources},
        timestamp=iso(now),
    )


def _rows(now: float, coin_id: str, newest: Sequence[Listing]) -> list[_Row]:
    rows = []
    for listing in newest:
        if (coin := listing.coins.get(coin_id)) is not None:
            moment = believed(coin.as_of, listing.received)
            rows.append(_Row(listing.source, moment, now - moment, coin))
    return rows


def _rate(now: float, newest: Sequence[Listing], fresh: Sequence[Quotes]) -> _Price | None:
    """USD for one USDT."""
    for row in _rows(now, TETHER, newest):
        if row.age <= _LISTED_AGE and row.coin.price:
            return _Price(row.coin.price, row.said)
    for answer in fresh:
        for ticker in answer.tickers:
            if (ticker.base, ticker.quote) == ("USDT", "USD"):
                return _Price(ticker.price, {answer.source: believed(ticker.as_of, answer.received)})
    return None


def _guard(rows: Sequence[_Row]) -> tuple[float, float]:
    """The range for an exchange's price, according to the newest list."""
    for row in rows:
        if row.coin.price and row.age <= _LISTED_AGE:
            return row.coin.price * (1 - _AGREE), row.coin.price * (1 + _AGREE)
    for row in rows:
        if row.coin.price and row.age <= RECENT:
            return row.coin.price / (1 + _AGREE_OLD), row.coin.price * (1 + _AGREE_OLD)
    return 0.0, float("inf")


def _exchange_price(
    now: float, symbol: str, guard: tuple[float, float], fresh: Sequence[Quotes], rate: _Price | None
) -> _Price | None:
    for answer in fresh:
        for ticker in answer.tickers:
            moment = believed(ticker.as_of, answer.received)
            if ticker.base != symbol or now - moment > _TRADE_AGE:
                continue
            if ticker.quote == "USD":
                price = _Price(ticker.price, {answer.source: moment}, ticker.change)
            elif ticker.quote == "USDT" and rate is not None:
                price = _Price(ticker.price * rate.value, {**rate.said, answer.source: moment}, ticker.change)
            else:
                continue
            if guard[0] <= price.value <= guard[1]:
                return price
    return None


def _figure(rows: Sequence[_Row], name: str, most: float) -> tuple[float | None, Said]:
    """The newest figure `name` not older than `most` seconds, and its source."""
    for row in rows:
        value: float | None = getattr(row.coin, name)
        if value is not None and row.age <= most:
            return _tidy(value), row.said
    return None, {}


def _cap(rows: Sequence[_Row], price: _Price | None) -> tuple[float | None, Said]:
    supply, supply_from = _figure(rows, "supply", RECENT)
    if supply is not None and price is not None:
        return _tidy(supply * price.value), supply_from
    return _figure(rows, "market_cap", _LISTED_AGE)


def _change(listed: _Row | None, price: _Price | None) -> tuple[float | None, Said]:
    """The 24 h change of `price`, against the price a day ago that follows from the list's own price and change."""
    if price is None:
        return None, {}
    if listed is None or not listed.coin.price or listed.coin.change is None or listed.coin.change <= -100:
        return (None if price.change is None else round(price.change, 5)), {}
    before = listed.coin.price / (1 + listed.coin.change / 100)
    return round((price.value / before - 1) * 100, 5), listed.said


def _tidy(value: float) -> float:
    """`value` with ten significant digits; further digits are rounding noise of floats."""
    return float(f"{value:.10g}")
