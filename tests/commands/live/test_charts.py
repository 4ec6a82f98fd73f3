"""Candles as a plot, a table and CSV."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from rich.cells import cell_len

from commands.live.charts import FIELDS, INTERVALS, LEAST_COLUMNS, Candle, as_csv, caption, fitting, newest, plot, price

NOON = datetime(2025, 11, 11, 12, tzinfo=UTC)


def made(count: int, interval: str = "1h", first: float = 64000.0) -> list[Candle]:
    """Candles that rise and fall by turns, the newest one still running."""
    begin = NOON - timedelta(seconds=INTERVALS[interval]) * (count - 1)
    times = [begin + timedelta(seconds=INTERVALS[interval]) * number for number in range(count)]
    steps = [first * (1 + 0.01 * (number % 5)) for number in range(count + 1)]
    return [
        Candle(
            time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            steps[number],
            max(steps[number], steps[number + 1]) * 1.001,
            min(steps[number], steps[number + 1]) * 0.999,
            steps[number + 1],
            720,
            number < count - 1,
        )
        for number, time in enumerate(times)
    ]


@pytest.mark.parametrize("columns", [LEAST_COLUMNS, 80, 133, 250])
@pytest.mark.parametrize("count", [1, 2, 24, 1440])
@pytest.mark.parametrize("first", [64000.0, 0.0000123])
def test_a_plot_is_as_large_as_it_is_told(columns: int, count: int, first: float) -> None:
    """No line is wider than the terminal, and there are no more lines than it has."""
    drawn = plot(made(count, first=first), "1h", columns, 24, colour=False).splitlines()
    assert len(drawn) == 24
    assert max(map(cell_len, drawn)) == columns


def test_a_plot_without_colours_has_no_escape_sequence() -> None:
    """Colours are escape sequences, and everything else is text: NO_COLOR leaves only that."""
    assert "\x1b" not in plot(made(24), "1h", 80, 20, colour=False)
    coloured = plot(made(24), "1h", 80, 20, colour=True)
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured).isprintable() is False  # its line breaks
    assert re.sub(r"\x1b\[[\d;]*m|\n", "", coloured).isprintable()
    assert "\x1b[38;5;2m" in coloured
    assert "\x1b[38;5;1m" in coloured
    assert "\x1b[48" not in coloured  # the terminal's own background stays


def columns_of(drawn: str) -> set[int]:
    """In which columns inside the frame there is a candle, counted from the right."""
    inside = [re.split("[│┤]", line, maxsplit=1)[1][:-1] for line in drawn.splitlines()[1:-2]]
    return {len(row) - 1 - place for row in inside for place, sign in enumerate(row) if sign in "█│"}


def test_an_interval_without_a_candle_is_an_empty_column() -> None:
    """Candles are at their times, each as many columns from the next as intervals lie between them."""
    candles = made(60)
    drawn = plot(candles, "1h", 80, 20, colour=False)
    assert columns_of(drawn) == set(range(60))
    del candles[10:13]
    assert set(range(60)) - columns_of(plot(candles, "1h", 80, 20, colour=False)) == {47, 48, 49}


def test_only_the_newest_that_fit_are_drawn() -> None:
    """A plot has a column for each of `fitting`, and what is older is left out."""
    shown = newest(made(1440), "1h", 80)
    assert len(shown) == fitting(80)
    assert shown[-1] == made(1440)[-1]
    assert plot(made(1440), "1h", 80, 20, colour=False) == plot(shown, "1h", 80, 20, colour=False)


def test_the_times_below_a_plot_are_utc() -> None:
    """Hours for short intervals, days for days; the newest is at the right."""
    assert plot(made(24), "1h", 80, 20, colour=False).splitlines()[-1].endswith("11-11 12:00")
    assert plot(made(24, "1d"), "1d", 80, 20, colour=False).splitlines()[-1].endswith("2025-11-11")


def test_the_caption_says_what_is_drawn() -> None:
    """Price, change, extremes, times, how often prices are sampled, and that the last candle still runs."""
    candles = made(24)
    text = caption("bitcoin\x1b[2J", "1h", candles, 5.0).plain
    assert "\x1b" not in text
    assert f"{price(candles[-1].close)} USD" in text
    times = "24 candles, 2025-11-10 13:00 to 2025-11-11 12:00 UTC"
    assert text.endswith(f"{times}, sampled every 5 s, the last one still running")
    assert caption("bitcoin", "1h", [candles[0]], 5).plain.count("1 candle, ") == 1


def test_csv_has_every_figure_as_it_was_sent() -> None:
    """A line of names, then a candle per line, with no digit lost."""
    candles = made(3, first=0.1234567890123)
    rows = list(csv.DictReader(io.StringIO(as_csv(candles), newline="")))
    assert tuple(rows[0]) == FIELDS
    assert [float(row["open"]) for row in rows] == [candle.open for candle in candles]
    assert [row["complete"] for row in rows] == ["true", "true", "false"]
    assert [row["open_time"] for row in rows] == [candle.open_time for candle in candles]


@pytest.mark.parametrize(
    "odd",
    [{}, {"open": "1"}, {"close": None}, {"high": float("nan")}, {"open_time": "yesterday"}, {"open_time": 5}],
)
def test_what_is_no_candle_is_refused(odd: dict[str, object]) -> None:
    """Another server's answer is never drawn."""
    sent = made(1)[0]._asdict() | odd if odd else {}
    with pytest.raises((KeyError, TypeError, ValueError)):
        Candle.read(sent)
