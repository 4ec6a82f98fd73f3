"""CoinPaprika v1: https://docs.coinpaprika.com"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.host import Host, World, answer, whole
from simulator.world.clock import iso
from simulator.world.coins import Coin

_CHANGES = {"15m": 0.25, "30m": 0.5, "1h": 1, "6h": 6, "12h": 12, "24h": 24, "7d": 168, "30d": 720, "1y": 8760}


def host(world: World) -> Host:
    """api.coinpaprika.com."""
    market, clock = world.market, world.clock

    async def tickers(request: Request) -> Response:
        time = clock.now()
        limit = whole(request.query_params.get("limit"), len(market.coins), 1, 10_000)
        rows = [_ticker(world, coin, rank, time) for rank, coin in enumerate(market.ranked(time)[:limit], 1)]
        return answer(rows)

    async def ticker(request: Request) -> Response:
        time = clock.now()
        for rank, coin in enumerate(market.ranked(time), 1):
            if coin.paprika_id == request.path_params["id"]:
                return answer(_ticker(world, coin, rank, time))
        return answer({"error": "id not found"}, 404)

    async def global_figures(request: Request) -> Response:
        time = clock.now()
        caps = [market.market_cap(coin, time) for coin in market.coins]
        total, before = sum(caps), sum(market.market_cap(coin, time - 86_400) for coin in market.coins)
        volume = sum(market.volume(coin, time) for coin in market.coins)
        volume_before = sum(market.volume(coin, time - 86_400) for coin in market.coins)
        bitcoin = market.market_cap(market.by_id["bitcoin"], time)
        cap_high, volume_high = total * 2, volume * 4
        body = {
            "market_cap_usd": int(total),
            "volume_24h_usd": int(volume),
            "bitcoin_dominance_percentage": round(bitcoin / total * 100, 2),
            "cryptocurrencies_number": len(caps),
            "market_cap_ath_value": int(cap_high),
            "market_cap_ath_date": "2025-10-07T04:00:00Z",
            "volume_24h_ath_value": int(volume_high),
            "volume_24h_ath_date": "2021-05-02T17:00:00Z",
            "volume_24h_percent_from_ath": round((volume / volume_high - 1) * 100, 2),
            "volume_24h_percent_to_ath": round((volume_high / volume - 1) * 100, 2),
            "market_cap_change_24h": round((total / before - 1) * 100, 2),
            "volume_24h_change_24h": round((volume / volume_before - 1) * 100, 2),
            "last_updated": int(time),
        }
        return answer(body)

    return Host(
        routes=[
            Route("/v1/tickers", tickers),
            Route("/v1/tickers/{id}", ticker),
            Route("/v1/global", global_figures),
        ],
        figures=("price", "market_cap_usd"),
        examples=("/v1/tickers?quotes=USD",),
        not_found={"error": "not found"},
        too_many={"error": "too many requests"},
        server_error={"error": "internal server error"},
        error_in_200={"error": "id not found"},
    )


def _ticker(world: World, coin: Coin, rank: int, time: float) -> dict[str, Any]:
    """One coin of /tickers, keys in the recorded order."""
    market = world.market
    price = market.price(coin, time, "coinpaprika")
    volume = market.volume(coin, time)
    day = market.change(coin, time)
    usd = {
        "price": price,
        "volume_24h": volume,
        "volume_24h_change_24h": round((volume / market.volume(coin, time - 86_400) - 1) * 100, 2),
        "market_cap": int(price * coin.supply),
        "market_cap_change_24h": round(day, 2),
        **{
            f"percent_change_{name}": round(market.change(coin, time, hours * 3600), 2)
            for name, hours in _CHANGES.items()
        },
        "ath_price": coin.price * 3,
        "ath_date": "2021-11-10T14:24:11Z",
        "percent_from_price_ath": round((price / (coin.price * 3) - 1) * 100, 2),
    }
    return {
        "id": coin.paprika_id,
        "name": coin.name,
        "symbol": coin.symbol.upper(),
        "rank": rank,
        "circulating_supply": int(coin.supply),
        "total_supply": int(coin.total_supply or 0),  # 0 means unknown
        "max_supply": int(coin.max_supply or 0),
        "beta_value": coin.volatility,
        "first_data_at": "2010-07-17T00:00:00Z",
        "last_updated": iso(time, "seconds"),
        "quotes": {"USD": usd},
    }
