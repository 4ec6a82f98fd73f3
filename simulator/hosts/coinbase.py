"""Coinbase Exchange, public products: https://docs.cdp.coinbase.com/exchange/reference"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.host import Host, World, answer
from simulator.world.clock import iso
from simulator.world.coins import Coin

_SHARE = 0.04
_CACHED = {"cache-control": "public, max-age=5, must-revalidate"}
_NOT_FOUND = {"message": "NotFound"}


def host(world: World) -> Host:
    """api.exchange.coinbase.com."""
    market, clock = world.market, world.clock
    products = {f"{coin.symbol.upper()}-USD": coin for coin in market.coins if coin.coinbase}

    def traded(coin: Coin, time: float) -> float:
        return market.volume(coin, time) * _SHARE / market.price(coin, time)

    async def ticker(request: Request) -> Response:
        coin, time = products.get(request.path_params["id"]), clock.now()
        if coin is None:
            return answer(_NOT_FOUND, 404)
        price = market.price(coin, time, "coinbase")
        body = {
            "ask": _text(price * 1.0001),
            "bid": _text(price * 0.9999),
            "volume": f"{traded(coin, time):.8f}",
            "trade_id": int(time * 10),
            "price": _text(price),
            "size": "0.01000000",
            "time": iso(time, "microseconds"),
        }
        return answer(body, headers=_CACHED)

    async def stats(request: Request) -> Response:
        coin, time = products.get(request.path_params["id"]), clock.now()
        if coin is None:
            return answer(_NOT_FOUND, 404)
        day = market.range(coin, time, "coinbase")
        body = {
            "open": _text(day.open),
            "high": _text(day.high),
            "low": _text(day.low),
            "last": _text(market.price(coin, time, "coinbase")),
            "volume": f"{traded(coin, time):.8f}",
            "volume_30day": f"{traded(coin, time) * 30:.8f}",
        }
        return answer(body, headers=_CACHED)

    return Host(
        routes=[Route("/products/{id}/ticker", ticker), Route("/products/{id}/stats", stats)],
        figures=("price", "last"),
        examples=("/products/BTC-USD/ticker",),
        not_found=_NOT_FOUND,
        too_many={"message": "Public rate limit exceeded"},
        server_error={"message": "Internal server error"},
        error_in_200={"message": "Public rate limit exceeded"},
    )


def _text(price: float) -> str:
    """A price as text: two decimals for expensive coins, more for cheap ones."""
    return f"{price:.{2 if price >= 100 else 5 if price >= 1 else 10}f}"
