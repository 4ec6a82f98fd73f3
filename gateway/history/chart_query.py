"""What a request for candles asks for: interval, times and cursor of the query, validated.

A cursor holds all that the next page needs: the coin, the interval, the range of the first request, and the last candle
sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

from gateway.http.cursors import CANDLES, DAMAGED, seal, unseal
from gateway.http.moments import LATEST
from gateway.http.parameters import Asked, Parameters, choice, cursor, integer, moment
from gateway.messages.faults import echo

INTERVALS = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14_400, "1d": 86_400}
"""Seconds of a candle, by the name of its interval."""
DEFAULT_LIMIT = 1440
"""Candles per page unless `limit` is given: a day of minutes."""
LARGEST_LIMIT = 1500
"""Candles per page; more rows would block the event loop for more than a few milliseconds."""
JSON, CSV = "json", "csv"


@dataclass(frozen=True, slots=True)
class ChartRange:
    """Candles that open from `first` to `last` (unix ms, both inclusive), after the one that opens at `after`."""

    coin: str
    interval: str
    first: int
    last: int
    after: int | None = None

    @property
    def opens(self) -> tuple[int, int]:
        """When the first and the last of them open, where all are there. The first is after the last where none are."""
        length = INTERVALS[self.interval] * 1000
        first = -(-self.first // length) * length
        return (first if self.after is None else max(first, self.after + length)), self.last // length * length


_Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=LATEST)]


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    coin: Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$")]
    seconds: int
    first: _Milliseconds
    last: _Milliseconds
    after: _Milliseconds


def encode_cursor(asked: ChartRange, last: int) -> str:
    """The cursor for what follows the candle that opens at `last`."""
    packed = msgspec.msgpack.encode(_Cursor(asked.coin, INTERVALS[asked.interval], asked.first, asked.last, last))
    return seal(CANDLES, packed)


def decode_cursor(text: str) -> ChartRange:
    """The range that a cursor stands for. Raises ValueError for any text that `encode_cursor` did not make."""
    packed = unseal(CANDLES, text)
    try:
        found = msgspec.msgpack.decode(packed, type=_Cursor)
    except msgspec.MsgspecError:
        raise ValueError(DAMAGED) from None
    interval = next((name for name, seconds in INTERVALS.items() if seconds == found.seconds), None)
    if interval is None or found.after % (found.seconds * 1000):  # a candle opens at a multiple of its length
        raise ValueError(DAMAGED)
    return ChartRange(found.coin, interval, found.first, found.last, found.after)


INTERVAL = choice("interval", "How long a candle is. They begin at multiples of it, in UTC", list(INTERVALS), "1m")
FROM = moment("from", "Default: `limit` candles up to `to`", up=True)
TO = moment("to", "Default: now", up=False)
LIMIT = integer("limit", "Candles per page", 1, LARGEST_LIMIT, DEFAULT_LIMIT)
CURSOR = cursor("`next_cursor` of the previous page. It includes `interval`, `from` and `to`", decode_cursor)
FORMAT = choice("format", "Of the answer. Before `Accept`, which may name `text/csv` too", [JSON, CSV], JSON)
PARAMETERS = Parameters((INTERVAL, LIMIT, FROM, TO, CURSOR, FORMAT))


def chart_range(coin: str, asked: Asked, now: float) -> ChartRange:
    """The candles of `coin` that a query asks for. Raises ValueError that states which parameter is wrong.

    A cursor includes interval and range; they may be repeated beside it, but not changed.
    """
    interval, first, last, place = asked[INTERVAL], asked[FROM], asked[TO], asked[CURSOR]
    if place is None:
        length = INTERVALS[interval] * 1000
        # Where they are not given, times at which candles open: the answer then stays the same until the next one.
        end = int(now * 1000) // length * length if last is None else last
        begin = max(0, (end // length - asked[LIMIT] + 1) * length) if first is None else first
        if begin > end and (last is not None or begin > now * 1000):
            raise ValueError("from must not be in the future" if last is None else "from must not be after to")
        return ChartRange(coin, interval, begin, end)
    if place.coin != coin:
        raise ValueError(f"cursor is one of {echo(place.coin)}")
    if asked.given(INTERVAL) not in (None, place.interval):
        raise ValueError(f"cursor is one of interval {place.interval}")
    if first not in (None, place.first) or last not in (None, place.last):
        raise ValueError("cursor is one of another range: leave from and to as they were, or leave them out")
    return place
