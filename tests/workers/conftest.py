"""The stage for tests of services, and a Fetcher with an upstream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from shared.bus import open_redis
from shared.bus.budgets import Budgets
from shared.channels import Channels
from shared.settings import Settings
from tests.workers.stage import Stage, open_stage
from tests.workers.upstream import Upstream
from workers.asking.client import open_client
from workers.asking.fetch import Fetcher


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    """A new stage for each test."""
    async with open_stage(settings) as stage:
        yield stage


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    async with await asyncio.start_server(upstream.serve, "127.0.0.1", 0) as server:
        upstream.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield upstream
        upstream.released.set()


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    client = open_redis(settings)
    yield client
    await client.aclose()


@pytest.fixture
async def fetcher(settings: Settings, redis: Redis) -> AsyncIterator[Fetcher]:
    async with open_client(settings) as client:
        yield Fetcher(client, Budgets(redis, Channels(settings.redis_prefix)))
