"""`/api/v1/candles/{coin}`: charts of prices, from what the recorder made of every update."""

from __future__ import annotations

import csv
import io
import json
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import SecretStr

from gateway.http.cursors import CANDLES, seal
from shared.bus import open_redis
from shared.bus.coin_list import CoinList
from shared.channels import Channels
from shared.coins import KnownCoin, pack_coins
from shared.database import Database, Record
from shared.settings import Settings
from shared.timestamps import iso_of
from tests.contract.conftest import Cluster, running

BEGIN = 1_762_857_000_000  # 2025-11-11T10:30:00Z, in ms
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
PATH = "/api/v1/candles/bitcoin"
ALL_OF_IT = {"from": "2025-11-01", "to": "2025-12-01"}
WRONG = [
    ("interval=2m", "interval must be one of 1m, 5m, 15m, 1h, 4h, 1d"),
    ("interval=", "interval must be one of"),
    ("limit=0", "limit must be an integer from 1 to 1500"),
    ("limit=1501", "limit must be an integer"),
    ("from=yesterday", "from: neither ISO 8601"),
    ("from=2025-11-12&to=2025-11-11", "from must not be after to"),
    ("from=2999-01-01", "from must not be in the future"),
    ("format=xml", "format must be one of json, csv"),
    ("cursor=", "cursor is damaged"),
    (f"cursor={'A' * 3000}", "cursor is too long"),
    ("interval=1m&interval=5m", "interval must be given once"),
]
"""Queries, and how the answer begins to say what is wrong with them."""

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what doesn't depend on which database it is."""


def priced(seq: int, at: int, price: float | None, coin: str = "bitcoin") -> Record:
    """An update with one price, `at` ms after BEGIN."""
    return Record("market_data", "e", seq, BEGIN + at, json.dumps({"prices": {coin: price}}))


@pytest.fixture
async def gateways(database: Database, database_settings: Settings) -> AsyncIterator[Cluster]:
    """Two gateways that read the test's database, and know three coins."""
    redis = open_redis(database_settings)
    stored = CoinList(redis, Channels(database_settings.redis_prefix))
    known = [("bitcoin", "btc"), ("ethereum", "eth"), ("osmosis-eth", "eth")]
    await stored.store(pack_coins([KnownCoin(id=coin, symbol=symbol) for coin, symbol in known]), 0)
    async with running(database_settings) as found:
        yield found
    await redis.aclose()


async def ask(gateways: Cluster, path: str = PATH, **query: str | int) -> dict[str, Any]:
    """The data of an answer, which fits the documented schema."""
    answer = await gateways.http.get(gateways.url(path), params=query)
    assert answer.status_code == 200, answer.text
    document = (await gateways.http.get(gateways.url("/openapi.json"))).json()
    content = document["paths"]["/api/v1/candles/{coin}"]["get"]["responses"]["200"]["content"]
    schema = content["application/json"]["schema"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json())
    data: dict[str, Any] = answer.json()["data"]
    return data


async def test_candles_are_those_of_the_range_and_say_how_they_were_made(gateways: Cluster, database: Database) -> None:
    """Both ends belong to the range; a minute without a price is absent; the last one, which still runs, says so."""
    prices = [5.0, 9.5, 3.25, 4.0, None, 7.0, 8.0]
    await database.insert([priced(seq, seq * 20_000, price) for seq, price in enumerate(prices)])
    await database.insert([priced(50, 5 * MINUTE + 1, 0.00001234)])
    data = await ask(gateways, **ALL_OF_IT)
    assert data["candles"] == [
        {"open_time": "2025-11-11T10:30:00.000Z", "open": 5.0, "high": 9.5, "low": 3.25, "close": 3.25}
        | {"samples": 3, "complete": True},
        {"open_time": "2025-11-11T10:31:00.000Z", "open": 4.0, "high": 7.0, "low": 4.0, "close": 7.0}
        | {"samples": 2, "complete": True},
        {"open_time": "2025-11-11T10:32:00.000Z", "open": 8.0, "high": 8.0, "low": 8.0, "close": 8.0}
        | {"samples": 1, "complete": True},
        {"open_time": "2025-11-11T10:35:00.000Z"}
        | dict.fromkeys(("open", "high", "low", "close"), 0.00001234)
        | {"samples": 1, "complete": False},
    ]
    assert (data["coin"], data["interval"], data["sampled_every_seconds"]) == ("bitcoin", "1m", 5.0)
    assert data["limits"]["retention_days"] == 7.0
    assert "next_cursor" not in data
    part = await ask(gateways, **{"from": "2025-11-11T10:31:00Z", "to": "2025-11-11T10:32:59Z"})
    assert part["candles"] == data["candles"][1:3]
    assert (await ask(gateways, **{"from": "2025-11-11T10:30:00.001Z", "to": "2025-11-11T10:30:59Z"}))["candles"] == []


