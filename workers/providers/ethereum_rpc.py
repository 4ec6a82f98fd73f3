"""JSON-RPC of Ethereum and other EVM chains: https://ethereum.github.io/execution-apis/

Public nodes publish no limits. They refuse with HTTP 429 or 403, or with HTTP 200 and an error object; a block that a
node does not have yet is `result: null`. Blocks differ by chain and age: `baseFeePerGas` came with London, `to` is null
for a contract creation, and layer 2 has transaction types of its own (0x7e, 0x64, 0x6a). Only fields that are read here
are checked.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import ContractLog, EthBlock, EthHeader, EthTransaction, TokenTransfer
from workers.asking.jsonrpc import Address, BigQuantity, Hash, Quantity, call, result_of, result_or_none, unhex
from workers.asking.ports import ChainNode, EthereumHead
from workers.asking.provider import Ask, Parsers, ProbePlan

NAME = "ethereum_rpc"
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""Topic of Transfer(address,address,uint256)."""
_ERC20_TOPICS = 3
"""An ERC-721 Transfer has the same topic and a fourth, and no data."""
_WORD = 2 + 64  # characters of 32 bytes of hex
_LARGEST_BLOCK = 16 << 20
"""Bytes of an answer: the largest block recorded has 520 kB, and full blocks of BSC have several times that."""


class _Header(Struct, kw_only=True):
    number: Quantity
    hash: Hash
    parent: Hash = msgspec.field(name="parentHash")
    timestamp: Quantity
    gas_used: Quantity = msgspec.field(name="gasUsed")
    gas_limit: BigQuantity = msgspec.field(name="gasLimit")  # Arbitrum's is 2^50, a private chain's may be 2^63
    base_fee: BigQuantity | None = msgspec.field(name="baseFeePerGas", default=None)

    def answer(self) -> EthHeader:
        return EthHeader(
            number=unhex(self.number),
            hash=self.hash.lower(),
            parent=self.parent.lower(),
            time=float(unhex(self.timestamp)),
            gas_used=unhex(self.gas_used),
            gas_limit=unhex(self.gas_limit),
            base_fee=unhex(self.base_fee) if self.base_fee is not None else None,
        )


class _Transaction(Struct):
    hash: Hash
    sender: Address = msgspec.field(name="from")
    to: Address | None
    value: BigQuantity


class _Block(_Header, kw_only=True):
    transactions: list[_Transaction]


class _Log(Struct):
    address: Address
    topics: list[Hash]
    data: str
    block: Quantity = msgspec.field(name="blockNumber")
    block_hash: Hash = msgspec.field(name="blockHash")
    transaction: Hash = msgspec.field(name="transactionHash")
    index: Quantity = msgspec.field(name="logIndex")
    removed: bool = False


class _FeeHistory(Struct):
    ratios: list[Annotated[float, Meta(ge=0, le=1)]] = msgspec.field(name="gasUsedRatio")


class _Receipt(Struct):
    status: Quantity | None = None


def parse_quantity(body: bytes, provider: str = NAME) -> int:
    """A number: eth_blockNumber, eth_chainId, eth_gasPrice. Raises ProviderError."""
    return unhex(result_of(provider, body, Quantity))


def parse_wei(body: bytes, provider: str = NAME) -> int:
    """An amount of wei: eth_gasPrice. Raises ProviderError."""
    return unhex(result_of(provider, body, BigQuantity))


def parse_header(body: bytes, provider: str = NAME) -> EthHeader | None:
    """The header of eth_getBlockByNumber; None for a block that is not there. Raises ProviderError."""
    header = result_or_none(provider, body, _Header)
    return header.answer() if header is not None else None


def parse_block(body: bytes, provider: str = NAME) -> EthBlock | None:
    """eth_getBlockByNumber with whole transactions; None for a block that is not there. Raises ProviderError."""
    block = result_or_none(provider, body, _Block)
    if block is None:
        return None
    transactions = tuple(
        EthTransaction(
            hash=tx.hash.lower(),
            sender=tx.sender.lower(),
            to=tx.to.lower() if tx.to is not None else None,
            wei=unhex(tx.value),
        )
        for tx in block.transactions
    )
    return EthBlock(header=block.answer(), transactions=transactions)


