"""Schema: brings a database's tables up to this version, with Alembic."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x636F696E77697265  # "coinwire": the advisory lock that PostgreSQL's migrations hold


def config(connection: Connection) -> Config:
    """What Alembic's commands take, to be run on `connection`."""
    found = Config()
    found.set_main_option("script_location", str(_FOLDER))
    found.attributes["connection"] = connection
    return found


@cache
def head() -> str:
    """The revision of this version's tables."""
    return str(ScriptDirectory(str(_FOLDER)).get_current_head())


async def upgrade(connection: AsyncConnection) -> None:
    """Apply the missing migrations in the transaction of `connection`. A second process waits for the first."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    else:
        # The driver would begin only at the first INSERT, and two processes would create the same table.
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
    await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    if revision_of(connection) == head():
        return
    command.upgrade(config(connection), "head")


def revision_of(connection: Connection) -> str | None:
    """The revision of a database's tables; None if it has no tables of ours."""
    return MigrationContext.configure(connection).get_current_revision()
