"""JSON-RPC nodes of Ethereum and other EVM chains: https://ethereum.github.io/execution-apis/

One file answers for every EVM node; the Host header selects the chain. Like real nodes, a node sometimes has a block
late. Which blocks are late depends on the node and is always the same.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.host import Host, World, answer
from simulator.world.ethereum import Ethereum, EvmChain
from simulator.world.ethereum_blocks import place_of

CHAIN_OF = {
    "ethereum-rpc.publicnode.com": "ethereum",
    "eth.drpc.org": "ethereum",
    "rpc.mevblocker.io": "ethereum",
    "ethereum.reth.rs": "ethereum",
    "bsc-rpc.publicnode.com": "bsc",
    "bsc-dataseed.binance.org": "bsc",
    "polygon-bor-rpc.publicnode.com": "polygon",
    "polygon.drpc.org": "polygon",
    "mainnet.base.org": "base",
    "base-rpc.publicnode.com": "base",
    "mainnet.optimism.io": "optimism",
    "optimism-rpc.publicnode.com": "optimism",
    "arb1.arbitrum.io": "arbitrum",
    "arbitrum-one-rpc.publicnode.com": "arbitrum",
}
"""Host → chain."""
_LATE = 12  # one in this many blocks reaches a node late
_RANGE = 1000
"""Blocks that one eth_getLogs may span (1rpc's limit; others allow less or more)."""
_NO_LOGS = frozenset({"bsc-dataseed.binance.org"})
"""Nodes on which eth_getLogs is switched off."""


class Refusal(Exception):
    """An error object of JSON-RPC."""

    def __init__(self, code: int, message: str) -> None:
        self.body = {"code": code, "message": message}
        super().__init__(message)


Methods = Mapping[str, Callable[[Sequence[Any]], Any]]
"""Per method, the function that answers its params; it may raise Refusal."""


def host(world: World) -> Host:
    """All EVM nodes; the Host header selects one."""

    @cache  # each host has all of them, and is asked for one
    def methods(name: str) -> Methods:
        return SimulatedNode(world, name).methods

    return rpc_host(methods)


def rpc_host(methods: Callable[[str], Methods]) -> Host:
    """A host that takes a POST of one JSON-RPC call on `/` or `/rpc`; `methods` has a node's methods by host name."""

    async def serve(request: Request) -> Response:
        return answer(_answered(await request.body(), methods(request.url.hostname or "")))

    return Host(
        routes=[Route(path, serve, methods=["POST"]) for path in ("/", "/rpc")],
        figures=("number", "result"),
        heights=("number",),
        examples=(),
        not_found={"jsonrpc": "2.0", "id": None, "error": {"code": -32601, "message": "not found"}},
        too_many={"jsonrpc": "2.0", "id": 1, "error": {"code": -32005, "message": "rate limit exceeded"}},
        server_error={"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "internal error"}},
        error_in_200={"jsonrpc": "2.0", "id": 1, "error": {"code": -32016, "message": "over rate limit"}},
    )


def _answered(body: bytes, methods: Methods) -> dict[str, Any]:
    """The answer to one call, valid or not."""
    envelope: dict[str, Any] = {"jsonrpc": "2.0", "id": None}
    try:
        asked = json.loads(body)
    except ValueError:
        return envelope | {"error": {"code": -32700, "message": "parse error"}}
    if not isinstance(asked, dict) or not isinstance(asked.get("method"), str):
        return envelope | {"error": {"code": -32600, "message": "invalid request"}}  # batches are not supported
    envelope["id"] = asked.get("id")
    params = asked.get("params", [])
    method = methods.get(asked["method"])
    if method is None or not isinstance(params, list):
        text = f"the method {asked['method']} does not exist/is not available"
        return envelope | {"error": {"code": -32601, "message": text}}
    try:
        return envelope | {"result": method(params)}
    except Refusal as refusal:
        return envelope | {"error": refusal.body}
    except (IndexError, ValueError, TypeError, AttributeError):
        return envelope | {"error": {"code": -32602, "message": "invalid argument"}}


class SimulatedNode:
    """One node, with its present view of the chain."""

    def __init__(self, world: World, name: str) -> None:
        """KeyError for a host that is not an EVM node."""
        self._clock = world.clock
        self._name = name
        chain = CHAIN_OF[name]
        self._chain = Ethereum(world.market) if chain == "ethereum" else EvmChain(world.market, chain)
        self.methods: Methods = {
            "web3_clientVersion": lambda params: "Simulated/v1.0.0/coinwire",
            "net_version": lambda params: str(self._chain.network.chain_id),
            "eth_chainId": lambda params: hex(self._chain.network.chain_id),
            "eth_syncing": lambda params: False,
            "eth_blockNumber": lambda params: hex(self.height()),
            "eth_gasPrice": lambda params: hex(self._chain.gas_price(self._chain.time_of(self.height()))),
            "eth_feeHistory": self._fee_history,
            "eth_getBlockByNumber": self._block,
            "eth_getBlockReceipts": self._receipts,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getLogs": self._logs,
        }

    def height(self) -> int:
        """The newest block that it has."""
        height = self._chain.height(self._clock.now())
        is_late = zlib.crc32(f"{self._name}/{height}".encode()) % _LATE == 0
        return height - 1 if is_late else height

    def _block(self, params: Sequence[Any]) -> dict[str, Any] | None:
        number, whole = self._number(params[0]), params[1]
        if number > self.height():
            return None
        block = self._chain.block(number)
        if whole is True:
            return block
        return block | {"transactions": [transaction["hash"] for transaction in block["transactions"]]}

    def _receipts(self, params: Sequence[Any]) -> list[dict[str, Any]] | None:
        number = self._number(params[0])
        return self._chain.receipts(number) if number <= self.height() else None

    def _receipt(self, params: Sequence[Any]) -> dict[str, Any] | None:
        transaction = params[0]
        if len(transaction) != 66:
            raise ValueError("not a hash")
        number, _ = place_of(transaction)
        return self._chain.receipt(transaction) if number <= self.height() else None

    def _logs(self, params: Sequence[Any]) -> list[dict[str, Any]]:
        if self._name in _NO_LOGS:
            raise Refusal(-32005, "limit exceeded")
        wanted = params[0]
        if "blockHash" in wanted:  # EIP-234
            first = last = self._hashed(wanted["blockHash"])
        else:
            first, last = (self._number(wanted.get(key, "latest")) for key in ("fromBlock", "toBlock"))
        if first > last:
            raise Refusal(-32602, "invalid block range params")
        if last - first >= _RANGE:
            raise Refusal(-32000, f"eth_getLogs is limited to a {_RANGE} blocks range")
        addresses = wanted.get("address") or []
        addresses = {address.lower() for address in ([addresses] if isinstance(addresses, str) else addresses)}
        topics = wanted.get("topics") or []
        numbers = range(first, min(last, self.height()) + 1)
        logs = (log for number in numbers for log in self._chain.logs(number))
        return [log for log in logs if (not addresses or log["address"] in addresses) and _fits(log, topics)]

    def _hashed(self, block_hash: str) -> int:
        """Number of the block with this hash, if it is one of the last 300."""
        for number in range(self.height(), self.height() - 300, -1):
            if self._chain.hash_of(number) == block_hash.lower():
                return number
        raise Refusal(-32000, "unknown block")

    def _fee_history(self, params: Sequence[Any]) -> dict[str, Any]:
        count = int(params[0], 16) if isinstance(params[0], str) else int(params[0])
        last = min(self._number(params[1]), self.height())
        shares = params[2] if len(params) > 2 else []
        numbers = range(max(0, last - min(count, 1024) + 1), last + 1)
        chain = self._chain
        limit = chain.network.gas_limit
        history = {
            "oldestBlock": hex(numbers.start),
            "baseFeePerGas": [hex(chain.base_fee(number)) for number in (*numbers, last + 1)],
            "gasUsedRatio": [chain.gas_used(number) / limit for number in numbers],
        }
        if shares:
            # Tips within a block range from a fifth of the usual tip to twice as much.
            history["reward"] = [
                [hex(round(chain.tip(number) * (0.2 + 1.8 * share / 100))) for share in shares] for number in numbers
            ]
        return history

    def _number(self, tag: Any) -> int:
        """The block for a number or name. ValueError for anything else."""
        if tag in ("latest", "pending"):
            return self.height()
        if tag in ("safe", "finalized"):
            return self.height() - {"safe": 32, "finalized": 64}[tag]
        if tag == "earliest":
            return 0
        if not tag.startswith("0x"):
            raise ValueError("not a quantity")
        return int(tag, 16)


def _fits(log: dict[str, Any], topics: Sequence[Any]) -> bool:
    """Whether a log has these topics; None matches any topic, a list any of its members."""
    if len(topics) > len(log["topics"]):
        return False
    for wanted, topic in zip(topics, log["topics"], strict=False):
        choices = [wanted] if isinstance(wanted, str) else wanted
        if choices and topic not in (choice.lower() for choice in choices):
            return False
    return True
