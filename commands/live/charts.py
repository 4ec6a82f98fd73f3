"""Candles as a plot that fits the terminal, as a table, or as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import plotext
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from commands.terminal import printable

INTERVALS = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14_400, "1d": 86_400}
"""Seconds of a candle, by interval."""

FIELDS = ("open_time", "open", "high", "low", "close", "samples", "complete")
"""Columns of a table and of CSV."""

LEAST_COLUMNS, LEAST_LINES = 40, 10
"""A terminal that is smaller gets a plot of this size: anything less shows nothing."""

_FRAME = 2  # columns around the plot
_MOST_LINES = 30  # of a plot: a higher one says no more, and does not fit a page
_PRICE_TICKS, _TIME_COLUMNS = 5, 18  # prices beside the plot; columns per time below it


class Candle(NamedTuple):
    """One candle, as a gateway sends it. Prices in USD."""

    open_time: str
    open: float
    high: float
    low: float
    close: float
    samples: int
    complete: bool

    @classmethod
    def read(cls, sent: Mapping[str, object]) -> Candle:
        """From the object in an answer. Raises KeyError, TypeError or ValueError for anything else."""
        candle = cls(*(sent[name] for name in FIELDS))  # type: ignore[arg-type]
        if not all(type(price) in (int, float) and math.isfinite(price) for price in candle[1:5]):
            raise TypeError("a price is no number")
        candle.opens  # noqa: B018  # a time that is none raises ValueError
        return candle

    @property
    def opens(self) -> datetime:
        """The beginning, in UTC."""
        return datetime.fromisoformat(self.open_time).astimezone(UTC)


def price(value: float) -> str:
    """A price in as many digits as it needs."""
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.6g}"


def fitting(columns: int) -> int:
    """How many candles a plot of this width has room for, one column each."""
    return max(columns, LEAST_COLUMNS) - _FRAME - len("1,234,567.00")


def newest(candles: Sequence[Candle], interval: str, columns: int) -> list[Candle]:
    """Those that a plot of this width has room for."""
    seconds, last = INTERVALS[interval], candles[-1].opens.timestamp()
    return [candle for candle in candles if _place(candle, last, seconds) > -fitting(columns)]


def plot(candles: Sequence[Candle], interval: str, columns: int, lines: int, *, colour: bool) -> str:
    """The newest candles that fit, at their times: where one is absent, its column is empty. At least one is needed.

    Never wider than `columns`, if those are LEAST_COLUMNS or more.
    """
    columns, lines = max(columns, LEAST_COLUMNS), min(max(lines, LEAST_LINES), _MOST_LINES)
    seconds = INTERVALS[interval]
    last = candles[-1].opens.timestamp()
    shown = {_place(candle, last, seconds): candle for candle in newest(candles, interval, columns)}
    low, high = min(candle.low for candle in shown.values()), max(candle.high for candle in shown.values())
    marks = [low + (high - low) * step / (_PRICE_TICKS - 1) for step in range(_PRICE_TICKS)] if high > low else [low]
    labels = [price(mark) for mark in marks]
    # A whole number of columns per candle: else some that follow each other would look as if one were absent.
    inside = columns - _FRAME - max(map(len, labels)) - 1
    first = min(shown)
    each = max(1, inside // max(1, -first))
    figure = plotext.figure
    figure.clear()
    figure.theme("simple" if colour else "colorless")
    plotext.terminal.limit(False, False)
    figure.plot_size(columns, lines)
    rows = {name: [getattr(candle, name) for candle in shown.values()] for name in ("open", "high", "low", "close")}
    figure.draw(figure.candlestick({"date": [place * each for place in shown], **rows}))
    figure.ruler("y").ticks(marks, labels)
    count = max(2, inside // _TIME_COLUMNS)
    places = sorted({round(first * (1 - step / (count - 1))) for step in range(count)})
    figure.ruler("x").lim(-inside, 0)
    figure.ruler("x").ticks([place * each for place in places], [_time(last + at * seconds, seconds) for at in places])
    drawn = str(figure.build())
    text = drawn if colour else plotext.uncolorize(drawn)
    return "\n".join(line.rstrip() for line in text.splitlines())


def _place(candle: Candle, last: float, seconds: int) -> int:
    """The column of a candle, counted from the newest: 0, -1, …"""
    return round((candle.opens.timestamp() - last) / seconds)


def _time(seconds: float, interval: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d" if interval >= INTERVALS["1d"] else "%m-%d %H:%M")


def caption(coin: str, interval: str, candles: Sequence[Candle], every: float) -> Text:
    """What a plot shows, in words: the last price, its change since the first candle opened, highest and lowest."""
    first, last = candles[0], candles[-1]
    change = (last.close / first.open - 1) * 100 if first.open else 0.0
    count = f"{len(candles)} {'candle' if len(candles) == 1 else 'candles'}"
    times = f"{first.opens:%Y-%m-%d %H:%M} to {last.opens:%Y-%m-%d %H:%M} UTC"
    running = "" if last.complete else ", the last one still running"
    extremes = max(candle.high for candle in candles), min(candle.low for candle in candles)
    return Text.assemble(
        (printable(coin), "bold"),
        f" {interval}  {price(last.close)} USD ",
        (f"({change:+.2f} %)", "green" if change > 0 else "red" if change < 0 else ""),
        "  high {}  low {}\n".format(*map(price, extremes)),
        (f"{count}, {times}, sampled every {every:g} s{running}", "dim"),
    )


def table(candles: Sequence[Candle]) -> Table:
    """All figures, a row per candle."""
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in FIELDS:
        side: JustifyMethod = "left" if name in ("open_time", "complete") else "right"
        made.add_column(name.replace("_", " "), justify=side, no_wrap=True)
    for candle in candles:
        made.add_row(
            printable(candle.open_time),
            *(price(each) for each in candle[1:5]),
            f"{candle.samples:,}",
            "yes" if candle.complete else "running",
        )
    return made


def as_csv(candles: Sequence[Candle]) -> str:
    """RFC 4180, with the line of names that the gateway's own CSV has."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(FIELDS)
    rows.writerows((*candle[:-1], str(candle.complete).lower()) for candle in candles)
    return text.getvalue()
