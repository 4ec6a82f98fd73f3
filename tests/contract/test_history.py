"""`/api/v1/history/{service}`: what the database keeps, page by page, over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as hypothesis_settings
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from gateway.history.archive import PAGE_BYTES
from gateway.history.query import LARGEST_LIMIT
from shared.catalog import CHANNEL_NAMES
from shared.database import Database, Record
from shared.settings import Settings
from shared.timestamps import iso_of
from tests.contract.conftest import Cluster, running

PATH = "/api/v1/history/news"
Query = dict[str, str | int]
BEGIN = 1_762_857_000_000  # 2025-11-11T10:30:00Z, in ms
ALL_OF_IT: Query = {"from": "2025-01-01", "to": "2026-01-01"}
NEWS = '{"articles": [], "sources": [], "categories": [], "timestamp": "2025-11-11T10:30:00.000Z", "n": 1.50}'
WRONG = [
    ("limit=0", "limit must be an integer from 1 to 1000"),
    ("limit=1001", "limit must be an integer"),
    ("limit=many", "limit must be an integer"),
    ("from=yesterday", "from: neither ISO 8601"),
    ("to=2025-13-01", "to: neither ISO 8601"),
    ("from=", "from: neither ISO 8601"),
    ("from=1762857000000", "from: beyond the year 9999: numbers are unix seconds, not milliseconds"),
    ("from=1969-12-31", "from: not a time from 1970"),
    ("from=2025-11-12&to=2025-11-11", "from must not be after to"),
    ("from=2999-01-01", "from must not be in the future"),
    ("cursor=", "cursor is damaged"),
    ("cursor=x", "cursor is damaged"),
    ("cursor=%00%E2%82%BF", "cursor is damaged"),
    (f"cursor={'A' * 3000}", "cursor is too long"),
]
"""Queries, and how the answer begins to say what is wrong with them."""

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what doesn't depend on which database it is."""


def record(seq: int, *, at: int = 0, epoch: str = "e1", service: str = "news", data: str = NEWS) -> Record:
    """A record `at` ms after BEGIN."""
    return Record(service=service, epoch=epoch, seq=seq, published_at=BEGIN + at, data=data)


@pytest.fixture
async def gateways(database: Database, database_settings: Settings) -> AsyncIterator[Cluster]:
    """Two gateways that read the test's database."""
    async with running(database_settings) as found:
        yield found


