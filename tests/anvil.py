"""anvil: a real Ethereum node for tests, from the npm package @foundry-rs/anvil (see tests/node/package.json)."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.waiting import until

_MODULES = Path(__file__).parent / "node" / "node_modules" / "@foundry-rs"

ALICE = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
BOB = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
"""Accounts that every anvil has, with 10,000 ETH and unlocked."""


def find_anvil() -> Path:
    """The node's program. Without it the test is skipped; on CI it fails."""
    # The npm package has one program per platform; its launcher would start it as a child process.
    found = sorted(_MODULES.glob("anvil-*/bin/anvil*"))
    if found:
        return found[0]
    reason = "anvil is not installed: it takes Node and `make node-modules`"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


class Anvil:
    """A running node. It makes a block for each transaction, and with `mine`."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self.url = url
        self._client = client

    async def rpc(self, method: str, *params: Any) -> Any:
        """The result of one call; AssertionError if the node refuses it."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = (await self._client.post(self.url, json=body)).json()
        assert "error" not in answer, answer["error"]
        return answer["result"]

    async def height(self) -> int:
        """Number of the newest block."""
        return int(await self.rpc("eth_blockNumber"), 16)

    async def mine(self, blocks: int = 1) -> None:
        """Make blocks, 12 s apart."""
        await self.rpc("anvil_mine", hex(blocks), hex(12))

    async def reorganise(self, depth: int) -> None:
        """Replace the newest `depth` blocks by others."""
        await self.rpc("anvil_reorg", depth, [])

    async def send(self, *, value: int = 0, to: str | None = BOB, data: str = "0x", sender: str = ALICE) -> str:
        """Send a transaction (`to` None creates a contract of `data`) and mine it; its hash."""
        transaction = {"from": sender, "value": hex(value), "data": data}
        transaction_hash = await self.rpc(
            "eth_sendTransaction", transaction if to is None else transaction | {"to": to}
        )
        assert isinstance(transaction_hash, str)
        await self.receipt(transaction_hash)
        return transaction_hash

    async def emit(self, topics: tuple[str, ...], data: str) -> str:
        """Create a contract whose code emits one log with these topics; the transaction's hash."""
        # PUSH32 data, MSTORE at 0; the topics, the last first; then LOG<n> of memory 0 to 32; STOP.
        words = [f"7f{int(topic, 16):064x}" for topic in reversed(topics)]
        code = f"7f{int(data, 16):064x}600052{''.join(words)}60206000{0xA0 + len(topics):02x}00"
        return await self.send(to=None, data=f"0x{code}")

    async def receipt(self, transaction: str) -> dict[str, Any]:
        """The receipt of a transaction; anvil may take a moment to mine it."""

        async def is_mined() -> bool:
            return await self.rpc("eth_getTransactionReceipt", transaction) is not None

        await until(is_mined)
        receipt = await self.rpc("eth_getTransactionReceipt", transaction)
        assert isinstance(receipt, dict)
        return receipt


@asynccontextmanager
async def running_anvil(folder: Path, *options: str) -> AsyncIterator[Anvil]:
    """A new chain with Ethereum's id on a free port, ended with the block. `folder` gets its output."""
    output = folder / "anvil.log"
    with output.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(str(find_anvil()), "--host", "127.0.0.1", "--port", "0", "--chain-id", "1", *options),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        await until(lambda: process.returncode is not None or "Listening on" in output.read_text(), 30.0)
        found = re.search(r"Listening on (\S+)", output.read_text())
        assert found, f"anvil ended with {process.returncode}: {output.read_text()[-500:]}"
        async with httpx.AsyncClient(trust_env=False) as client:
            yield Anvil(f"http://{found[1]}", client)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