def parse_transfers(body: bytes, provider: str = NAME) -> tuple[TokenTransfer, ...]:
    """ERC-20 Transfer logs of eth_getLogs, in the chain's order; other logs are left out. Raises ProviderError."""
    transfers = []
    for log in result_of(provider, body, list[_Log]):
        if log.removed or len(log.topics) != _ERC20_TOPICS or log.topics[0].lower() != TRANSFER:
            continue
        if len(log.data) != _WORD:
            continue
        try:
            units = int(log.data, 16)
        except ValueError:
            raise ProviderError(provider, "log data that is not hex", field="$.result[...].data") from None
        transfers.append(
            TokenTransfer(
                block=unhex(log.block),
                block_hash=log.block_hash.lower(),
                transaction=log.transaction.lower(),
                index=unhex(log.index),
                contract=log.address.lower(),
                sender="0x" + log.topics[1][-40:].lower(),
                to="0x" + log.topics[2][-40:].lower(),
                units=units,
            )
        )
    return tuple(transfers)


def parse_logs(body: bytes, provider: str = NAME, block_hash: str | None = None) -> tuple[ContractLog, ...]:
    """eth_getLogs, in the chain's order; removed logs and logs without a topic are left out.

    With `block_hash`, a log of another block is an error.

    Raises ProviderError.
    """
    logs = result_of(provider, body, list[_Log])
    if block_hash is not None and any(log.block_hash.lower() != block_hash for log in logs):
        raise ProviderError(provider, "logs that were not asked for")
    return tuple(
        ContractLog(
            block=unhex(log.block),
            index=unhex(log.index),
            transaction=log.transaction.lower(),
            contract=log.address.lower(),
            topic=log.topics[0].lower(),
        )
        for log in logs
        if not log.removed and log.topics
    )


def parse_ratios(body: bytes, provider: str = NAME) -> tuple[float, ...]:
    """eth_feeHistory: the used share of the gas limit of each block, the newest last. Raises ProviderError."""
    history = result_of(provider, body, _FeeHistory)
    if not history.ratios:
        raise ProviderError(provider, "no block in the answer", field="$.result.gasUsedRatio")
    return tuple(history.ratios)


def parse_status(body: bytes, provider: str = NAME) -> bool | None:
    """Whether the transaction of a receipt succeeded; None without a receipt or (before 2017) a status.

    Raises ProviderError.
    """
    receipt = result_or_none(provider, body, _Receipt)
    return unhex(receipt.status) == 1 if receipt is not None and receipt.status is not None else None


class EthereumRpc(ChainNode, EthereumHead):
    """One node. Logs and errors have its name only, as its URL may hold a key."""

    budget = Budget(300, 60.0)  # per node: publicnode's and dRPC's users report no limit below 10 per second
    probe_plan = ProbePlan(30.0)  # rpc_nodes asks each every 20 s
    parsers: ClassVar[Parsers] = {
        "quantity": parse_quantity,
        "wei": parse_wei,
        "header": parse_header,
        "block": parse_block,
        "transfers": parse_transfers,
        "logs": parse_logs,
        "ratios": parse_ratios,
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
        """ERC-20 transfers of these tokens in the block with this hash (EIP-234); a missing block is an error.

        Raises ProviderError.
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

        A block that the node lacks is an error. Raises ProviderError.
        """
        wanted = {"blockHash": block_hash, "address": list(contracts), "topics": [list(topics)]}
        parse = partial(parse_logs, provider=self.name, block_hash=block_hash)
        answer = await ask(call("eth_getLogs", (wanted,), parse))
        if any(log.contract not in contracts for log in answer):
            raise ProviderError(self.name, "logs that were not asked for")
        return answer

    async def ratios(self, ask: Ask, blocks: int) -> tuple[float, ...]:
        """The used share of the gas limit, for each of the newest `blocks`, the newest last. Raises ProviderError."""
        parse = partial(parse_ratios, provider=self.name)
        return await ask(call("eth_feeHistory", (hex(blocks), "latest", []), parse))

    async def receipt_status(self, ask: Ask, transaction: str) -> bool | None:
        """Whether the transaction with this hash succeeded; None if that is unknown. Raises ProviderError."""
        return await ask(call("eth_getTransactionReceipt", (transaction,), partial(parse_status, provider=self.name)))

    def _check(self, header: EthHeader | None, number: int | None) -> None:
        if header is not None and number is not None and header.number != number:
            raise ProviderError(self.name, f"block {header.number} instead of {number}")


def _tag(number: int | None) -> str:
    return hex(number) if number is not None else "latest"
