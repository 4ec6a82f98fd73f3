"""Etherscan V2: https://docs.etherscan.io/introduction

Only the proxy module, for Ethereum. Any key is accepted. A request without a key is refused, with HTTP 200 as for all
its errors.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.host import Host, World, answer
from simulator.world.ethereum import Ethereum


def host(world: World) -> Host:
    """api.etherscan.io."""
    chain, clock = Ethereum(world.market), world.clock

    async def api(request: Request) -> Response:
        query = request.query_params
        if not query.get("apikey"):
            return answer(_error("Missing/Invalid API Key"))
        if query.get("chainid") != "1":
            return answer(_error("Free API access is not supported for this chain."))
        time = clock.now()
        height = chain.height(time)
        block = chain.block(height) if query.get("tag") == "latest" else None
        if block is not None:
            block = block | {"transactions": [transaction["hash"] for transaction in block["transactions"]]}
        figures = {
            "eth_blockNumber": hex(height),
            "eth_gasPrice": hex(chain.gas_price(time)),
            "eth_getBlockByNumber": block,
        }
        if query.get("module") != "proxy" or query.get("action") not in figures:
            return answer(_error("Error! Missing Or invalid Action name"))
        return answer({"jsonrpc": "2.0", "id": 83, "result": figures[query["action"]]})

    limit = _error("Max calls per sec rate limit reached (3/sec)")
    return Host(
        routes=[Route("/v2/api", api)],
        figures=("number", "result"),
        heights=("number",),
        examples=("/v2/api?chainid=1&module=proxy&action=eth_blockNumber&apikey=any",),
        not_found=_error("Error! Missing Or invalid Module name"),
        too_many=limit,
        server_error=_error("Unexpected error"),
        error_in_200=limit,
    )


def _error(text: str) -> dict[str, str]:
    return {"status": "0", "message": "NOTOK", "result": text}
