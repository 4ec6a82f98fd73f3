"""`python -m commands.tail`, behind `make tail`."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from commands.tail import summary
from launcher.redis_server import RedisServer
from launcher.state import State
from shared.bus import Bus, open_redis
from shared.catalog import CHANNEL_NAMES
from shared.channels import Channels
from shared.settings import Settings
from tests.started import Command, Start

DATA = {
    "prices": {"bitcoin": 101234.5, "ethereum": 3500.25, "tether": 1.0, "dogecoin": None},
    "source": "coingecko",
    "timestamp": "2025-11-11T10:30:00.000Z",
}


@pytest.fixture
async def bus(settings: Settings) -> AsyncIterator[Bus]:
    """What publishes, as a worker does."""
    async with open_redis(settings) as redis:
        yield Bus(redis, Channels(settings.redis_prefix), settings.history_length)


@pytest.fixture
def tail(start: Start, settings: Settings, redis_server: RedisServer, tmp_path: Path) -> Start:
    """Starts a tail of the test's own prefix."""

    def begin(*arguments: str, **env: str) -> Command:
        own = {"REDIS_URL": redis_server.url, "REDIS_PREFIX": settings.redis_prefix}
        return start("commands.tail", *arguments, "--state", tmp_path / "state", **{**own, **env})

    return begin


async def test_the_newest_message_comes_at_once(bus: Bus, tail: Start) -> None:
    """What was published last is shown first, shortened to a readable line; then what comes."""
    position = await bus.publish("market_data", DATA)
    reader = tail("market_data")
    line = reader.line("#1 ").string
    assert position.epoch in line
    assert "prices: [bitcoin 101,234.50, ethereum 3,500.25, tether 1.00 … 4 in all]  source: coingecko" in line
    await bus.publish("market_data", DATA)
    reader.line("#2 ")
    assert len(reader.lines) == 2


async def test_json_prints_the_whole_message(bus: Bus, tail: Start) -> None:
    """`--json` prints each message as it is, one object a line."""
    position = await bus.publish("news", {"articles": []})
    message = json.loads(tail("news", "--json").line("{").string)
    assert message.pop("timestamp").endswith("Z")
    assert message == {
        "service": "news",
        "type": "update",
        "data": {"articles": []},
        "epoch": position.epoch,
        "seq": 1,
    }


def test_an_unknown_service_is_told_with_those_there_are(tail: Start) -> None:
    """A service that does not exist: one line that lists all that do, and status 2."""
    reader = tail("weather")
    assert reader.wait() == 2
    (line,) = reader.lines
    assert all(name in line for name in ("weather", *CHANNEL_NAMES))


def test_without_any_address_it_says_what_to_do(tail: Start) -> None:
    """With neither REDIS_URL nor a running cluster, one line says what to start, and the status is 2."""
    reader = tail("market_data", REDIS_URL="")
    assert reader.wait() == 2
    (line,) = reader.lines
    assert "make demo" in line


async def test_ctrl_c_is_quiet(bus: Bus, tail: Start) -> None:
    """Ctrl-C ends it with status 0 and no further word."""
    await bus.publish("market_data", DATA)
    reader = tail("market_data")
    reader.line("#1 ")
    reader.signal(signal.SIGINT)
    assert reader.wait() == 0
    assert len(reader.lines) == 1


async def test_redis_away_is_told_once_and_waited_for(start: Start, settings: Settings, tmp_path: Path) -> None:
    """While Redis is away that is said once; when the cluster is back, on another port too, reading goes on."""
    state = State(tmp_path / "state")
    first, second = RedisServer(tmp_path / "one").start(), RedisServer(tmp_path / "two").start()
    try:
        with state.claim(first.url):
            await publish(first, settings, 1.5)
            reader = start(
                "commands.tail", "market_data", "--state", state.folder, REDIS_URL="", REDIS_PREFIX="coinwire"
            )
            reader.line(r"bitcoin 1\.50")
            first.kill()
            reader.line("redis is away")
        with state.claim(second.url):
            await publish(second, settings, 2.5)
            reader.line("redis is back")
            reader.line(r"bitcoin 2\.50")
        assert reader.output.count("redis is away") == 1
    finally:
        first.stop()
        second.stop()


async def publish(server: RedisServer, settings: Settings, bitcoin: float) -> None:
    """One update of market_data on a Redis of its own."""
    own = settings.model_validate({**settings.model_dump(), "redis_url": server.url})
    async with open_redis(own) as redis:
        await Bus(redis, Channels("coinwire"), 10).publish("market_data", {"prices": {"bitcoin": bitcoin}})


def test_small_figures_keep_their_digits() -> None:
    """A figure below one is shown with six digits, a missing one as a dash, text as it is."""
    assert summary({"hashrate": 9.026850478906549e20, "difficulty": 126367455392942.95}) == (
        "hashrate: 9.02685e+20  difficulty: 126,367,455,392,942.95"
    )
    assert summary({"a": 0.000012345678, "b": None, "c": "[x]", "d": [1, 2, 3, 4]}) == (
        "a: 1.23457e-05  b: –  c: [x]  d: [1, 2, 3 … 4 in all]"
    )
