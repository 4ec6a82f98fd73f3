"""Coinbase, public products of both its interfaces, which here have one host each with all routes.

Exchange: https://docs.cdp.coinbase.com/exchange/reference, one product per call. Advanced Trade:
https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public/list-public-products, many at once.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.host import Host, World, answer
from simulator.world.clock import iso
from simulator.world.coins import Coin

_SHARE = 0.04
_CACHED = {"cache-control": "public, max-age=5, must-revalidate"}
_NOT_FOUND = {"message": "NotFound"}
_HALTED = "HALT-USD"
"""A product that the full list still has, with its last price, though its trading was disabled."""


def host(world: World) -> Host:
    """api.exchange.coinbase.com and api.coinbase.com."""
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

    async def listed(request: Request) -> Response:
        """Unknown products are left out; without `product_ids` all are listed."""
        time = clock.now()
        if request.query_params.get("product_type", "SPOT") != "SPOT":
            return answer({"products": [], "num_products": 0})
        wanted = request.query_params.getlist("product_ids") or [*products, _HALTED]
        rows = [_product(world, product, products[product], time) for product in wanted if product in products]
        if _HALTED in wanted:
            gone = market.coins[0]
            rows.append(_product(world, _HALTED, gone, time) | {"trading_disabled": True, "status": "delisted"})
        return answer({"products": rows, "num_products": len(rows)}, headers={"cache-control": "public, max-age=1"})

    return Host(
        routes=[
            Route("/products/{id}/ticker", ticker),
            Route("/products/{id}/stats", stats),
            Route("/api/v3/brokerage/market/products", listed),
        ],
        figures=("price", "last"),
        examples=("/products/BTC-USD/ticker", "/api/v3/brokerage/market/products?product_ids=BTC-USD"),
        not_found=_NOT_FOUND,
        too_many={"message": "Public rate limit exceeded"},
        server_error={"message": "Internal server error"},
        error_in_200={"message": "Public rate limit exceeded"},
    )


def _product(world: World, product: str, coin: Coin, time: float) -> dict[str, Any]:
    """One row of Advanced Trade's list, with the fields of every spot product."""
    market = world.market
    base, _, quote = product.partition("-")
    day = market.range(coin, time, "coinbase")
    price = market.price(coin, time, "coinbase")
    volume = market.volume(coin, time) * _SHARE
    step = "0.01" if price >= 100 else "0.00001" if price >= 1 else "0.0000000001"
    return {
        "product_id": product,
        "price": _text(price),
        "price_percentage_change_24h": f"{(price / day.open - 1) * 100:.14f}",
        "volume_24h": f"{volume / price:.8f}",
        "volume_percentage_change_24h": f"{market.wave(f'coinbase/{coin.id}', 3600.0, time) * 30:.14f}",
        "base_increment": "0.00000001",
        "quote_increment": step,
        "quote_min_size": "1",
        "quote_max_size": "150000000",
        "base_min_size": "0.00000001",
        "base_max_size": "3400",
        "base_name": coin.name,
        "quote_name": "US Dollar",
        "watched": False,
        "is_disabled": False,
        "new": False,
        "status": "online",
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "trading_disabled": False,
        "auction_mode": False,
        "product_type": "SPOT",
        "quote_currency_id": quote,
        "base_currency_id": base,
        "fcm_trading_session_details": None,
        "mid_market_price": "",
        "alias": "",
        "alias_to": [f"{base}-USDC"],
        "base_display_symbol": base,
        "quote_display_symbol": quote,
        "view_only": False,
        "price_increment": step,
        "display_name": f"{base}-{quote}",
        "product_venue": "CBE",
        "approximate_quote_24h_volume": f"{volume:.2f}",
        "new_at": None,
    }


def _text(price: float) -> str:
    """A price as text: two decimals for expensive coins, more for cheap ones."""
    return f"{price:.{2 if price >= 100 else 5 if price >= 1 else 10}f}"
