"""`coinwire candles bitcoin --interval 1h`: a coin's price as a plot in the terminal."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console

from commands.live.api import ApiError, GatewayUrl, address_of, ask
from commands.live.charts import INTERVALS, Candle, as_csv, caption, fitting, newest, plot, table
from commands.options import ArgumentError
from commands.terminal import as_json, printable

_PAGE = 1000  # candles per request: fewer than a gateway refuses
_OF_ONE_PAGE = 1440  # candles unless --limit is given, where no width limits them: a day of minutes
_WIDEST = 200  # columns of a table: on a narrower terminal its lines break, and no figure is cut
_LINES_BESIDE = 4  # of the terminal: caption, and the prompt that follows

Interval = StrEnum("Interval", {f"_{name}": name for name in INTERVALS})  # type: ignore[misc]

_HOURLY = Interval("1h")


class Format(StrEnum):
    """What is printed."""

    PLOT = "plot"
    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def candles(
    coin: Annotated[str, typer.Argument(metavar="COIN", help="Id or symbol of a coin: bitcoin, or BTC.")],
    interval: Annotated[Interval, typer.Option(help="How long a candle is.")] = _HOURLY,
    begin: Annotated[str | None, typer.Option("--from", help="First time: 2025-11-11, or 2025-11-11T10:30Z.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last time. Default: now.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Candles at most. Default: what fits, or all since --from.")
    ] = None,
    form: Annotated[
        Format | None, typer.Option("--format", help="Default: plot on a terminal, csv into a pipe or a file.")
    ] = None,
    url: GatewayUrl = None,
) -> None:
    """Draw a coin's price: a candle per interval, in UTC.

    Prices are sampled; an interval without any is left empty.
    """
    console = Console(highlight=False)
    form = form or (Format.PLOT if console.is_terminal else Format.CSV)
    if limit is None and begin is None:
        limit = fitting(console.width) if form is Format.PLOT else _OF_ONE_PAGE
    query = {name: value for name, value in (("from", begin), ("to", end)) if value is not None}
    found, head = _ask(address_of(url), coin, {**query, "interval": interval.value}, limit)
    if form is Format.CSV:
        sys.stdout.write(as_csv(found))
    elif form is Format.JSON:
        typer.echo(as_json({**head, "candles": [candle._asdict() for candle in found]}))
    elif not found:
        typer.echo(f"coinwire: no candles of {printable(coin)} at these times", err=True)
    else:
        if form is Format.PLOT:
            colour = console.color_system is not None and not console.no_color
            found = newest(found, interval.value, console.width)
            print(plot(found, interval.value, console.width, console.height - _LINES_BESIDE, colour=colour))
        else:
            Console(highlight=False, width=max(console.width, _WIDEST)).print(table(found))
        console.print(caption(head["coin"], interval.value, found, head["sampled_every_seconds"]))


def _ask(address: str, coin: str, query: dict[str, str], limit: int | None) -> tuple[list[Candle], dict[str, Any]]:
    """Candles, oldest first, over as many pages as they need; and what the first page says besides."""
    if not coin.strip() or "/" in coin:
        raise ArgumentError(f"not a coin: {printable(coin)!r}. An id or a symbol: bitcoin, or BTC")
    path = f"/api/v1/candles/{quote(coin, safe='')}"
    found: list[Candle] = []
    head: dict[str, Any] = {}
    cursor: dict[str, str] = {}
    while True:
        size = _PAGE if limit is None else min(_PAGE, limit - len(found))
        page = ask(address, path, (cursor or query) | {"limit": str(size)})
        try:
            found += [Candle.read(sent) for sent in page["candles"]]
            head = head or {name: page[name] for name in ("coin", "interval", "sampled_every_seconds")}
        except (KeyError, TypeError, ValueError):
            raise ApiError(f"what answers at {address} is no gateway: it sent no candles") from None
        if "next_cursor" not in page or (limit is not None and len(found) >= limit):
            return found, head
        cursor = {"cursor": page["next_cursor"]}
