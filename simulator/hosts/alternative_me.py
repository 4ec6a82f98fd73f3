"""alternative.me, the Crypto Fear & Greed Index: https://alternative.me/crypto/fear-and-greed-index/#api"""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.host import Host, World, whole
from simulator.world.crowd import Crowd
from simulator.world.market import DAY

_MOST = 400
"""Days for `limit=0`, which means all; the real index begins in February 2018."""
_CLASSES = ((25, "Extreme Fear"), (46, "Fear"), (54, "Neutral"), (75, "Greed"), (100, "Extreme Greed"))
"""The highest value of each class, as recorded."""


def host(world: World) -> Host:
    """api.alternative.me."""
    crowd, clock = Crowd(world.market), world.clock

    async def fng(request: Request) -> Response:
        now = clock.now()
        midnight = now // DAY * DAY
        count = whole(request.query_params.get("limit"), 1, 0, _MOST) or _MOST
        days: list[dict[str, str]] = []
        for number in range(count):
            value = crowd.greed(midnight - number * DAY)
            days.append(
                {
                    "value": str(value),
                    "value_classification": next(name for most, name in _CLASSES if value <= most),
                    "timestamp": str(int(midnight - number * DAY)),
                }
            )
        days[0]["time_until_update"] = str(int(midnight + DAY - now))
        body = {"name": "Fear and Greed Index", "data": days, "metadata": {"error": None}}
        return Response(json.dumps(body, indent="\t"), headers={"content-type": "application/json"})

    return Host(
        routes=[Route("/fng/", fng)],
        figures=("value",),
        examples=("/fng/?limit=2",),
        not_found=_failed("Not found"),
        too_many=_failed("Too many requests"),
        server_error=_failed("Internal server error"),
        error_in_200=_failed("Rate limit reached"),
    )


def _failed(error: str) -> dict[str, Any]:
    return {"name": "Fear and Greed Index", "data": [], "metadata": {"error": error}}
