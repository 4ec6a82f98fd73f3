"""Candles: what a coin's price did within a minute or an hour, from the prices that updates of market_data hold.

Nothing here speaks to a database; `candle_table` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from math import inf
from sys import float_info
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from shared.coins import MOST_COINS
from shared.database.record import Record

SERVICE = "market_data"
"""The service whose updates hold prices."""
MINUTE, HOUR = 60, 3600
"""Seconds of the candles that are stored. Longer ones are put together from these when they are asked for."""

_LONGEST_ID = 200  # characters of a coin's id; CoinGecko's have 100 at most, and PostgreSQL indexes 2,700 bytes


class Candle(Struct):
    """One coin's price within `seconds` from `open_at`. Times are unix ms, prices USD."""

    coin: str
    seconds: int
    open_at: int
    """A multiple of the candle's length since 1970, in UTC."""
    first_at: int
    """When its first price was published. It decides which price is `open` if updates are recorded out of order."""
    last_at: int
    open: float
    high: float
    low: float
    close: float
    samples: int
    """Prices that it was made of."""


class CandleKey(NamedTuple):
    """What identifies a candle."""

    seconds: int
    open_at: int
    coin: str


Spans = Mapping[CandleKey, tuple[int, int]]
"""By candle: `first_at` and `last_at`."""


class _Prices(Struct):
    prices: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Prices).decode


def prices_of(data: str) -> dict[str, Any]:
    """`prices` of the payload `data`, by coin; empty if it has none. Never raises: `data` may be of any shape."""
    try:
        return _decode(data).prices or {}
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return {}


def candles_of(records: Iterable[Record], counted: Spans | None = None) -> list[Candle]:
    """The candles that updates of market_data add to: those of minutes, then those of hours, each by time and coin.

    A price counts if it is a number above 0, and among the first MOST_COINS of its update: a foreign update with a
    million of them would take longer than a transaction may, however often it is repeated. With `counted`, the prices
    of those times count in `high` and `low` only: the candle's `samples` have them already.
    """
    ordered = sorted((record for record in records if record.service == SERVICE), key=lambda record: record.sort_key)
    minutes = _folded(ordered, MINUTE, counted)
    hours = _joined(minutes) if counted is None else _folded(ordered, HOUR, counted)
    return [
        candles[coin]
        for opened in (minutes, hours)
        for _, candles in sorted(opened.items())
        for coin in sorted(candles)
    ]


def _folded(ordered: Iterable[Record], seconds: int, counted: Spans | None) -> dict[int, dict[str, Candle]]:
    length = seconds * 1000
    found: dict[int, dict[str, Candle]] = {}
    for record in ordered:
        at = record.published_at
        open_at = at - at % length
        candles = found.setdefault(open_at, {})
        for coin, said in islice(prices_of(record.data).items(), MOST_COINS):
            price = said if type(said) is float else float(said) if _is_integer(said) else 0.0
            if not 0 < price < inf:
                continue
            samples = 1 if counted is None else _sample(counted, CandleKey(seconds, open_at, coin), at)
            candle = candles.get(coin)
            if candle is None:
                if is_coin_id(coin):
                    candles[coin] = Candle(coin, seconds, open_at, at, at, price, price, price, price, samples)
                continue
            if price > candle.high:
                candle.high = price
            elif price < candle.low:
                candle.low = price
            candle.close = price
            candle.last_at = at
            candle.samples += samples
    return found


def _joined(minutes: Mapping[int, Mapping[str, Candle]]) -> dict[int, dict[str, Candle]]:
    """Candles of hours from those of minutes."""
    found: dict[int, dict[str, Candle]] = {}
    for open_at, candles in sorted(minutes.items()):
        opened = open_at - open_at % (HOUR * 1000)
        hours = found.setdefault(opened, {})
        for coin, minute in candles.items():
            hour = hours.get(coin)
            if hour is None:
                hours[coin] = msgspec.structs.replace(minute, seconds=HOUR, open_at=opened)
                continue
            hour.high, hour.low = max(hour.high, minute.high), min(hour.low, minute.low)
            hour.close, hour.last_at = minute.close, minute.last_at
            hour.samples += minute.samples
    return found


def _sample(counted: Spans, key: CandleKey, at: int) -> int:
    span = counted.get(key)
    return 0 if span is not None and span[0] <= at <= span[1] else 1


def _is_integer(said: Any) -> bool:
    """Whether it is one that a float holds; true and false are none."""
    return type(said) is int and 0 < said < float_info.max


def is_coin_id(text: str) -> bool:
    """Whether candles of such a coin may be stored: every database takes it."""
    return 0 < len(text) <= _LONGEST_ID and "\0" not in text
