"""A symbol that Binance lists and then refuses costs no other coin its price."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, TypeVar

import pytest

from tests.workers.stage import Stage
from workers.asking.provider import Request, StatusError
from workers.providers.binance import Binance

T = TypeVar("T")
LIST, DAY = "/api/v3/ticker/price", "/api/v3/ticker/24hr"
COINS = ("BTC", "币安人生", "ETH")


def pair(coin: str, price: str) -> dict[str, Any]:
    times = {"openTime": 1, "closeTime": 1_795_341_600_000, "count": 9}
    return {"symbol": f"{coin}USDT", "lastPrice": price, "openPrice": "1", **times}


class Market:
    """Binance with three pairs; it refuses calls that name one of `refused`."""

    def __init__(self, *refused: str, status: int = 400) -> None:
        self.refused: Collection[str] = [f"{coin}USDT" for coin in refused]
        self.traded = list(COINS)
        self.status = status
        self.asked: list[Request[Any]] = []

    async def __call__(self, request: Request[T]) -> T:
        self.asked.append(request)
        if request.path == LIST:
            return request.parse(json.dumps([{"symbol": f"{coin}USDT", "price": "2"} for coin in COINS]).encode())
        named = json.loads(request.params["symbols"]) if "symbols" in request.params else None
        if named is not None and set(named) & set(self.refused):
            raise StatusError("binance", self.status)
        rows = [pair(coin, "3") for coin in self.traded if named is None or f"{coin}USDT" in named]
        return request.parse(json.dumps(rows).encode())

    @property
    def calls(self) -> list[tuple[str | None, int]]:
        """The symbols and the weight of each call for prices, since the last look."""
        calls = [(request.params.get("symbols"), request.cost) for request in self.asked if request.path == DAY]
        self.asked.clear()
        return calls


async def bases(binance: Binance, market: Market, coins: tuple[str, ...] = COINS) -> list[str]:
    return [ticker.base for ticker in await binance.tickers(market, coins)]


async def test_a_refused_symbol_costs_no_price() -> None:
    """The call is made again without symbols, for the largest weight, and then without the odd one among them."""
    binance, market = Binance(), Market("币安人生")
    assert await bases(binance, market) == ["BTC", "币安人生", "ETH"]
    assert [weight for _, weight in market.calls] == [2, 80]
    assert await bases(binance, market) == ["BTC", "ETH"]
    assert market.calls == [('["BTCUSDT","ETHUSDT"]', 2)]


async def test_a_symbol_of_any_alphabet_is_asked_for_while_it_is_not_refused() -> None:
    """Binance takes UTF-8 in symbols since December 2025."""
    binance, market = Binance(), Market()
    assert await bases(binance, market) == ["BTC", "币安人生", "ETH"]
    assert [weight for _, weight in market.calls] == [2]


async def test_a_symbol_delisted_within_the_hour_is_left_out() -> None:
    """It is not among all pairs that are traded, so the next call does not name it."""
    binance, market = Binance(), Market()
    await bases(binance, market)
    market.refused, market.traded = ["ETHUSDT"], ["BTC", "币安人生"]
    market.asked.clear()
    assert await bases(binance, market, ("BTC", "ETH")) == ["BTC"]
    assert [weight for _, weight in market.calls] == [2, 80]
    assert await bases(binance, market, ("BTC", "ETH")) == ["BTC"]
    assert market.calls == [('["BTCUSDT"]', 2)]
    assert await bases(binance, market, ("ETH",)) == []
    assert market.calls == []


async def test_a_refusal_that_no_symbol_explains_ends_with_the_hour() -> None:
    """Until the list is read again, calls name no symbols: within the budget also in every cycle of five seconds."""
    now = 0.0
    binance, market = Binance(clock=lambda: now), Market("BTC")
    for _ in range(3):
        assert await bases(binance, market, ("BTC", "ETH")) == ["BTC", "ETH"]
    assert [weight for _, weight in market.calls] == [2, 80, 80, 80]
    assert Binance.budget.units > 12 * 80
    now, market.refused = 3600.0, []
    assert await bases(binance, market, ("BTC", "ETH")) == ["BTC", "ETH"]
    assert market.calls == [('["BTCUSDT","ETHUSDT"]', 2)]


async def test_another_status_is_no_refusal_of_a_symbol() -> None:
    """A limit or an outage is not answered by a larger call."""
    market = Market("BTC", status=429)
    with pytest.raises(StatusError):
        await bases(Binance(), market)
    assert [weight for _, weight in market.calls] == [2]


async def test_the_simulated_market_without_symbols(stage: Stage) -> None:
    """The call without symbols goes through a real client and gives the wanted pairs only."""
    binance = Binance()
    ask = stage.asker(binance, 5.0)
    named = await binance.tickers(ask, ("BTC", "ETH"))

    async def refusing(request: Request[T]) -> T:
        if "symbols" in request.params:
            raise StatusError("binance", 400)
        return await ask(request)

    every = await Binance().tickers(refusing, ("BTC", "ETH"))
    assert sorted(ticker.base for ticker in every) == sorted(ticker.base for ticker in named) == ["BTC", "ETH"]