@on_sqlite
async def test_every_interval_begins_at_its_multiples_in_utc(gateways: Cluster, database: Database) -> None:
    """Longer candles have the prices of all their minutes; hours have a retention of their own."""
    await database.insert([priced(seq, seq * MINUTE, seq + 1.0) for seq in range(12)])
    intervals = {"5m": [0, 5, 10], "15m": [0], "1h": [-30], "4h": [-150], "1d": [-630]}
    for interval, opens in intervals.items():
        data = await ask(gateways, **ALL_OF_IT, interval=interval)
        assert [each["open_time"] for each in data["candles"]] == [iso_of(BEGIN + at * MINUTE) for at in opens]
        assert sum(each["samples"] for each in data["candles"]) == 12
        assert (data["candles"][0]["open"], data["candles"][-1]["close"]) == (1.0, 12.0)
        assert [each["complete"] for each in data["candles"]] == [True] * (len(opens) - 1) + [False]
        assert data["limits"]["retention_days"] == (7.0 if interval.endswith("m") else 365.0)


@on_sqlite
async def test_without_parameters_it_is_the_last_day_of_minutes_in_one_page(
    gateways: Cluster, database: Database
) -> None:
    """`limit` alone asks for the newest candles."""
    now = int(time.time() * 1000) // MINUTE * MINUTE - BEGIN
    await database.insert([priced(seq, now - seq * MINUTE, 1.0) for seq in range(-1, 1600)])
    data = await ask(gateways)
    assert data["limit"] == data["limits"]["default_limit"] == 1440
    assert len(data["candles"]) == 1440
    assert "next_cursor" not in data
    few = await ask(gateways, limit=3)
    for candles in (data["candles"][-3:], few["candles"]):  # a minute may end at any time
        last = candles[-1]["open_time"]
        assert last in (iso_of(BEGIN + now), iso_of(BEGIN + now + MINUTE))
        ends = BEGIN + now + (MINUTE if last == iso_of(BEGIN + now + MINUTE) else 0)
        assert [each["open_time"] for each in candles] == [iso_of(ends - at * MINUTE) for at in (2, 1, 0)]


async def test_pages_have_each_candle_once(gateways: Cluster, database: Database) -> None:
    """From both gateways in turn; the cursor has interval and range in it, and Link names the same page."""
    await database.insert([priced(seq, seq * 150_000, seq + 1.0) for seq in range(25)])
    wanted = (await ask(gateways, **ALL_OF_IT, interval="5m"))["candles"]
    found, query, number = [], {**ALL_OF_IT, "interval": "5m", "limit": 4}, 0
    while True:
        answer = await gateways.http.get(gateways.url(PATH, number % 2), params=query)
        data = answer.json()["data"]
        found += data["candles"]
        assert data["interval"] == "5m"
        if "next_cursor" not in data:
            assert "link" not in answer.headers
            break
        assert answer.headers["link"] == f'<?cursor={data["next_cursor"]}&limit=4>; rel="next"'
        query, number = {"cursor": data["next_cursor"], "limit": 4}, number + 1
    assert found == wanted
    assert len(found) == 13


