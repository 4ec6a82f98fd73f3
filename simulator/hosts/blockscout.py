"""Blockscout of Ethereum: https://docs.blockscout.com/devs/apis/rest"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.host import Host, World, answer
from simulator.world.clock import iso
from simulator.world.ethereum import Ethereum
from simulator.world.market import DAY

_BLOCKS = 50  # blocks whose use of gas is averaged: ten minutes
_DAYS = 30  # points of the chart
_HEADERS = {"x-ratelimit-limit": "180", "x-ratelimit-remaining": "179", "x-ratelimit-reset": "30000"}


def host(world: World) -> Host:
    """eth.blockscout.com, and api.blockscout.com, which has the number of the chain in its paths."""
    market, clock = world.market, world.clock
    chain, coin = Ethereum(market), market.by_id["ethereum"]

    async def stats(request: Request) -> Response:
        time = clock.now()
        gwei = chain.gas_price(time) / 1e9
        body = {
            "average_block_time": 12_000.0,
            "coin_image": None,
            "coin_price": f"{market.price(coin, time):.2f}",
            "coin_price_change_percentage": round(market.change(coin, time), 2),
            "gas_price_updated_at": iso(time),
            "gas_prices": {"slow": round(gwei * 0.9, 2), "average": round(gwei, 2), "fast": round(gwei * 1.2, 2)},
            "gas_prices_update_in": 16_912,
            "market_cap": f"{market.market_cap(coin, time):.3f}",
            "network_utilization_percentage": _utilization(chain, time),
            "static_gas_price": None,
            "total_blocks": str(chain.height(time) - 1000),  # an estimate: not the height
            # The last whole day, despite the name.
            "transactions_today": str(chain.transactions_24h(time // DAY * DAY)),
            "tvl": None,
        }
        return answer(body, headers=_HEADERS)

    async def chart(request: Request) -> Response:
        today = clock.now() // DAY * DAY
        days = [today - DAY * ago for ago in range(1, _DAYS + 1)]  # whole days, the newest first
        points = [{"date": iso(day)[:10], "transactions_count": chain.transactions_24h(day + DAY)} for day in days]
        return answer({"chart_data": points}, headers=_HEADERS)

    charts = "/api/v2/stats/charts/transactions"
    return Host(
        routes=[
            *(Route("/api/v2/stats", stats), Route("/1/api/v2/stats", stats)),
            *(Route(charts, chart), Route(f"/1{charts}", chart)),
        ],
        figures=("transactions_today", "transactions_count"),
        examples=("/api/v2/stats",),
        not_found={"message": "Not found"},
        too_many={"message": "Too many requests"},
        server_error={"message": "Internal server error"},
        error_in_200={"message": "Something went wrong"},
        headers=_HEADERS,
    )


def _utilization(chain: Ethereum, time: float) -> float:
    """Percent of the newest blocks' gas limit that their transactions used."""
    newest = range(chain.height(time) - _BLOCKS + 1, chain.height(time) + 1)
    used = sum(chain.gas_used(number) for number in newest)
    return round(100 * used / _BLOCKS / chain.network.gas_limit, 3)
