"""A gateway as a process of its own, for the commands that ask one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from launcher.ports import free_port
from launcher.watch import fault_of
from shared.bus import Bus, Position, open_redis
from shared.channels import Channels
from shared.settings import Settings
from tests.conftest import settings_on
from tests.started import Command
from tests.waiting import until


class Served:
    """A gateway on a port that it keeps, and what publishes to it."""

    def __init__(self, settings: Settings, **env: str) -> None:
        assert settings.redis_url is not None
        self.settings = settings
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._env = {
            "REDIS_URL": settings.redis_url.get_secret_value(),
            "REDIS_PREFIX": settings.redis_prefix,
            "PORT": str(self.port),
            "DRAIN_SECONDS": "0",
            **env,
        }
        self._names = Channels(settings.redis_prefix)
        self._process: Command | None = None

    def start(self) -> Served:
        """Start it, and return once it is ready."""
        self._process = Command("gateway", **self._env)
        asyncio.run(until(lambda: fault_of(self.url) is None, 30))
        return self

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def publish(self, service: str, data: dict[str, Any]) -> Position:
        """One update, as a worker publishes it."""

        async def publishing() -> Position:
            async with open_redis(self.settings) as redis:
                return await Bus(redis, self._names, self.settings.history_length).publish(service, data)

        return asyncio.run(publishing())

    def forget(self, service: str) -> None:
        """Let Redis lose all that it has of a service, so that its next update begins a new epoch."""

        async def forgetting() -> None:
            async with open_redis(self.settings) as redis:
                for key in (self._names.meta, self._names.stream, self._names.last):
                    await redis.delete(key(service))

        asyncio.run(forgetting())


@pytest.fixture(scope="module")
def served(redis_url: str) -> Iterator[Served]:
    """A gateway that runs for all tests of a module."""
    gateway = Served(settings_on(redis_url))
    try:
        yield gateway.start()
    finally:
        gateway.stop()
