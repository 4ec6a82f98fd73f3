"""`coinwire tail`, behind `make tail`."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from commands.tail import line_of
from commands.terminal import WIDTH, summary
from launcher.redis_server import RedisServer
from launcher.state import State
from shared.bus import Bus, open_redis
from shared.catalog import CHANNEL_NAMES
from shared.channels import Channels
from shared.envelope import Envelope
from shared.settings import Settings
from tests.started import Command, Start

DATA = {
    "prices": {"bitcoin": 101234.5, "ethereum": 3500.25, "tether": 1.0, "dogecoin": None},
    "price_changes": {"bitcoin": 1.234, "ethereum": -0.5, "dogecoin": None},
    "source": "coingecko",
    "timestamp": "2025-11-11T10:30:00.000Z",
}


@pytest.fixture
async def bus(settings: Settings) -> AsyncIterator[Bus]:
    """What publishes, as a worker does."""
    async with open_redis(settings) as redis:
        yield Bus(redis, Channels(settings.redis_prefix), settings.history_length)


@pytest.fixture
def tail(start: Start, settings: Settings, tmp_path: Path) -> Start:
    """Starts a tail of the test's own prefix."""

    def begin(*arguments: str, **env: str) -> Command:
        assert settings.redis_url is not None
        own = {"REDIS_URL": settings.redis_url.get_secret_value(), "REDIS_PREFIX": settings.redis_prefix}
        return start("commands", "tail", *arguments, "--state", tmp_path / "state", **{**own, **env})

    return begin


async def test_the_newest_message_comes_at_once(bus: Bus, tail: Start) -> None:
    """What was published last is shown first, as one readable line; then what comes."""
    await bus.publish("market_data", DATA)
    reader = tail("market_data")
    assert reader.line(r"^\d\d:\d\d:\d\d\.\d{3} #1 ").string.endswith(
        "  bitcoin 101,234.50 (+1.2 %)  ethereum 3,500.25 (-0.5 %)  tether 1.00  dogecoin –"
    )
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
    """For an unknown service, one line lists the existing ones, and the status is 2."""
    reader = tail("weather")
    assert reader.wait() == 2
    (line,) = reader.lines
    assert all(name in line for name in ("weather", *CHANNEL_NAMES))


def test_without_any_address_it_says_what_to_do(tail: Start) -> None:
    """Without REDIS_URL and a running cluster, one line names what to start, and the status is 2."""
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
    """An outage is reported once; when the cluster is back, also on another port, reading continues."""
    state = State(tmp_path / "state")
    first, second = RedisServer(tmp_path / "one").start(), RedisServer(tmp_path / "two").start()
    try:
        with state.claim(first.url):
            await publish(first, settings, 1.5)
            reader = start(
                "commands", "tail", "market_data", "--state", state.folder, REDIS_URL="", REDIS_PREFIX="coinwire"
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


async def test_a_new_epoch_is_said(bus: Bus, tail: Start, settings: Settings) -> None:
    """If numbers restart because Redis lost its data, a line reports it and names the epoch."""
    await bus.publish("market_data", DATA)
    reader = tail("market_data")
    reader.line("#1 ")
    async with open_redis(settings) as redis:
        await redis.delete(Channels(settings.redis_prefix).meta("market_data"))
    position = await bus.publish("market_data", DATA)
    reader.line(rf"^\(a new epoch, {position.epoch}: numbers start again\)$")


def update(service: str, data: dict[str, Any]) -> Envelope:
    """An update as a gateway or a tool receives it."""
    return Envelope(service, "update", data, "2025-11-11T10:30:00.123Z", "e", 1_234_567)


def test_a_line_ends_before_the_hundredth_column() -> None:
    """A line shows as many coins as fit, each with its whole price, and marks that there are more."""
    prices = {f"coin-{number}": 123456.789 for number in range(100)}
    line = line_of(update("market_data", {"prices": prices})).plain
    assert len(line) <= WIDTH
    assert line.endswith("coin-3 123,456.79 …")


@pytest.mark.parametrize("service", CHANNEL_NAMES)
def test_long_payloads_of_every_service_are_one_line(service: str) -> None:
    """Whatever the payload holds, its line is cut at the width that is asked for."""
    data = {"nodes": [{"name": "n" * 200, "error": None}] * 4, "total_nodes": 4}
    assert line_of(update(service, data)).cell_len == WIDTH
    assert line_of(update(service, data), 40).cell_len == 40


def test_no_control_character_reaches_the_terminal() -> None:
    """Escape sequences and line breaks that an upstream sent are replaced."""
    for data in ({"error": "\x1b]0;owned\x07\n\x1b[2J"}, {"prices": {"\x1b[2Jcoin\n": 1.0}}):
        assert line_of(update("rpc_nodes", data)).plain.isprintable()


def test_small_figures_keep_their_digits() -> None:
    """A figure below one is shown with six digits, a missing one as a dash, text as it is."""
    assert summary({"hashrate": 9.026850478906549e20, "difficulty": 126367455392942.95}) == (
        "hashrate: 9.02685e+20  difficulty: 126,367,455,392,942.95"
    )
    assert summary({"a": 0.000012345678, "b": None, "c": "[x]", "d": [1, 2, 3, 4]}) == (
        "a: 1.23457e-05  b: –  c: [x]  d: [1, 2, 3 … 4 in all]"
    )
