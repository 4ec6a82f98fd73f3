"""The database of the cluster that runs here, or ran here last, for commands that a person gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import typer

from launcher.state import State, settings_here
from shared.database import Database, open_database
from shared.errors import CoinwireError
from shared.settings import load_settings

PAGE_ROWS = 500  # records read at once: with what follows, some MB, however many there are in all
PAGE_BYTES = 4_194_304  # of their data


@asynccontextmanager
async def opened(state: State, *, make: bool = False) -> AsyncIterator[Database]:
    """That database. With `make`, its tables are made or brought up to date.

    Raises DatabaseError where it can't be reached or has no tables, SettingsError where DATABASE_URL can't be used.
    """
    database = open_database(settings_here(load_settings(), state))
    try:
        await (database.migrate() if make else database.check())
        yield database
    finally:
        await database.aclose()


def told(run: Callable[[], Coroutine[Any, Any, str]]) -> None:
    """Run a command: what it returns is its last line; its failure is one line on the standard error, and status 2."""
    try:
        typer.echo(asyncio.run(run()))
    except CoinwireError as error:
        typer.echo(f"coinwire: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo("coinwire: stopped", err=True)
        raise typer.Exit(130) from None
