"""Pages of the history with filters: what is left of each record, and cursors that belong to their filter."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.coins import Coins, KnownCoin
from shared.database import Database, Record
from shared.settings import Settings
from tests.contract.conftest import Cluster, running

PATH = "/api/v1/history/market_data"
BEGIN = 1_762_857_000_000
SPAN = "from=2025-01-01&to=2026-01-01"
PRICES = {"bitcoin": 1.50, "ethereum": 2, "solana": None}
DATA = {"prices": PRICES, "volumes": {"bitcoin": 3}, "source": "test", "timestamp": "2025-11-11T10:30:00.000Z"}
NOTICE = {
    "event": "source_failed_over",
    "message": "market_data: coingecko failed, binance takes over",
    "about": "market_data",
    "source": "binance",
    "as_of": {},
    "timestamp": "2025-11-11T10:30:00.000Z",
}


def record(seq: int, data: Any = DATA, service: str = "market_data") -> Record:
    """A record some ms after BEGIN."""
    text = data if isinstance(data, str) else json.dumps(data)
    return Record(service=service, epoch="e", seq=seq, published_at=BEGIN + seq, data=text)


@pytest.fixture
async def gateways(database: Database, database_settings: Settings) -> AsyncIterator[Cluster]:
    """Two gateways that read the test's database, with six updates in it."""
    await database.insert([record(n) for n in range(1, 7)])
    async with running(database_settings) as found:
        yield found


async def ask(gateways: Cluster, query: str, status: int = 200, path: str = PATH) -> dict[str, Any]:
    """`data` of an answer."""
    answer = await gateways.http.get(gateways.url(f"{path}?{query}"))
    assert answer.status_code == status, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def test_data_is_what_the_filter_leaves(gateways: Cluster) -> None:
    """Coins in any order and number, given with commas or several times; positions and times stay."""
    whole = await ask(gateways, f"{SPAN}&limit=2")
    for query in ("coins=ethereum,gold&fields=prices", "fields=prices&coins=gold&coins=ethereum"):
        data = await ask(gateways, f"{SPAN}&limit=2&{query}")
        left = {"prices": {"ethereum": 2}, "unknown": ["gold"]}
        assert data["records"] == [{**each, "data": left} for each in whole["records"]]
    assert (await ask(gateways, f"{SPAN}&fields=volumes"))["records"][0]["data"] == {"volumes": {"bitcoin": 3}}


async def test_a_cursor_belongs_to_its_filter(gateways: Cluster) -> None:
    """With the same filter, however written, it goes on; with another, or none, it is 400 and says so."""
    first = await ask(gateways, f"{SPAN}&limit=4&coins=bitcoin,ethereum")
    plain = await ask(gateways, f"{SPAN}&limit=4")
    rest = await ask(gateways, f"cursor={first['next_cursor']}&coins=ethereum&coins=bitcoin")
    assert [each["seq"] for each in rest["records"]] == [5, 6]
    assert rest["records"][0]["data"]["prices"] == {"bitcoin": 1.5, "ethereum": 2}
    for cursor, query in (
        (first["next_cursor"], ""),
        (first["next_cursor"], "&coins=bitcoin"),
        (first["next_cursor"], "&coins=bitcoin,ethereum&fields=prices"),
        (plain["next_cursor"], "&coins=bitcoin"),
    ):
        data = await ask(gateways, f"cursor={cursor}{query}", 400)
        assert data["code"] == "invalid_parameter"
        assert data["message"] == "cursor is one of another filter: leave filters as they were"


async def test_an_ambiguous_symbol_is_400_with_the_ids(gateways: Cluster) -> None:
    """A symbol of one coin stands for it; one of several is `invalid_filter` with their ids."""
    symbols = [("bitcoin", "btc"), ("ethereum", "eth"), ("wrapped", "eth")]
    gateways.nodes[0].directory.coins = Coins([KnownCoin(id=coin, symbol=symbol) for coin, symbol in symbols])
    data = await ask(gateways, f"{SPAN}&coins=BTC&fields=prices")
    assert data["records"][0]["data"] == {"prices": {"bitcoin": 1.5}}
    data = await ask(gateways, f"{SPAN}&coins=BTC,Eth", 400)
    assert (data["code"], data["service"], sorted(data["ids"])) == (
        "invalid_filter",
        "market_data",
        ["ethereum", "wrapped"],
    )


async def test_what_is_no_object_is_sent_as_it_is(gateways: Cluster, database: Database) -> None:
    """A filter fails on no record, whoever wrote it."""
    odd = ["[1]", "null", '{"prices": 7}', '{"prices": {"bitcoin": "x"}}', '{"n": 123456789012345678901234567890}']
    await database.insert([record(n, text) for n, text in enumerate(odd, 7)])
    records = (await ask(gateways, f"{SPAN}&coins=bitcoin"))["records"][6:]
    assert [each["data"] for each in records[:2]] == [[1], None]
    assert records[3]["data"]["prices"] == {"bitcoin": "x"}
    assert records[4]["data"]["n"] == 123456789012345678901234567890


async def test_nesting_of_any_depth_is_sent_as_it_is(gateways: Cluster, database: Database) -> None:
    """A process that recorded it may have had more of its stack left than a request has."""
    text = f'{{"deep": {"[" * 985}{"]" * 985}}}'
    await database.insert([record(7, text)])
    answer = await gateways.http.get(gateways.url(f"{PATH}?{SPAN}&coins=bitcoin"))
    assert (answer.status_code, text in answer.text) == (200, True)


async def test_the_history_of_system_is_the_timeline_of_failovers(gateways: Cluster, database: Database) -> None:
    """`service=system`: every notice, with its position, as page and as lines; no filter applies to it."""
    await database.insert([record(n, NOTICE, "system") for n in range(1, 4)])
    path = "/api/v1/history/system"
    data = await ask(gateways, f"{SPAN}&limit=2", path=path)
    assert [each["data"] for each in data["records"]] == [NOTICE, NOTICE]
    assert data["service"] == "system"
    lines = await gateways.http.get(gateways.url(f"{path}?{SPAN}"), headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line)["seq"] for line in lines.text.splitlines()] == [1, 2, 3]
    for query in ("coins=bitcoin", "fields=event"):
        data = await ask(gateways, f"{SPAN}&{query}", 400, path)
        assert (data["code"], data["service"], data["known"]) == ("invalid_filter", "system", {})
