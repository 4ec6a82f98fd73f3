"""Blockstream's Esplora: https://github.com/Blockstream/esplora/blob/master/API.md

`core` is shared with mempool.space.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from simulator.host import Host, World, answer
from simulator.world.bitcoin import Bitcoin, Block, Output, Transaction

_PAGE = 25
_RECENT = 10
_NOTICE = {
    "message": "Blockstream Explorer API NOTICE: Your request rate exceeds the current limit for unauthenticated use. "
    "Please reduce the number of requests, or register for a plan that fits your needs."
}
"""Also for paths whose answer is plain text."""


def host(world: World) -> Host:
    """blockstream.info."""
    chain, clock = Bitcoin(world.market), world.clock

    async def blocks(request: Request) -> Response:
        newest = chain.height(clock.now())
        return answer([block_row(chain.block(height)) for height in range(newest, newest - 10, -1)])

    async def fee_estimates(request: Request) -> Response:
        fees = chain.fees(clock.now())
        rates = {1: fees.fast, 2: fees.fast, 3: fees.medium, 6: fees.slow, 144: 1.02, 504: 1.01, 1008: 1.0}
        return answer({str(blocks): round(rate, 3) for blocks, rate in rates.items()})

    return Host(
        routes=[
            *core(world, "/api"),
            Route("/api/blocks", blocks),
            Route("/api/fee-estimates", fee_estimates),
        ],
        figures=("height", "count", "1", "value"),
        heights=("height",),
        examples=("/api/fee-estimates",),
        not_found="Resource not found",
        too_many=_NOTICE,
        server_error={"error": "Internal Server Error"},
        error_in_200=_NOTICE,
    )


def core(world: World, prefix: str) -> Sequence[Route]:
    """The routes that Esplora and mempool.space share."""
    chain, clock = Bitcoin(world.market), world.clock

    async def tip_height(request: Request) -> Response:
        return PlainTextResponse(str(chain.height(clock.now())))

    async def tip_hash(request: Request) -> Response:
        return PlainTextResponse(chain.hash_of(chain.height(clock.now())))

    async def mempool(request: Request) -> Response:
        time = clock.now()
        state, fees = chain.mempool(time), chain.fees(time)
        rates = (fees.fast * 2, fees.fast, fees.medium, fees.slow, 0.1)
        shares = [state.vsize // 20, state.vsize // 10, state.vsize // 5, state.vsize // 5]
        histogram = [
            [round(rate, 6), size] for rate, size in zip(rates, [*shares, state.vsize - sum(shares)], strict=True)
        ]
        body = {"count": state.count, "vsize": state.vsize, "total_fee": state.total_fee, "fee_histogram": histogram}
        return answer(body)

    async def recent(request: Request) -> Response:
        rows = chain.waiting(clock.now())[:_RECENT]
        return answer(
            [
                {"txid": tx.txid, "fee": tx.fee, "vsize": tx.vsize, "value": sum(o.sats for o in tx.outputs)}
                for tx in rows
            ]
        )

    async def page(request: Request) -> Response:
        found = chain.height_of(request.path_params["hash"], clock.now())
        start = request.path_params.get("start", 0)
        if found is None:
            return PlainTextResponse("Block not found", 404)
        block = chain.block(found)
        if start % _PAGE or start >= len(block.transactions):
            return PlainTextResponse("start index out of range", 400)
        return answer([transaction_row(tx, block) for tx in block.transactions[start : start + _PAGE]])

    async def transaction(request: Request) -> Response:
        found = chain.transaction(request.path_params["txid"], clock.now())
        if found is None:
            return PlainTextResponse("Transaction not found", 404)
        return answer(transaction_row(*found))

    return (
        Route(f"{prefix}/blocks/tip/height", tip_height),
        Route(f"{prefix}/blocks/tip/hash", tip_hash),
        Route(f"{prefix}/mempool", mempool),
        Route(f"{prefix}/mempool/recent", recent),
        Route(f"{prefix}/block/{{hash}}/txs", page),
        Route(f"{prefix}/block/{{hash}}/txs/{{start:int}}", page),
        Route(f"{prefix}/tx/{{txid}}", transaction),
    )


def block_row(block: Block) -> dict[str, Any]:
    """One block of /blocks, keys in the recorded order."""
    return {
        "id": block.hash,
        "height": block.height,
        "version": 0x20000000,
        "timestamp": int(block.time),
        "bits": 386_014_917,
        "nonce": int(block.hash[-8:], 16),
        "difficulty": block.difficulty,
        "merkle_root": _digest(f"merkle/{block.hash}"),
        "tx_count": len(block.transactions),
        "size": sum(tx.vsize for tx in block.transactions) * 2,
        "weight": sum(tx.vsize for tx in block.transactions) * 4,
        "previousblockhash": block.parent,
        "mediantime": int(block.time) - 3000,
    }


def transaction_row(tx: Transaction, block: Block | None) -> dict[str, Any]:
    """One transaction, keys in the recorded order; without a block it is unconfirmed."""
    status: dict[str, Any] = {"confirmed": False}
    if block is not None:
        status = {
            "confirmed": True,
            "block_height": block.height,
            "block_hash": block.hash,
            "block_time": int(block.time),
        }
    return {
        "txid": tx.txid,
        "version": 2,
        "locktime": 0,
        "vin": [_input(tx, i, spent) for i, spent in enumerate(tx.inputs)] or [_COINBASE],
        "vout": [_output(output) for output in tx.outputs],
        "size": tx.vsize * 2,
        "weight": tx.vsize * 4,
        "fee": tx.fee,
        "status": status,
    }


_COINBASE: dict[str, Any] = {
    "txid": "0" * 64,
    "vout": 0xFFFFFFFF,
    "prevout": None,
    "scriptsig": "03f6ca0e04b280be6a",
    "scriptsig_asm": "OP_PUSHBYTES_3 f6ca0e OP_PUSHBYTES_4 b280be6a",
    "witness": ["0" * 64],
    "is_coinbase": True,
    "sequence": 0xFFFFFFFF,
}


def _input(tx: Transaction, index: int, spent: Output) -> dict[str, Any]:
    return {
        "txid": _digest(f"spent/{tx.txid}/{index}"),
        "vout": 0,
        "prevout": _output(spent),
        "scriptsig": "",
        "scriptsig_asm": "",
        "is_coinbase": False,
        "sequence": 0xFFFFFFFD,
    }


def _output(output: Output) -> dict[str, Any]:
    """An output without an address is data. Scripts are left out, as no provider reads them."""
    if output.address is None:
        script = "6a24aa21a9ed"
        return {"scriptpubkey": script, "scriptpubkey_asm": "OP_RETURN", "scriptpubkey_type": "op_return", "value": 0}
    kind = {"1": "p2pkh", "3": "p2sh"}.get(output.address[0], "v0_p2wpkh")
    return {
        "scriptpubkey": "",
        "scriptpubkey_asm": "",
        "scriptpubkey_type": kind,
        "scriptpubkey_address": output.address,
        "value": output.sats,
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
