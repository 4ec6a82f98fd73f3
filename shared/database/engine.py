"""From DATABASE_URL to an engine, and the text of its failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic.util import CommandError
from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, event, make_url
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared.errors import SettingsError
from shared.settings import Settings

DATABASE_FAULTS = (SQLAlchemyError, CommandError, OSError, TimeoutError)
"""What SQLAlchemy, its drivers and Alembic raise if a database is down, locked or full, or refuses a statement."""

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_CONNECT_SECONDS = 5  # within one data centre; beyond it the host is down
_LOCK_SECONDS = 5  # SQLite: how long a writer waits for another; a batch takes milliseconds
_LONGEST_FAULT = 200  # characters of a driver's message that are kept; the reason comes first
_CONNECTIONS = 4  # per process: the recorder uses one, a gateway reads two pages at once


def url_of(settings: Settings) -> URL:
    """DATABASE_URL with our driver. Raises SettingsError, without the value, if it is no database address."""
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
            raise SettingsError(f"{problem}; a database in memory would store nothing")
        return URL.create(driver, database=str(Path(str(url.database)).absolute()))
    if not url.database:
        raise SettingsError(problem)
    return url.set(drivername=driver)


def location_of(url: URL) -> str:
    """The address of a database for logs and messages: without user, password and options."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{url.database}"
    host = url.host or str(url.query.get("host", "localhost"))
    return f"postgresql://{host}:{url.port or 5432}/{url.database}"


def open_engine(url: URL) -> AsyncEngine:
    """An engine. Connects to nothing yet. Raises SettingsError for options that PostgreSQL does not know."""
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(url, connect_args={"timeout": _LOCK_SECONDS}, pool_size=_CONNECTIONS)
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        engine.dialect.statement_compiler = _SqliteCompiler
        return engine
    try:
        make_conninfo(**{name: str(value) for name, value in url.query.items()})  # else every use would fail
    except ProgrammingError:
        raise SettingsError("DATABASE_URL: has an option that PostgreSQL does not know") from None
    defaults = {"connect_timeout": _CONNECT_SECONDS, "client_encoding": "utf8"}
    arguments: dict[str, Any] = {name: value for name, value in defaults.items() if name not in url.query}
    # No prepared statements: in PgBouncer's transaction mode, each transaction may get another session.
    arguments["prepare_threshold"] = None
    # pre_ping: connections that a restarted database has dropped are replaced before a transaction begins.
    return create_async_engine(url, connect_args=arguments, pool_size=_CONNECTIONS, pool_pre_ping=True)


def fault_text(error: BaseException, url: URL) -> str:
    """A driver's message in one line; only its class if the message would repeat a password."""
    cause = getattr(error, "orig", None) or error
    name = type(cause).__name__
    if isinstance(cause, SQLAlchemyError):
        return name  # the message quotes the statement with its values
    said = next(iter(str(cause).strip().splitlines()), "")
    passwords = (url.password, url.query.get("password"), url.query.get("sslpassword"))
    if not said or any(str(password) in said for password in passwords if password):
        return name
    return f"{name}: {said[:_LONGEST_FAULT]}"


class _SqliteCompiler(SQLiteCompiler):
    """Lets `with_hint` name the index that a statement uses, which SQLAlchemy supports for other databases only."""

    def get_from_hint_text(self, table: Any, text: str | None) -> str | None:
        """The hint as it is: `INDEXED BY name`."""
        return text


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    # Commits survive a power cut: the recorder acknowledges them on the bus.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
