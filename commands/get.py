"""`coinwire get market_data --coins bitcoin`: the newest update of a service, as a gateway serves it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from commands.live.api import GatewayUrl, address_of, ask
from commands.live.filters import Filters, check_filters, with_filters
from commands.live.tables import plain_console, view
from commands.options import ServiceName, check_service
from commands.terminal import as_json

Json = Annotated[bool, typer.Option("--json", help="Print the whole message as JSON.")]


@with_filters
def get(service: ServiceName, filters: Filters, url: GatewayUrl = None, raw: Json = False) -> None:
    """Print the newest update of a service as tables.

    Asks a gateway. Values of a filter are separated by commas: `--coins bitcoin,ETH`.
    """
    check_service(service)
    check_filters(service, filters)
    query = {name: str(value) if isinstance(value, float) else value for name, value in filters.items()}
    message: dict[str, Any] = ask(address_of(url), f"/api/v1/snapshot/{service}", query)
    if raw:
        typer.echo(as_json(message))
        return
    console = plain_console()
    heading = f"{service} #{message['meta']['seq']}  {message['timestamp']}"
    console.print(view(service, message["data"], heading, console))
