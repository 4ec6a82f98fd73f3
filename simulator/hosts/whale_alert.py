"""Whale Alert, API v1: https://docs.whale-alert.io

Any key is accepted, but one is required. It reports the large transfers in Bitcoin's blocks, and some on Tron, which no
other host has. A cursor is the number of transfers on the previous pages.
"""

from __future__ import annotations

import hashlib
from random import Random
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator.host import Host, World, answer, whole
from simulator.world.bitcoin import EXCHANGES, Bitcoin

_SLOT = 20
"""Seconds per slot; each slot has at most one large transfer on Tron."""
_BACK = 3600
"""Seconds that the free plan looks back."""
_PAGE = 100
_CHAINS = {"bitcoin": ["btc"], "tron": ["trx", "usdt"]}
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def host(world: World) -> Host:
    """api.whale-alert.io."""
    bitcoin = Bitcoin(world.market)

    def refused(request: Request) -> Response | None:
        if request.headers.get("x-wa-api-key") or request.query_params.get("api_key"):
            return None
        # As recorded: JSON labelled as plain text.
        body = {"result": "error", "message": "invalid api_key"}
        return JSONResponse(body, 401, headers={"content-type": "text/plain; charset=utf-8"})

    async def status(request: Request) -> Response:
        chains = [{"name": name, "symbols": symbols, "status": "connected"} for name, symbols in _CHAINS.items()]
        body = {"result": "success", "blockchain_count": len(chains), "blockchains": chains}
        return refused(request) or answer(body)

    async def transactions(request: Request) -> Response:
        query = request.query_params
        if (no := refused(request)) is not None:
            return no
        now = world.clock.now()
        start = float(query.get("start") or 0)
        if start < now - _BACK:
            return answer({"result": "error", "message": "value out of range for start parameter"}, 400)
        least = whole(query.get("min_value"), 500_000, 500_000, 10**9)
        rows = [*_tron(world, start, now), *_bitcoin(bitcoin, start, now)]
        rows = sorted((row for row in rows if row["amount_usd"] >= least), key=lambda row: row["timestamp"])
        skip, limit = whole(query.get("cursor"), 0, 0, 10**6), whole(query.get("limit"), _PAGE, 1, _PAGE)
        page = rows[skip : skip + limit]
        found = {"result": "success", "cursor": str(skip + len(page)), "count": len(page)}
        return answer({**found, "transactions": page} if page else found)

    return Host(
        routes=[Route("/v1/status", status), Route("/v1/transactions", transactions)],
        figures=("amount_usd", "count"),
        examples=("/v1/transactions?api_key=any&start=9999999999",),
        not_found={"result": "error", "message": "not found"},
        too_many={"result": "error", "message": "usage limit reached"},
        server_error={"result": "error", "message": "internal server error"},
        error_in_200={"result": "error", "message": "invalid api_key"},
    )


def _tron(world: World, start: float, now: float) -> list[dict[str, Any]]:
    rows = []
    price = world.market.price(world.market.by_id["tether"], now)
    for slot in range(int(start) // _SLOT, int(now) // _SLOT + 1):
        random = Random(f"{world.market.seed}/tron/{slot}")
        time = slot * _SLOT + random.randrange(_SLOT)
        if not start <= time <= now or random.random() < 0.5:
            continue
        amount = round(6e5 * 100 ** (random.random() ** 2), 2)
        sender, to = (_address(random) for _ in range(2))
        tx_hash = hashlib.sha256(f"{world.market.seed}/tron/{slot}".encode()).hexdigest()
        rows.append(_row("tron", "usdt", tx_hash, sender, to, time, amount, amount * price))
    return rows


def _bitcoin(chain: Bitcoin, start: float, now: float) -> list[dict[str, Any]]:
    rows = []
    height = chain.height(now)
    while (block := chain.block(height)).time >= start:
        for tx in block.transactions[1:]:
            payers = {spent.address for spent in tx.inputs}
            paid = [output for output in tx.outputs if output.address not in payers]
            amount = sum(output.sats for output in paid) / 1e8
            if paid:
                usd, parties = amount * chain.price(now), (tx.inputs[0].address, paid[0].address)
                rows.append(_row("bitcoin", "btc", tx.txid, *parties, int(block.time), amount, usd))
        height -= 1
    return rows


def _row(
    chain: str, symbol: str, tx_hash: str, sender: str | None, to: str | None, time: int, amount: float, usd: float
) -> dict[str, Any]:
    return {
        "blockchain": chain,
        "symbol": symbol,
        "id": str(int(tx_hash[:12], 16)),
        "transaction_type": "transfer",
        "hash": tx_hash,
        "from": _party(sender),
        "to": _party(to),
        "timestamp": time,
        "amount": amount,
        "amount_usd": round(usd, 2),
        "transaction_count": 1,
    }


def _party(address: str | None) -> dict[str, str]:
    if address is None:
        return {"owner": "unknown", "owner_type": "unknown"}
    if address in EXCHANGES or address[-1] < "F":  # also a quarter of Tron's
        return {"address": address, "owner": "binance", "owner_type": "exchange"}
    return {"address": address, "owner": "unknown", "owner_type": "unknown"}


def _address(random: Random) -> str:
    return "T" + "".join(random.choices(_ALPHABET, k=33))
