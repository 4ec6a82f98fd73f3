"""The table of coins: what it keeps of updates, and when it makes another answer."""

from __future__ import annotations

import functools
import json
from datetime import datetime
from typing import Any

import msgpack
import pytest

from gateway.broadcast.recent import Recent
from gateway.directory import Directory
from gateway.http.coins import STEP_SECONDS, CoinTable
from gateway.updates import Update
from shared.bus import open_redis
from shared.bus.coin_list import CoinList
from shared.channels import Channels
from shared.coins import Coins, KnownCoin
from shared.envelope import UPDATE, Envelope
from shared.settings import Settings
from shared.timestamps import iso

NOON = 1_795_435_200.123
KNOWN = Coins(
    [
        KnownCoin(id="bitcoin", symbol="BTC", name="Bitcoin", rank=1),
        KnownCoin(id="ethereum", symbol="ETH", name="Ethereum", rank=2),
        KnownCoin(id="bitcoin-copy", symbol="btc"),
    ]
)


class Bench:
    """A table with a clock, and the updates that it reads."""

    def __init__(self, settings: Settings) -> None:
        self.now = NOON
        self.recent = Recent(10)
        self.directory = Directory(CoinList(open_redis(settings), Channels("test")))
        self.table = CoinTable(self.recent, self.directory, lambda: self.now)

    def knows(self, coins: Coins, version: str = "1") -> None:
        """A worker has stored a list."""
        self.directory.coins, self.directory.version = coins, version

    def publish(self, prices: Any, timestamp: str | None = None) -> None:
        """One update, published now."""
        seq = self.recent.position.seq + 1
        at = iso(self.now) if timestamp is None else timestamp
        envelope = Envelope("market_data", UPDATE, {"prices": prices, "source": "x"}, at, "e", seq)
        self.recent.append(
            Update(envelope, msgpack.packb({name: getattr(envelope, name) for name in Envelope.__slots__}))
        )

    async def answer(self) -> dict[str, Any]:
        """The answer as of now."""
        await self.table.catch_up()
        found: dict[str, Any] = json.loads(self.table.body().body)
        return found

    async def rows(self) -> dict[str, dict[str, Any]]:
        """Its coins by id."""
        return {row["id"]: row for row in (await self.answer())["data"]["coins"]}


@pytest.fixture
def bench(settings: Settings) -> Bench:
    return Bench(settings)


async def test_coins_have_what_the_list_and_the_update_say(bench: Bench) -> None:
    """Ranked ones come first; who is not in the list has a price all the same; who shares a symbol is marked."""
    bench.knows(KNOWN)
    bench.publish({"other": 0.5, "ethereum": 3200, "bitcoin-copy": None, "bitcoin": 45000.5})
    answer = await bench.answer()
    assert answer["timestamp"] == iso(NOON)
    assert list(answer["data"]["coins"][0].items()) == [
        ("id", "bitcoin"),
        ("symbol", "BTC"),
        ("name", "Bitcoin"),
        ("rank", 1),
        ("ambiguous", True),
        ("price", 45000.5),
        ("price_at", iso(NOON)),
        ("age_seconds", 0.0),
    ]
    rows = await bench.rows()
    assert list(rows) == ["bitcoin", "ethereum", "other", "bitcoin-copy"]
    assert [row["ambiguous"] for row in rows.values()] == [True, False, False, True]
    nobody = {"symbol": None, "name": None, "rank": None, "ambiguous": False}
    assert rows["other"] == {"id": "other", **nobody, "price": 0.5, "price_at": iso(NOON), "age_seconds": 0.0}
    assert [rows["bitcoin-copy"][name] for name in ("price", "price_at", "age_seconds")] == [None, None, None]


async def test_the_last_price_is_kept_with_its_time(bench: Bench) -> None:
    """A price that is null now is the last one, and ages; a coin that is no longer published is not listed."""
    bench.publish({"bitcoin": 1.0, "ethereum": 2.0})
    bench.now += 5
    bench.publish({"bitcoin": None, "ethereum": 3.0})
    bench.now += 5
    bench.publish({"bitcoin": None})
    rows = await bench.rows()
    assert list(rows) == ["bitcoin"]
    assert rows["bitcoin"]["price"] == 1.0
    assert rows["bitcoin"]["price_at"] == iso(NOON)
    assert rows["bitcoin"]["age_seconds"] == 10.0
    bench.publish({"bitcoin": 4.0})
    assert (await bench.rows())["bitcoin"]["age_seconds"] == 0.0


async def test_an_answer_is_made_once_per_change(bench: Bench) -> None:
    """Equal ETags are equal bytes: another update, another list and ten seconds without any make another answer."""
    bench.publish({"bitcoin": 1.0})
    await bench.table.catch_up()
    first = bench.table.body()
    assert bench.table.body() is first
    bench.now += STEP_SECONDS - 0.001
    assert bench.table.body() is first
    bench.knows(KNOWN)
    second = bench.table.body()
    bench.now += 1.001
    third = bench.table.body()
    bench.publish({"bitcoin": 1.0})
    await bench.table.catch_up()
    fourth = bench.table.body()
    assert len({answer.etag for answer in (first, second, third, fourth)}) == 4
    assert json.loads(third.body)["timestamp"] == iso(NOON + STEP_SECONDS)
    assert json.loads(third.body)["data"]["coins"][0]["age_seconds"] == STEP_SECONDS
    assert json.loads(second.body)["data"]["coins"][0]["age_seconds"] == 0.0


async def test_an_old_cluster_is_no_fresh_price(bench: Bench) -> None:
    """However long no update has come, ages are right to ten seconds."""
    bench.publish({"bitcoin": 1.0})
    bench.now += 3609
    answer = await bench.answer()
    assert answer["data"]["coins"][0]["age_seconds"] == 3600.0
    assert datetime.fromisoformat(answer["timestamp"]).timestamp() == pytest.approx(NOON + 3600, abs=0.001)


@pytest.mark.parametrize(
    "prices",
    [
        *(None, [], "x", {"a": {"b": 1}, "c": "1", "d": True}, {1: 2}, {"a": float("nan")}),
        pytest.param({"a": functools.reduce(lambda inner, _: [inner], range(1005), 1)}, id="nested"),
    ],
)
async def test_foreign_updates_have_no_prices(bench: Bench, prices: Any) -> None:
    """Others may publish, too: what is no price is none, and nothing is raised."""
    bench.publish({"bitcoin": 1.0})
    bench.publish(prices)
    assert all(row["price"] is None for row in (await bench.rows()).values())
    bench.publish({"bitcoin": 2.0})
    assert (await bench.rows())["bitcoin"]["price"] == 2.0


@pytest.mark.parametrize(
    "timestamp", ["", "x", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "1969-01-01T00:00:00Z"]
)
async def test_a_foreign_time_is_no_time(bench: Bench, timestamp: str) -> None:
    """An age is never negative, and nothing is raised."""
    bench.publish({"bitcoin": 1.0}, timestamp)
    assert (await bench.rows())["bitcoin"]["age_seconds"] == 0.0
    bench.publish({"bitcoin": None})
    assert (await bench.rows())["bitcoin"]["age_seconds"] == 0.0


async def test_a_burst_is_read_to_its_end(bench: Bench) -> None:
    """More updates than are kept: the price of the newest one that is kept counts."""
    bench.publish({"bitcoin": 1.0})
    await bench.table.catch_up()
    for number in range(100):
        bench.publish({"bitcoin": float(number) if number % 2 else None})
    assert (await bench.rows())["bitcoin"]["price"] == 99.0
