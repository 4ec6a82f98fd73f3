"""mempool.space: https://mempool.space/docs/api/rest

The real service answers rate limits with an HTML page; here that is the fault `429_html`.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from simulator.host import Host, World, answer
from simulator.hosts.esplora import block_row, core
from simulator.world.bitcoin import REWARD, Bitcoin, Block
from simulator.world.market import DAY

_RETARGET = 2016
_CURRENCIES = {"USD": 1.0, "EUR": 0.86, "GBP": 0.75, "CAD": 1.4, "CHF": 0.8, "AUD": 1.52, "JPY": 155.0}


def host(world: World) -> Host:
    """mempool.space."""
    chain, clock = Bitcoin(world.market), world.clock

    async def fees(request: Request) -> Response:
        rates = chain.fees(clock.now())
        fast, half, hour = (max(1, round(rate)) for rate in (rates.fast, rates.medium, rates.slow))
        return answer(_fees(fast, half, hour, max(1, hour // 2), 1))

    async def precise_fees(request: Request) -> Response:
        rates = chain.fees(clock.now())
        fast, half, hour = (round(rate, 3) for rate in (rates.fast, rates.medium, rates.slow))
        return answer(_fees(fast, half, hour, round(hour / 2, 3), 0.1))

    async def blocks(request: Request) -> Response:
        newest = min(request.path_params.get("height", 10**9), chain.height(clock.now()))
        return answer([_block(chain.block(height)) for height in range(newest, newest - 15, -1)])

    async def adjustment(request: Request) -> Response:
        time = clock.now()
        height = chain.height(time)
        done = height % _RETARGET
        next_height = height - done + _RETARGET
        spent = (time - chain.time_of(height - done)) / max(1, done) * 1000
        left = next_height - height
        body = {
            "progressPercent": done / _RETARGET * 100,
            "difficultyChange": (600_000 / spent - 1) * 100 if spent else 0.0,
            "estimatedRetargetDate": int(time * 1000 + left * spent),
            "remainingBlocks": left,
            "remainingTime": int(left * spent),
            "previousRetarget": (chain.difficulty(time) / chain.difficulty(time - _RETARGET * 600) - 1) * 100,
            "nextRetargetHeight": next_height,
            "timeAvg": int(spent),
            "adjustedTimeAvg": int(spent),
            "timeOffset": 0,
        }
        return answer(body)

    async def hashrate(request: Request) -> Response:
        time = clock.now()
        days = [time // DAY * DAY - back * DAY for back in (2, 1, 0)]
        body = {
            "hashrates": [{"timestamp": int(day), "avgHashrate": int(chain.hashrate(day))} for day in days],
            "difficulty": [],
            "currentHashrate": int(chain.hashrate(time)),
            "currentDifficulty": chain.difficulty(time),
        }
        return answer(body)

    async def prices(request: Request) -> Response:
        time = clock.now()
        price = chain.price(time)
        return answer({"time": int(time), **{name: round(price * rate) for name, rate in _CURRENCIES.items()}})

    async def summary(request: Request) -> Response:
        found = chain.height_of(request.path_params["hash"], clock.now())
        if found is None:
            return PlainTextResponse("Block not found", 404)
        rows = [
            {
                "txid": tx.txid,
                "fee": tx.fee,
                "vsize": tx.vsize,
                "value": sum(output.sats for output in tx.outputs),
                "rate": tx.fee / tx.vsize,
                "flags": 0,
            }
            for tx in chain.block(found).transactions
        ]
        return answer(rows)

    return Host(
        routes=[
            *core(world, "/api"),
            Route("/api/v1/fees/recommended", fees),
            Route("/api/v1/fees/precise", precise_fees),
            Route("/api/v1/blocks", blocks),
            Route("/api/v1/blocks/{height:int}", blocks),
            Route("/api/v1/difficulty-adjustment", adjustment),
            Route("/api/v1/mining/hashrate/3d", hashrate),
            Route("/api/v1/prices", prices),
            Route("/api/v1/block/{hash}/summary", summary),
        ],
        figures=("fastestFee", "currentHashrate", "height", "count", "value"),
        heights=("height",),
        examples=("/api/v1/fees/precise", "/api/v1/fees/recommended"),
        not_found={"error": "Not Found"},
        too_many={"error": "Too Many Requests"},
        server_error={"error": "Internal Server Error"},
        error_in_200={"error": "Failed to get data from the backend"},
    )


def _block(block: Block) -> dict[str, Any]:
    """One block of /v1/blocks, keys in the recorded order; `extras` has only the fields that a simulated block has."""
    spending = block.transactions[1:]
    total = sum(tx.fee for tx in spending)
    rates = sorted(tx.fee / tx.vsize for tx in spending)
    middle = rates[len(rates) // 2]
    extras = {
        "reward": REWARD + total,
        "orphans": [],
        "medianFee": middle,
        "feeRange": [rates[0], middle, rates[-1]],
        "totalFees": total,
        "avgFee": total // len(spending),
        "avgFeeRate": round(sum(rates) / len(rates)),
        "totalInputs": sum(len(tx.inputs) for tx in spending),
        "totalOutputs": sum(len(tx.outputs) for tx in block.transactions),
        "totalOutputAmt": sum(output.sats for tx in block.transactions for output in tx.outputs),
        "feePercentiles": None,
        "virtualSize": sum(tx.vsize for tx in block.transactions),
        "coinbaseAddress": block.transactions[0].outputs[0].address,
        "utxoSetSize": None,
        "pool": {"id": 0, "name": "Unknown", "slug": "unknown", "minerNames": None},
        "firstSeen": None,
    }
    return {**block_row(block), "stale": False, "extras": extras}


def _fees(fast: float, half: float, hour: float, economy: float, minimum: float) -> dict[str, float]:
    """Rates in sat/vB."""
    return {"fastestFee": fast, "halfHourFee": half, "hourFee": hour, "economyFee": economy, "minimumFee": minimum}
