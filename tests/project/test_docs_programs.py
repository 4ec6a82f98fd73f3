"""The programs that the documentation prints do what it says of them."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from launcher.redis_server import RedisServer
from shared.bus import Bus, open_redis
from shared.channels import Channels
from shared.settings import Settings
from tests.places import ROOT

HOW_TO = ROOT / "docs" / "how-to" / "read-a-channel.md"
README = ROOT / "README.md"
DEADLINE = 20.0
SERVICE = "market_data"


def programs() -> list[str]:
    """The Python programs of the page, in its order."""
    return re.findall(r"^```python\n(.*?)^```", HOW_TO.read_text(), re.DOTALL | re.MULTILINE)


@asynccontextmanager
async def running(program: str, settings: Settings, server: RedisServer) -> AsyncIterator[asyncio.StreamReader]:
    """`program` as a process of its own, with the prefix of this test. Yields its output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program.replace("coinwire:", f"{settings.redis_prefix}:"),
        env={**os.environ, "REDIS_URL": server.url},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.kill()
        await process.communicate()


async def subscribed(redis: Redis, channel: str) -> None:
    """Return once somebody listens on `channel`."""
    async with asyncio.timeout(DEADLINE):
        while (await redis.pubsub_numsub(channel))[0][1] == 0:  # noqa: ASYNC110 - Redis has no event for it
            await asyncio.sleep(0.01)


async def line(output: asyncio.StreamReader) -> str:
    """The next line that the program prints."""
    async with asyncio.timeout(DEADLINE):
        return (await output.readline()).decode().strip()


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    """A client of the test's Redis."""
    async with open_redis(settings) as client:
        yield client


@pytest.fixture
def bus(redis: Redis, settings: Settings) -> Bus:
    """What publishes, as a worker does."""
    return Bus(redis, Channels(settings.redis_prefix), settings.history_length)


def prices(bitcoin: float) -> dict[str, object]:
    """As much of a market_data payload as the programs read."""
    return {"prices": {"bitcoin": bitcoin}}


def test_the_first_program_has_ten_lines() -> None:
    """A channel is read in ten lines, the blank ones not counted."""
    assert len([text for text in programs()[0].splitlines() if text]) <= 10


def test_the_readme_prints_the_same_ten_lines() -> None:
    """The README's program for Redis is the one of the how-to page."""
    assert programs()[0] in README.read_text()


async def test_the_short_program_prints_what_is_published(
    redis: Redis, bus: Bus, settings: Settings, redis_server: RedisServer
) -> None:
    """The ten lines print position, time and price of each update from their start on."""
    await bus.publish(SERVICE, prices(1.0))
    async with running(programs()[0], settings, redis_server) as output:
        await subscribed(redis, Channels(settings.redis_prefix).channel(SERVICE))
        await bus.publish(SERVICE, prices(101234.5))
        assert re.fullmatch(r"2 20\d\d-\d\d-\d\dT[\d:]+\.\d{3}Z 101234\.5", await line(output))


async def test_the_long_program_starts_with_the_history(
    redis: Redis, bus: Bus, settings: Settings, redis_server: RedisServer
) -> None:
    """The program with history prints what the stream holds, then what comes, each once and without a gap."""
    await bus.publish(SERVICE, prices(1.5))
    await bus.publish(SERVICE, prices(2.5))
    async with running(programs()[1], settings, redis_server) as output:
        assert [await line(output), await line(output)] == ["1 1.5", "2 2.5"]
        await bus.publish(SERVICE, prices(3.5))
        assert await line(output) == "3 3.5"


async def test_the_long_program_tells_of_a_gap(
    redis: Redis, bus: Bus, settings: Settings, redis_server: RedisServer
) -> None:
    """A position that the program never saw is reported as a gap."""
    await bus.publish(SERVICE, prices(1.5))
    async with running(programs()[1], settings, redis_server) as output:
        assert await line(output) == "1 1.5"
        await redis.hset(Channels(settings.redis_prefix).meta(SERVICE), "seq", "5")
        await bus.publish(SERVICE, prices(7.5))
        assert [await line(output), await line(output)] == ["gap", "6 7.5"]
