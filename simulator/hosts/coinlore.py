"""CoinLore: https://www.coinlore.com/cryptocurrency-data-api

Figures are strings, except `rank` and the volumes of /tickers/.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.host import Host, World, answer, whole
from simulator.world.coins import Coin


def host(world: World) -> Host:
    """api.coinlore.net."""
    market, clock = world.market, world.clock

    async def tickers(request: Request) -> Response:
        time = clock.now()
        query = request.query_params
        start = whole(query.get("start"), 0, 0, 100_000)
        limit = whole(query.get("limit"), 100, 1, 100)
        rows = [_row(world, coin, rank, time) for rank, coin in enumerate(market.ranked(time), 1)]
        for row in rows:
            volume = row.pop("volume24")
            supplies = {name: row.pop(name) for name in ("csupply", "tsupply", "msupply")}
            row.update(volume24=volume, volume24a=volume * 1.1, **supplies)
        return answer({"data": rows[start : start + limit], "info": {"coins_num": len(rows), "time": int(time)}})

    async def ticker(request: Request) -> Response:
        time = clock.now()
        wanted = request.query_params.get("id", "").split(",")
        rows = []
        for rank, coin in enumerate(market.ranked(time), 1):
            if coin.coinlore_id in wanted:
                row = _row(world, coin, rank, time)
                row["volume24_native"] = f"{row['volume24'] / market.price(coin, time):.2f}"
                row["volume24"] = f"{row['volume24']:.2f}"
                rows.append(row)
        return answer(rows)

    async def global_figures(request: Request) -> Response:
        time = clock.now()
        total = sum(market.market_cap(coin, time) for coin in market.coins)
        before = sum(market.market_cap(coin, time - 86_400) for coin in market.coins)
        volume = sum(market.volume(coin, time) for coin in market.coins)
        change = f"{(total / before - 1) * 100:.2f}"
        row = {
            "coins_count": len(market.coins),
            "active_markets": 36_000,
            "total_mcap": total,
            "total_volume": volume,
            "btc_d": f"{market.market_cap(market.by_id['bitcoin'], time) / total * 100:.2f}",
            "eth_d": f"{market.market_cap(market.by_id['ethereum'], time) / total * 100:.2f}",
            "mcap_change": change,
            "volume_change": "0.00",
            "avg_change_percent": change,
            "volume_ath": volume * 4,
            "mcap_ath": total * 2,
        }
        return answer([row])

    return Host(
        routes=[
            Route("/api/tickers/", tickers),
            Route("/api/ticker/", ticker),
            Route("/api/global/", global_figures),
        ],
        figures=("price_usd", "total_mcap"),
        examples=("/api/tickers/",),
        not_found={"error": "not found"},
        too_many={"error": "too many requests"},
        server_error={"error": "internal server error"},
        error_in_200={"error": "temporarily unavailable"},
    )


def _row(world: World, coin: Coin, rank: int, time: float) -> dict[str, Any]:
    """Fields of both ticker forms. `volume24` is a number here; only /ticker/ turns it into a string."""
    market = world.market
    price = market.price(coin, time, "coinlore")
    bitcoin = market.price(market.by_id["bitcoin"], time, "coinlore")
    return {
        "id": coin.coinlore_id,
        "symbol": coin.symbol.upper(),
        "name": coin.name,
        "nameid": coin.coinlore_slug,
        "rank": rank,
        # Two decimals from a dollar on; below that as many as the price needs.
        "price_usd": f"{price:.2f}" if price >= 1 else f"{price:.10f}".rstrip("0"),
        "percent_change_24h": f"{market.change(coin, time):.2f}",
        "percent_change_1h": f"{market.change(coin, time, 3600):.2f}",
        "percent_change_7d": f"{market.change(coin, time, 604_800):.2f}",
        "price_btc": f"{price / bitcoin:.2f}" if coin.id == "bitcoin" else f"{price / bitcoin:.10f}",
        "market_cap_usd": f"{price * coin.supply:.2f}",
        "volume24": market.volume(coin, time),
        "csupply": f"{coin.supply:.2f}",
        "tsupply": f"{coin.total_supply or coin.supply:.0f}",
        "msupply": "" if coin.max_supply is None else f"{coin.max_supply:.0f}",
    }
