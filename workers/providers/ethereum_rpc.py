"""JSON-RPC of Ethereum and other EVM chains: https://ethereum.github.io/execution-apis/

Public nodes publish no limits. They refuse with HTTP 429 or 403, or with HTTP 200 and an error object; a block that a
node does not have yet is `result: null`. Layer 2 has transaction types of its own (0x7e, 0x64, 0x6a).
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import BlockReceipts, ChainHead, ContractLog, EthBlock, EthHeader, TokenTransfer
from workers.asking.jsonrpc import BigQuantity, Quantity, RpcError, call, result_of, unhex
from workers.asking.ports import ChainNode, EthereumHead
from workers.asking.provider import Ask, Parsers, ProbePlan
from workers.providers.ethereum_blocks import NAME, parse_block, parse_head, parse_header
from workers.providers.ethereum_logs import TRANSFER, parse_logs, parse_receipts, parse_status, parse_transfers

__all__ = [
    "NAME",
    "TRANSFER",
    "EthereumRpc",
    "parse_block",
    "parse_head",
    "parse_header",
    "parse_logs",
    "parse_quantity",
    "parse_ratios",
    "parse_receipts",
    "parse_status",
    "parse_transfers",
    "parse_wei",
]

_LARGEST_BLOCK = 16 << 20
"""Bytes of an answer: the largest block recorded has 520 kB, and full blocks of BSC have several times that."""


class _FeeHistory(Struct):
    ratios: list[Annotated[float, Meta(ge=0, le=1)]] = msgspec.field(name="gasUsedRatio")


def parse_quantity(body: bytes, provider: str = NAME) -> int:
    """A number: eth_blockNumber, eth_chainId, eth_gasPrice. Raises ProviderError."""
    return unhex(result_of(provider, body, Quantity))


def parse_wei(body: bytes, provider: str = NAME) -> int:
    """An amount of wei: eth_gasPrice. Raises ProviderError."""
    return unhex(result_of(provider, body, BigQuantity))


def parse_ratios(body: bytes, provider: str = NAME) -> tuple[float, ...]:
    """eth_feeHistory: the used share of the gas limit of each block, the newest last. Raises ProviderError."""
    history = result_of(provider, body, _FeeHistory)
    if not history.ratios:
        raise ProviderError(provider, "no block in the answer", field="$.result.gasUsedRatio")
    return tuple(history.ratios)


class EthereumRpc(ChainNode, EthereumHead):
    """One node. Logs and errors have its name only, as its URL may hold a key."""

    budget = Budget(300, 60.0)  # per node: publicnode's and dRPC's users report no limit below 10 per second
    probe_plan = ProbePlan(30.0)  # rpc_nodes asks each every 20 s
    parsers: ClassVar[Parsers] = {
        "quantity": parse_quantity,
        "wei": parse_wei,
        "header": parse_header,
        "head": parse_head,
        "block": parse_block,
        "transfers": parse_transfers,
        "logs": parse_logs,
        "ratios": parse_ratios,
        "receipts": parse_receipts,
        "status": parse_status,
    }

    def __init__(
        self, name: str = NAME, base_url: str = "https://ethereum-rpc.publicnode.com", chain: str = "ethereum"
    ) -> None:
        """`base_url` is the node's whole address, with path and query; `chain` is `ethereum`, `bsc`, …"""
        self.name = name
        self.base_url = base_url
        self.chain = chain

    async def probe(self, ask: Ask) -> None:
        """See Provider. The chain's id; rpc_nodes checks that it is the right one."""
        await self.chain_id(ask)

    async def chain_id(self, ask: Ask) -> int:
        """The chain that the node is on: 1 is Ethereum's. Raises ProviderError."""
        return await ask(call("eth_chainId", (), partial(parse_quantity, provider=self.name)))

    async def height(self, ask: Ask) -> int:
        """See ChainNode."""
        return await ask(call("eth_blockNumber", (), partial(parse_quantity, provider=self.name)))

    async def head(self, ask: Ask) -> ChainHead:
        """See ChainNode and EthereumHead. A node that refuses to give blocks is asked for its height only."""
        try:
            return await ask(call("eth_getBlockByNumber", ("latest", False), partial(parse_head, provider=self.name)))
        except RpcError as error:
            if error.limited:
                raise
            return ChainHead(number=await self.height(ask), time=None)

    async def gas_price(self, ask: Ask) -> int:
        """See EthereumHead. The node's suggestion."""
        return await ask(call("eth_gasPrice", (), partial(parse_wei, provider=self.name)))

    async def identity(self, ask: Ask) -> int:
        """See ChainNode. The chain's id of EIP-155."""
        return await self.chain_id(ask)

    async def suggested_gas_price(self, ask: Ask) -> int:
        """See ChainNode."""
        return await self.gas_price(ask)

    async def header(self, ask: Ask, number: int | None = None) -> EthHeader | None:
        """Block `number` without its transactions, or the newest; None if it has none yet. Raises ProviderError."""
        parse = partial(parse_header, provider=self.name)
        header = await ask(call("eth_getBlockByNumber", (_tag(number), False), parse))
        self._check(header, number)
        return header

    async def block(self, ask: Ask, number: int) -> EthBlock | None:
        """Block `number` with its transactions; None if it has none yet. Raises ProviderError."""
        parse = partial(parse_block, provider=self.name)
        block = await ask(call("eth_getBlockByNumber", (_tag(number), True), parse, limit=_LARGEST_BLOCK))
        self._check(block.header if block is not None else None, number)
        return block

    async def transfers(self, ask: Ask, contracts: tuple[str, ...], first: int, last: int) -> tuple[TokenTransfer, ...]:
        """ERC-20 transfers of these tokens in blocks `first` to `last`; a node that lacks a block may return none.

        Nodes limit the range, some to ten blocks. Raises ProviderError.
        """
        wanted = {"fromBlock": _tag(first), "toBlock": _tag(last), "address": list(contracts), "topics": [TRANSFER]}
        parse = partial(parse_transfers, provider=self.name)
        answer = await ask(call("eth_getLogs", (wanted,), parse, limit=_LARGEST_BLOCK))
        if any(not first <= transfer.block <= last or transfer.contract not in contracts for transfer in answer):
            raise ProviderError(self.name, "logs that were not asked for")
        return answer

    async def transfers_in(self, ask: Ask, contracts: tuple[str, ...], block_hash: str) -> tuple[TokenTransfer, ...]:
        """ERC-20 transfers of these tokens in the block with this hash (EIP-234).

        Of a block that it lacks the node has an error or no logs, which need proof. Raises ProviderError.
        """
        wanted = {"blockHash": block_hash, "address": list(contracts), "topics": [TRANSFER]}
        parse = partial(parse_transfers, provider=self.name)
        answer = await ask(call("eth_getLogs", (wanted,), parse, limit=_LARGEST_BLOCK))
        if any(transfer.block_hash != block_hash or transfer.contract not in contracts for transfer in answer):
            raise ProviderError(self.name, "logs that were not asked for")
        return answer

    async def logs_in(
        self, ask: Ask, contracts: tuple[str, ...], topics: tuple[str, ...], block_hash: str
    ) -> tuple[ContractLog, ...]:
        """Logs of `contracts` with one of `topics` first, in the block with this hash (EIP-234).

        Of a block that it lacks the node has an error or no logs, which need proof. Raises ProviderError.
        """
        wanted = {"blockHash": block_hash, "address": list(contracts), "topics": [list(topics)]}
        parse = partial(parse_logs, provider=self.name, block_hash=block_hash)
        answer = await ask(call("eth_getLogs", (wanted,), parse, limit=_LARGEST_BLOCK))
        if any(log.contract not in contracts for log in answer):
            raise ProviderError(self.name, "logs that were not asked for")
        return answer

    async def ratios(self, ask: Ask, blocks: int) -> tuple[float, ...]:
        """The used share of the gas limit, for each of the newest `blocks`, the newest last. Raises ProviderError."""
        parse = partial(parse_ratios, provider=self.name)
        return await ask(call("eth_feeHistory", (hex(blocks), "latest", []), parse))

    async def receipts(self, ask: Ask, number: int) -> BlockReceipts | None:
        """The receipts of block `number`, as large as the block; None if the node lacks it. Raises ProviderError."""
        parse = partial(parse_receipts, provider=self.name)
        return await ask(call("eth_getBlockReceipts", (_tag(number),), parse, limit=_LARGEST_BLOCK))

    async def receipt_status(self, ask: Ask, transaction: str) -> bool | None:
        """Whether the transaction with this hash succeeded; None if that is unknown. Raises ProviderError."""
        return await ask(call("eth_getTransactionReceipt", (transaction,), partial(parse_status, provider=self.name)))

    def _check(self, header: EthHeader | None, number: int | None) -> None:
        if header is not None and number is not None and header.number != number:
            raise ProviderError(self.name, f"block {header.number} instead of {number}")


def _tag(number: int | None) -> str:
    return hex(number) if number is not None else "latest"
