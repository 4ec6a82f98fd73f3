"""The database of the cluster that runs here, or ran here last."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from launcher.state import State, settings_here
from shared.database import Database, open_database
from shared.settings import load_settings

PAGE_ROWS = 500  # records read at once: some MB together with what they become, however many there are in all
PAGE_BYTES = 4_194_304  # of their data


@asynccontextmanager
async def open_history(state: State, *, create: bool = False) -> AsyncIterator[Database]:
    """Open that database for the time of the `with`. With `create`, its tables are created or brought up to date.

    Raises DatabaseError where it can't be reached or has no tables, SettingsError where DATABASE_URL can't be used.
    """
    database = open_database(settings_here(load_settings(), state))
    try:
        await (database.migrate() if create else database.check())
        yield database
    finally:
        await database.aclose()
