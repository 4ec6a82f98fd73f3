"""How coinwire opens a database: from DATABASE_URL to an engine, and what its failures become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic.util import CommandError
from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared.errors import SettingsError
from shared.settings import Settings

DATABASE_FAULTS = (SQLAlchemyError, CommandError, OSError, TimeoutError)
"""Everything that SQLAlchemy, its drivers and Alembic raise when a database is away, locked, full, or refuses."""

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_CONNECT_SECONDS = 5  # one datacentre: beyond it the host is gone
_LOCK_SECONDS = 5  # SQLite: how long a writer waits for the other one; a batch takes milliseconds
_LONGEST_FAULT = 200  # characters of a driver's message that are told; what says why comes first
_CONNECTIONS = 4  # a process: the recorder has one, a gateway reads two pages at once


def url_of(settings: Settings) -> URL:
    """DATABASE_URL with our driver. Raises SettingsError for what can't be one, without repeating it."""
    problem = "DATABASE_URL: must be sqlite:///file or postgresql://user:password@host/name"
    try:
        url = make_url(settings.database_url.get_secret_value())
    except (ArgumentError, ValueError):
        raise SettingsError(problem) from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise SettingsError(problem)
    if driver.startswith("sqlite"):
        if url.host or url.query or url.database in (None, "", ":memory:"):
            raise SettingsError(f"{problem}; a database in memory would keep nothing")
        return URL.create(driver, database=str(Path(str(url.database)).absolute()))
    if not url.database:
        raise SettingsError(problem)
    return url.set(drivername=driver)


def location_of(url: URL) -> str:
    """What people are told of where a database is: no user, no password, no options."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{url.database}"
    host = url.host or str(url.query.get("host", "localhost"))
    return f"postgresql://{host}:{url.port or 5432}/{url.database}"


def open_engine(url: URL) -> AsyncEngine:
    """An engine; connects to nothing yet. Raises SettingsError for options that PostgreSQL does not have."""
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(url, connect_args={"timeout": _LOCK_SECONDS}, pool_size=_CONNECTIONS)
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        return engine
    try:
        make_conninfo(**{name: str(value) for name, value in url.query.items()})  # else it fails at first use, for ever
    except ProgrammingError:
        raise SettingsError("DATABASE_URL: has an option that PostgreSQL does not know") from None
    defaults = {"connect_timeout": _CONNECT_SECONDS, "client_encoding": "utf8"}
    arguments: dict[str, Any] = {name: value for name, value in defaults.items() if name not in url.query}
    # No prepared statements: PgBouncer's transaction mode gives each transaction another session, without them.
    arguments["prepare_threshold"] = None
    # pre_ping: a database that was restarted is noticed before a transaction begins, not by it.
    return create_async_engine(url, connect_args=arguments, pool_size=_CONNECTIONS, pool_pre_ping=True)


def fault_text(error: BaseException, url: URL) -> str:
    """What a driver said, in one line; its class alone where that would repeat the password."""
    cause = getattr(error, "orig", None) or error
    name = type(cause).__name__
    if isinstance(cause, SQLAlchemyError):
        return name  # these quote statements with the values in them
    said = next(iter(str(cause).strip().splitlines()), "")
    passwords = (url.password, url.query.get("password"), url.query.get("sslpassword"))
    if not said or any(str(password) in said for password in passwords if password):
        return name
    return f"{name}: {said[:_LONGEST_FAULT]}"


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    # What was committed survives a power cut: only that may be acknowledged on the bus.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
