"""Binance spot, public market data: https://developers.binance.com/docs/binance-spot-api-docs/rest-api"""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared.errors import CoinwireError
from simulator.host import Host, World, answer
from simulator.world.coins import Coin

_DELISTED = ("BCCUSDT", "VENUSDT", "ERDUSDT", "BEARUSDT")
"""Symbols that Binance dropped but still has in its full answer, with zeros."""
_SHARE = 0.25
_NO_CACHE = {"cache-control": "no-cache, no-store, must-revalidate", "server": "nginx"}
_BAD_SYMBOL = {"code": -1121, "msg": "Invalid symbol."}
_TOO_MANY = {
    "code": -1003,
    "msg": "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. "
    "Please use WebSocket Streams for live updates to avoid polling the API.",
}


class _Refused(CoinwireError):
    """A request that Binance answers with HTTP 400."""


class _Weights:
    """Request weight used in the current minute."""

    def __init__(self) -> None:
        self._minute = -1
        self._used = 0

    def spend(self, weight: int, time: float) -> int:
        """Add `weight` to the current minute. Returns the weight used in it."""
        if (minute := int(time // 60)) != self._minute:
            self._minute, self._used = minute, 0
        self._used += weight
        return self._used


def host(world: World) -> Host:
    """data-api.binance.vision, and api.binance.com."""
    market, clock, weights = world.market, world.clock, _Weights()
    pairs = {f"{coin.symbol.upper()}USDT": coin for coin in market.coins if coin.binance}

    def reply(body: Any, weight: int, status: int = 200) -> Response:
        time = clock.now()
        used = weights.spend(weight, time)
        headers = {**_NO_CACHE, "x-mbx-used-weight": str(used), "x-mbx-used-weight-1m": str(used)}
        if used > world.binance_weight:
            return answer(_TOO_MANY, 429, {**headers, "retry-after": str(60 - int(time % 60))})
        return answer(body, status, headers)

    def asked(request: Request) -> list[str] | None:
        """Symbols in the query; None for all."""
        one, many = request.query_params.get("symbol"), request.query_params.get("symbols")
        if one is not None and many is not None:
            raise _Refused({"code": -1128, "msg": "Combination of optional parameters invalid."})
        if one is None and many is None:
            return None
        try:
            names = [one] if many is None else json.loads(many)
        except ValueError:
            names = None
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise _Refused({"code": -1100, "msg": "Illegal characters found in parameter 'symbols'."})
        if any(name not in pairs and name not in _DELISTED for name in names):
            raise _Refused(_BAD_SYMBOL)
        return names

    async def ping(request: Request) -> Response:
        return reply({}, 1)

    async def server_time(request: Request) -> Response:
        return reply({"serverTime": int(clock.now() * 1000)}, 1)

    async def price(request: Request) -> Response:
        try:
            names = asked(request)
        except _Refused as refused:
            return reply(refused.args[0], 2, 400)
        time = clock.now()
        rows = [
            {"symbol": name, "price": f"{_price(world, pairs[name], time) if name in pairs else 0:.8f}"}
            for name in names or (*pairs, *_DELISTED)
        ]
        single = "symbol" in request.query_params
        return reply(rows[0] if single else rows, 2 if single else 4)

    async def day(request: Request) -> Response:
        full = request.query_params.get("type", "FULL")
        try:
            names = asked(request)
            if full not in ("FULL", "MINI"):
                raise _Refused({"code": -1100, "msg": "Illegal characters found in parameter 'type'."})
        except _Refused as refused:
            return reply(refused.args[0], 2, 400)
        time = clock.now()
        rows = [_day(world, name, pairs.get(name), time, full == "FULL") for name in names or (*pairs, *_DELISTED)]
        weight = 80 if names is None or len(names) > 100 else 40 if len(names) > 20 else 2
        return reply(rows[0] if "symbol" in request.query_params else rows, weight)

    return Host(
        routes=[
            Route("/api/v3/ping", ping),
            Route("/api/v3/time", server_time),
            Route("/api/v3/ticker/price", price),
            Route("/api/v3/ticker/24hr", day),
        ],
        figures=("lastPrice", "price"),
        examples=(
            "/api/v3/ticker/24hr?type=MINI",
            "/api/v3/ticker/price",
        ),
        not_found={"code": -1000, "msg": "An unknown error occurred while processing the request."},
        too_many=_TOO_MANY,
        banned={"code": -1003, "msg": "Way too much request weight used; IP banned until 1700000000000."},
        server_error={"code": -1001, "msg": "Internal error; unable to process your request. Please try again."},
        error_in_200=_BAD_SYMBOL,
        headers=_NO_CACHE,
    )


def _price(world: World, coin: Coin, time: float) -> float:
    """Price in Tether."""
    tether = world.market.by_id["tether"]
    return world.market.price(coin, time, "binance") / world.market.price(tether, time)


def _day(world: World, name: str, coin: Coin | None, time: float, full: bool) -> dict[str, Any]:
    """One row of /ticker/24hr, keys in the recorded order; all zero for a delisted symbol."""
    times = {"openTime": int((time - 86_400) * 1000), "closeTime": int(time * 1000)}
    if coin is None:
        open_price = last = high = low = average = volume = 0.0
        trades = {"firstId": -1, "lastId": -1, "count": 0}
    else:
        tether = world.market.by_id["tether"]
        day = world.market.range(coin, time, "binance")
        last, open_price = _price(world, coin, time), _price(world, coin, time - 86_400)
        rate = world.market.price(tether, time)
        # Tether has moved too since the day's high and low, so the current price is compared with them again.
        high, low = max(day.high / rate, last, open_price), min(day.low / rate, last, open_price)
        average = min(max(day.average / rate, low), high)
        volume = world.market.volume(coin, time) * _SHARE / rate
        count = int(volume / 500) + 1
        first = int(time - 86_400) * 100
        trades = {"firstId": first, "lastId": first + count - 1, "count": count}
    prices = {"openPrice": open_price, "highPrice": high, "lowPrice": low}
    volumes = {"volume": volume / average if average else 0.0, "quoteVolume": volume}
    if not full:
        figures = {**prices, "lastPrice": last, **volumes}
        return {"symbol": name, **_text(figures), **times, **trades}
    change = last - open_price
    spread = last * 0.0001
    figures = {
        "weightedAvgPrice": average,
        "prevClosePrice": open_price,
        "lastPrice": last,
        "lastQty": 0.5 if last else 0.0,
        "bidPrice": last - spread,
        "bidQty": 10.0 if last else 0.0,
        "askPrice": last + spread,
        "askQty": 10.0 if last else 0.0,
        **prices,
        **volumes,
    }
    percent = f"{change / open_price * 100 if open_price else 0:.3f}"
    return {
        "symbol": name,
        "priceChange": f"{change:.8f}",
        "priceChangePercent": percent,
        **_text(figures),
        **times,
        **trades,
    }


def _text(figures: dict[str, float]) -> dict[str, str]:
    return {key: f"{value:.8f}" for key, value in figures.items()}
