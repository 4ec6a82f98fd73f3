"""`coinwire watch market_data --coins bitcoin,ethereum`: a service in the terminal, updated in place."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from commands.live.api import GatewayUrl, address_of
from commands.live.filters import Filters, check_filters, with_filters
from commands.live.following import Away, Lost, Update, follow
from commands.live.tables import view
from commands.options import ServiceName, check_service
from commands.terminal import as_json, summary, until_interrupted

Json = Annotated[bool, typer.Option("--json", help="Print whole messages as JSON, one per line.")]


@with_filters
def watch(service: ServiceName, filters: Filters, url: GatewayUrl = None, raw: Json = False) -> None:
    """Show a service in the terminal until Ctrl-C, updated in place.

    Follows a gateway, and connects again by itself. Into a pipe or a file goes one line per update.
    """
    check_service(service)
    check_filters(service, filters)
    console = Console(highlight=False)
    showing = _print_lines if raw or not console.is_terminal else _show
    asyncio.run(until_interrupted(showing(address_of(url), service, filters, console, raw)))


async def _show(address: str, service: str, filters: Filters, console: Console, _raw: bool) -> None:
    """A table that each update replaces, with the state of the connection above it."""
    newest: Update | None = None
    note = ""
    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        async for event in follow(address, service, filters):
            if isinstance(event, Update):
                newest, note = event, "" if note.startswith("connection") else note
            else:
                note = said(event)
            if newest is None:
                continue
            number = "" if newest.seq is None else f" #{newest.seq}"
            table = view(service, newest.data, f"{service}{number}  {newest.timestamp}", console)
            live.update(Group(Text(note, style="yellow"), table) if note else table, refresh=True)


async def _print_lines(address: str, service: str, filters: Filters, _console: Console, raw: bool) -> None:
    """One line per update; what happens to the connection goes to stderr."""
    async for event in follow(address, service, filters):
        if not isinstance(event, Update):
            print(said(event), file=sys.stderr, flush=True)
        elif raw:
            print(as_json(event.message), flush=True)
        else:
            number = "" if event.seq is None else f" #{event.seq}"
            print(f"{event.timestamp}{number}  {summary(event.data)}", flush=True)


def said(event: Away | Lost) -> str:
    """What happened to the connection, for a person."""
    if isinstance(event, Away):
        return f"connection lost ({event.reason}): retrying until it is back"
    return "some updates were lost while there was no connection"
