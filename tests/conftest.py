"""Fixtures of all tests: one real redis-server per test run, and one key prefix per test."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator

import hypothesis
import pytest

from launcher.redis_server import RedisServer
from shared.settings import Settings
from tests.database import database, database_settings, database_url, postgres
from tests.replicated import Nodes, Watched
from tests.started import start

__all__ = ["database", "database_settings", "database_url", "postgres", "start"]

# An example that takes long on a busy machine is no fault of the code.
hypothesis.settings.register_profile("coinwire", deadline=None)
hypothesis.settings.load_profile("coinwire")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One redis-server for the run. A missing binary is an error, not a skip."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """REDIS_URL of the run's Redis. COINWIRE_TEST_REDIS makes it a `cluster`, or one with Sentinels (`sentinel`)."""
    form = os.environ.get("COINWIRE_TEST_REDIS", "server")
    if form == "server":
        yield request.getfixturevalue("redis_server").url
        return
    servers = {"cluster": Nodes, "sentinel": Watched}[form](tmp_path_factory.mktemp(form))
    try:
        asyncio.run(servers.start())
        yield servers.url
    finally:
        servers.stop()


def settings_on(url: str) -> Settings:
    """Settings of a cluster: a unique prefix, a free port."""
    return Settings(
        _env_file=None,
        redis_url=url,
        redis_prefix=f"test-{uuid.uuid4().hex[:12]}",
        port=0,
        drain_seconds=0,
    )


@pytest.fixture
def settings(redis_url: str) -> Settings:
    """Settings of a cluster for one test: same Redis, unique prefix, a free port."""
    return settings_on(redis_url)
