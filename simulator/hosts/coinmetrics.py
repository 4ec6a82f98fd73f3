"""Coin Metrics' community API: https://docs.coinmetrics.io/api-reference

Only the number of active addresses per day. The newest day is yesterday. The bodies of errors follow its documentation.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.host import Host, World, answer, whole
from simulator.world.bitcoin import Bitcoin
from simulator.world.clock import iso
from simulator.world.ethereum import Ethereum
from simulator.world.market import DAY

_METRIC = "AdrActCnt"


def host(world: World) -> Host:
    """community-api.coinmetrics.io."""
    clock = world.clock
    bitcoin, ethereum = Bitcoin(world.market), Ethereum(world.market)

    def count(asset: str, day: float) -> int:
        transactions = bitcoin.transactions_24h if asset == "btc" else ethereum.transactions_24h
        return round(transactions(day + DAY) * (1.4 if asset == "btc" else 0.35))

    async def metrics(request: Request) -> Response:
        query = request.query_params
        assets = query.get("assets", "").split(",")
        for asset in assets:
            if asset not in ("btc", "eth"):
                return answer(
                    _error("bad_parameter", f"Bad parameter 'assets'. Value '{asset}' is not supported."), 400
                )
        if query.get("metrics") != _METRIC:
            return answer(_error("forbidden", "Requested metric is not available with supplied credentials."), 403)
        midnight = clock.now() // DAY * DAY
        days = range(whole(query.get("limit_per_asset"), 100, 1, 100), 0, -1)
        rows = [
            {
                "asset": asset,
                "time": iso(midnight - back * DAY, "microseconds").replace("Z", "000Z"),
                _METRIC: str(count(asset, midnight - back * DAY)),
            }
            for asset in assets
            for back in days
        ]
        return answer({"data": rows})

    return Host(
        routes=[Route("/v4/timeseries/asset-metrics", metrics)],
        figures=(_METRIC,),
        examples=(f"/v4/timeseries/asset-metrics?assets=btc&metrics={_METRIC}&frequency=1d&limit_per_asset=1",),
        not_found=_error("not_found", "The requested resource was not found."),
        too_many=_error("too_many_requests", "Rate limit exceeded."),
        server_error=_error("internal_server_error", "Internal server error."),
        error_in_200=_error("too_many_requests", "Rate limit exceeded."),
    )


def _error(kind: str, message: str) -> dict[str, dict[str, str]]:
    return {"error": {"type": kind, "message": message}}