@on_sqlite
async def test_what_is_asked_wrongly_is_400(gateways: Cluster, database: Database) -> None:
    """With what is wrong, the parameters that are known, or the coins that a symbol may mean."""
    await database.insert([priced(seq, seq * MINUTE, 1.0) for seq in range(9)])
    for query, message in WRONG:
        answer = await gateways.http.get(gateways.url(f"{PATH}?{query}"))
        assert (answer.status_code, answer.json()["data"]["code"]) == (400, "invalid_parameter"), query
        assert answer.json()["data"]["message"].startswith(message)
    answer = await gateways.http.get(gateways.url(f"{PATH}?intervall=1h"))
    assert (answer.status_code, answer.json()["data"]["code"]) == (400, "unknown_parameter")
    assert answer.json()["data"]["known_parameters"] == ["interval", "limit", "from", "to", "cursor", "format"]
    answer = await gateways.http.get(gateways.url("/api/v1/candles/eth"))
    assert (answer.status_code, answer.json()["data"]["code"]) == (400, "ambiguous_coin")
    assert answer.json()["data"]["ids"] == ["ethereum", "osmosis-eth"]


@on_sqlite
async def test_a_cursor_of_another_query_is_400(gateways: Cluster, database: Database) -> None:
    """Of another coin, interval, range or endpoint."""
    await database.insert([priced(seq, seq * MINUTE, 1.0) for seq in range(9)])
    cursor = (await ask(gateways, **ALL_OF_IT, limit=2))["next_cursor"]
    history = await gateways.http.get(gateways.url("/api/v1/history/market_data?limit=1&from=2025-11-01"))
    for path, query, message in (
        ("/api/v1/candles/ethereum", {"cursor": cursor}, "cursor is one of bitcoin"),
        (PATH, {"cursor": cursor, "interval": "1h"}, "cursor is one of interval 1m"),
        (PATH, {"cursor": cursor, "from": "2025-11-02"}, "cursor is one of another range"),
        (PATH, {"cursor": cursor[:-4] + "AAAA"}, "cursor is damaged"),
        (PATH, {"cursor": forged("bitcoin", 900, 0, 0, 60_000)}, "cursor is damaged"),
        (PATH, {"cursor": forged("bitcoin", 7, 0, 0, 0)}, "cursor is damaged"),
        (PATH, {"cursor": forged("x" * 1000, 60, 0, 0, 0)}, "cursor is one of xxx"),
        (PATH, {"cursor": history.json()["data"]["next_cursor"]}, "cursor is one of another endpoint: history"),
        ("/api/v1/history/news", {"cursor": cursor}, "cursor is one of another endpoint: candles"),
    ):
        answer = await gateways.http.get(gateways.url(path), params=query)
        assert (answer.status_code, answer.json()["data"]["code"]) == (400, "invalid_parameter")
        assert answer.json()["data"]["message"].startswith(message)
    assert (await ask(gateways, **ALL_OF_IT, cursor=cursor, interval="1m"))["candles"]


def forged(*content: object) -> str:
    """A cursor with a checksum that is right."""
    return seal(CANDLES, msgspec.msgpack.encode(content))


@on_sqlite
async def test_a_coin_is_named_by_its_id_or_its_symbol(gateways: Cluster, database: Database) -> None:
    """Also one that only the database knows. One that nobody knows is 404; one without candles has none."""
    await database.insert([priced(1, 0, 1.0), priced(2, 0, 2.0, "forgotten")])
    assert (await ask(gateways, "/api/v1/candles/BTC", **ALL_OF_IT))["coin"] == "bitcoin"
    assert len((await ask(gateways, "/api/v1/candles/forgotten", **ALL_OF_IT))["candles"]) == 1
    assert (await ask(gateways, "/api/v1/candles/forgotten", limit=1))["candles"] == []
    assert (await ask(gateways, "/api/v1/candles/ethereum"))["candles"] == []
    for name in ("nosuchcoin", "%00", "x" * 3000, "bitcoin%27%20OR%201=1", "%ff", "%E2%82%BF"):
        answer = await gateways.http.get(gateways.url(f"/api/v1/candles/{name}"))
        assert (answer.status_code, answer.json()["data"]["code"]) == (404, "unknown_coin"), name


