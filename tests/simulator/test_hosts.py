"""Each simulated host does what the provider's documentation says of it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import httpx
import pytest

from simulator.app import Simulator
from simulator.server import running
from simulator.world.clock import Clock
from tests.simulator.conftest import NO_TLS, Ask

pytestmark = pytest.mark.asyncio(loop_scope="module")

GECKO, PAPRIKA, LORE = "api.coingecko.com", "api.coinpaprika.com", "api.coinlore.net"
BINANCE, KRAKEN, COINBASE = "data-api.binance.vision", "api.kraken.com", "api.exchange.coinbase.com"


async def markets(ask: Ask, **params: str | int) -> Any:
    return (await ask(GECKO, "/api/v3/coins/markets", vs_currency="usd", **params)).json()


async def test_hosts_agree_on_prices(ask: Ask) -> None:
    """All providers' bitcoin prices agree within a quarter of a percent, once Tether's price is applied."""
    tether = (await markets(ask, ids="tether"))[0]["current_price"]
    prices = [
        (await markets(ask, ids="bitcoin"))[0]["current_price"],
        (await ask(PAPRIKA, "/v1/tickers/btc-bitcoin", quotes="USD")).json()["quotes"]["USD"]["price"],
        float((await ask(LORE, "/api/ticker/", id="90")).json()[0]["price_usd"]),
        float((await ask(BINANCE, "/api/v3/ticker/price", symbol="BTCUSDT")).json()["price"]) * tether,
        float((await ask(KRAKEN, "/0/public/Ticker", pair="BTC/USD")).json()["result"]["XXBTZUSD"]["c"][0]),
        float((await ask(COINBASE, "/products/BTC-USD/ticker")).json()["price"]),
    ]
    assert max(prices) / min(prices) < 1.0025
    assert len(set(prices)) == len(prices)


async def test_exchange_prices_move_and_coingecko_waits_for_its_cache(ask: Ask, clock: Clock) -> None:
    """After 5 s Binance shows another price and CoinGecko the same; after a minute CoinGecko does too."""

    async def both() -> tuple[str, float]:
        price = (await ask(BINANCE, "/api/v3/ticker/price", symbol="BTCUSDT")).json()["price"]
        return price, (await markets(ask, ids="bitcoin"))[0]["current_price"]

    first = await both()
    clock.advance(5)
    second = await both()
    clock.advance(60)
    third = await both()
    assert first[0] != second[0] != third[0]
    assert first[1] == second[1] != third[1]


async def test_coingecko_pages(ask: Ask) -> None:
    """per_page and page cut one list, 100 a page where nothing is said; past its end is an empty page."""
    whole = await markets(ask, per_page=250)
    assert await markets(ask, per_page=50, page=2) == whole[50:100]
    assert await markets(ask) == whole[:100]
    assert await markets(ask, per_page=250, page=2) == []


async def test_coingecko_orders(ask: Ask) -> None:
    """Rows come by market value, or as `order` says."""
    ranks = [row["market_cap_rank"] for row in await markets(ask, per_page=250)]
    assert ranks == sorted(ranks)
    assert [row["market_cap_rank"] for row in await markets(ask, per_page=250, order="market_cap_asc")] == ranks[::-1]
    volumes = [row["total_volume"] for row in await markets(ask, order="volume_desc")]
    assert volumes == sorted(volumes, reverse=True)
    names = [row["id"] for row in await markets(ask, order="id_asc")]
    assert names == sorted(names)


async def test_coingecko_ids(ask: Ask) -> None:
    """Unknown ids, and ids with a space before them, are silently absent."""
    assert [row["id"] for row in await markets(ask, ids="bitcoin, ethereum,no-such-coin")] == ["bitcoin"]


async def test_coingecko_needs_a_currency(ask: Ask) -> None:
    """A missing vs_currency is a 422 with an `error`."""
    answer = await ask(GECKO, "/api/v3/coins/markets")
    assert (answer.status_code, answer.json()) == (422, {"error": "Missing parameter vs_currency"})


async def test_coingecko_simple_price_includes_what_is_asked_for(ask: Ask) -> None:
    """include_* add caps, volumes, changes and the time, equal to those of /coins/markets."""
    switches = ("market_cap", "24hr_vol", "24hr_change", "last_updated_at")
    params = {f"include_{name}": "true" for name in switches}
    body = (await ask(GECKO, "/api/v3/simple/price", ids="bitcoin,nope", vs_currencies="usd", **params)).json()
    row = (await markets(ask, ids="bitcoin"))[0]
    assert list(body) == ["bitcoin"]
    assert body["bitcoin"]["usd"] == row["current_price"]
    assert body["bitcoin"]["usd_market_cap"] == pytest.approx(row["market_cap"])
    assert body["bitcoin"]["usd_24h_change"] == pytest.approx(row["price_change_percentage_24h"], abs=1e-5)
    assert body["bitcoin"].keys() >= {"usd_24h_vol", "last_updated_at"}


async def test_coingecko_answers_may_be_cached(ask: Ask) -> None:
    """Answers carry CoinGecko's cache-control."""
    answer = await ask(GECKO, "/api/v3/coins/markets", vs_currency="usd")
    assert answer.headers["cache-control"] == "max-age=30, public, must-revalidate, s-maxage=60"


