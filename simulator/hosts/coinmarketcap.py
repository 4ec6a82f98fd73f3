"""CoinMarketCap: https://coinmarketcap.com/api/documentation/pro-api-reference/keyless-public-api.md

Its list of coins, with a key, and its fear and greed index, with and without. No answer was recorded: this follows the
documentation.
"""

from __future__ import annotations

import math
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.host import Host, World, answer, whole
from simulator.world.clock import Clock, iso
from simulator.world.coins import Coin
from simulator.world.crowd import Crowd
from simulator.world.market import Market

_RENEWED = 900.0
"""Seconds between two values."""
_CLASSES = ((19, "Extreme fear"), (39, "Fear"), (59, "Neutral"), (79, "Greed"), (100, "Extreme greed"))


def host(world: World) -> Host:
    """pro-api.coinmarketcap.com."""
    crowd, clock = Crowd(world.market), world.clock

    async def keyless(request: Request) -> Response:
        time = math.floor(clock.now() / _RENEWED) * _RENEWED
        value = crowd.greed(time, 4.0, 0.5)  # its own scale, with more weight on the last day than alternative.me's
        data = {
            "value": value,
            "update_time": iso(time),
            "value_classification": next(name for most, name in _CLASSES if value <= most),
        }
        return answer({"data": data, "status": _status(clock, 0, "")})

    async def with_key(request: Request) -> Response:
        if not request.headers.get("X-CMC_PRO_API_KEY"):
            return answer({"status": _status(clock, 1002, "API key missing.")}, 401)
        return await keyless(request)

    async def listings(request: Request) -> Response:
        if not request.headers.get("X-CMC_PRO_API_KEY"):
            return answer({"status": _status(clock, 1002, "API key missing.")}, 401)
        time, limit = clock.now(), whole(request.query_params.get("limit"), 100, 1, 5000)
        rows = [_row(world.market, coin, rank, time) for rank, coin in enumerate(world.market.ranked(time)[:limit], 1)]
        return answer({"status": _status(clock, 0, ""), "data": rows})

    return Host(
        routes=[
            Route("/v1/cryptocurrency/listings/latest", listings),
            Route("/public-api/v3/fear-and-greed/latest", keyless),
            Route("/v3/fear-and-greed/latest", with_key),
        ],
        figures=("value", "price"),
        examples=("/public-api/v3/fear-and-greed/latest",),
        not_found={"statusCode": 404, "error": "Not Found", "message": "Not Found"},
        too_many={"status": _status(clock, 1011, "You've hit an IP rate limit.")},
        server_error={"status": _status(clock, 500, "An internal server error occurred")},
        error_in_200={"status": _status(clock, "1008", "You've exceeded your API Key's HTTP request rate limit.")},
    )


def _row(market: Market, coin: Coin, rank: int, time: float) -> dict[str, Any]:
    quote = {
        "price": market.price(coin, time, "coinmarketcap"),
        "volume_24h": market.volume(coin, time),
        "percent_change_1h": market.change(coin, time, 3600),
        "percent_change_24h": market.change(coin, time),
        "market_cap": market.market_cap(coin, time),
        "last_updated": iso(time),
    }
    return {
        "id": rank,
        "name": coin.name,
        "symbol": coin.symbol.upper(),
        "slug": coin.id,
        "cmc_rank": rank,
        "circulating_supply": coin.supply,
        "max_supply": None,
        "last_updated": iso(time),
        "quote": {"USD": quote},
    }


def _status(clock: Clock, code: int | str, message: str) -> dict[str, Any]:
    """`error_code` is a number or a string, which varies in the real API."""
    return {
        "timestamp": iso(clock.now()),
        "error_code": code,
        "error_message": message,
        "elapsed": 3,
        "credit_count": 1,
    }
