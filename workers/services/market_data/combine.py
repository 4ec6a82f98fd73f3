"""combine: makes market_data from lists (CoinGecko, …) and exchanges (Binance, …). Pure; see docs/adr/0004 and 0039."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from msgspec import Struct

from shared.payloads import MarketData
from shared.timestamps import iso
from workers.answers import ListedCoin, Ticker
from workers.asking.moments import Moments, believed, is_mistaken
from workers.services.market_data.agreement import Claim, Verdict, decide
from workers.services.market_data.coins import Coin
from workers.services.market_data.figures import LISTED, QUOTED, SUPPLY, TRADED

TETHER = "tether"
"""The coin whose listed price is the rate of USDT prices."""
RECENT = SUPPLY.longest
"""Seconds for which a supply, or a price that other prices are checked against, is used; then it is dropped. Supplies
change by a fraction of a percent per day.
"""

_LISTED_AGE, _QUOTE_AGE, _TRADE_AGE = LISTED.longest, QUOTED.longest, TRADED


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


class _Board:
    """The answer of an exchange, by symbol."""

    def __init__(self, answer: Quotes) -> None:
        self.source = answer.source
        self.received = answer.received
        self.tickers: defaultdict[str, list[Ticker]] = defaultdict(list)
        for ticker in answer.tickers:
            self.tickers[ticker.base].append(ticker)


def combine(
    now: float, coins: Sequence[Coin], listings: Sequence[Listing], quotes: Sequence[Quotes]
) -> MarketData | None:
    """The payload for `coins` at `now` (unix seconds), or None if no price is known.

    `listings` and `quotes` are in order of preference. Of the listings, the newest with the figure is used. See
    docs/adr/0004 for the rules.
    """
    newest = sorted(listings, key=lambda listing: listing.received, reverse=True)
    fresh = [_Board(answer) for answer in quotes if now - answer.received <= _QUOTE_AGE]
    rate = _rate(now, newest, fresh)
    shared = Counter(coin.symbol for coin in coins)
    prices: dict[str, float | None] = {}
    volumes: dict[str, float | None] = {}
    caps: dict[str, float | None] = {}
    changes: dict[str, float | None] = {}
    spreads: dict[str, float | None] = {}
    disputed: dict[str, dict[str, float]] = {}
    used: set[str] = set()
    moments = Moments()
    for coin in coins:
        rows = _rows(now, coin.id, newest)
        traded = _traded(now, coin.symbol, fresh, rate) if shared[coin.symbol] == 1 else []
        verdict = _verdict(traded, rows)
        price, listed = verdict.winner, _listed(rows, verdict)
        prices[coin.id] = _tidy(price.price) if price else None
        spreads[coin.id] = verdict.spread
        if verdict.disputed:
            disputed[coin.id] = {claim.source: _tidy(claim.price) for claim in verdict.disputed}
        volumes[coin.id], volume_from = _figure(rows, "volume", _LISTED_AGE)
        caps[coin.id], cap_from = _cap(rows, price, trusted=listed is not None or not verdict.disputed)
        changes[coin.id], change_from = _change(listed, price)
        figures = (volume_from, cap_from, change_from, price.said if price is not None else {})
        used.update(*figures)
        for said in (*figures, *(claim.said for claim in (*verdict.compared, *verdict.disputed))):
            for source, moment in said.items():
                moments.note(source, moment)
    if all(value is None for value in prices.values()):
        return None
    order = [listing.source for listing in listings] + [answer.source for answer in quotes]
    as_of = moments.as_of
    return MarketData(
        prices=prices,
        volumes=volumes,
        market_caps=caps,
        price_changes=changes,
        price_spread_bps=spreads,
        disputed=disputed,
        source=", ".join(source for source in order if source in used),
        as_of={source: as_of[source] for source in order if source in as_of},
        timestamp=iso(now),
    )


def _rows(now: float, coin_id: str, newest: Sequence[Listing]) -> list[_Row]:
    rows = []
    for listing in newest:
        coin = listing.coins.get(coin_id)
        if coin is not None and not is_mistaken(coin.as_of, listing.received):
            moment = believed(coin.as_of, listing.received)
            rows.append(_Row(listing.source, moment, now - moment, coin))
    return rows


def _rate(now: float, newest: Sequence[Listing], fresh: Sequence[_Board]) -> Claim | None:
    """USD for one USDT: the list's before an exchange's, as the list averages many; in a dispute, what most say."""
    traded = _traded(now, "USDT", fresh, None)
    listed = _claims(_rows(now, TETHER, newest), _LISTED_AGE)
    verdict = decide(traded, listed)
    return verdict.winner if verdict.disputed else next(iter((*listed, *traded)), None)


def _traded(now: float, symbol: str, fresh: Sequence[_Board], rate: Claim | None) -> list[Claim]:
    """What each exchange says, converted to USD; without pairs that are no longer traded."""
    claims = []
    for board in fresh:
        for ticker in board.tickers.get(symbol, ()):
            moment = believed(ticker.as_of, board.received)
            if now - moment > _TRADE_AGE or is_mistaken(ticker.as_of, board.received):
                continue
            if ticker.quote == "USD":
                price, by = ticker.price, None
            elif ticker.quote == "USDT" and rate is not None:
                price, by = ticker.price * rate.price, rate
            else:
                continue
            claims.append(Claim(source=board.source, price=price, moment=moment, change=ticker.change, rate=by))
            break
    return claims


def _claims(rows: Sequence[_Row], most: float) -> list[Claim]:
    """The prices of lists that are at most `most` seconds old."""
    return [
        Claim(source=row.source, price=row.coin.price, moment=row.moment, is_listed=True)
        for row in rows
        if row.coin.price and row.age <= most
    ]


def _verdict(traded: Sequence[Claim], rows: Sequence[_Row]) -> Verdict:
    return decide(traded, _claims(rows, _LISTED_AGE), next(iter(_claims(rows, RECENT)), None))


def _listed(rows: Sequence[_Row], verdict: Verdict) -> _Row | None:
    """The row whose price a figure may be derived from: the newest, or in a dispute that of the winner, if any."""
    winner = verdict.winner
    fresh = [row for row in rows if row.age <= _LISTED_AGE and row.coin.price]
    if verdict.disputed:
        fresh = [row for row in fresh if winner is not None and row.source == winner.source]
    return next(iter(fresh), None)


def _figure(rows: Sequence[_Row], name: str, most: float) -> tuple[float | None, Said]:
    """The newest figure `name` not older than `most` seconds, and its source."""
    for row in rows:
        value: float | None = getattr(row.coin, name)
        if value is not None and row.age <= most:
            return _tidy(value), row.said
    return None, {}


def _cap(rows: Sequence[_Row], price: Claim | None, *, trusted: bool) -> tuple[float | None, Said]:
    """`trusted`: whether the lists' own market values, which follow from their prices, may be published."""
    supply, supply_from = _figure(rows, "supply", RECENT)
    if supply is not None and price is not None:
        return _tidy(supply * price.price), supply_from
    return _figure(rows, "market_cap", _LISTED_AGE) if trusted else (None, {})


def _change(listed: _Row | None, price: Claim | None) -> tuple[float | None, Said]:
    """The 24 h change of `price`, against the price a day ago that follows from the list's own price and change."""
    if price is None:
        return None, {}
    if listed is None or not listed.coin.price or listed.coin.change is None or listed.coin.change <= -100:
        return (None if price.change is None else round(price.change, 5)), {}
    before = listed.coin.price / (1 + listed.coin.change / 100)
    return round((price.price / before - 1) * 100, 5), listed.said


def _tidy(value: float) -> float:
    """`value` with ten significant digits; further digits are rounding noise of floats."""
    return float(f"{value:.10g}")
