"""Blockchair: https://github.com/Blockchair/Blockchair.Support/blob/master/API_DOCUMENTATION_EN.md"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.host import Host, World, answer
from simulator.world.bitcoin import Bitcoin
from simulator.world.clock import iso
from simulator.world.ethereum import Ethereum

_KNOWN = frozenset({"key"})
"""Query parameters that /stats has; any other is refused."""


def host(world: World) -> Host:
    """api.blockchair.com."""
    clock = world.clock

    async def bitcoin(request: Request) -> Response:
        return _reply(request, _bitcoin(world, clock.now()), clock.now())

    async def ethereum(request: Request) -> Response:
        return _reply(request, _ethereum(world, clock.now()), clock.now())

    async def every(request: Request) -> Response:
        time = clock.now()
        data = {"bitcoin": {"data": _bitcoin(world, time)}, "ethereum": {"data": _ethereum(world, time)}}
        return _reply(request, data, time)

    return Host(
        routes=[Route("/stats", every), Route("/bitcoin/stats", bitcoin), Route("/ethereum/stats", ethereum)],
        figures=("best_block_height", "transactions_24h"),
        heights=("best_block_height",),
        examples=("/bitcoin/stats",),
        not_found=_failed(404, "Unknown endpoint"),
        too_many=_failed(402, "Limit is reached: buy an API key, or wait"),
        server_error=_failed(500, "Internal server error"),
        error_in_200=_failed(430, "Your IP is blocked"),
    )


def _failed(code: int, error: str) -> dict[str, Any]:
    return {"data": None, "context": {"code": code, "error": error}}


def _reply(request: Request, data: dict[str, Any], time: float) -> Response:
    if unknown := sorted(set(request.query_params) - _KNOWN):
        return answer(_failed(400, f"Unknown query parameter: {unknown[0]}"), 400)
    cache = {"live": True, "duration": 70, "since": _stamp(time), "until": _stamp(time + 70)}
    return answer({"data": data, "context": {"code": 200, "cache": cache, "request_cost": 1}})


def _bitcoin(world: World, time: float) -> dict[str, Any]:
    chain = Bitcoin(world.market)
    height = chain.height(time)
    fees, mempool, price = chain.fees(time), chain.mempool(time), chain.price(time)
    return {
        "blocks": height + 1,
        "circulation": chain.supply(time),
        "blocks_24h": chain.blocks_24h(time),
        "transactions_24h": chain.transactions_24h(time),
        "difficulty": chain.difficulty(time),
        "mempool_transactions": mempool.count,
        "mempool_size": mempool.vsize,
        "mempool_total_fee_usd": round(mempool.total_fee / 1e8 * price, 4),
        "best_block_height": height,
        "best_block_hash": chain.hash_of(height),
        "best_block_time": _stamp(chain.time_of(height)),
        "hashrate_24h": str(int(chain.hashrate(time))),
        "market_price_usd": round(price),
        "market_price_btc": 1,
        "market_cap_usd": round(price * chain.supply(time) / 1e8),
        "countdowns": [],
        "suggested_transaction_fee_per_byte_sat": round(fees.fast),
    }


def _ethereum(world: World, time: float) -> dict[str, Any]:
    chain, coin = Ethereum(world.market), world.market.by_id["ethereum"]
    height = chain.height(time)
    gwei = chain.gas_price(time) / 1e9
    shares = {"sloth": 0.8, "slow": 0.9, "normal": 1.0, "fast": 1.1, "cheetah": 1.4}
    return {
        "blocks": height + 1,
        "transactions_24h": chain.transactions_24h(time),
        "best_block_height": height,
        "mempool_median_gas_price": chain.gas_price(time),
        "market_price_usd": round(world.market.price(coin, time), 2),
        "suggested_transaction_fee_gwei_options": {name: round(gwei * share, 3) for name, share in shares.items()},
    }


def _stamp(time: float) -> str:
    """UTC, without a zone."""
    return iso(time, "seconds").replace("T", " ").removesuffix("Z")
