"""blockchain.com: https://www.blockchain.com/explorer/api

blockchain.info has the chain, api.blockchain.info statistics and charts; here each name has both. A wrong path returns
an HTML page. Three figures of /stats are wrong in the same way as the real ones.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from simulator.host import Host, World, answer
from simulator.world.bitcoin import REWARD, Bitcoin, Block, Output, Transaction
from simulator.world.market import DAY

_CHARTS = {
    "n-unique-addresses": ("Number Of Unique Addresses Used", "Addresses"),
    "n-transactions": ("Confirmed Transactions Per Day", "Transactions"),
    "transaction-fees": ("Total Transaction Fees", "BTC"),
    "transaction-fees-usd": ("Total Transaction Fees (USD)", "USD"),
    "hash-rate": ("Hash Rate", "Hash Rate TH/s"),
    "estimated-transaction-volume-usd": ("Estimated USD Transaction Value", "USD"),
}
_CACHED = {"cache-control": "public, max-age=14400"}
_LOST = "<!DOCTYPE html><html><head><title>Blockchain.com - Page not found</title></head><body></body></html>"


def host(world: World) -> Host:
    """blockchain.info, and api.blockchain.info."""
    chain, clock = Bitcoin(world.market), world.clock

    async def stats(request: Request) -> Response:
        time = clock.now()
        price, blocks = chain.price(time), chain.blocks_24h(time)
        height = chain.height(time)
        body = {
            "timestamp": float(int(time * 1000)),
            "market_price_usd": round(price, 2),
            "hash_rate": chain.hashrate(time) / 1e9,
            "total_fees_btc": -80_000_000_000,  # as recorded
            "n_btc_mined": blocks * REWARD,
            "n_tx": chain.transactions_24h(time),
            "n_blocks_mined": blocks,
            "minutes_between_blocks": round(1440 / blocks, 4),
            "totalbc": chain.supply(time),
            "n_blocks_total": height + 1,
            "estimated_transaction_volume_usd": _sent(chain, time) / 1e8 * price,
            "blocks_size": 160_000_000,
            "miners_revenue_usd": 0.0,
            "nextretarget": height - height % 2016 + 2015,
            "difficulty": chain.difficulty(time),
            "estimated_btc_sent": _sent(chain, time),
            "miners_revenue_btc": 0,
            "total_btc_sent": _sent(chain, time) * 3,
            "trade_volume_btc": 0.0,
            "trade_volume_usd": 0.0,
        }
        return answer(body)

    async def ticker(request: Request) -> Response:
        price = round(chain.price(clock.now()), 2)
        return answer({"USD": {"15m": price, "last": price, "buy": price, "sell": price, "symbol": "USD"}})

    async def block_count(request: Request) -> Response:
        return PlainTextResponse(str(chain.height(clock.now())))

    async def latest(request: Request) -> Response:
        block = chain.block(chain.height(clock.now()))
        indexes = [_index(tx) for tx in block.transactions]
        head = {"hash": block.hash, "time": int(block.time), "block_index": block.height, "height": block.height}
        return answer({**head, "txIndexes": indexes})

    async def raw_block(request: Request) -> Response:
        found = chain.height_of(request.path_params["hash"], clock.now())
        if found is None:
            return answer({"error": "not-found-or-invalid-arg", "message": "Item not found or argument invalid"}, 404)
        return answer(_block(chain, chain.block(found), newest=chain.height(clock.now())))

    async def unconfirmed(request: Request) -> Response:
        return answer({"txs": [_transaction(tx, None) for tx in chain.waiting(clock.now())[:100]]})

    async def chart(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _CHARTS:
            return HTMLResponse(_LOST, 404)
        title, unit = _CHARTS[name]
        midnight = clock.now() // DAY * DAY
        points = [
            {"x": int(midnight - back * DAY), "y": _figure(chain, name, midnight - back * DAY)}
            for back in range(30, 0, -1)
        ]
        body = {"status": "ok", "name": title, "unit": unit, "period": "day", "description": title, "values": points}
        return answer(body, headers=_CACHED)

    return Host(
        routes=[
            Route("/stats", stats),
            Route("/ticker", ticker),
            Route("/q/getblockcount", block_count),
            Route("/latestblock", latest),
            Route("/rawblock/{hash}", raw_block),
            Route("/unconfirmed-transactions", unconfirmed),
            Route("/charts/{name}", chart),
        ],
        figures=("hash_rate", "height", "y", "value", "last", "n_tx"),
        heights=("height",),
        examples=(
            "/latestblock",
            "/stats",
        ),
        not_found={"error": "not-found-or-invalid-arg", "message": "Item not found or argument invalid"},
        too_many={"error": "rate-limited", "message": "Too many requests"},
        server_error={"error": "internal-server-error", "message": "Internal server error"},
        error_in_200={"error": "internal-server-error", "message": "Internal server error"},
    )


def _figure(chain: Bitcoin, name: str, day: float) -> float:
    """The point of the day that begins at `day`, computed from the simulated chain."""
    end = day + DAY
    transactions = chain.transactions_24h(end)
    fees = transactions * 400 * chain.fees(end).slow / 1e8
    return {
        "n-unique-addresses": float(round(transactions * 1.7)),
        "n-transactions": float(transactions),
        "transaction-fees": fees,
        "transaction-fees-usd": fees * chain.price(end),
        "hash-rate": chain.hashrate(end) / 1e12,
        "estimated-transaction-volume-usd": _sent(chain, end) / 1e8 * chain.price(end),
    }[name]


def _sent(chain: Bitcoin, time: float) -> int:
    """Estimated sats sent in 24 h: a fixed amount per transaction."""
    return chain.transactions_24h(time) * 200_000_000


def _block(chain: Bitcoin, block: Block, newest: int) -> dict[str, Any]:
    return {
        "hash": block.hash,
        "ver": 0x20000000,
        "prev_block": block.parent,
        "mrkl_root": block.hash[::-1],
        "time": int(block.time),
        "bits": 386_014_917,
        "next_block": [chain.hash_of(block.height + 1)] if block.height < newest else [],
        "fee": sum(tx.fee for tx in block.transactions),
        "nonce": int(block.hash[-8:], 16),
        "n_tx": len(block.transactions),
        "size": sum(tx.vsize for tx in block.transactions) * 2,
        "block_index": block.height,
        "main_chain": True,
        "height": block.height,
        "weight": sum(tx.vsize for tx in block.transactions) * 4,
        "tx": [_transaction(tx, block) for tx in block.transactions],
    }


def _transaction(tx: Transaction, block: Block | None) -> dict[str, Any]:
    height = None if block is None else block.height
    inputs: list[dict[str, Any]] = [
        {"sequence": 0xFFFFFFFD, "witness": "", "script": "", "index": n, "prev_out": _output(tx, n, spent)}
        for n, spent in enumerate(tx.inputs)
    ]
    coinbase = {"sequence": 0xFFFFFFFF, "witness": "", "script": "03f6ca0e", "index": 0, "prev_out": None}
    return {
        "hash": tx.txid,
        "ver": 2,
        "vin_sz": max(1, len(tx.inputs)),
        "vout_sz": len(tx.outputs),
        "size": tx.vsize * 2,
        "weight": tx.vsize * 4,
        "fee": tx.fee,
        "relayed_by": "0.0.0.0",  # noqa: S104 - as recorded
        "lock_time": 0,
        "tx_index": _index(tx),
        "double_spend": False,
        "time": int(tx.arrived),
        "block_index": height,
        "block_height": height,
        "inputs": inputs or [coinbase],
        "out": [_output(tx, n, output) for n, output in enumerate(tx.outputs)],
    }


def _output(tx: Transaction, n: int, output: Output) -> dict[str, Any]:
    row = {
        "type": 0,
        "spent": False,
        "value": output.sats,
        "spending_outpoints": [],
        "n": n,
        "tx_index": _index(tx),
        "script": "" if output.address else "6a24aa21a9ed",
    }
    return row if output.address is None else {**row, "addr": output.address}


def _index(tx: Transaction) -> int:
    return int(tx.txid[:13], 16)
