"""Binance spot, its public market data host: https://developers.binance.com/docs/binance-spot-api-docs/faqs/market_data_only

One unknown symbol fails the whole call (HTTP 400, code -1121), so the list of symbols is read first, once an hour.
Some symbols of 2025 have Chinese characters, and some of these were refused although the list has them; then all
symbols are asked for at once. Numbers are strings, times milliseconds. Symbols that are no longer traded stay in the
list, with zeros. A row that does not fit is left out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Sequence
from math import isfinite
from typing import ClassVar

import msgspec
from msgspec import Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import Ticker
from workers.asking.ports import Exchange
from workers.asking.provider import Amount, Ask, Count, Parsers, Request, StatusError, decode, known
from workers.asking.rows import Label, decode_list

NAME = "binance"
_QUOTE = "USDT"
_LIST_AGE = 3600.0  # s after which the list of symbols is read again: listings and delistings are rare
_LIST_WEIGHT = 4
_DAY_PATH = "/api/v3/ticker/24hr"
_ALL = 10_000  # more symbols than it has: the weight of a call that names none
_USUAL = re.compile(r"[A-Z0-9_.-]{1,20}")  # the legal range that Binance's -1100 states


class _Price(Struct):
    symbol: Label
    price: Amount


class _Day(Struct):
    symbol: Label
    lastPrice: Amount
    closeTime: Count
    count: Count
    openPrice: Amount | None = None


def parse_prices(body: bytes) -> frozenset[str]:
    """Coins with a live USDT pair, from /ticker/price. Raises ProviderError."""
    rows = decode_list(NAME, body, _Price, lax=True)
    coins = frozenset(row.symbol.removesuffix(_QUOTE) for row in rows if row.symbol.endswith(_QUOTE) and row.price)
    if not coins:
        raise ProviderError(NAME, f"no {_QUOTE} pair in the answer")
    return coins


def parse_day(body: bytes) -> tuple[Ticker, ...]:
    """The USDT rows of /ticker/24hr that were traded in these 24 h. Raises ProviderError."""
    rows = decode_list(NAME, body, _Day, lax=True)
    if not rows:
        raise ProviderError(NAME, "no pair in the answer")
    return tuple(
        Ticker(
            base=row.symbol.removesuffix(_QUOTE),
            quote=_QUOTE,
            price=row.lastPrice,
            change=_change(row),
            as_of=row.closeTime / 1000,
        )
        for row in rows
        if row.symbol.endswith(_QUOTE) and row.lastPrice and row.count
    )


def _change(row: _Day) -> float | None:
    """Percent over the 24 h; None if they began without a price, or with one that is no price."""
    before = known(row.openPrice)
    change = (row.lastPrice / before - 1) * 100 if before is not None else None
    return change if change is not None and isfinite(change) else None


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
        self._refused: frozenset[str] = frozenset()
        """Pairs that a call must not name, until the list is read again."""
        self._names = True
        """Whether a call may name pairs: not while a call was refused and no pair explains that."""

    async def probe(self, ask: Ask) -> None:
        """See Provider. The clock: its weight is 1 as for /ping, but the `{}` of /ping would not identify Binance."""
        await ask(Request("/api/v3/time", parse_time))

    async def tickers(self, ask: Ask, symbols: tuple[str, ...]) -> tuple[Ticker, ...]:
        """See Exchange. One call, and another one once per hour. Prices are in USDT, so USDT itself has none.

        A call that is refused for one of its symbols is made again without any, which returns all pairs.
        """
        listed = await self._symbols(ask)
        wanted = [symbol + _QUOTE for symbol in dict.fromkeys(symbols) if symbol in listed]
        named = [pair for pair in wanted if pair not in self._refused]
        if not wanted:
            return ()
        if self._names:
            if not named:
                return ()
            # Compact: Binance parses the list as one JSON value and refuses spaces.
            params = {"symbols": msgspec.json.encode(named).decode(), "type": "MINI"}
            try:
                return await ask(Request(_DAY_PATH, parse_day, params, cost=_weight(len(named))))
            except StatusError as error:
                if error.status != 400:
                    raise
        # A megabyte and the largest weight, but within the budget also in every cycle.
        every = await ask(Request(_DAY_PATH, parse_day, {"type": "MINI"}, cost=_weight(_ALL)))
        if self._names:
            self._avoid(named, {ticker.base + _QUOTE for ticker in every})
        return tuple(ticker for ticker in every if ticker.base + _QUOTE in wanted)

    def _avoid(self, named: Sequence[str], traded: Collection[str]) -> None:
        """Note which of `named` may be why their call was refused: those not traded, and those of unusual characters.

        If there is none, no call names pairs until the list is read again.
        """
        suspects = {pair for pair in named if pair not in traded or not _USUAL.fullmatch(pair)}
        self._refused |= suspects
        self._names = bool(suspects)

    async def _symbols(self, ask: Ask) -> frozenset[str]:
        if self._listed is None or self._clock() - self._listed_at >= _LIST_AGE:
            self._listed = await ask(Request("/api/v3/ticker/price", parse_prices, cost=_LIST_WEIGHT))
            self._listed_at = self._clock()
            self._refused, self._names = frozenset(), True
        return self._listed


def _weight(symbols: int) -> int:
    """Weight of /ticker/24hr for this number of symbols."""
    return 2 if symbols <= 20 else 40 if symbols <= 100 else 80
