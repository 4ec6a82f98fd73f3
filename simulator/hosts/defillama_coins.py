"""DefiLlama's coin prices: https://api-docs.defillama.com/#tag/coins"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.host import Host, World, answer, significant

_PREFIX = "coingecko:"


def host(world: World) -> Host:
    """coins.llama.fi. Tokens by contract (`ethereum:0x...`) are not simulated and count as unknown."""

    async def current(request: Request) -> Response:
        market, time = world.market, world.clock.now()
        coins = {}
        for name in request.path_params["coins"].split(","):
            coin = market.by_id.get(name.removeprefix(_PREFIX)) if name.startswith(_PREFIX) else None
            if coin is not None:
                coins[name] = {
                    "price": significant(market.price(coin, time, "defillama")),
                    "symbol": coin.symbol.upper(),
                    "timestamp": int(time),
                    "confidence": 0.99,
                }
        return answer({"coins": coins})

    return Host(
        routes=[Route("/prices/current/{coins:path}", current)],
        figures=("price",),
        examples=("/prices/current/coingecko:bitcoin",),
        not_found={"message": "Not Found"},
        too_many={"message": "Too Many Requests"},
        server_error={"message": "Internal server error"},
        error_in_200={"coins": {}},
    )
