"""A client, the names and a publisher on the run's Redis; and one Redis per test, to kill and to pause."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from launcher.redis_server import RedisServer
from shared.bus import Bus, open_redis
from shared.channels import Channels
from shared.settings import Settings
from tests.shared.outage import resume


@pytest.fixture
def channels(settings: Settings) -> Channels:
    """The names of this test's keys."""
    return Channels(settings.redis_prefix)


@pytest_asyncio.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    """A client as every coinwire process opens it."""
    client = open_redis(settings)
    yield client
    await client.aclose()


@pytest.fixture
def bus(redis: Redis, channels: Channels, settings: Settings) -> Bus:
    """A publisher."""
    return Bus(redis, channels, settings.history_length)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A redis-server of this test's own, not started yet. What it has answered outlives a SIGKILL."""
    # With `everysec` a write is put off while the disk is busy with the one before, and SIGKILL then loses it.
    server = RedisServer(tmp_path / "redis", appendfsync="always")
    yield server
    resume(server)
    server.kill()


@pytest_asyncio.fixture
async def own_redis(own_server: RedisServer) -> AsyncIterator[Redis]:
    """A client of the test's own server, which runs."""
    own_server.start()
    client = open_redis(settings_of(own_server))
    yield client
    await client.aclose()


def settings_of(server: RedisServer) -> Settings:
    """The settings of a process that uses `server`."""
    return Settings(_env_file=None, redis_url=server.url, redis_prefix="test")