@pytest.mark.parametrize("host", [GECKO, PAPRIKA, LORE, BINANCE, KRAKEN, COINBASE])
async def test_unknown_paths(ask: Ask, host: str) -> None:
    """An unknown path is a 404 in JSON."""
    answer = await ask(host, "/no/such/path")
    assert answer.status_code == 404
    assert answer.json()


async def test_coinlore_pages(ask: Ask) -> None:
    """start and limit cut one list, at most 100 at a time; volumes are numbers there, prices strings."""
    body = (await ask(LORE, "/api/tickers/", start=100, limit=1000)).json()
    assert [row["rank"] for row in body["data"]] == list(range(101, body["info"]["coins_num"] + 1))
    first = (await ask(LORE, "/api/tickers/")).json()["data"]
    assert len(first) == 100
    assert isinstance(first[0]["volume24"], float)
    assert isinstance(first[0]["price_usd"], str)


async def test_coinlore_global(ask: Ask) -> None:
    """/global/ is a list of one row."""
    (row,) = (await ask(LORE, "/api/global/")).json()
    assert float(row["btc_d"]) > 40
    assert row["total_mcap"] > 1e12


async def test_binance_all_symbols(ask: Ask) -> None:
    """Without symbols all USDT pairs come, and delisted ones at zero with no trades."""
    rows = (await ask(BINANCE, "/api/v3/ticker/24hr")).json()
    assert all(row["symbol"].endswith("USDT") for row in rows)
    dead = [row for row in rows if row["lastPrice"] == "0.00000000"]
    assert dead
    assert {(row["count"], row["firstId"]) for row in dead} == {(0, -1)}


async def test_binance_some_symbols(ask: Ask) -> None:
    """`symbols` is a JSON list, `symbol` one name, which is answered with one object; MINI has fewer keys."""
    names = json.dumps(["ETHUSDT", "BTCUSDT"])
    rows = (await ask(BINANCE, "/api/v3/ticker/24hr", symbols=names, type="MINI")).json()
    assert [row["symbol"] for row in rows] == ["ETHUSDT", "BTCUSDT"]
    assert "priceChange" not in rows[0]
    full = (await ask(BINANCE, "/api/v3/ticker/24hr", symbol="BTCUSDT")).json()
    assert full.keys() > rows[1].keys()
    assert float(full["lowPrice"]) <= float(full["lastPrice"]) <= float(full["highPrice"])


@pytest.mark.parametrize("path", ["/api/v3/ticker/24hr", "/api/v3/ticker/price"])
@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"symbols": '["BTCUSDT","NOPEUSDT"]'}, -1121),
        ({"symbol": "btcusdt"}, -1121),
        ({"symbols": "BTCUSDT"}, -1100),
        ({"symbols": "[]"}, -1100),
        ({"symbol": "BTCUSDT", "symbols": '["BTCUSDT"]'}, -1128),
    ],
)
async def test_binance_bad_symbols(ask: Ask, path: str, params: dict[str, str], code: int) -> None:
    """One bad symbol fails the whole request with 400, a code and a message."""
    answer = await ask(BINANCE, path, **params)
    assert answer.status_code == 400
    assert answer.json()["code"] == code
    if code == -1121:
        assert answer.json()["msg"] == "Invalid symbol."


