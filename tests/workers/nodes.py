"""A JSON-RPC node of any chain, over a real socket, whose newest block tests choose."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from workers.services.rpc_nodes.chains import Chain, chain_of

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass
class FakeNode:
    """One node. `time` is that of its newest block (unix seconds); None if it does not say."""

    chain: str
    height: int
    time: float | None
    identity: int | str | None = None
    """None for the right one."""
    refuses: frozenset[str] = frozenset()
    """Methods that it does not have."""
    url: str = ""
    asked: list[str] = field(default_factory=list)

    @property
    def constants(self) -> Chain:
        return chain_of(self.chain)

    def answer(self, method: str, params: list[Any]) -> Any:
        """The result of one call. Raises KeyError for a method that it does not have."""
        if method in self.refuses:
            raise KeyError(method)
        if method == "eth_getBlockByNumber":
            return self._block(self.height if params[0] == "latest" else int(params[0], 16))
        identity = self.constants.identity if self.identity is None else self.identity
        answers: dict[str, Any] = {
            "eth_chainId": hex(identity) if isinstance(identity, int) else "0x1",
            "eth_blockNumber": hex(self.height),
            "eth_gasPrice": "0x3b9aca00",
            "eth_syncing": False,
            "getGenesisHash": identity,
            "getBlockHeight": self.height,
            "getSlot": self.height + 22_000_000,
            "getBlockTime": None if self.time is None else int(self.time),
        }
        return answers[method]

    def _block(self, number: int) -> dict[str, Any] | None:
        if number > self.height:
            return None
        block: dict[str, Any] = {
            "number": hex(number),
            "hash": _hash(self.chain, number),
            "parentHash": _hash(self.chain, number - 1),
            "gasUsed": "0x1",
            "gasLimit": "0x2",
            "transactions": [],
        }
        if self.time is not None:
            block["timestamp"] = hex(max(0, int(self.time - (self.height - number) * self.constants.block_time)))
        return block

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            asked = json.loads(await reader.readexactly(int(length[1]) if length else 0))
            self.asked.append(asked["method"])
            try:
                answer = {"result": self.answer(asked["method"], asked["params"])}
            except KeyError:
                answer = {"error": {"code": -32601, "message": "method not found"}}
            body = json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client left first
        finally:
            writer.close()


def _hash(chain: str, number: int) -> str:
    return "0x" + hashlib.sha256(f"{chain}/{number}".encode()).hexdigest()


@asynccontextmanager
async def serving(*nodes: FakeNode) -> AsyncIterator[str]:
    """The nodes answer while this lasts; the value of RPC_NODES for them: `<chain>/n0`, `<chain>/n1`, …"""
    servers = [await asyncio.start_server(node.serve, "127.0.0.1", 0) for node in nodes]
    try:
        for node, server in zip(nodes, servers, strict=True):
            node.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield ",".join(f"{node.chain}/n{place}={node.url}" for place, node in enumerate(nodes))
    finally:
        for server in servers:
            server.close()
            await server.wait_closed()
