"""Simulated answers have the keys and types of the recorded ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.places import UPSTREAM
from tests.simulator.conftest import Ask

pytestmark = pytest.mark.asyncio(loop_scope="module")

GECKO, PAPRIKA, BINANCE = "api.coingecko.com", "api.coinpaprika.com", "data-api.binance.vision"
KRAKEN, COINBASE = "api.kraken.com", "api.exchange.coinbase.com"
WINDOWS = "1h,24h,7d,14d,30d,200d,1y"


def recorded(name: str) -> Any:
    """The recorded answer; skips the test where it is absent."""
    path = UPSTREAM / name
    if not path.exists():
        pytest.skip(f"no {path}")
    return json.loads(path.read_text())


def kinds(value: Any) -> Any:
    """The shape of an answer: keys and types, with int and float as one."""
    if isinstance(value, dict):
        return {key: kinds(child) for key, child in value.items()}
    if isinstance(value, list):
        return [kinds(child) for child in value]
    return "number" if isinstance(value, int | float) else type(value).__name__


def assert_like(answer: Any, record: Any) -> None:
    """Same keys in the same order, same types; null fits everything, since coins differ in what is known of them."""
    answer, record = kinds(answer), kinds(record)
    assert list(answer) == list(record)
    different = {key: (answer[key], record[key]) for key in answer if answer[key] != record[key]}
    assert not {key: pair for key, pair in different.items() if "NoneType" not in pair}


async def test_coingecko_markets(ask: Ask) -> None:
    """/coins/markets has the recorded row, in which only what is unknown is null."""
    rows = (await ask(GECKO, "/api/v3/coins/markets", vs_currency="usd", ids="bitcoin")).json()
    assert_like(rows[0], recorded("coingecko/coins_markets_bitcoin_usd.json")[0])


async def test_coingecko_markets_with_changes(ask: Ask) -> None:
    """price_change_percentage adds the recorded keys."""
    params = {"vs_currency": "usd", "ids": "bitcoin", "price_change_percentage": WINDOWS}
    rows = (await ask(GECKO, "/api/v3/coins/markets", **params)).json()
    record = recorded("coingecko/coins_markets_1_row_with_pct_changes_2022.json")[0]
    assert_like(dict(sorted(rows[0].items())), dict(sorted(record.items())))


async def test_coingecko_simple_price(ask: Ask) -> None:
    """/simple/price has the recorded nesting."""
    body = (await ask(GECKO, "/api/v3/simple/price", ids="bitcoin", vs_currencies="usd")).json()
    assert kinds(body) == kinds(recorded("coingecko/simple_price_bitcoin_2021.json"))


async def test_coingecko_simple_price_in_an_unknown_currency(ask: Ask) -> None:
    """An unknown vs_currency gives an empty object for the coin, as recorded."""
    body = (await ask(GECKO, "/api/v3/simple/price", ids="bitcoin", vs_currencies="ethereum")).json()
    assert body == recorded("coingecko/simple_price_unknown_vs_currency.json")


async def test_coingecko_ping(ask: Ask) -> None:
    """/ping says what it says."""
    assert (await ask(GECKO, "/api/v3/ping")).json() == recorded("coingecko/ping.json")


async def test_coingecko_global(ask: Ask) -> None:
    """/global has the recorded keys, though fewer currencies."""
    data = (await ask(GECKO, "/api/v3/global")).json()["data"]
    record = recorded("coingecko/global_2024.json")["data"]
    assert data.keys() == record.keys()
    assert len(data["market_cap_percentage"]) == len(record["market_cap_percentage"]) == 10


async def test_coinpaprika_tickers(ask: Ask) -> None:
    """/tickers is a list of the recorded rows."""
    rows = (await ask(PAPRIKA, "/v1/tickers", quotes="USD")).json()
    assert_like(rows[0], recorded("coinpaprika/tickers_usd_2021.json")[0])


async def test_coinpaprika_ids_are_the_recorded_ones(ask: Ask) -> None:
    """Coins that were in the recording have the id that they had there."""
    known = {row["id"] for row in recorded("coinpaprika/tickers_usd_2021.json")}
    ids = [row["id"] for row in (await ask(PAPRIKA, "/v1/tickers", quotes="USD")).json()]
    assert {"btc-bitcoin", "eth-ethereum", "usdt-tether", "xrp-xrp", "aave-new"} <= known & set(ids)


async def test_coinpaprika_global(ask: Ask) -> None:
    """/global has the recorded keys, and its `last_updated` is a number."""
    assert_like((await ask(PAPRIKA, "/v1/global")).json(), recorded("coinpaprika/global_2021.json"))


async def test_coinpaprika_unknown_id(ask: Ask) -> None:
    """An unknown id is a 404 with the recorded body."""
    answer = await ask(PAPRIKA, "/v1/tickers/BTC")
    assert (answer.status_code, answer.json()) == (404, recorded("coinpaprika/error_404_id_not_found.json"))


async def test_coinlore_ticker(ask: Ask) -> None:
    """/ticker/ is a bare array of the recorded row, its volume a string."""
    rows = (await ask("api.coinlore.net", "/api/ticker/", id="90")).json()
    record = recorded("coinlore/ticker_id_90_2023.json")
    assert_like(dict(sorted(rows[0].items())), dict(sorted(record[0].items())))
    assert len(rows) == 1


async def test_binance_day(ask: Ask) -> None:
    """/ticker/24hr has the recorded row: strings but for times and ids."""
    row = (await ask(BINANCE, "/api/v3/ticker/24hr", symbol="BTCUSDT")).json()
    assert_like(row, recorded("binance/ticker_24hr_all_2019_v1.json")[0])


async def test_binance_error(ask: Ask) -> None:
    """An error has the recorded form."""
    answer = await ask(BINANCE, "/api/v3/ticker/24hr", symbol="NOPE")
    assert_like(answer.json(), recorded("binance/error_400_code_msg.json"))


async def test_kraken_ticker_by_own_name(ask: Ask) -> None:
    """XBTUSD is answered under Kraken's own name, with the recorded lists."""
    body = (await ask(KRAKEN, "/0/public/Ticker", pair="XBTUSD")).json()
    assert kinds(body) == kinds(recorded("kraken/Ticker_XXBTZUSD_doc.json"))


async def test_kraken_tickers_by_readable_name(ask: Ask) -> None:
    """assetVersion=1 gives readable keys, all of which the real answer has too."""
    result = (await ask(KRAKEN, "/0/public/Ticker", assetVersion=1)).json()["result"]
    record = recorded("kraken/Ticker_all_assetVersion1_2026.json")["result"]
    assert result.keys() <= record.keys()
    assert kinds(result["BTC/USD"]) == kinds(record["BTC/USD"])


async def test_kraken_status(ask: Ask) -> None:
    """/SystemStatus has the documented form."""
    assert kinds((await ask(KRAKEN, "/0/public/SystemStatus")).json()) == kinds(
        recorded("kraken/SystemStatus_doc.json")
    )


async def test_coinbase_stats(ask: Ask) -> None:
    """/stats has the recorded strings."""
    body = (await ask(COINBASE, "/products/ETH-USD/stats")).json()
    assert_like(body, recorded("coinbase/products_ETH-USDT_stats_2022.json"))