async def test_binance_weight(ask: Ask, clock: Clock) -> None:
    """The used weight is in a header and grows by 2, 40 or 80 with the number of symbols, until the next minute."""

    async def used(**params: str) -> int:
        answer = await ask(BINANCE, "/api/v3/ticker/24hr", type="MINI", **params)
        return int(answer.headers["X-MBX-USED-WEIGHT-1M"])

    clock.advance(60)
    names = [row["symbol"] for row in (await ask(BINANCE, "/api/v3/ticker/price")).json()]
    assert await used() == 4 + 80
    assert await used(symbols=json.dumps(names[:20])) == 86
    assert await used(symbols=json.dumps(names[:21])) == 126
    assert (await ask(BINANCE, "/api/v3/ping")).headers["x-mbx-used-weight-1m"] == "127"
    clock.advance(60)
    assert await used() == 80


async def test_binance_limits(clock: Clock) -> None:
    """More weight than a minute allows is a 429 that says how long to wait, and then all is well again."""
    one = {"symbol": "BTCUSDT"}
    simulator = Simulator(clock=clock, binance_weight=10)
    async with running(simulator) as server, httpx.AsyncClient(base_url=server.url, verify=NO_TLS) as client:
        client.headers["Host"] = BINANCE
        answers = [await client.get("/api/v3/ticker/24hr", params=one) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert answers[5].json()["code"] == -1003
        clock.advance(int(answers[5].headers["retry-after"]))
        assert (await client.get("/api/v3/ticker/24hr", params=one)).status_code == 200


@pytest.mark.parametrize("pair", ["XBTUSD", "XXBTZUSD", "XBT/USD", "BTC/USD", "BTCUSD"])
async def test_kraken_spellings(ask: Ask, pair: str) -> None:
    """A pair may be asked for by any of its names; the answer's key is Kraken's own or the readable one."""
    assert list((await ask(KRAKEN, "/0/public/Ticker", pair=pair)).json()["result"]) == ["XXBTZUSD"]
    readable = await ask(KRAKEN, "/0/public/Ticker", pair=pair, assetVersion=1)
    assert list(readable.json()["result"]) == ["BTC/USD"]


async def test_kraken_unknown_pair(ask: Ask) -> None:
    """An unknown pair is a 200 with an `error` and no result."""
    answer = await ask(KRAKEN, "/0/public/Ticker", pair="XBTUSD,NOPE")
    assert (answer.status_code, answer.json()) == (200, {"error": ["EQuery:Unknown asset pair"]})


async def test_kraken_dead_pairs(ask: Ask) -> None:
    """The full answer lists some pairs at zero; high and low enclose the price of the others."""
    result = (await ask(KRAKEN, "/0/public/Ticker")).json()["result"]
    assert any(float(row["c"][0]) == 0 for row in result.values())
    for row in result.values():
        assert float(row["l"][1]) <= float(row["l"][0]) <= float(row["c"][0])
        assert float(row["h"][1]) >= float(row["h"][0]) >= float(row["c"][0])


@pytest.mark.parametrize("path", ["ticker", "stats"])
async def test_coinbase_unknown_product(ask: Ask, path: str) -> None:
    """An unknown product is a 404 with a message."""
    answer = await ask(COINBASE, f"/products/NOPE-USD/{path}")
    assert (answer.status_code, answer.json()) == (404, {"message": "NotFound"})


async def test_coinbase_ticker(ask: Ask, clock: Clock) -> None:
    """The ticker's figures are strings, its time ISO with microseconds."""
    body = (await ask(COINBASE, "/products/BTC-USD/ticker")).json()
    assert float(body["bid"]) < float(body["price"]) < float(body["ask"])
    assert body["time"].endswith(".000000Z")
    assert datetime.fromisoformat(body["time"]).timestamp() == clock.now()