@on_sqlite
async def test_csv_has_a_line_per_candle(gateways: Cluster, database: Database) -> None:
    """By `format=csv` or `Accept`; `format` decides where both are given. Lines end as RFC 4180 says."""
    await database.insert([priced(seq, seq * 30_000, 60000.0 + seq / 10) for seq in range(9)])
    wanted = (await ask(gateways, **ALL_OF_IT))["candles"]
    url = gateways.url(PATH)
    by_format = await gateways.http.get(url, params={**ALL_OF_IT, "format": "csv"})
    by_accept = await gateways.http.get(url, params=ALL_OF_IT, headers={"Accept": "text/csv, */*;q=0.1"})
    assert by_format.content == by_accept.content
    assert by_format.headers["content-type"].startswith("text/csv")
    assert "Accept" in by_accept.headers["vary"].split(", ")
    assert by_format.text.count("\r\n") == len(wanted) + 1
    rows = list(csv.DictReader(io.StringIO(by_format.text)))
    assert [list(row) for row in rows[:1]] == [[*wanted[0]]]
    for row, candle in zip(rows, wanted, strict=True):
        assert {name: json.loads(row[name]) if name != "open_time" else row[name] for name in row} == candle
    for accept in ("*/*", "text/html,application/xhtml+xml,*/*;q=0.8", "text/csv;q=0.5,application/json", "", "x"):
        answer = await gateways.http.get(url, params=ALL_OF_IT, headers={"Accept": accept})
        assert answer.headers["content-type"] == "application/json", accept
    answer = await gateways.http.get(url, params={"format": "json"}, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "application/json"


@on_sqlite
async def test_equal_candles_have_equal_bytes_and_an_etag(gateways: Cluster, database: Database) -> None:
    """From every gateway; with it, an answer that has not changed is an empty 304."""
    await database.insert([priced(1, 0, 1.0)])
    answers = [await gateways.http.get(gateways.url(PATH, node), params=ALL_OF_IT) for node in (0, 1)]
    assert answers[0].content == answers[1].content
    known = {"If-None-Match": answers[0].headers["etag"]}
    assert answers[0].headers["cache-control"] == "public, no-cache"
    again = await gateways.http.get(gateways.url(PATH, 1), params=ALL_OF_IT, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    await database.insert([priced(2, 1, 2.0)])
    again = await gateways.http.get(gateways.url(PATH, 1), params=ALL_OF_IT, headers=known)
    assert (again.status_code, again.headers["etag"] == known["If-None-Match"]) == (200, False)


@on_sqlite
async def test_a_day_of_minutes_is_at_most_60_kb_as_sent(gateways: Cluster, database: Database) -> None:
    """Compressed as every client of today accepts, and less than a thousandth of the updates that it is made of."""
    chance, price = random.Random(1), 60000.0
    records = []
    for seq in range(DAY // 5000):
        price *= chance.gauss(1, 0.0002)
        records.append(priced(seq, seq * 5000, round(price, 3)))
    for start in range(0, len(records), 1000):
        await database.insert(records[start : start + 1000])
    query = {"from": "2025-11-11T10:30:00Z", "to": "2025-11-12T10:29:59Z"}
    for coding in ("gzip", "zstd"):
        headers = {"Accept-Encoding": coding}
        async with gateways.http.stream("GET", gateways.url(PATH), params=query, headers=headers) as answer:
            size = sum([len(piece) async for piece in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == coding
        assert size <= 60_000, coding


async def test_without_a_database_it_is_503(settings: Settings, tmp_path: Path) -> None:
    """As the history is: `unavailable`, with Retry-After."""
    settings = settings.model_copy(update={"database_url": SecretStr(f"sqlite:///{tmp_path}/none/history.db")})
    async with running(settings) as cluster:
        answer = await cluster.http.get(cluster.url(PATH))
        assert (answer.status_code, answer.json()["data"]["code"]) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
