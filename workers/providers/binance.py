"""Binance spot, its public market data host: https://developers.binance.com/docs/binance-spot-api-docs/faqs/market_data_only

One unknown symbol fails the whole call (HTTP 400, code -1121), so the list of symbols is read first, once an hour.
Numbers are strings, times milliseconds. Symbols that are no longer traded stay in the list, with zeros.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

import msgspec
from msgspec import Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import Ticker
from workers.asking.ports import Exchange
from workers.asking.provider import Amount, Ask, Count, Parsers, Request, StatusError, decode, known

NAME = "binance"
_QUOTE = "USDT"
_LIST_AGE = 3600.0  # s after which the list of symbols is read again: listings and delistings are rare
_LIST_WEIGHT = 4


class _Price(Struct):
    symbol: str
    price: Amount


class _Day(Struct):
    symbol: str
    lastPrice: Amount
    openPrice: Amount
    closeTime: Count
    count: Count


def parse_prices(body: bytes) -> frozenset[str]:
    """Coins with a live USDT pair, from /ticker/price. Raises ProviderError."""
    rows = decode(NAME, body, list[_Price], lax=True)
    coins = frozenset(row.symbol.removesuffix(_QUOTE) for row in rows if row.symbol.endswith(_QUOTE) and row.price)
    if not coins:
        raise ProviderError(NAME, f"no {_QUOTE} pair in the answer")
    return coins


def parse_day(body: bytes) -> tuple[Ticker, ...]:
    """The USDT rows of /ticker/24hr that were traded in these 24 h. Raises ProviderError."""
    rows = decode(NAME, body, list[_Day], lax=True)
    if not rows:
        raise ProviderError(NAME, "no pair in the answer")
    return tuple(
        Ticker(
            base=row.symbol.removesuffix(_QUOTE),
            quote=_QUOTE,
            price=row.lastPrice,
            change=(row.lastPrice / open_price - 1) * 100 if (open_price := known(row.openPrice)) else None,
            as_of=row.closeTime / 1000,
        )
        for row in rows
        if row.symbol.endswith(_QUOTE) and row.lastPrice and row.count
    )


class _Time(Struct):
    serverTime: Count


def parse_time(body: bytes) -> int:
    """Binance's clock in unix milliseconds, from /time. Raises ProviderError."""
    return decode(NAME, body, _Time).serverTime


class Binance(Exchange):
    """The primary for prices: they change in every cycle."""

    name = NAME
    base_url = "https://data-api.binance.vision"
    budget = Budget(1200, 60.0)  # weight; Binance's limit is 6000, and 12 cycles of 100 coins take 480
    parsers: ClassVar[Parsers] = {"prices": parse_prices, "day": parse_day, "time": parse_time}

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._listed: frozenset[str] | None = None
        self._listed_at = 0.0

    async def probe(self, ask: Ask) -> None:
        """See Provider. The clock: its weight is 1 as for /ping, but the `{}` of /ping would not identify Binance."""
        await ask(Request("/api/v3/time", parse_time))

    async def tickers(self, ask: Ask, symbols: tuple[str, ...]) -> tuple[Ticker, ...]:
        """See Exchange. One call, and another one once per hour. Prices are in USDT, so USDT itself has none."""
        listed = await self._symbols(ask)
        wanted = [symbol + _QUOTE for symbol in dict.fromkeys(symbols) if symbol in listed]
        if not wanted:
            return ()
        # Compact: Binance parses the list as one JSON value and refuses spaces.
        params = {"symbols": msgspec.json.encode(wanted).decode(), "type": "MINI"}
        try:
            return await ask(Request("/api/v3/ticker/24hr", parse_day, params, cost=_weight(len(wanted))))
        except StatusError as error:
            if error.status == 400:
                self._listed = None  # Binance has dropped a symbol since
            raise

    async def _symbols(self, ask: Ask) -> frozenset[str]:
        if self._listed is None or self._clock() - self._listed_at >= _LIST_AGE:
            self._listed = await ask(Request("/api/v3/ticker/price", parse_prices, cost=_LIST_WEIGHT))
            self._listed_at = self._clock()
        return self._listed


def _weight(symbols: int) -> int:
    """Weight of /ticker/24hr for this number of symbols."""
    return 2 if symbols <= 20 else 40 if symbols <= 100 else 80