async def ask(gateways: Cluster, query: Query, path: str = PATH, node: int = 0) -> dict[str, Any]:
    """`data` of an answer that must be 200 and as /openapi.json has it."""
    answer = await gateways.http.get(gateways.url(path, node), params=query)
    assert answer.status_code == 200, answer.text
    document = (await gateways.http.get(gateways.url("/openapi.json", node))).json()
    responses = document["paths"]["/api/v1/history/{service}"]["get"]["responses"]
    schema = responses["200"]["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json())
    data: dict[str, Any] = answer.json()["data"]
    return data


async def walk(gateways: Cluster, query: Query, *limits: int) -> list[Any]:
    """Place of every record of all pages, whose sizes are `limits` in turn, from both gateways in turn."""
    seen: list[Any] = []
    cursor: Query = {}
    number = 0
    while True:
        limit = limits[number % len(limits)]
        answer = await gateways.http.get(gateways.url(PATH, number % 2), params={**query, **cursor, "limit": limit})
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        assert len(data["records"]) <= limit
        seen += [(each["published_at"], each["epoch"], each["seq"]) for each in data["records"]]
        if "next_cursor" not in data:
            return seen
        assert data["records"], "a cursor follows a page, and a page that has one is not empty"
        cursor, number = {"cursor": data["next_cursor"]}, number + 1


async def test_records_are_those_of_the_range_in_order(gateways: Cluster, database: Database) -> None:
    """Both ends belong to the range, other services' records don't; the answer repeats the parsed range."""
    await database.insert([record(n, at=n * 1000) for n in range(1, 8)])
    await database.insert([record(3, at=3000, service="sentiment")])
    data = await ask(gateways, {"from": "2025-11-11T10:30:02Z", "to": (BEGIN + 5000) // 1000, "limit": 10})
    assert [each["seq"] for each in data["records"]] == [2, 3, 4, 5]
    assert data["records"][0] == {
        "epoch": "e1",
        "seq": 2,
        "published_at": "2025-11-11T10:30:02.000Z",
        "data": json.loads(NEWS),
    }
    assert (data["service"], data["limit"]) == ("news", 10)
    assert (data["from"], data["to"]) == ("2025-11-11T10:30:02.000Z", "2025-11-11T10:30:05.000Z")
    assert "next_cursor" not in data
    for limit in (3, 4):  # the range has four
        data = await ask(gateways, {"from": data["from"], "to": data["to"], "limit": limit})
        assert ("next_cursor" in data) == (limit == 3)


@on_sqlite
async def test_without_parameters_it_is_the_last_hour(gateways: Cluster, database: Database) -> None:
    """`to` is now, `from` an hour before it; the limits in force are stated, and how long updates are kept."""
    now = int(time.time() * 1000)
    old, young = record(1, at=now - 3_700_000 - BEGIN), record(2, at=now - 3_500_000 - BEGIN)
    await database.insert([old, young])
    data = await ask(gateways, {})
    assert [each["seq"] for each in data["records"]] == [2]
    first, last = (datetime.fromisoformat(data[name]) for name in ("from", "to"))
    assert (last - first).total_seconds() == 3600
    assert abs((last - datetime.now(UTC)).total_seconds()) < 60
    assert data["limit"] == 100
    assert data["limits"] == {
        "default_limit": 100,
        "largest_limit": LARGEST_LIMIT,
        "page_bytes": PAGE_BYTES,
        "retention_days": gateways.settings.retention_days.of("news"),
    }


async def test_data_is_passed_on_as_it_is(gateways: Cluster, database: Database) -> None:
    """The text in the database is the text in the answer: digits, order of keys, and what is no number of ours."""
    text = '{"b": 1.50, "a": 1e3, "big": 123456789012345678901234567890, "ü": "–₿\\u20bf", "n": null}'
    await database.insert([record(1, data=text)])
    answer = await gateways.http.get(gateways.url(PATH), params=ALL_OF_IT)
    assert text.encode() in answer.content
    assert answer.json()["data"]["records"][0]["data"] == json.loads(text)


async def test_pages_tell_every_record_once_also_where_times_are_equal(gateways: Cluster, database: Database) -> None:
    """Fifty records of three epochs within five milliseconds, by pages of three, from two gateways in turn."""
    records = [record(n // 3 + 1, at=n // 10, epoch=f"e{n % 3}") for n in range(50)]
    await database.insert(records)
    seen = await walk(gateways, ALL_OF_IT, 3)
    ordered = sorted((each.published_at, each.epoch, each.seq) for each in records)
    assert seen == [(iso_of(at), epoch, seq) for at, epoch, seq in ordered]


async def test_paging_goes_on_while_records_come_and_go(gateways: Cluster, database: Database) -> None:
    """New ones behind the range and pruned ones before the cursor move nothing: the rest comes once each."""
    await database.insert([record(n, at=n) for n in range(1, 31)])
    first = await ask(gateways, {"from": "2025-01-01", "to": iso_of(BEGIN + 30), "limit": 10})
    await database.insert([record(n, at=n) for n in range(31, 41)])
    assert await database.prune("news", BEGIN + 8, 100) == 7
    second = await ask(gateways, {"limit": 10, "cursor": first["next_cursor"]})
    assert await database.prune("news", BEGIN + 24, 100) == 16
    third = await ask(gateways, {"limit": 10, "cursor": second["next_cursor"]})
    assert [[each["seq"] for each in page["records"]] for page in (first, second, third)] == [
        list(range(1, 11)),
        list(range(11, 21)),
        list(range(24, 31)),
    ]
    assert "next_cursor" not in third


async def test_a_page_ends_early_for_its_size(gateways: Cluster, database: Database) -> None:
    """After about PAGE_BYTES of data a page reports that there is more; it has at least one record of any size."""
    large = json.dumps({"text": "x" * (PAGE_BYTES // 3)})
    huge = json.dumps({"text": "x" * (PAGE_BYTES + 1)})
    await database.insert([record(n, at=n, data=large) for n in range(1, 8)])
    await database.insert([record(8, at=8, data=huge), record(9, at=9)])
    sizes, seen = [], []
    cursor: Query = {}
    while True:
        answer = await gateways.http.get(gateways.url(PATH), params={**ALL_OF_IT, **cursor, "limit": 1000})
        data = answer.json()["data"]
        seen += [each["seq"] for each in data["records"]]
        sizes.append(len(answer.content))
        if "next_cursor" not in data:
            break
        cursor = {"cursor": data["next_cursor"]}
    assert seen == list(range(1, 10))
    assert len(sizes) > 2
    assert max(sizes) < 2.5 * PAGE_BYTES


async def test_a_wrong_parameter_is_400_and_named(cluster: Cluster) -> None:
    """`invalid_parameter`, with a line that names the parameter and its form; the database is not queried."""
    for query, says in WRONG:
        answer = await cluster.http.get(cluster.url(f"{PATH}?{query}"))
        data = answer.json()["data"]
        assert (answer.status_code, data["code"]) == (400, "invalid_parameter"), query
        assert data["message"].startswith(says)


async def test_an_unknown_service_is_404_with_those_there_are(cluster: Cluster) -> None:
    """`invalid_service`, whatever else is asked."""
    for name in ("gold", "all", "news%0A"):
        answer = await cluster.http.get(cluster.url(f"/api/v1/history/{name}?limit=x"))
        data = answer.json()["data"]
        assert (answer.status_code, data["code"]) == (404, "invalid_service")
        assert data["available_services"] == list(CHANNEL_NAMES)


@on_sqlite
async def test_a_cursor_belongs_to_its_service_and_range(gateways: Cluster, database: Database) -> None:
    """Another service or another range beside it is 400; the same range in other words is not; the limit may change."""
    await database.insert([record(n, at=n) for n in range(1, 10)])
    cursor = (await ask(gateways, {**ALL_OF_IT, "limit": 2}))["next_cursor"]
    others: list[tuple[str, Query]] = [
        ("/api/v1/history/sentiment", {}),
        (PATH, {"from": "2025-01-02"}),
        (PATH, {"to": "2025-12-31T23:59:59.999Z"}),
    ]
    for path, query in others:
        answer = await gateways.http.get(gateways.url(path), params={"cursor": cursor, **query})
        assert (answer.status_code, answer.json()["data"]["code"]) == (400, "invalid_parameter")
    same: Query = {"from": "2025-01-01T01:00:00+01:00", "to": "1767225600"}
    for query in ({}, same):
        data = await ask(gateways, {**query, "limit": 3, "cursor": cursor}, node=1)
        assert [each["seq"] for each in data["records"]] == [3, 4, 5]
        assert (data["from"], data["to"]) == ("2025-01-01T00:00:00.000Z", "2026-01-01T00:00:00.000Z")


@on_sqlite
async def test_head_and_any_origin(gateways: Cluster, database: Database) -> None:
    """HEAD has the length of the page and no body; CORS allows any origin."""
    await database.insert([record(1)])
    head = await gateways.http.head(gateways.url(PATH), params=ALL_OF_IT, headers={"Origin": "https://example.org"})
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 100
    assert head.headers["access-control-allow-origin"] == "*"


@hypothesis_settings(
    max_examples=15,  # each walks 60 records over HTTP
    deadline=None,
    # The records are the same for every example.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(limits=strategies.lists(strategies.integers(1, 25), min_size=1, max_size=4).map(tuple))
async def test_pages_of_whatever_sizes_tell_each_record_once_in_order(
    gateways: Cluster, database: Database, limits: tuple[int, ...]
) -> None:
    """However the limit changes from page to page, the walk gives every record of the range, once and in order."""
    records = [record(n // 2 + 1, at=n * n // 90, epoch=f"e{n % 2}") for n in range(60)]
    await database.insert(records)  # those that are there already are left alone
    seen = await walk(gateways, ALL_OF_IT, *limits)
    ordered = sorted((each.published_at, each.epoch, each.seq) for each in records)
    assert seen == [(iso_of(at), epoch, seq) for at, epoch, seq in ordered]
