"""One database per test: every test that uses one runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.database import Database, open_database
from shared.settings import Settings
from tests.postgres import NoPostgresError, PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for the run. Without one the tests skip; in CI that is an error."""
    with new_postgres() as server:
        yield server


@contextmanager
def new_postgres() -> Iterator[PostgresServer]:
    """A server that runs."""
    # Not in pytest's folder: that is closed to the user that PostgreSQL runs as.
    with tempfile.TemporaryDirectory(prefix="coinwire-postgres-") as folder:
        try:
            server = PostgresServer(Path(folder))
        except NoPostgresError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(error))
        try:
            yield server.start()
        finally:
            server.stop("immediate")  # nobody reads its files again


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Address of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/history/coinwire.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.emptied_database() as url:
        yield url


@pytest.fixture
def database_settings(settings: Settings, database_url: str) -> Settings:
    """Settings of a cluster of the test's own, with that database."""
    return settings.model_copy(update={"database_url": SecretStr(database_url)})


@pytest.fixture
async def database(database_settings: Settings) -> AsyncIterator[Database]:
    """That database, with its tables."""
    opened = open_database(database_settings)
    await opened.migrate()
    yield opened
    await opened.aclose()
